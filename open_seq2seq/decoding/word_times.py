"""From CTC paths and hypotheses of any decoder to words with times and confidences.

The CTC output of a character is a spike of one or a few frames within the sound of the character (Graves et al. 2006, figure 1),
usually early in it. Therefore a word begins with its first spike and ends, after its last spike, where the sound ends or the next
word begins. A character begins with its spike and ends where the next one of the word begins, the last one with the word.
(Compared with the known boundaries of 150 digits concatenated from single recordings: beginnings 0.05 s early in the median, ends
0.03 s late; with the spikes alone, ends were 0.31 s early.)
"""
import collections

import numpy as np

from open_seq2seq.decoding import greedy
from open_seq2seq.decoding.transcript import TimedCharacter, Word
from open_seq2seq.text.vocabulary import WORD_MARK, has_subwords, is_tag

SPACE = " "

LONGEST_TAIL = 0.5       # s of sound after the last spike that may belong to the word

BestPath = collections.namedtuple("BestPath", "labels log_probabilities loud")
BestPath.__doc__ = """For consecutive frames: int [frames], the output; float32 [frames], its log probability; bool [frames],
whether there is sound."""

_Spike = collections.namedtuple("_Spike", "text first_frame log_probabilities")


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


def path_of_characters(characters, vocabulary, loud):
    """The path of a decoder's characters: blanks in the frames between them.

    Args:
      characters: list of :class:`~open_seq2seq.decoding.decoder.Character`, in frames of ``loud``.
      vocabulary: list of str, the character or piece of each label; the blank follows them.
      loud: bool [frames].

    Returns:
      BestPath.
    """
    labels, log_probabilities = np.full(len(loud), len(vocabulary)), np.zeros(len(loud), np.float32)
    label_of = {character: label for label, character in enumerate(vocabulary)}
    for character in characters:
        labels[character.first_frame:character.end_frame] = label_of[character.text]
        log_probabilities[character.first_frame:character.end_frame] = character.log_probability
    return BestPath(labels, log_probabilities, loud)


def timed_words(characters, vocabulary, loud, frame_seconds):
    """The words of an utterance's characters.

    Args:
      characters, vocabulary, loud: see :func:`path_of_characters`.
      frame_seconds: duration of a frame of the logits in s.

    Returns:
      List of Word.
    """
    builder = WordBuilder(vocabulary, len(vocabulary), frame_seconds)
    return builder.add(path_of_characters(characters, vocabulary, loud), 0) + builder.end()


class WordBuilder:
    """Reads a path piece by piece and returns each word once it has ended.

    Args:
      vocabulary: list of str, the character or piece of each label. Words end at " ", with pieces before one that begins with
        the mark of a word's beginning; a vocabulary without a space belongs to a language written without spaces, where each
        character is a word.
      blank: index of the CTC blank.
      frame_seconds: duration of an output frame in s.
    """

    def __init__(self, vocabulary, blank, frame_seconds):
        self._blank, self._frame_seconds = blank, frame_seconds
        # tags of languages are not part of a text
        self._written = np.array([blank if is_tag(text) else label for label, text in enumerate(vocabulary)] + [blank])
        subwords = has_subwords(vocabulary)
        self._has_spaces = subwords or SPACE in vocabulary
        self._begins_word = [subwords and text.startswith(WORD_MARK) for text in vocabulary]
        self._texts = [text.replace(WORD_MARK, "") if subwords else text for text in vocabulary]
        self._separates = [text in (SPACE, "") for text in self._texts]
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
        for label, start, end, starts in self._reader.read(self._written[path.labels]):
            if label == self._blank or self._separates[label]:
                self._closed = self._closed or label != self._blank or not self._has_spaces
                self._follow_sound(path.loud[start:end], first_frame + start)
            else:
                if starts:
                    if self._closed or self._begins_word[label]:
                        words += self._end_word()
                    self._spikes.append(_Spike(self._texts[label], first_frame + start, []))
                self._spikes[-1].log_probabilities.extend(path.log_probabilities[start:end].tolist())
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
        if self._spikes:
            times = [self._seconds(frame) for frame in [spike.first_frame for spike in self._spikes] + [self._end_frame]]
            log_probabilities = [float(np.mean(spike.log_probabilities)) for spike in self._spikes]
            characters = [TimedCharacter(spike.text, start, end, min(float(np.exp(log_probability)), 1.0))
                          for spike, start, end, log_probability in zip(self._spikes, times, times[1:], log_probabilities)]
            words = [Word("".join(spike.text for spike in self._spikes), times[0], times[-1],
                          min(float(np.exp(np.mean(log_probabilities))), 1.0), characters)]
        self._reset_word()
        return words

    def _seconds(self, frame):
        return round(frame * self._frame_seconds, 3)

    def _reset_word(self):
        self._spikes = []
        self._last_spike = self._end_frame = None
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
