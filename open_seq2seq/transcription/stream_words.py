"""From the logits of a stream's segment to words that never change, and to those that may.

The logits of a step are final up to a frame, and provisional after it. A word is final when the frames of its characters and of
its sound are, and its end is known: a space or another word follows it, final or not, or a pause.
"""
import copy
import math

import numpy as np

from open_seq2seq.decoding.word_times import LONGEST_TAIL, BestPath, WordBuilder, best_path
from open_seq2seq.text.vocabulary import WORD_MARK
from open_seq2seq.transcription.section_search import SectionSearch
from open_seq2seq.transcription.stitching import BETWEEN_WORDS, LogitPath, Piece


class SegmentReader:
    """Reads the logits of one segment.

    Args:
      description: the model's ``ExportDescription``.
      frame_seconds: duration of a frame of the logits in s.
      first_frame: number of the segment's first frame in the stream.
      decoder: a :class:`~open_seq2seq.decoding.decoder.Decoder`; if it searches, final words are those of the search, and words
        that may change are those of greedy decoding.
    """

    def __init__(self, description, frame_seconds, first_frame, decoder):
        self._frame_seconds, self._pause = frame_seconds, math.ceil(BETWEEN_WORDS / frame_seconds - 1e-6)
        self._silent = np.array([text in (" ", WORD_MARK) for text in description.vocabulary] + [True])
        self._search = SectionSearch(decoder, frame_seconds, waits=True) if decoder.needs_logits else None
        self._builder = WordBuilder(description.vocabulary, description.blank, frame_seconds)
        self._searched = WordBuilder(description.vocabulary, description.blank, frame_seconds)
        self._tail, self._last_character = int(round(LONGEST_TAIL / frame_seconds)), None
        self._rest, self._first = None, first_frame      # final frames that the builder did not receive; number of the first
        self._waiting = []                               # greedy words whose section is not searched yet
        self.partial = []

    def add(self, logits, loud, frames, ended=False):
        """Takes a step's logits.

        Args:
          logits: float32 [n, V + 1], of the frames after those that were final before.
          loud: bool [n], whether there is sound in each frame.
          frames: number of them that are final now.
          ended: whether the segment ends here, and all of them are final.

        Returns:
          List of Words that are final now. :attr:`partial` are the words that follow them and may change.
        """
        step = best_path(logits, loud)
        if self._search is not None:
            step = LogitPath(*step, logits=logits)
        path, held = (step, 0) if self._rest is None else (_joined(self._rest, step), len(self._rest.labels))
        final = held + frames
        if ended:
            words = self._read(path, 0, final, ended=True)[0]
            self.partial = []
            return words
        words, position = self._read(path, 0, final)
        more, position, self.partial = self._read_provisional(path, position, final)
        self._rest, self._first = _part(path, position, final), self._first + position
        if self._search is not None:
            self.partial = self._waiting + self.partial
        return words + more

    def _read(self, path, position, final, ended=False):
        """Gives the builder the final frames from ``position`` on, but not those of a pause that is not over.

        Returns:
          (list of Words that are final, the position after the frames that were read).
        """
        words = []
        for first, end in self._pauses(path):
            if first >= final or end <= position:
                continue
            if end - first >= self._pause:
                words += self._feed(path, position, max(first, position)) + self._close(pause=True)
                position = min(end, final)
            elif end >= final and not ended:
                words += self._feed(path, position, max(first, position))
                return words, max(first, position)
        words += self._feed(path, position, final)
        return words + (self._close(pause=True) if ended else []), final

    def _read_provisional(self, path, position, final):
        """(list of Words that are final because what follows them is known, the position after them, list of Words after it)."""
        words = []
        while True:
            found = self._words_of(path, position)
            if not found or not found[0][1]:
                break
            end = int(round(found[0][0].end / self._frame_seconds)) - self._first
            if end > final or end < position:
                break
            words += self._feed(path, position, end) + self._close(pause=False)
            position = end
        return words, position, [word for word, _ in found]

    def _words_of(self, path, position):
        """List of (Word, whether its end is known) of the frames from ``position`` on, without changing the builder."""
        builder, found = copy.deepcopy(self._builder), []
        for first, end in self._pauses(path):
            if end <= position or end - first < self._pause:
                continue
            first = max(first, position)
            found += builder.add(_greedy(path, position, first), self._first + position) + builder.end()
            position = end
        found = [(word, True) for word in found + builder.add(_greedy(path, position, None), self._first + position)]
        return found + [(word, False) for word in builder.end()]

    def _pauses(self, path):
        """List of (first, end) of the runs of frames without output that are quiet, or later than a word's sound can last."""
        frames, silent = np.arange(len(path.labels)), self._silent[path.labels]
        before = -self._tail - 1 if self._last_character is None else self._last_character - self._first
        since = frames - np.maximum.accumulate(np.where(silent, before, frames))
        return _runs(silent & (~path.loud | (since > self._tail)))

    def _feed(self, path, first, end):
        """Gives the builder frames of a path; returns the list of Words that are final with them."""
        if first >= end:
            return []
        words = self._builder.add(_greedy(path, first, end), self._first + first)
        characters = np.flatnonzero(~self._silent[path.labels[first:end]])
        if len(characters):
            self._last_character = self._first + first + int(characters[-1])
        if self._search is None:
            return words
        self._waiting += words
        return self._searched_words(self._search.add([Piece(_part(path, first, end), self._first + first, False)]))

    def _close(self, pause):
        """Ends the open word, and in a pause the section that is searched; returns the list of Words that are final with it."""
        words = self._builder.end()
        if self._search is None:
            return words
        self._waiting += words
        if not pause:
            return []
        words = self._searched_words(self._search.end()) + self._searched.end()
        self._waiting = []
        return words

    def _searched_words(self, pieces):
        words = [word for piece in pieces for word in self._searched.add(*piece)]
        if words:
            self._waiting = [word for word in self._waiting if word.start >= words[-1].end]
        return words


def _part(path, first, end):
    return type(path)(*[values[first:end] for values in path])


def _greedy(path, first, end):
    return BestPath(*[values[first:end] for values in path[:len(BestPath._fields)]])


def _joined(first, second):
    return type(second)(*[np.concatenate(pair) for pair in zip(first, second)])


def _runs(flags):
    """List of (first, end) of the runs of True in a bool array."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist()))
