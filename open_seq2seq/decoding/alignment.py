"""Forced alignment: the most probable CTC path of a known transcript (Viterbi, in log space, with NumPy).

The states of a transcript of S labels are its labels and the S + 1 blanks around them. A path stays in a state, goes to the next
one, or skips a blank between two different labels. Time is O(T' * S). In the forward pass only every :data:`BLOCK`-th frame's
scores are kept; the way back computes one block at a time again, over the few states that its paths can reach. So memory is
O(T' * S / BLOCK), and recordings of an hour fit.

Same rule as ``torchaudio.functional.forced_align``, with which the paths and scores were compared (docs/alignment.md).
"""
import collections

import numpy as np

from open_seq2seq.data.speech2text.selection import frames_to_align
from open_seq2seq.decoding.decoder import Character, NonFiniteLogits

BLOCK = 64
BLANK_STATE = -1

Alignment = collections.namedtuple("Alignment", "positions log_probabilities best_log_probabilities")
Alignment.__doc__ = """The most probable path of a transcript through the frames of one utterance.

positions: int32 [T'], the number of the frame's label in the transcript, BLANK_STATE in a frame of the blank.
log_probabilities: float64 [T'], of the path's output in each frame (natural, log softmax). Their sum is the path's score.
best_log_probabilities: float64 [T'], of the most probable output of each frame, whatever the transcript."""

_Scores = collections.namedtuple("_Scores", "blanks labels")
_Scores.__doc__ = """Scores of the best paths that end in each state: float64 [B, S + 1] of the blanks, blank s precedes label s;
float64 [B, S] of the labels."""


def log_softmax(logits):
    """float64 log probabilities of ``logits`` [..., V + 1]."""
    logits = np.asarray(logits, np.float64)
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=-1, keepdims=True))


def align(logits, lengths, transcripts, blank):
    """Aligns transcripts with the logits of their utterances.

    Args:
      logits: float [B, T', V + 1], normalized or not; frames after an utterance's length are ignored.
      lengths: integer [B], valid frames.
      transcripts: list of B sequences of labels; an empty one is aligned with blanks only.
      blank: index of the CTC blank.

    Returns:
      List of B :class:`Alignment`; None for a transcript that needs more frames than its utterance has (``frames_to_align``).

    Raises:
      NonFiniteLogits: a valid logit is NaN or infinite.
      ValueError: the arrays' shapes do not match, or a label is not one of the outputs, or the blank.
    """
    logits, lengths = np.asarray(logits), np.asarray(lengths)
    _check(logits, lengths, transcripts, blank)
    fitting = [row for row, labels in enumerate(transcripts) if frames_to_align(labels) <= lengths[row]]
    aligned = [None] * len(transcripts)
    if fitting:
        some = _align([np.asarray(transcripts[row], np.int64) for row in fitting], lengths[fitting], logits[fitting], blank)
        for row, alignment in zip(fitting, some):
            aligned[row] = alignment
    return aligned


def characters_of(alignment, text):
    """The characters of an aligned transcript.

    Args:
      alignment: an :class:`Alignment`.
      text: sequence of str, a character or piece for each label of the transcript.

    Returns:
      List of :class:`~open_seq2seq.decoding.decoder.Character`.
    """
    frames = np.flatnonzero(alignment.positions != BLANK_STATE)
    # the frames of a label are consecutive, and the labels are in order
    firsts = np.searchsorted(alignment.positions[frames], np.arange(len(text) + 1))
    return [Character(character, int(frames[first]), int(frames[end - 1]) + 1,
                      float(alignment.log_probabilities[frames[first]:frames[end - 1] + 1].mean()))
            for character, first, end in zip(text, firsts, firsts[1:])]


def worst_window(alignment, frames):
    """Where the transcript fits the logits least.

    Args:
      alignment: an :class:`Alignment`.
      frames: int, length of a window; an utterance that is shorter is one window.

    Returns:
      (score, first frame, end frame): the lowest sum, over a window, of the log probabilities of the path minus those of the most
      probable outputs; 0 where the path is the most probable one. An utterance without frames has score 0.
    """
    losses = np.concatenate([[0.0], np.cumsum(alignment.log_probabilities - alignment.best_log_probabilities)])
    frames = min(frames, len(losses) - 1)
    windows = losses[frames:] - losses[:len(losses) - frames]
    first = int(np.argmin(windows))
    return min(float(windows[first]), 0.0), first, first + frames


def _check(logits, lengths, transcripts, blank):
    if logits.ndim != 3 or lengths.shape != logits.shape[:1] or len(transcripts) != len(lengths):
        raise ValueError("logits have shape %s, lengths %s, and there are %d transcripts; expected [B, T', V + 1], [B] and B" % (
            logits.shape, lengths.shape, len(transcripts)))
    if (lengths < 0).any() or (lengths > logits.shape[1]).any():
        raise ValueError("lengths are %s, expected 0 to %d" % (lengths.tolist(), logits.shape[1]))
    if not 0 <= blank < logits.shape[2]:
        raise ValueError("the blank is %d, expected 0 to %d" % (blank, logits.shape[2] - 1))
    for row, labels in enumerate(transcripts):
        if any(not 0 <= label < logits.shape[2] or label == blank for label in labels):
            raise ValueError("transcript %d has the labels %s, expected 0 to %d without the blank, %d" % (
                row, list(labels), logits.shape[2] - 1, blank))
        if not np.isfinite(logits[row, :lengths[row]]).all():
            frame = int(np.argmin(np.isfinite(logits[row, :lengths[row]]).all(axis=-1)))
            raise NonFiniteLogits(row, frame)


def _align(transcripts, lengths, logits, blank):
    # 0 in the frames after an utterance
    log_probabilities = np.zeros([int(lengths.max()), len(lengths), logits.shape[2]])
    for row, length in enumerate(lengths):
        log_probabilities[:length, row] = log_softmax(logits[row, :length])
    states = _States(transcripts, log_probabilities, blank)
    end = len(log_probabilities)
    kept, finals = [], np.zeros(len(transcripts), np.int64)
    scores = states.initial()
    for first in range(0, end, BLOCK):
        kept.append(scores)
        for frame in range(first, min(first + BLOCK, end)):
            scores, _ = states.advance(scores, frame)
            for row in np.flatnonzero(lengths == frame + 1):
                finals[row] = states.last_state(scores, row)
    positions = _trace(states, kept, finals, lengths)
    alignments = []
    for row, length in enumerate(lengths):
        found, own = positions[row, :length], log_probabilities[:length, row]
        outputs = np.append(transcripts[row], blank)[found]      # BLANK_STATE is the last one
        alignments.append(Alignment(found, own[np.arange(length), outputs], own.max(axis=-1)))
    return alignments


class _States:
    """The states of the transcripts of a batch, padded to the longest one.

    A state is a number: 2 s of the blank before label s, 2 s + 1 of label s.
    """

    def __init__(self, transcripts, log_probabilities, blank):
        frames, rows, outputs = log_probabilities.shape
        self._counts = np.array([len(labels) for labels in transcripts])
        self._blanks = log_probabilities[:, :, blank, np.newaxis]
        self._outputs = log_probabilities.reshape(frames, rows * outputs)
        labels = np.zeros([rows, max(self._counts.max(), 1)], np.int64)
        for row, own in enumerate(transcripts):
            labels[row, :len(own)] = own
        # the place of each label's output in a row of _outputs
        self._places = labels + outputs * np.arange(rows)[:, np.newaxis]
        # the score of skipping the blank before a label: impossible between equal labels
        self._skips = np.where(labels[:, 1:] != labels[:, :-1], 0.0, -np.inf)

    def initial(self):
        """The scores before the first frame."""
        rows, labels = self._places.shape
        scores = _Scores(np.full([rows, labels + 1], -np.inf), np.full([rows, labels], -np.inf))
        # a path begins in the first blank or, without a frame in it, in the first label
        scores.blanks[:, 0] = 0.0
        return scores

    def advance(self, scores, frame, first=0, end=None, with_moves=False):
        """The scores after a frame.

        Args:
          scores: before it, of the labels ``first``..``end`` and the blanks before and after them.
          frame: its number.
          first, end: the labels' positions; by default all of them.
          with_moves: whether to return where the best paths came from.

        Returns:
          (_Scores, moves): moves is None or a pair of int8 arrays of the shapes of the scores, by how many states the best
          path to each advanced: 0 or 1 for a blank, 0, 1 or 2 for a label.
        """
        blanks, labels = scores
        # into a blank: from itself or from the label before it
        new_blanks = blanks.copy()
        np.maximum(blanks[:, 1:], labels, out=new_blanks[:, 1:])
        # into a label: from itself, from the blank before it, from the label before that
        skipping = labels[:, :-1] + self._skips[:, first:first + labels.shape[1] - 1]
        new_labels = np.maximum(labels, blanks[:, :-1])
        moves = None
        if with_moves:
            of_blanks, of_labels = np.zeros(blanks.shape, np.int8), (blanks[:, :-1] > labels).astype(np.int8)
            of_blanks[:, 1:] = labels > blanks[:, 1:]
            of_labels[:, 1:][skipping > new_labels[:, 1:]] = 2
            moves = of_blanks, of_labels
        np.maximum(new_labels[:, 1:], skipping, out=new_labels[:, 1:])
        new_blanks += self._blanks[frame]
        new_labels += self._outputs[frame].take(self._places[:, first:end])
        return _Scores(new_blanks, new_labels), moves

    def last_state(self, scores, row):
        """The better one of an utterance's two final states: its last label and the blank after it."""
        count = self._counts[row]
        with_label = count > 0 and scores.labels[row, count - 1] > scores.blanks[row, count]
        return 2 * count - 1 if with_label else 2 * count


def _trace(states, kept, finals, lengths):
    """int32 [B, T'], the positions of the labels along the best paths to ``finals``."""
    rows, state, end = np.arange(len(finals)), finals.copy(), int(lengths.max())
    positions = np.full([len(finals), end], BLANK_STATE, np.int32)
    for number in range(len(kept) - 1, -1, -1):
        begin = number * BLOCK
        # the labels in which a path to one of the states can have been since the beginning of the block
        low, high = max(0, int(state.min()) // 2 - BLOCK - 1), int(state.max()) // 2 + 1
        scores = _Scores(kept[number].blanks[:, low:high + 1], kept[number].labels[:, low:high])
        moves = []
        for frame in range(begin, min(begin + BLOCK, end)):
            scores, moved = states.advance(scores, frame, low, high, with_moves=True)
            moves.append(moved)
        for frame in range(begin + len(moves) - 1, begin - 1, -1):
            inside, is_label = lengths > frame, state % 2 == 1
            positions[:, frame] = np.where(inside & is_label, state // 2, BLANK_STATE)
            of_blanks, of_labels = moves[frame - begin]
            place = state // 2 - low
            steps = np.where(is_label, of_labels[rows, np.minimum(place, of_labels.shape[1] - 1)], of_blanks[rows, place])
            state = np.where(inside, state - steps, state)
    return positions
