"""``--mode=robustness``: one checkpoint on one data set whose audio is prepared in many ways.

The word error rate of each preparation, with its interval, shows where a model fails on audio that is unlike its training data.
"""
import collections
import json
import os

import numpy as np

from open_seq2seq.data.effects.channel import missing_file_codecs
from open_seq2seq.data.effects.preparations import PREPARATIONS
from open_seq2seq.errors import UsageError
from open_seq2seq.evaluation.error_rates import transcript_errors
from open_seq2seq.evaluation.evaluation_graph import Evaluation
from open_seq2seq.evaluation.modes import restored
from open_seq2seq.evaluation.scoring import run_evaluation
from open_seq2seq.files import replaced_file
from open_seq2seq.log_lines import log_line

FILE_NAME = "robustness.json"
RESAMPLES = 1000
CONFIDENCE = 0.95

Measurement = collections.namedtuple("Measurement", "preparation description wer low high words utterances")
Measurement.__doc__ = """The word error rate of a preparation, with its 95 % interval (bootstrap over utterances); fractions."""


def measure_robustness(base_model, params, run_directory, arguments, device, group):
    """Evaluates a checkpoint on every preparation and prints and writes the results.

    Args: see :func:`open_seq2seq.evaluation.modes.evaluate`.

    Returns:
      List of :class:`Measurement`, in the order of ``PREPARATIONS``.
    """
    if group.size > 1:
        raise UsageError("--mode=robustness runs as one process; it was started as one of %d. Start it without the launcher"
                         % group.size)
    missing, measurements = missing_file_codecs(), []
    with restored(base_model, params, "eval", run_directory, arguments, device, group) as (session, evaluation, checkpoint):
        layer = evaluation.data_layer
        if layer.buckets is not None:
            raise UsageError("--mode=robustness changes the lengths of utterances, and device %s needs static shapes; use "
                             "--device cpu" % device.name)
        for preparation in PREPARATIONS:
            if preparation.codec in missing:
                log_line("%-16s skipped: this libsndfile has no %s codec" % (preparation.name, preparation.codec))
                continue
            result = run_evaluation(session, Evaluation(evaluation.graph, layer.prepared(preparation)))
            measurements.append(_measurement(preparation, result))
            log_line(_line(measurements[-1]))
    _write(os.path.join(os.path.dirname(checkpoint), FILE_NAME), checkpoint, layer, measurements)
    return measurements


def _measurement(preparation, result):
    pairs = [transcript_errors([utterance.transcript], [transcript]).word_error_rate
             for utterance, transcript in zip(result.utterances, result.transcripts)]
    edits, words = np.array([pair.edits for pair in pairs]), np.array([pair.length for pair in pairs])
    low, high = bootstrap_interval(edits, words)
    return Measurement(preparation.name, preparation.description, result.word_error_rate.rate, low, high, int(words.sum()),
                       len(pairs))


def bootstrap_interval(edits, words, seed=0):
    """The 95 % interval of a word error rate by resampling utterances (Bisani and Ney, 2004).

    Args:
      edits, words: int [utterances].
      seed: int.

    Returns:
      (low, high), fractions.
    """
    random = np.random.RandomState(seed)
    drawn = random.randint(len(edits), size=(RESAMPLES, len(edits)))
    totals = words[drawn].sum(axis=1)
    rates = edits[drawn].sum(axis=1) / np.maximum(totals, 1)
    return tuple(float(value) for value in np.percentile(rates, [100 * (1 - CONFIDENCE) / 2, 100 * (1 + CONFIDENCE) / 2]))


def _line(measurement):
    return "%-16s WER %6.2f %%  (%.2f to %.2f)  %s" % (
        measurement.preparation, 100 * measurement.wer, 100 * measurement.low, 100 * measurement.high, measurement.description)


def _write(path, checkpoint, layer, measurements):
    rates = [measurement.wer for measurement in measurements]
    worst = measurements[int(np.argmax(rates))]
    log_line("mean WER %.2f %%, worst %.2f %% (%s)" % (100 * np.mean(rates), 100 * worst.wer, worst.preparation))
    with replaced_file(path) as file:
        json.dump({"checkpoint": os.path.basename(checkpoint), "data_set": [os.path.basename(path) for path in layer.manifests],
                   "mean_wer": float(np.mean(rates)), "worst": worst.preparation,
                   "preparations": [measurement._asdict() for measurement in measurements]}, file, indent=1)
        file.write("\n")
