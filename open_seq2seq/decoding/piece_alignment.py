"""Alignment of a text with subwords over all its segmentations into pieces.

A beam search returns words, not pieces, and the pieces on its path may differ from those of the training labels. So the most
probable path is searched over all segmentations of the text (Viterbi, as in :mod:`open_seq2seq.decoding.alignment`).
"""
import numpy as np

from open_seq2seq.decoding.decoder import Character
from open_seq2seq.text.vocabulary import WORD_MARK


def align_pieces(log_probabilities, text, pieces):
    """The pieces of a text on its most probable path.

    The first piece of a word begins with the mark of a word's beginning, or is this mark alone; at the beginning of the text the
    mark may be missing.

    Args:
      log_probabilities: float [T', V + 1], of an utterance's valid frames.
      text: str, words with single spaces between them.
      pieces: tuple of V str.

    Returns:
      List of :class:`~open_seq2seq.decoding.decoder.Character`, whose texts are pieces; empty if no path gives the text.
    """
    marked = WORD_MARK + text.replace(" ", WORD_MARK)
    lattice = _Lattice(marked, pieces)
    if not text or not len(lattice.labels):
        return []
    log_probabilities = np.asarray(log_probabilities, np.float64)
    path = lattice.best_path(log_probabilities)
    characters, frames = [], len(path)
    frame = 0
    while frame < frames:
        edge, first = path[frame], frame
        while frame < frames and path[frame] == edge:
            frame += 1
        if edge >= 0:
            label = lattice.labels[edge]
            characters.append(Character(pieces[label], first, frame, float(log_probabilities[first:frame, label].mean())))
    return characters


class _Lattice:
    """The pieces in a text: edges between places in it.

    Attributes:
      labels: int [E], the label of each edge.
    """

    def __init__(self, text, pieces):
        label_of, longest = {piece: label for label, piece in enumerate(pieces)}, max(map(len, pieces))
        edges = []
        for begin in range(len(text)):
            for end in range(begin + 1, min(len(text), begin + longest) + 1):
                if text[begin:end] in label_of:
                    edges.append((begin, end, label_of[text[begin:end]]))
        self._begins, self._ends, self.labels = np.array(edges, np.int64).reshape([-1, 3]).T
        self._places = len(text) + 1
        # pairs of edges that may follow each other without a blank
        by_end = {}
        for edge, (_, end, label) in enumerate(edges):
            by_end.setdefault(end, []).append((edge, label))
        pairs = [(before, edge) for edge, (begin, _, label) in enumerate(edges)
                 for before, other in by_end.get(begin, ()) if other != label]
        self._before, self._after = np.array(pairs, np.int64).reshape([-1, 2]).T

    def best_path(self, log_probabilities):
        """int list, the edge of each frame, -1 for a blank; empty where there is no path."""
        edges = np.full(len(self.labels), -np.inf)
        blanks = np.full(self._places, -np.inf)
        blanks[0] = 0.0     # before the first frame
        blanks[1] = 0.0     # the text may begin without the mark
        into_edges, into_blanks = [], []
        for frame in log_probabilities:
            # where the best path into each edge comes from: -1 the blank before it, or an edge, possibly itself
            sources = np.where(blanks[self._begins] > edges, -1, np.arange(len(edges)))
            best = np.maximum(edges, blanks[self._begins])
            for place in np.flatnonzero(edges[self._before] > best[self._after]):
                before, after = self._before[place], self._after[place]
                if edges[before] > best[after]:
                    best[after], sources[after] = edges[before], before
            # into the blank after a place: -1 itself, or the edge that ends there
            blank_sources, best_blanks = np.full(self._places, -1), blanks.copy()
            for edge in np.flatnonzero(edges > blanks[self._ends]):
                if edges[edge] > best_blanks[self._ends[edge]]:
                    best_blanks[self._ends[edge]], blank_sources[self._ends[edge]] = edges[edge], edge
            edges, blanks = best + frame[self.labels], best_blanks + frame[-1]
            into_edges.append(sources)
            into_blanks.append(blank_sources)
        return self._traced(edges, blanks, into_edges, into_blanks)

    def _traced(self, edges, blanks, into_edges, into_blanks):
        last = self._places - 1
        finals = [(blanks[last], -1, last)] + [(edges[edge], int(edge), last) for edge in np.flatnonzero(self._ends == last)]
        score, edge, place = max(finals)
        if score == -np.inf:
            return []
        path = []
        for sources, blank_sources in zip(reversed(into_edges), reversed(into_blanks)):
            path.append(edge)
            if edge >= 0:
                source = int(sources[edge])
                if source == -1:
                    place = int(self._begins[edge])
                edge = source
            else:
                edge = int(blank_sources[place])
        return path[::-1]
