"""Offline inference in three steps, which may run on different machines: audio to bins, bins to results, results to a score.

The interface and the file names are those of the public Ascend port's inference script, see scripts/offline_inference.py.
"""
import collections
import csv
import os
import sys
import time

import numpy as np

from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.decoding.greedy import GreedyDecoder
from open_seq2seq.errors import DataError, StorageError, UsageError
from open_seq2seq.export.ascend.bins import (
    BinWriter,
    InputBins,
    find_results,
    frame_mask,
    read_result,
    replaced_folder,
    result_name,
)
from open_seq2seq.export.runtime.features import FeatureExtractor
from open_seq2seq.export.runtime.scoring import log_score, raise_if_too_many
from open_seq2seq.files import replaced_file
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar
from open_seq2seq.text.vocabulary import Vocabulary

BINS_FOLDER, RESULTS_FOLDER = "jasper", "result_Files"
TRANSCRIPTS_FILE, REJECTED_FILE = "transcripts.csv", "rejected.csv"

Timing = collections.namedtuple("Timing", "first seconds num_batches num_utterances audio_seconds")
Timing.__doc__ = """Duration of an inference. first: seconds of the first run, which compiles on an NPU and is not counted in
``seconds``. seconds: of all batches. audio_seconds: duration of the utterances."""


def require_feature_inputs(description, model_path):
    """Raises UsageError for a model that takes audio instead of features."""
    if description.with_features:
        raise UsageError("%s computes its features itself (--with_features), but bins hold features; export without it, or "
                         "transcribe with python -m open_seq2seq.transcribe" % model_path)


def require_batch_size(description, batch_size):
    """Raises DataError for a batch that is larger than the model accepts."""
    if description.batch_size is not None and batch_size > description.batch_size:
        raise DataError("--batchSize %d, but the model was exported for %d; lower it, or export with --batch_size=%d"
                        % (batch_size, description.batch_size, batch_size))


def open_bins(description, folder):
    """The ``InputBins`` of a folder for a model; raises like its constructor."""
    return InputBins(folder, description.num_audio_features, description.mask_frames, description.frames, description.pad_to)


def pre_process(description, references, folder, dtype="float32", frames=None, max_rejected_fraction=0.01):
    """Writes the bins of all usable utterances of the manifests.

    Args:
      description: the model's ``ExportDescription``.
      references: the manifests, a ``References``.
      folder: parent of the folders of bins.
      dtype: "float32" or "float16".
      frames: T, for a model of dynamic length; None: as many as the longest utterance needs.
      max_rejected_fraction: part of the manifests' rows that may be faulty.

    Returns:
      Number of utterances.

    Raises:
      UsageError: ``frames`` contradicts the model.
      DataError: too many rows are faulty, or all are skipped. Existing bins are kept.
    """
    _require_valid_frames(frames, description)
    limit = frames or description.frames
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot make the folder %s: %s. Fix the permissions or choose another --output_dir"
                           % (folder, error.strerror))
    extractor = FeatureExtractor(description.feature_params)
    try:
        utterances, rejections = references.select(description, extractor.num_frames, limit, max_rejected_fraction,
                                                   os.path.join(folder, REJECTED_FILE))
        frames = limit or max(extractor.num_frames(utterance.num_samples) for utterance in utterances.values())
        frames += -frames % description.pad_to
        with BinWriter(folder, dtype) as writer, ProgressBar(len(utterances), description="features") as bar:
            for done, (name, utterance) in enumerate(utterances.items(), 1):
                try:
                    features = extractor(read_audio(utterance.audio_path, description.sample_rate))
                    if len(features) > frames:
                        raise DataError("%s has %d frames, expected %d from its header" % (
                            utterance.id, len(features), extractor.num_frames(utterance.num_samples)))
                except RejectedData as rejected:
                    sys.stderr.write("skipped utterance %s: %s: %s\n" % (utterance.id, rejected.reason.name, rejected))
                    rejections.add(utterance, rejected.reason, str(rejected))
                    continue
                padded = np.zeros([frames, description.num_audio_features], np.float32)
                padded[:len(features)] = features
                writer.add(name, padded, frame_mask(len(features), frames, description.mask_frames))
                bar.update(done)
            raise_if_too_many(rejections)
        rejections.write()
    finally:
        extractor.close()
    if len(rejections):
        log_line(rejections.summary())
    count = len(references.rows) - len(rejections)
    log_line("wrote the bins of %d utterances, %s [1, %d, %d], to %s" % (
        count, dtype, frames, description.num_audio_features, folder))
    return count


def _require_valid_frames(frames, description):
    """Raises UsageError if a number of frames given by the user contradicts the model."""
    if frames is not None and description.frames not in (None, frames):
        raise UsageError("--frames %d, but the model was exported for %d; omit the flag, or export with --frames=%d"
                         % (frames, description.frames, frames))
    if frames is not None and frames % description.pad_to:
        raise UsageError("--frames is %d; expected a multiple of %d, to which the model's features are padded (pad_to)"
                         % (frames, description.pad_to))


def infer(model, bins, results_folder, batch_size=1):
    """Runs a model on bins and writes a result bin, float32 [1, T', V + 1], for each.

    Every batch has the same shape: the last one is padded with empty rows, whose results are dropped.

    Args:
      model: a ``LogitModel``.
      bins: the ``InputBins``.
      results_folder: the folder to write, replaced if it exists.
      batch_size: utterances for each run of the model.

    Returns:
      Timing.

    Raises:
      DataError: a bin is wrong, or the batch is larger than the model accepts.
    """
    description = model.description
    require_batch_size(description, batch_size)
    longest = _longest_of_mask(description, bins.frames)
    batches = [bins.names[start:start + batch_size] for start in range(0, len(bins.names), batch_size)]
    first = seconds = audio_frames = 0.0
    with replaced_folder(results_folder) as folder, ProgressBar(len(batches), description="inference") as bar:
        for number, names in enumerate(batches):
            features = np.zeros([batch_size, bins.frames, description.num_audio_features], np.float32)
            lengths = np.zeros([batch_size], np.int32)
            for row, name in enumerate(names):
                features[row], mask = bins.read(name)
                lengths[row] = longest[int(mask.sum())]
            audio_frames += lengths.sum()
            if number == 0:
                started = time.monotonic()
                model.logits(features, lengths)
                first = time.monotonic() - started
            started = time.monotonic()
            logits, _ = model.logits(features, lengths)
            seconds += time.monotonic() - started
            for name, row in zip(names, logits):
                row.astype("<f4").tofile(os.path.join(folder, result_name(name)))
            bar.update(number + 1)
    return Timing(first, seconds, len(batches), len(bins.names), audio_frames * description.feature_params["window_stride"])


def _longest_of_mask(description, frames):
    """Dict from the number of valid frames of a mask to the largest number of feature frames, up to ``frames``, that gives it.

    The smaller ones give the same result: the network reads the mask, and the features of the padding are zero.
    """
    return {description.mask_frames(length): length for length in range(frames + 1)}


def log_timing(timing, batch_size):
    """Prints latency and throughput; the last two lines have the form of the public Ascend port."""
    log_line("first run %.3f s; then %d batches of %d: %.3f ms per batch, %.1f s of audio per second" % (
        timing.first, timing.num_batches, batch_size, 1000 * timing.seconds / timing.num_batches,
        timing.audio_seconds / timing.seconds))
    print("cost time: %s" % timing.seconds)
    print("average infer time:%.3f ms/utterance,FPS is %.3f" % (1000 * timing.seconds / timing.num_utterances,
                                                               timing.num_utterances / timing.seconds))


def post_process(description, references, bins, results_folder, transcripts_path):
    """Decodes results, writes ``wav_filename,predicted_transcript`` and prints the word error rate.

    Args:
      description: the model's ``ExportDescription``.
      references: the manifests, a ``References``.
      bins: the ``InputBins`` that the results were computed from; their masks tell the length of each utterance.
      results_folder: the folder that this script, ``msame`` or ``ais_bench`` wrote.
      transcripts_path: the CSV file to write.

    Returns:
      (OrderedDict from name to transcript in the manifests' order, ``TranscriptErrors`` or None)

    Raises:
      DataError: a result is missing or wrong, or belongs to no row of the manifests.
    """
    folder, tool, paths = find_results(results_folder, bins.names)
    unknown = [name for name in bins.names if name not in references.rows]
    if unknown:
        raise DataError("%d of %d bins, e.g. %s, belong to no row of %s; give their manifest with --manifest" % (
            len(unknown), len(bins.names), bins.path("input_0", unknown[0]), ", ".join(references.manifests)))
    longest = _longest_of_mask(description, bins.frames)
    vocabulary, transcripts = Vocabulary(description.vocabulary), collections.OrderedDict()
    decoder = GreedyDecoder(vocabulary)
    for name in references.rows:
        if name in paths:
            logits = read_result(paths[name], description.logit_frames(bins.frames), vocabulary.size + 1)
            length = description.logit_frames(longest[bins.mask_length(name)])
            transcripts[name] = decoder.decode_logits(logits[np.newaxis], [length])[0]
    with replaced_file(transcripts_path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["wav_filename", "predicted_transcript"])
        writer.writerows((references.rows[name].wav_filename, text) for name, text in transcripts.items())
    log_line("results of %s in %s; transcripts in %s" % (tool, folder, transcripts_path))
    if len(transcripts) < len(references.rows):
        log_line("%d of %d rows of the manifests have no bins and are not scored"
                 % (len(references.rows) - len(transcripts), len(references.rows)), offset=4)
    return transcripts, log_score(references, transcripts)
