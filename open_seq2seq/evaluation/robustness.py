"""``--mode=robustness``: one checkpoint on one data set whose audio is prepared in many ways.

The word error rate of each preparation, with its interval, shows where a model fails on audio that is unlike its training data.
"""
import collections
import json
import os

import numpy as np

from open_seq2seq.checkpoints.files import BEST_MODELS, checkpoint_step
from open_seq2seq.data.effects.channel import missing_file_codecs
from open_seq2seq.data.effects.preparations import PREPARATIONS, preparation_named
from open_seq2seq.errors import DataError, StorageError, UsageError
from open_seq2seq.evaluation.analysis.intervals import bootstrap_interval
from open_seq2seq.evaluation.error_rates import transcript_errors
from open_seq2seq.evaluation.evaluation_graph import Evaluation
from open_seq2seq.evaluation.restored import restored
from open_seq2seq.evaluation.robustness_results import FILE_NAME, PICTURE_FOLDER, SELECTED_FILE_NAME, draw_rates
from open_seq2seq.evaluation.scoring import run_evaluation
from open_seq2seq.files import replaced_file
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar

Measurement = collections.namedtuple("Measurement", "preparation description wer low high words utterances")
Measurement.__doc__ = """The word error rate of a preparation, with its 95 % interval (bootstrap over utterances); fractions."""


def measure_robustness(base_model, params, run_directory, arguments, device, group):
    """Evaluates a checkpoint on every preparation and prints, writes and draws the results.

    Args: see :func:`open_seq2seq.evaluation.modes.evaluate`; ``arguments.preparations`` are the names of those to measure, or
      None for all.

    Returns:
      (path of the JSON file or None if it could not be written, list of :class:`Measurement` in the order of ``PREPARATIONS``).

    Raises:
      UsageError: there are several ranks, or the device needs static shapes.
      DataError: the data set has no word, or this libsndfile lacks the codec of a preparation that ``arguments`` name.
    """
    if group.size > 1:
        raise UsageError("--mode=robustness runs as one process; it was started as one of %d. Start it without the launcher"
                         % group.size)
    if device.static_shapes:
        raise UsageError("--mode=robustness changes the lengths of utterances, and device %s compiles a graph for every length; "
                         "use --device=cpu, which gives the same transcripts" % device.name)
    preparations, measurements = _chosen(arguments.preparations), []
    with restored(base_model, params, "eval", run_directory, arguments, device, group, decodes=True) as (
            session, evaluation, checkpoint):
        layer = evaluation.data_layer
        if not hasattr(layer, "prepared"):
            raise UsageError("--mode=robustness needs a data layer with the method prepared, as Speech2TextDataLayer has; %s has "
                             "none" % type(layer).__name__)
        if not any(utterance.transcript.split() for utterance in layer.utterances):
            raise DataError("%s has no transcript with a word; --mode=robustness measures word error rates" % _names(layer))
        log_line("%-16s %8s  %s" % ("preparation", "WER", "95 % interval"))
        with ProgressBar(len(preparations), description="preparations") as bar:
            for done, preparation in enumerate(preparations, 1):
                result = run_evaluation(session, Evaluation(evaluation.graph, layer.prepared(preparation), evaluation.decoder))
                measurements.append(measurement_of(preparation, result))
                log_line(_line(measurements[-1]))
                bar.update(done)
    summary = summary_of(checkpoint, _names(layer), evaluation.decoder.describe(), measurements)
    log_line("Mean WER of %d preparations %.2f %%, worst %.2f %% (%s)" % (
        len(measurements), 100 * summary["mean_wer"], 100 * max(found.wer for found in measurements), summary["worst"]))
    return _write(checkpoint, summary, arguments.preparations is not None), measurements


def _chosen(names):
    """The preparations of ``names`` (None: all); those without their codec are skipped."""
    chosen, missing = [], missing_file_codecs()
    for preparation in PREPARATIONS if names is None else [preparation_named(name) for name in names]:
        if preparation.codec not in missing:
            chosen.append(preparation)
        elif names is None:
            log_line("%-16s skipped: this libsndfile has no %s codec" % (preparation.name, preparation.codec))
        else:
            raise DataError("--preparations: %s needs the codec %s, which this libsndfile lacks; choose others" % (
                preparation.name, preparation.codec))
    return chosen


def _names(layer):
    # a custom data layer may have no manifests
    return ", ".join(os.path.basename(path) for path in getattr(layer, "manifests", [])) or type(layer).__name__


def measurement_of(preparation, result):
    """The :class:`Measurement` of an ``EvaluationResult``."""
    pairs = [transcript_errors([utterance.transcript], [transcript]).word_error_rate
             for utterance, transcript in zip(result.utterances, result.transcripts)]
    edits, words = np.array([pair.edits for pair in pairs]), np.array([pair.length for pair in pairs])
    low, high = bootstrap_interval(edits, words)
    return Measurement(preparation.name, preparation.description, result.word_error_rate.rate, low, high, int(words.sum()),
                       len(pairs))


def _line(measurement):
    return "%-16s %6.2f %%  %6.2f to %6.2f  %s" % (
        measurement.preparation, 100 * measurement.wer, 100 * measurement.low, 100 * measurement.high, measurement.description)


def summary_of(checkpoint, data_set, decoding, measurements):
    """What the JSON file holds: dict."""
    rates = [measurement.wer for measurement in measurements]
    return {"checkpoint": os.path.basename(checkpoint), "step": checkpoint_step(checkpoint), "data_set": data_set,
            "decoding": decoding, "mean_wer": float(np.mean(rates)), "worst": measurements[int(np.argmax(rates))].preparation,
            "preparations": [measurement._asdict() for measurement in measurements]}


def _write(checkpoint, summary, is_selection):
    """Writes the JSON file, and the picture into ``report/``; returns the path of the former, or None."""
    directory = os.path.dirname(checkpoint)
    if os.path.basename(directory) == BEST_MODELS:
        directory = os.path.dirname(directory)
    # a selection does not replace the measurement of all preparations
    path = os.path.join(directory, SELECTED_FILE_NAME if is_selection else FILE_NAME)
    picture = os.path.join(directory, PICTURE_FOLDER, os.path.splitext(os.path.basename(path))[0] + ".png")
    try:
        with replaced_file(path) as file:
            json.dump(summary, file, indent=1)
            file.write("\n")
        log_line("Results: %s" % path)
        drawn = draw_rates(summary, "png")
        if drawn is None:
            log_line("There is no picture: matplotlib is not installed. Install it with pip install -r requirements.txt")
        else:
            os.makedirs(os.path.dirname(picture), exist_ok=True)
            with replaced_file(picture, "wb") as file:
                file.write(drawn)
            log_line("Picture: %s" % picture)
    except (StorageError, OSError) as error:
        # a measurement of a read-only folder is still valid
        log_line("The results could not be written: %s" % error)
        return None
    return path
