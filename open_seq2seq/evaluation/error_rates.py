"""Word, character and sentence error rates."""
import collections

from rapidfuzz.distance import Levenshtein


class ErrorRate:
    """Edits and reference length, summed over utterances.

    The rate is (substitutions + insertions + deletions) / reference length over the whole set, not a mean of
    rates, so it does not depend on how the set is divided into batches.
    """

    def __init__(self, edits=0, length=0):
        self.edits, self.length = edits, length

    def add(self, reference, hypothesis):
        """Adds one pair of sequences (of words, or of characters)."""
        self.edits += Levenshtein.distance(reference, hypothesis)
        self.length += len(reference)

    @property
    def rate(self):
        """The rate; 0 for nothing at all, infinity for insertions into an empty reference."""
        if self.length:
            return self.edits / self.length
        return float("inf") if self.edits else 0.0


TranscriptErrors = collections.namedtuple("TranscriptErrors", "word_error_rate character_error_rate sentence_error_rate")


def transcript_errors(references, hypotheses):
    """Scores transcripts against references.

    Args:
      references, hypotheses: lists of str of equal length. Words are separated by white space; for the character
        error rate runs of white space count as one space.

    Returns:
      TranscriptErrors of three :class:`ErrorRate`.
    """
    words, characters, sentences = ErrorRate(), ErrorRate(), ErrorRate()
    for reference, hypothesis in zip(references, hypotheses):
        reference_words, hypothesis_words = reference.split(), hypothesis.split()
        words.add(reference_words, hypothesis_words)
        characters.add(" ".join(reference_words), " ".join(hypothesis_words))
        sentences.edits += reference_words != hypothesis_words
        sentences.length += 1
    return TranscriptErrors(words, characters, sentences)


def word_error_rate(reference, hypothesis):
    """The word error rate of one transcript (a float)."""
    return transcript_errors([reference], [hypothesis]).word_error_rate.rate
