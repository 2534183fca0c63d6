"""From the best CTC path of a recording to words with times and confidences.

The CTC output of a character is a spike of one or a few frames within the sound of the character (Graves et al. 2006, figure 1),
usually early in it. Therefore a word begins with its first spike and ends, after its last spike, where the sound ends or the next
word begins. (Compared with the known boundaries of 150 digits concatenated from single recordings: beginnings 0.05 s early in
the median, ends 0.03 s late; with the spikes alone, ends were 0.31 s early.)
"""
import collections

import numpy as np

from open_seq2seq.decoding import greedy
from open_seq2seq.transcription.transcript import Word

SPACE = " "

LONGEST_TAIL = 0.5       # s of sound after the last spike that may belong to the word

BestPath = collections.namedtuple("BestPath", "labels log_probabilities loud")
BestPath.__doc__ = """For consecutive frames: int [frames], the most probable output; float32 [frames], its log probability; bool
[frames], whether there is sound."""


def best_path(logits, loud):
    """The best path (:func:`greedy.best_path`) with its probabilities.

    Args:
      logits: float [frames, V + 1].
      loud: bool [frames].

    Returns:
      BestPath.
    """
    highest = logits.max(axis=-1)
    # log softmax at the highest logit
    log_probabilities = -np.log(np.sum(np.exp(logits - highest[:, np.newaxis]), axis=-1))
    return BestPath(greedy.best_path(logits), log_probabilities.astype(np.float32), loud)


class WordBuilder:
    """Reads a path piece by piece and returns each word once it has ended.

    Args:
      vocabulary: list of str, the character of each label. Words end at " "; a vocabulary without it belongs to a language
        written without spaces, where each character is a word.
      blank: index of the CTC blank.
      frame_seconds: duration of an output frame in s.
    """

    def __init__(self, vocabulary, blank, frame_seconds):
        self._vocabulary, self._blank, self._frame_seconds = vocabulary, blank, frame_seconds
        self._has_spaces = SPACE in vocabulary
        self._reader = greedy.PathReader(blank)
        self._longest_tail = int(round(LONGEST_TAIL / frame_seconds))
        self._reset_word()

    @property
    def separator(self):
        """The text between two words."""
        return SPACE if self._has_spaces else ""

    def add(self, path, first_frame, after_pause=False):
        """Reads the next frames.

        Args:
          path: BestPath.
          first_frame: number of its first frame in the recording: the one after the last frame read, or a later one if silence
            was skipped.
          after_pause: whether a word has ended before it, with or without a space.

        Returns:
          List of the Word that ended.
        """
        words = []
        if after_pause:
            self._reader.restart()
            self._closed = True
        for label, start, end, starts in self._reader.read(path.labels):
            if label == self._blank or self._vocabulary[label] == SPACE:
                self._closed = self._closed or label != self._blank or not self._has_spaces
                self._follow_sound(path.loud[start:end], first_frame + start)
            else:
                if starts:
                    if self._closed:
                        words += self._end_word()
                    self._characters.append(self._vocabulary[label])
                    self._log_probabilities.append(-np.inf)
                    self._first_frame = first_frame + start if self._first_frame is None else self._first_frame
                self._log_probabilities[-1] = max(self._log_probabilities[-1], float(path.log_probabilities[start:end].max()))
                self._last_spike = self._end_frame = first_frame + end
                self._in_sound = True
                self._closed = not self._has_spaces
            if self._closed and not self._in_sound:
                words += self._end_word()
        return words

    def end(self):
        """Ends a section of speech; returns its last word, a list of one Word or none."""
        self._reader.restart()
        return self._end_word()

    def _end_word(self):
        words = []
        if self._characters:
            confidence = float(np.exp(np.mean(self._log_probabilities)))
            words = [Word("".join(self._characters), round(self._first_frame * self._frame_seconds, 3),
                          round(self._end_frame * self._frame_seconds, 3), min(confidence, 1.0))]
        self._reset_word()
        return words

    def _reset_word(self):
        self._characters, self._log_probabilities = [], []
        self._first_frame = self._last_spike = self._end_frame = None
        self._in_sound, self._closed = False, False      # whether its sound continues; whether its last character was read

    def _follow_sound(self, loud, first_frame):
        """Extends the word while there is sound in the frames after its last spike."""
        if not self._in_sound:
            return
        left = self._last_spike + self._longest_tail - first_frame
        quiet = np.flatnonzero(~loud[:max(left, 0)])
        followed = int(quiet[0]) if len(quiet) else min(len(loud), max(left, 0))
        self._end_frame = first_frame + followed
        self._in_sound = followed == len(loud)
