"""N-gram counts of a text, one table for each order, in NumPy.

A table refers to the tables of lower orders by index, so an n-gram is three numbers: its context (the n-gram without the last
word), its last word and its suffix (the n-gram without the first word).
"""
import array
import collections

import numpy as np

from open_seq2seq.errors import DataError

UNK, BOS, EOS = 0, 1, 2
SPECIAL = ("<unk>", "<s>", "</s>")
CHUNK_BITS = 24         # of the number of tokens that are sorted at a time, at most
LEAST_CHUNK_BITS = 12

NgramTable = collections.namedtuple("NgramTable", "context word suffix count from_start")
NgramTable.__doc__ = """The distinct n-grams of an order, sorted by context and word; arrays [n].

context, suffix: int, indices into the table of the order below (0 in the table of words). word: int. count: int, occurrences in
the text. from_start: bool, whether the first word is ``<s>``."""


class TokenizedText:
    """A text as word numbers. Words get their numbers in the order of their first occurrence, after the special ones.

    Attributes:
      words: list of str; the number of a word is its index.
      sentences: int.
    """

    def __init__(self):
        self._numbers = {word: number for number, word in enumerate(SPECIAL)}
        self._tokens = array.array("i")
        self.words, self.sentences = list(SPECIAL), 0

    def add(self, words):
        """Adds a sentence, a sequence of str."""
        numbers, tokens = self._numbers, self._tokens
        tokens.append(BOS)
        for word in words:
            number = numbers.get(word)
            if number is None:
                number = numbers[word] = len(self.words)
                self.words.append(word)
            tokens.append(number)
        tokens.append(EOS)
        self.sentences += 1

    @property
    def num_words(self):
        """Words in the text, without the ends of sentences."""
        return len(self._tokens) - 2 * self.sentences

    def tokens(self):
        """int32 [words + 2 * sentences]: every sentence with ``<s>`` before and ``</s>`` after it."""
        return np.frombuffer(self._tokens, np.int32)


def count_ngrams(tokens, num_words, order, progress=None):
    """Counts all n-grams up to an order.

    Args:
      tokens: int32 array, see :meth:`TokenizedText.tokens`.
      num_words: number of distinct words, the special ones included.
      order: int, at least 1.
      progress: function that is called with the number of orders that are counted.

    Returns:
      (tables, last). tables: list of :class:`NgramTable`, of words first. ``<s>`` has the count 0 there: it is never predicted.
      last: list of int, for each order below the highest the index of the n-gram that is the last one if the text's n-grams are
      sorted by their last word, the word before it and so on; :func:`~open_seq2seq.text.ngrams.kneser_ney.estimate` needs them.
    """
    count = np.bincount(tokens, minlength=num_words)
    count[[UNK, BOS]] = 0
    zeros = np.zeros(num_words, np.int64)
    tables = [NgramTable(zeros, np.arange(num_words), zeros, count, np.arange(num_words) == BOS)]
    position, ending_here = _last_position(tokens, order), tokens
    last = [int(ending_here[position])]
    if progress:
        progress(1)
    for length in range(2, order + 1):
        table, ending_here = _extend(tables[-1], ending_here, tokens, num_words)
        tables.append(table)
        if length < order and ending_here[position] >= 0:
            last.append(int(ending_here[position]))
        if progress:
            progress(length)
    return tables, last


def _extend(shorter, shorter_here, tokens, num_words):
    """The table of the next order, and int32 [tokens]: the n-gram that ends at each token, -1 where the sentence is too short.

    Args:
      shorter: the table of the order below. shorter_here: the same array for it.
    """
    chunk_bits = min(CHUNK_BITS, 63 - (len(shorter.word) * num_words).bit_length())
    if chunk_bits < LEAST_CHUNK_BITS:
        raise DataError("the text has %d n-grams of %d words, too many to count in memory. Use lmplz, or less text" % (
            len(shorter.word), num_words))
    here, parts = np.full(len(tokens), -1, np.int32), []
    for start in range(1, len(tokens), 1 << chunk_bits):
        end = min(start + (1 << chunk_bits), len(tokens))
        parts.append(_count_chunk(shorter_here[start - 1:end], tokens[start:end], num_words, chunk_bits, here[start:end])
                     + (here[start:end],))
    keys = parts[0][0] if len(parts) == 1 else np.unique(np.concatenate([part[0] for part in parts]))
    suffix, count = np.empty(len(keys), np.int64), np.zeros(len(keys), np.int64)
    for part_keys, part_suffix, part_count, part_here in parts:
        numbers = np.searchsorted(keys, part_keys)
        suffix[numbers] = part_suffix
        count[numbers] += part_count
        if len(parts) > 1:
            part_here[:] = np.where(part_here >= 0, numbers[part_here], -1)
    context = keys // num_words
    return NgramTable(context, keys % num_words, suffix, count, shorter.from_start[context]), here


def _count_chunk(shorter_here, tokens, num_words, chunk_bits, here):
    """Counts the n-grams that end in a part of the text.

    Args:
      shorter_here: the shorter n-grams that end at the token before the part and at each of its tokens.
      here: receives the number of the n-gram that ends at each token, -1 where there is none.

    Returns:
      (keys, suffixes, counts) of the different n-grams, by key.
    """
    context = shorter_here[:-1]
    position = np.flatnonzero((context >= 0) & (tokens != BOS))
    # sorting keys with their positions in one number is faster than finding the order of the keys
    packed = (context[position].astype(np.int64) * num_words + tokens[position]) << chunk_bits | position
    packed.sort()
    position, packed = packed & ((1 << chunk_bits) - 1), packed >> chunk_bits
    is_new = np.ones(len(packed), bool)
    is_new[1:] = packed[1:] != packed[:-1]
    here[position] = np.cumsum(is_new) - 1
    first = np.flatnonzero(is_new)
    return packed[first], shorter_here[1:][position[first]], np.diff(np.append(first, len(packed)))


def _last_position(tokens, order):
    """Where the n-gram ends that is the last one of the text, sorted by its last word, the one before it and so on."""
    candidates, inside = np.flatnonzero(tokens == tokens.max()), None
    for back in range(1, order):
        # before the start of a sentence there are only starts, which sort first
        inside = candidates - back >= 0 if inside is None else inside & (candidates - back >= 0)
        before = np.where(inside, tokens[np.maximum(candidates - back, 0)], BOS)
        inside = inside & (before != BOS)
        chosen = before == before.max()
        candidates, inside = candidates[chosen], inside[chosen]
    return int(candidates[0])
