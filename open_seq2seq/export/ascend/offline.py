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
from open_seq2seq.export.ascend.bins import FEATURES_FOLDER, BinWriter, InputBins, frame_mask, replaced_folder
from open_seq2seq.export.ascend.naming import MODELZOO, OURS, names_of_stems, stem_of, stems_of
from open_seq2seq.export.ascend.results import find_results, read_result, result_name
from open_seq2seq.export.runtime.features import FeatureExtractor
from open_seq2seq.export.runtime.scoring import log_score, raise_if_too_many
from open_seq2seq.files import replaced_file
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar
from open_seq2seq.text.vocabulary import Vocabulary

BINS_FOLDER, RESULTS_FOLDER = "jasper", "result_Files"
TRANSCRIPTS_FILE, REJECTED_FILE = "transcripts.csv", "rejected.csv"
OTHER_LOGIT = -100.0  # of the characters in padded frames of a result, where the blank has 0

Timing = collections.namedtuple("Timing", "first seconds num_batches num_utterances audio_seconds")
Timing.__doc__ = """Duration of an inference. first: seconds of the first run, which compiles on an NPU and is not counted in
``seconds``. seconds: of all batches. audio_seconds: duration of the utterances."""


def require_feature_inputs(description, model_path):
    """Raises UsageError for a model that takes audio instead of features."""
    if description.with_features:
        raise UsageError("%s computes its features itself (--with_features), but bins hold features; export without it, or "
                         "transcribe with python -m open_seq2seq.transcribe" % model_path)


def results_folder(naming, bins_folder, exists):
    """The folder of the results: ``./result_Files``, as the public Ascend port has it, or ``result_Files`` next to the bins.

    Args:
      naming: "modelzoo" for the first, "ours" for the second.
      bins_folder: parent of the folders of bins.
      exists: the results are to be read, not written: the folder that exists is taken, and the newer one of two.

    Returns:
      Path.
    """
    paths = {MODELZOO: RESULTS_FOLDER, OURS: os.path.join(bins_folder, RESULTS_FOLDER)}
    found = [path for path in paths.values() if os.path.isdir(path)] if exists else []
    if not found:
        return paths[naming]
    newest = max(found, key=os.path.getmtime)
    if len(found) > 1 and not os.path.samefile(*found):
        log_line("%s and %s both exist: taking %s, which is newer (--result_dir selects the other)" % (
            found[0], found[1], newest))
    return newest


def open_bins(description, folder):
    """The ``InputBins`` of a folder for a model; raises like its constructor."""
    return InputBins(folder, description.num_audio_features, description.mask_frames, description.frames, description.pad_to)


def pre_process(description, references, folder, dtype="float32", frames=None, max_rejected_fraction=0.01, naming=MODELZOO):
    """Writes the bins of all usable utterances of the manifests.

    Args:
      description: the model's ``ExportDescription``.
      references: the manifests, a ``References``.
      folder: parent of the folders of bins.
      dtype: "float32" or "float16".
      frames: T, for a model of dynamic length; None: as many as the longest utterance needs.
      max_rejected_fraction: part of the manifests' rows that may be faulty.
      naming: one of ``naming.NAMINGS``.

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
                writer.add(stem_of(name, references.rows[name].wav_filename, naming), padded,
                           frame_mask(len(features), frames, description.mask_frames))
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


def infer(model, bins, folder, batch_size=1):
    """Runs a model on bins and writes a result bin, float32 [1, T', V + 1], for each.

    Every batch has the same shape: the last one is padded with empty rows, whose results are dropped. A batch that is larger than
    that of the model takes several runs of the model. In the frames after an utterance's end the results have the blank (what the
    model computes there has no meaning), because the public Ascend port's post-processing decodes all frames.

    Args:
      model: a ``LogitModel``.
      bins: the ``InputBins``.
      folder: the folder to write, replaced if it exists.
      batch_size: utterances in a batch.

    Returns:
      Timing.

    Raises:
      DataError: a bin is wrong.
    """
    description = model.description
    rows = min(batch_size, description.batch_size or batch_size)
    if rows < batch_size:
        log_line("The model was exported for batches of %d: a batch of %d takes %d runs (export without --batch_size for one run)"
                 % (rows, batch_size, -(-batch_size // rows)))
    longest = _longest_of_mask(description, bins.frames)
    batches = [bins.stems[start:start + batch_size] for start in range(0, len(bins.stems), batch_size)]
    first = seconds = audio_frames = 0.0
    with replaced_folder(folder) as new, ProgressBar(len(batches), description="inference") as bar:
        for number, stems in enumerate(batches):
            features = np.zeros([-(-batch_size // rows) * rows, bins.frames, description.num_audio_features], np.float32)
            lengths = np.zeros([len(features)], np.int32)
            for row, stem in enumerate(stems):
                features[row], mask = bins.read(stem)
                lengths[row] = longest[int(mask.sum())]
            audio_frames += lengths.sum()
            runs = [slice(start, start + rows) for start in range(0, len(stems), rows)]
            if number == 0:
                started = time.monotonic()
                model.logits(features[runs[0]], lengths[runs[0]])
                first = time.monotonic() - started
            started = time.monotonic()
            results = [model.logits(features[run], lengths[run]) for run in runs]
            seconds += time.monotonic() - started
            logits, logit_lengths = (np.concatenate(parts) for parts in zip(*results))
            for stem, row, length in zip(stems, logits, logit_lengths):
                row = row.astype("<f4")
                row[length:] = np.where(np.arange(row.shape[1]) == description.blank, 0.0, OTHER_LOGIT)
                row.tofile(os.path.join(new, result_name(stem)))
            bar.update(number + 1)
    return Timing(first, seconds, len(batches), len(bins.stems), audio_frames * description.feature_params["window_stride"])


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


def post_process(description, references, bins, folder, transcripts_path, decoder=None):
    """Decodes results, writes ``wav_filename,predicted_transcript`` and prints the word error rate.

    Args:
      description: the model's ``ExportDescription``.
      references: the manifests, a ``References``.
      bins: the ``InputBins`` that the results were computed from; their masks tell the length of each utterance.
      folder: the results' folder, which this script, the public Ascend port's, ``msame`` or ``ais_bench`` wrote.
      transcripts_path: the CSV file to write.
      decoder: a ``decoding.decoder.Decoder`` of the model's vocabulary, which stays open; None: decodes greedily.

    Returns:
      (OrderedDict from name to transcript in the manifests' order, ``TranscriptErrors`` or None)

    Raises:
      DataError: a result is missing or wrong, or belongs to no row of the manifests.
    """
    stem_by_name = _stems_of_utterances(references, bins)
    folder, tool, paths = find_results(folder, {
        name: [stem] + stems_of(name, references.rows[name].wav_filename) for name, stem in stem_by_name.items()})
    longest = _longest_of_mask(description, bins.frames)
    vocabulary, found = Vocabulary.of(description.vocabulary), collections.OrderedDict()
    decoder = decoder or GreedyDecoder(vocabulary)
    for name in references.rows:
        if name in paths:
            logits = read_result(paths[name], description.logit_frames(bins.frames), vocabulary.size + 1)
            length = description.logit_frames(longest[bins.mask_length(stem_by_name[name])])
            found[name] = decoder.submit(logits[np.newaxis], [length])
    transcripts = collections.OrderedDict((name, future.result()[0].text) for name, future in found.items())
    with replaced_file(transcripts_path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["wav_filename", "predicted_transcript"])
        writer.writerows((references.rows[name].wav_filename, text) for name, text in transcripts.items())
    log_line("results in %s, named %s; transcripts in %s" % (folder, result_name("NAME", tool), transcripts_path))
    if len(transcripts) < len(references.rows):
        log_line("%d of %d rows of the manifests have no bins and are not scored"
                 % (len(references.rows) - len(transcripts), len(references.rows)), offset=4)
    return transcripts, log_score(references, transcripts)


def _stems_of_utterances(references, bins):
    """Dict from an utterance's name to the stem of its bins.

    Raises:
      DataError: bins belong to no row of the manifests, or several belong to one.
    """
    names = names_of_stems(references.rows)
    unknown = [stem for stem in bins.stems if stem not in names]
    if unknown:
        raise DataError("%d of %d bins, e.g. %s, belong to no row of %s; give their manifest with --manifest" % (
            len(unknown), len(bins.stems), bins.path(FEATURES_FOLDER, unknown[0]), ", ".join(references.manifests)))
    stems = {}
    for stem in bins.stems:
        if stems.setdefault(names[stem], stem) != stem:
            raise DataError("%s and %s are bins of the same utterance; write the bins again with --pre_process True" % (
                bins.path(FEATURES_FOLDER, stems[names[stem]]), bins.path(FEATURES_FOLDER, stem)))
    return stems
