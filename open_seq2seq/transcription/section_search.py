"""Beam search in a long recording: section by section, where a section of speech ends in a pause.

A search keeps many transcripts until it knows how a sentence continues, so it cannot follow the recording window by window as
greedy decoding does. It is given the joined logits of the windows up to the next pause that ends a word, and the path of its best
transcript then replaces the network's best path. Sections are searched next to the network.
"""
import collections

import numpy as np

from open_seq2seq.decoding.greedy import PathReader
from open_seq2seq.decoding.word_times import SPACE, path_of_characters
from open_seq2seq.text.vocabulary import WORD_MARK, has_subwords
from open_seq2seq.transcription.stitching import Piece

LONGEST_SECTION = 30.0     # s; a longer one without a pause is split where the network's best path separates words
LEAST_CONTEXT = 0.25       # of a section that is too long, at its end, where it is not split
MOST_WAITING = 4           # sections


class SectionSearch:
    """Replaces the paths of pieces by those of a decoder's transcripts.

    Args:
      decoder: a :class:`~open_seq2seq.decoding.decoder.Decoder`.
      frame_seconds: duration of a frame in s.
      waits: whether a section's result is waited for at once, for text as soon as possible.
    """

    def __init__(self, decoder, frame_seconds, waits=False):
        self._decoder, self._most_waiting = decoder, 0 if waits else MOST_WAITING
        self._vocabulary = list(decoder.vocabulary.characters)
        self._longest = int(LONGEST_SECTION / frame_seconds)
        self._section, self._first_frame, self._after_pause = None, 0, False
        self._searched = collections.deque()     # (future of the hypothesis, section, its first frame, whether after a pause)

    def add(self, pieces):
        """Takes stitched Pieces with logits; returns the list of Pieces that are final now."""
        for piece in pieces:
            if self._section is not None and piece.after_pause:
                self._submit(len(self._section.labels), True)
            if self._section is None:
                self._section, self._first_frame = piece.path, piece.first_frame
                self._after_pause = self._after_pause or piece.after_pause
            else:
                self._section = type(piece.path)(*[np.concatenate(pair) for pair in zip(self._section, piece.path)])
            while self._section is not None and len(self._section.labels) > self._longest:
                self._submit(*self._split())
        return self._results(self._most_waiting)

    def end(self):
        """Ends a section; returns the list of all Pieces that are left."""
        if self._section is not None:
            self._submit(len(self._section.labels), False)
        self._after_pause = False
        return self._results(0)

    def _submit(self, frames, ends_word):
        """Searches the first ``frames`` of the section; ``ends_word``: the rest begins a new word."""
        section = self._section
        searched = type(section)(*[values[:frames] for values in section])
        rest = type(section)(*[values[frames:] for values in section])
        future = self._decoder.submit(searched.logits[np.newaxis], [frames], characters=True)
        self._searched.append((future, searched, self._first_frame, self._after_pause))
        self._section, self._first_frame = rest if len(rest.labels) else None, self._first_frame + frames
        self._after_pause = ends_word

    def _split(self):
        """(number of frames, whether a word ends there): where to split a section that is too long."""
        blank, last = len(self._vocabulary), int(len(self._section.labels) * (1 - LEAST_CONTEXT))
        runs = [run for run in PathReader(blank).read(self._section.labels[:last]) if run.end < last]
        spaces = [run.end for run in runs if run.label != blank and self._vocabulary[run.label] == SPACE]
        if has_subwords(self._vocabulary):
            # before the first piece of a word
            spaces = [run.first for run in runs if run.starts and run.first and self._vocabulary[run.label].startswith(WORD_MARK)]
        blanks = [run for run in runs if run.label == blank and 2 * run.first > last]
        if spaces:
            return spaces[-1], True
        if blanks:
            longest = max(blanks, key=lambda run: run.end - run.first)
            return (longest.first + longest.end) // 2 or 1, False
        return last, False

    def _results(self, most_waiting):
        pieces = []
        while self._searched and (self._searched[0][0].done() or len(self._searched) > most_waiting):
            future, section, first_frame, after_pause = self._searched.popleft()
            hypothesis, = future.result()
            path = path_of_characters(hypothesis.characters, self._vocabulary, section.loud)
            pieces.append(Piece(path, first_frame, after_pause))
        return pieces
