"""The alignment of a hypothesis with a reference, and the edits counted in it.

An operation is a letter: C correct, S substitution, D deletion (a reference word without a hypothesis word), I insertion (a
hypothesis word without a reference word).
"""
import collections

from rapidfuzz.distance import Levenshtein

CORRECT, SUBSTITUTION, DELETION, INSERTION = OPERATIONS = "CSDI"

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
