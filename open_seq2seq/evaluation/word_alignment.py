"""The alignment of a hypothesis with a reference, and the edits counted in it.

An operation is a letter: C correct, S substitution, D deletion (a reference word without a hypothesis word), I insertion (a
hypothesis word without a reference word).

Two alignments can have equally many errors and differ in their substitutions, deletions and insertions, and programs differ in
which one they choose. The alignment of this package is that of rapidfuzz and jiwer. :func:`align_by` reproduces others.
"""
import collections

import numpy as np
from rapidfuzz.distance import Levenshtein

CORRECT, SUBSTITUTION, DELETION, INSERTION = OPERATIONS = "CSDI"

Rule = collections.namedtuple("Rule", "substitution deletion insertion preference")
Rule.__doc__ = """How a program aligns: the costs of errors, and which operation it prefers where alignments cost the same.

preference: str of S (substitution or correct), D and I, the preferred one first; decided at each pair of positions.
"""

SCLITE = Rule(4, 3, 3, "SID")
"""NIST's sclite: not always the fewest errors."""
KALDI = Rule(1, 1, 1, "IDS")
"""Kaldi's compute-wer."""

_CELLS = 200000  # of the tables of the alignments that are computed together; a byte each, and a few more while computing
_LETTERS = {"replace": SUBSTITUTION, "delete": DELETION, "insert": INSERTION}


class EditCounts(collections.namedtuple("EditCounts", "correct substitutions deletions insertions")):
    """Numbers of operations in alignments, of words or of characters; a namedtuple of ints."""

    __slots__ = ()

    @property
    def length(self):
        """Length of the reference."""
        return self.correct + self.substitutions + self.deletions

    @property
    def errors(self):
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self):
        """errors / length; 0 where both texts are empty; infinity for insertions into an empty reference."""
        if self.length:
            return self.errors / self.length
        return float("inf") if self.errors else 0.0

    def __add__(self, other):
        return EditCounts(*[own + added for own, added in zip(self, other)])


NO_EDITS = EditCounts(0, 0, 0, 0)


def align(reference, hypothesis):
    """Aligns two sequences with the fewest errors: every error costs 1.

    Where several alignments have the fewest errors, it is the one of rapidfuzz, and so of jiwer.

    Args:
      reference, hypothesis: lists of words, or str to align characters.

    Returns:
      str of operations, in the order of the texts.
    """
    operations, position = [], 0
    for tag, at, _ in Levenshtein.editops(reference, hypothesis).as_list():
        operations.append(CORRECT * (at - position))
        operations.append(_LETTERS[tag])
        position = at if tag == "insert" else at + 1
    operations.append(CORRECT * (len(reference) - position))
    return "".join(operations)


def align_by(rule, references, hypotheses):
    """Aligns many pairs with a rule other than :func:`align`'s.

    The tables of dynamic programming of many pairs are filled together, along their antidiagonals.

    Args:
      rule: a :class:`Rule`.
      references, hypotheses: lists of equal length of lists of words.

    Returns:
      List of str of operations.
    """
    numbers = {}
    pairs = [([numbers.setdefault(word, len(numbers)) for word in reference],
              [numbers.setdefault(word, len(numbers)) for word in hypothesis])
             for reference, hypothesis in zip(references, hypotheses)]
    operations = [""] * len(pairs)
    # pairs of similar length together, so little of the tables is unused
    order = sorted(range(len(pairs)), key=lambda place: (len(pairs[place][0]), len(pairs[place][1])))
    while order:
        chunk, rows, columns = [], 0, 0
        while order:
            reference, hypothesis = pairs[order[-1]]
            rows, columns = max(rows, len(reference)), max(columns, len(hypothesis))
            if chunk and (len(chunk) + 1) * (rows + columns + 1) * (rows + 1) > _CELLS:
                break
            chunk.append(order.pop())
        for place, found in zip(chunk, _align_chunk(rule, [pairs[place] for place in chunk])):
            operations[place] = found
    return operations


def _align_chunk(rule, pairs):
    """The operations of pairs of lists of int."""
    rows, columns = (max(len(pair[side]) for pair in pairs) for side in (0, 1))
    references, hypotheses = (_padded([pair[side] for pair in pairs], width, filler)
                              for side, width, filler in ((0, rows, -1), (1, columns, -2)))
    ranks = {letter: rule.preference.index(letter) for letter in rule.preference}
    # the lowest key wins: cost first, then preference
    letters, step = np.array([ord(letter) for letter in rule.preference], np.uint8), len(ranks)
    unreachable = 1 << 28
    previous = last = np.full([len(pairs), rows + 1], unreachable, np.int32)
    chosen = np.zeros([rows + columns + 1, len(pairs), rows + 1], np.uint8)
    for diagonal in range(rows + columns + 1):
        # cell i of a diagonal: i reference words, diagonal - i hypothesis words
        first, end = max(0, diagonal - columns), min(rows, diagonal) + 1
        costs = np.full([len(pairs), rows + 1], unreachable, np.int32)
        if not diagonal:
            costs[:, 0] = 0
        else:
            keys = np.full([step, len(pairs), end - first], unreachable * step, np.int32)
            keys[ranks[INSERTION]] = (last[:, first:end] + rule.insertion) * step + ranks[INSERTION]
            inner = slice(max(first, 1), end)
            before, within = slice(inner.start - 1, end - 1), slice(inner.start - first, None)
            keys[ranks[DELETION], :, within] = (last[:, before] + rule.deletion) * step + ranks[DELETION]
            heard = hypotheses[:, np.maximum(diagonal - np.arange(inner.start, end) - 1, 0)] if columns else -2
            keys[ranks[SUBSTITUTION], :, within] = (
                previous[:, before] + rule.substitution * (references[:, before] != heard)) * step + ranks[SUBSTITUTION]
            best = keys.min(0)
            costs[:, first:end] = np.minimum(best // step, unreachable)
            chosen[diagonal, :, first:end] = letters[best % step]
        previous, last = last, costs
    return _traced(chosen, references, hypotheses, [(len(reference), len(hypothesis)) for reference, hypothesis in pairs])


def _padded(rows, width, filler):
    padded = np.full([len(rows), width], filler, np.int32)
    for row, values in zip(padded, rows):
        row[:len(values)] = values
    return padded


def _traced(chosen, references, hypotheses, lengths):
    """The operations on the way back from the ends of the texts."""
    positions, everyone = np.array(lengths, np.int32).reshape(-1, 2).T.copy(), np.arange(len(lengths))
    steps = []
    while positions.any():
        at, heard = positions
        letters = chosen[at + heard, everyone, at]
        letters[at + heard == 0] = 0
        moves_reference, moves_hypothesis = ((letters != 0) & (letters != ord(letter)) for letter in (INSERTION, DELETION))
        both = moves_reference & moves_hypothesis
        equal = both.copy()
        equal[both] = references[everyone[both], at[both] - 1] == hypotheses[everyone[both], heard[both] - 1]
        letters[equal] = ord(CORRECT)
        steps.append(letters)
        positions -= [moves_reference, moves_hypothesis]
    table = np.array(steps[::-1], np.uint8).reshape(len(steps), len(lengths)).T
    return [row[row != 0].tobytes().decode("ascii") for row in table]


def count(operations):
    """The :class:`EditCounts` of a str of operations."""
    return EditCounts(*[operations.count(letter) for letter in OPERATIONS])


def aligned_words(operations, reference, hypothesis):
    """The columns of an alignment.

    Args:
      operations: str, see :func:`align`.
      reference, hypothesis: the lists of words that it aligns.

    Returns:
      List of (operation, reference word or None, hypothesis word or None).
    """
    references, hypotheses = iter(reference), iter(hypothesis)
    return [(operation, None if operation == INSERTION else next(references), None if operation == DELETION else next(hypotheses))
            for operation in operations]
