"""Which rows of the manifests are used, and why the others are skipped."""
import collections
import os

from open_seq2seq.data import rejection
from open_seq2seq.data.fairseq_files.audio_list import is_audio_list
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import MAX_MISSING_FRACTION, scan_audio
from open_seq2seq.data.speech2text.manifest import SAMPLES_COLUMN, Utterance
from open_seq2seq.errors import DataError
from open_seq2seq.log_lines import log_line

Labels = collections.namedtuple("Labels", "labels output_frames")
Labels.__doc__ = """A sequence of labels of an utterance.

labels: tuple of int. output_frames: function int feature frames -> int frames that are aligned with them; None: not checked."""


def select_utterances(rows, params, mode, vocabulary, num_frames, output_frames, rejections, show_progress=True, labels_of=None):
    """Looks at every row's audio file and transcript.

    Training rejects what it cannot learn from: an empty transcript, and one that CTC cannot align with the audio. Evaluation
    scores both, as the word error rate is defined for them (an empty reference counts every predicted word as an insertion; a
    transcript that cannot be aligned has no CTC loss, which the loss reports). Both reject a character outside the
    vocabulary, which has no label, and a transcript of silent audio. Inference looks at the audio only.

    Args:
      rows: list of ManifestRow.
      params: the data layer's checked params (limits, sample_freq, max_missing_fraction).
      mode: "train", "eval" or "infer".
      vocabulary: Vocabulary.
      num_frames: function int samples -> int feature frames.
      output_frames: function int feature frames -> int frames of the encoder's output; None: not checked.
      rejections: Rejections, receives the rows that are skipped, and those that are used with a warning.
      show_progress: print the progress of the scan on stderr, and a line about the warnings.
      labels_of: function ManifestRow -> list of :class:`Labels`, the utterance's own first; it may raise RejectedData. None:
        those of the transcript, encoded with the vocabulary.

    Returns:
      List of Utterance.
    """
    if labels_of is None:
        def labels_of(row):
            return [Labels(() if mode == "infer" else encoded(row, mode, vocabulary), output_frames)]

    found = iter(scan_audio([_paths(row) for row in rows if row.problem is None], params["sample_freq"], show_progress,
                            params.get("max_missing_fraction", MAX_MISSING_FRACTION)))
    utterances = []
    for row in rows:
        try:
            if isinstance(row.problem, RejectedData):
                raise row.problem
            if row.problem is not None:
                raise RejectedData(rejection.MALFORMED_ROW, row.problem)
            info = next(found)
            if isinstance(info, RejectedData):
                raise info
            _check_samples(row, info)
            found_labels = labels_of(row)
            for labels, frames_after in found_labels:
                if labels and info.is_silent:
                    raise RejectedData(rejection.SILENT_AUDIO, "%.3f s of silence: %r" % (info.duration, row.transcript[:80]))
                check_limits(info, labels, params, num_frames)
                if mode == "train" and frames_after is not None:
                    _check_alignable(row, labels, num_frames(info.num_samples), frames_after)
        except RejectedData as rejected:
            rejections.add(row, rejected.reason, str(rejected))
            continue
        for note in info.notes:
            rejections.warn(row, note)
        utterances.append(Utterance(len(utterances), "%s:%d" % (row.manifest, row.row), info.path, row.wav_filename,
                                    row.manifest, row.row, info.duration, info.num_samples, row.transcript,
                                    found_labels[0].labels, row.columns))
    if show_progress and rejections.warnings:
        log_line(rejections.warnings_summary())
    return utterances


def _paths(row):
    """The path relative to the manifest and, as OpenSeq2Seq read it, relative to the working directory."""
    return row.audio_path, None if os.path.isabs(row.wav_filename) else row.wav_filename


def _check_samples(row, info):
    """Compares the number of samples that a TSV list gives with the file."""
    listed = dict(row.columns).get(SAMPLES_COLUMN) if is_audio_list(row.manifest) else None
    if listed is not None and int(listed) != info.file_samples:
        raise RejectedData(rejection.WRONG_SAMPLES, "the list says %s samples, the file has %d" % (listed, info.file_samples))


def encoded(row, mode, vocabulary):
    """The labels of a row's transcript: a tuple of int.

    Raises:
      RejectedData: in mode "train" it is empty, or a character is not in the vocabulary.
    """
    if not row.transcript.strip():
        if mode == "train":
            raise RejectedData(rejection.EMPTY_TRANSCRIPT, "there is nothing to learn from it")
        return ()
    try:
        return tuple(vocabulary.encode(row.transcript))
    except DataError as error:
        raise RejectedData(rejection.UNKNOWN_CHARACTER, str(error))


LIMITS = ("max_duration", "min_duration", "max_feature_length", "max_label_length")


def check_limits(info, labels, params, num_frames):
    """Raises RejectedData if an utterance exceeds a limit of the config.

    Args:
      info: has ``duration`` in seconds and ``num_samples`` at the model's rate.
      labels: the labels of its transcript.
      params: dict of the limits :data:`LIMITS`. One that is None, zero or negative does not apply, as in OpenSeq2Seq.
      num_frames: function int samples -> int feature frames.
    """
    def limit(name):
        return params[name] if params[name] is not None and params[name] > 0 else None

    if limit("max_duration") and info.duration > limit("max_duration"):
        raise RejectedData(rejection.TOO_LONG, "%.3f s, the limit is %g s" % (info.duration, limit("max_duration")))
    if limit("min_duration") and info.duration < limit("min_duration"):
        raise RejectedData(rejection.TOO_SHORT, "%.3f s, the limit is %g s" % (info.duration, limit("min_duration")))
    if limit("max_feature_length") and num_frames(info.num_samples) > limit("max_feature_length"):
        raise RejectedData(rejection.TOO_MANY_FEATURES, "%d frames, the limit is %d" % (
            num_frames(info.num_samples), limit("max_feature_length")))
    if limit("max_label_length") and len(labels) > limit("max_label_length"):
        raise RejectedData(rejection.TOO_MANY_LABELS, "%d labels, the limit is %d" % (len(labels), limit("max_label_length")))


def frames_to_align(labels):
    """The fewest output frames for labels: one each, and one for the blank between equal neighbors (Graves et al. 2006)."""
    return len(labels) + sum(first == second for first, second in zip(labels, labels[1:]))


def _check_alignable(row, labels, frames, output_frames):
    needed, available = frames_to_align(labels), int(output_frames(frames))
    if available < needed:
        repeats = needed - len(labels)
        raise RejectedData(rejection.TOO_FEW_FRAMES, "%d frames, %d after the encoder, but %d labels%s need %d: %r" % (
            frames, available, len(labels), " with %d repeats" % repeats if repeats else "", needed, row.transcript[:80]))
