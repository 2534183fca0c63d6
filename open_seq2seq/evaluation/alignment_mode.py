"""``--mode=align``: aligns the transcripts of a data set with its audio, and ranks them by how badly they fit.

A transcript that a trained network contradicts somewhere is probably wrong. The score of an utterance is the lowest sum, over
0.3 s, of the log probability of the transcript's path minus that of the most probable path. A mean over the utterance would hide
one wrong word in a long transcript (docs/alignment.md compares scores).
"""
import collections
import csv
import os
import time

from open_seq2seq.data.rejection import EMPTY_TRANSCRIPT, TOO_FEW_FRAMES
from open_seq2seq.data.speech2text.selection import frames_to_align
from open_seq2seq.decoding.alignment import align, characters_of, worst_window
from open_seq2seq.decoding.decoder import NonFiniteLogits
from open_seq2seq.decoding.writers import ctm_lines, json_record, recording_names, textgrid_of, write_json_array
from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.evaluation.record import directory_of_run
from open_seq2seq.evaluation.restored import log_speed, restored
from open_seq2seq.evaluation.utterance_times import UtteranceTimes
from open_seq2seq.files import replaced_file, require_writable
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar

WINDOW_SECONDS = 0.3         # about a word
SHOWN = 5                    # utterances in the log
FOLDER = "alignment"
WORST, SKIPPED = "worst_first.csv", "not_aligned.csv"

AlignedUtterance = collections.namedtuple("AlignedUtterance", (
    "utterance", "transcript", "score", "worst_start", "worst_end", "score_per_character", "hypothesis"))
AlignedUtterance.__doc__ = """utterance: ``Utterance``. transcript: ``Transcript`` with times. score: see the module, at most 0.
worst_start, worst_end: s, the window with that score. score_per_character: of the whole path, for comparison. hypothesis:
what the network transcribes."""

NotAligned = collections.namedtuple("NotAligned", "utterance reason detail")
NotAligned.__doc__ = """An utterance without an alignment; reason: name of a reason; detail: a sentence about it."""


def align_data(base_model, params, run_directory, arguments, device, group):
    """Aligns every transcript of the evaluation data; writes the times, and the utterances in order of their scores.

    Args: see :func:`open_seq2seq.evaluation.modes.evaluate`; ``arguments.output`` is the folder to write to, None for "alignment"
      in the run's folder; ``arguments.format`` are names of :data:`FORMATS`, None for :data:`DEFAULT_FORMATS`.

    Returns:
      List of :class:`AlignedUtterance`, the worst first.

    Raises:
      DataError: there is no transcript to align, logits are not finite, or utterances were lost.
      StorageError: a file cannot be written.
      UsageError: the data layer has no audio files.
    """
    aligned, skipped = [], []
    with restored(base_model, params, "eval", run_directory, arguments, device, group, decodes=True) as (
            session, evaluation, checkpoint):
        layer = evaluation.data_layer
        times = UtteranceTimes(params, layer)
        folder = arguments.output or os.path.join(directory_of_run(checkpoint), FOLDER)
        _make_folder(folder)
        begin = time.monotonic()
        with ProgressBar(layer.batches_per_epoch, description="alignment") as bar:
            for done, values in enumerate(evaluation.batches(session, with_logits=True), 1):
                utterances = [layer.utterances[index] for index in values["indices"]]
                for result in _align_batch(utterances, values, layer.vocabulary.size, times):
                    (skipped if isinstance(result, NotAligned) else aligned).append(result)
                bar.update(done)
                log_line("Processed %d/%d batches" % (done, layer.batches_per_epoch))
        seconds = time.monotonic() - begin
        layer.raise_if_too_many_rejected()
    found = [item.utterance for item in aligned + skipped]
    if len(found) + len(layer.run_time_rejections) != len(layer.utterances):
        raise DataError("only %d of %d utterances were aligned, and %d could not be read; the data layer lost the others. Please "
                        "report this as a bug" % (len(found), len(layer.utterances), len(layer.run_time_rejections)))
    log_speed(layer, params, sum(utterance.duration for utterance in found), seconds)
    aligned.sort(key=lambda item: (item.score, item.utterance.index))
    _write(folder, arguments.format or DEFAULT_FORMATS, aligned, skipped, layer.rejections)
    _report(folder, aligned, skipped)
    return aligned


def _make_folder(folder):
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot make the folder %s: %s. Choose another one with --output" % (folder, error.strerror))
    require_writable(os.path.join(folder, WORST))


def _align_batch(utterances, values, blank, times):
    """A list with an AlignedUtterance or a NotAligned for each utterance of a batch."""
    try:
        alignments = align(values["logits"], values["lengths"], [utterance.labels for utterance in utterances], blank)
    except NonFiniteLogits as error:
        raise NonFiniteLogits(error.row, error.frame, "utterance %s" % utterances[error.row].id)
    results = []
    for utterance, alignment, frames, hypothesis in zip(utterances, alignments, values["lengths"], values["transcripts"]):
        if not utterance.labels:
            results.append(NotAligned(utterance, EMPTY_TRANSCRIPT.name, "there is nothing to align; the network transcribes %r"
                                      % hypothesis))
        elif alignment is None:
            results.append(NotAligned(utterance, TOO_FEW_FRAMES.name, "%d labels need %d frames, %.3f s have %d: %r" % (
                len(utterance.labels), frames_to_align(utterance.labels), utterance.duration, frames, utterance.transcript[:80])))
        else:
            results.append(_scored(utterance, alignment, int(frames), hypothesis, times))
    return results


def _scored(utterance, alignment, frames, hypothesis, times):
    score, first, end = worst_window(alignment, int(round(WINDOW_SECONDS / times.frame_seconds)))
    loss = float((alignment.log_probabilities - alignment.best_log_probabilities).sum())
    transcript = times.transcript(characters_of(alignment, times.texts_of(utterance.labels)), frames, utterance)
    return AlignedUtterance(utterance, transcript, score, first * times.frame_seconds,
                            min(end * times.frame_seconds, transcript.duration), loss / len(utterance.labels), hypothesis)


def _report(folder, aligned, skipped):
    for item in aligned[:SHOWN]:
        log_line("%10.2f  %s, %.2f to %.2f s: %r; the network transcribes %r" % (
            item.score, item.utterance.id, item.worst_start, item.worst_end, item.utterance.transcript[:80],
            item.hypothesis[:80]))
    log_line("Aligned %d utterances; %s has them in the order of their scores, the worst first" % (
        len(aligned), os.path.join(folder, WORST)))
    if skipped:
        counts = collections.Counter(item.reason for item in skipped)
        log_line("%d utterances were not aligned: %s; listed in %s" % (
            len(skipped), ", ".join("%d %s" % (count, reason) for reason, count in counts.most_common()),
            os.path.join(folder, SKIPPED)))


def _write(folder, formats, aligned, skipped, rejections):
    """Writes the two lists and the files of the formats, each atomically."""
    _write_rows(os.path.join(folder, WORST),
                ("wav_filename", "score", "worst_start", "worst_end", "score_per_character", "transcript", "hypothesis", "id"),
                [(item.utterance.wav_filename, "%.3f" % item.score, "%.3f" % item.worst_start, "%.3f" % item.worst_end,
                  "%.4f" % item.score_per_character, item.utterance.transcript, item.hypothesis, item.utterance.id)
                 for item in aligned])
    rejected = [(item.wav_filename, item.reason.name, item.detail, "%s:%d" % (item.manifest, item.row)) for item in rejections]
    _write_rows(os.path.join(folder, SKIPPED), ("wav_filename", "reason", "detail", "id"),
                [(item.utterance.wav_filename, item.reason, item.detail, item.utterance.id) for item in skipped] + rejected)
    ordered = sorted(aligned, key=lambda item: item.utterance.index)
    names = recording_names([item.utterance.wav_filename for item in ordered])
    for name in formats:
        FORMATS[name](folder, ordered, names)


def _write_rows(path, header, rows):
    with replaced_file(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _characters_of(transcript):
    return [character for word in transcript.words for character in word.characters]


def _write_ctm(folder, aligned, names):
    for file_name, items_of in (("words.ctm", lambda transcript: transcript.words), ("characters.ctm", _characters_of)):
        with replaced_file(os.path.join(folder, file_name)) as file:
            for item, name in zip(aligned, names):
                file.write(ctm_lines(items_of(item.transcript), name))


def _write_csv(folder, aligned, names):
    for file_name, items_of in (("words.csv", lambda transcript: transcript.words), ("characters.csv", _characters_of)):
        _write_rows(os.path.join(folder, file_name), ("wav_filename", "start", "end", "text", "confidence"),
                    [(item.utterance.wav_filename, "%.3f" % timed.start, "%.3f" % timed.end, timed.text,
                      "%.4f" % timed.confidence) for item in aligned for timed in items_of(item.transcript)])


def _write_json(folder, aligned, names):
    write_json_array(os.path.join(folder, "alignment.json"), (dict(
        json_record(item.transcript, item.utterance.wav_filename), id=item.utterance.id, score=round(item.score, 3),
        worst_start=round(item.worst_start, 3), worst_end=round(item.worst_end, 3),
        score_per_character=round(item.score_per_character, 4), hypothesis=item.hypothesis) for item in aligned))


def _write_textgrids(folder, aligned, names):
    for item, name in zip(aligned, names):
        with replaced_file(os.path.join(folder, "%s.TextGrid" % name)) as file:
            file.write(textgrid_of(item.transcript))


FORMATS = {"ctm": _write_ctm, "csv": _write_csv, "json": _write_json, "textgrid": _write_textgrids}
DEFAULT_FORMATS = ("ctm",)
