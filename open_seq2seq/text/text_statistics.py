"""Statistics of texts of any size in one pass: words, characters, n-grams, and what one text has that another lacks.

Counts are exact. Characters are counted in memory; words and n-grams in :class:`~open_seq2seq.text.sorted_runs.DiskCounter`,
whose memory is limited.
"""
import collections
import os

from open_seq2seq.text import languages
from open_seq2seq.text.sorted_runs import DiskCounter, by_count, joined
from open_seq2seq.text.steps import LOWER, PUNCTUATION, Normalization

WORDS, CHARACTERS = "words", "characters"
COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.99)  # shares of the running words
_UNSEPARATED = 20  # mean characters of a word, from which the text probably has no spaces between words

Spectrum = collections.namedtuple("Spectrum", "types tokens once top coverage")
Spectrum.__doc__ = """What a text has of n-grams of one order. types: different ones. tokens: all. once: types that occur once.
top: list of (n-gram, count), the most frequent first. coverage: list of (share, number of most frequent types that make up this
share of the tokens)."""

Unseen = collections.namedtuple("Unseen", "types all_types tokens all_tokens top")
Unseen.__doc__ = """N-grams of a text that another text lacks. types, tokens: of these. all_types, all_tokens: of the text.
top: list of (n-gram, count), the most frequent first."""


class TextCounter:
    """Counts a text.

    Args:
      folder: where counts that do not fit into memory are written; it must exist.
      order: longest n-grams, at least 1.
      units: "words", separated by spaces, or "characters", for languages that write no spaces.
      memory: bytes for the counts of all orders.
      raw: count the words as they are written, instead of in lower case without punctuation.
      language: code for the rules of lower case, or None.

    Attributes:
      lines, words: number of lines with words, and of all words. lengths: Counter, number of lines of each length in words.
      characters: Counter, with spaces between words.
    """

    def __init__(self, folder, order=1, units=WORDS, memory=1 << 28, raw=False, language=None):
        self.order, self._units = order, units
        steps = [] if raw else [{LOWER: language} if language in languages.DOTLESS else LOWER, PUNCTUATION]
        self._normalization = Normalization(steps, keep="-")
        self.lines = self.words = 0
        self.lengths, self.characters = collections.Counter(), collections.Counter()
        self._counters = []
        for number in range(1, order + 1):
            place = os.path.join(folder, "%d-grams" % number)
            os.mkdir(place)
            self._counters.append(DiskCounter(place, max(memory // order, 1)))

    def add(self, text):
        """Counts a line."""
        words = self._normalization.once(text).split()  # once: lower case and punctuation need no second pass
        if self._normalization.steps:
            words = [word for word in (word.strip("-'") for word in words) if word]
        if self._units == CHARACTERS:
            words = list("".join(words))
        if not words:
            return
        self.lines += 1
        self.words += len(words)
        self.lengths[len(words)] += 1
        self.characters.update(("" if self._units == CHARACTERS else " ").join(words))
        for number, counter in enumerate(self._counters, 1):
            if number == 1:
                for word in words:
                    counter.add(word)
            else:
                for start in range(len(words) - number + 1):
                    counter.add(" ".join(words[start:start + number]))

    def items(self, order):
        """Yields (n-gram, count), sorted by n-gram; its words are separated by a space."""
        return self._counters[order - 1].items()

    def by_count(self, order, folder, memory):
        """Yields (n-gram, count), the most frequent first; ``folder`` is an empty one for temporary files."""
        return by_count(self.items(order), folder, memory)

    @property
    def num_runs(self):
        """Number of runs that were written to disk, of all orders."""
        return sum(counter.num_runs for counter in self._counters)

    @property
    def is_unseparated(self):
        """Whether the words are so long that the text probably has no spaces between them."""
        return self._units == WORDS and sum(self.characters.values()) > (_UNSEPARATED + 1) * self.words > 0

    def spectrum(self, order, top):
        """:class:`Spectrum` of the n-grams of an order; ``top``: how many n-grams to name."""
        best, counts = _Most(top), collections.Counter()
        for key, count in self.items(order):
            counts[count] += 1
            best.add(key, count)
        tokens = self._counters[order - 1].total
        return Spectrum(sum(counts.values()), tokens, counts[1], best.found(), list(_coverage(counts, tokens)))

    def unseen_in(self, known, order, top, min_count=1):
        """:class:`Unseen`: what ``known``, another TextCounter, has fewer than ``min_count`` times."""
        best, types, all_types, tokens = _Most(top), 0, 0, 0
        for key, count, in_known in joined(self.items(order), known.items(order)):
            if count:
                all_types += 1
                if in_known < min_count:
                    types += 1
                    tokens += count
                    best.add(key, count)
        return Unseen(types, all_types, tokens, self._counters[order - 1].total, best.found())

    def median_length(self):
        """Words of the middle line."""
        before = 0
        for length in sorted(self.lengths):
            before += self.lengths[length]
            if 2 * before >= self.lines:
                return length
        return 0


class _Most:
    """The most frequent keys of those that are added, in bounded memory."""

    def __init__(self, number):
        self._number, self._kept = number, []

    def add(self, key, count):
        self._kept.append((-count, key))
        if len(self._kept) > 1000 + 2 * self._number:
            self._cut()

    def _cut(self):
        self._kept = sorted(self._kept)[:self._number]

    def found(self):
        self._cut()
        return [(key, -count) for count, key in self._kept]


def _coverage(counts, tokens):
    """Yields (share, types needed); ``counts``: number of types of each count."""
    shares, types, covered = iter(COVERAGES), 0, 0
    share = next(shares)
    for count in sorted(counts, reverse=True):
        while share is not None and covered + count * counts[count] >= share * tokens:
            yield share, types + max(-int(-(share * tokens - covered) // count), 1)
            share = next(shares, None)
        types, covered = types + counts[count], covered + count * counts[count]
