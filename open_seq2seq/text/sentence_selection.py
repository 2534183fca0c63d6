"""Which of many sentences to record: no duplicates, all letters of the alphabet, rare letters first; in bounded memory.

Candidates are sorted by a hash on disk, so duplicates are neighbors and the order is random but always the same. A greedy choice
follows: the next sentence is the one that adds most to the sum over letters of w log(1 + count), for each second of its
recording; w is the information of a letter, -log2 of its share of all letters. The sum is submodular, so a stored gain is an
upper limit, and few are computed again (lazy greedy, Minoux 1978). When a thousand are chosen, the gains hardly change from one
to the next, and the best 2 % of that many are chosen at once.
"""
import collections
import hashlib
import heapq
import math
import unicodedata
from array import array

import numpy as np

from open_seq2seq.text import languages
from open_seq2seq.text.sorted_runs import SortedRuns

POOL = 200000           # candidates in memory, about 500 bytes each
EXACT = 1000            # sentences that are chosen one by one; then
BLOCK = 0.02            # of the number of the chosen ones are chosen at once
PER_LETTER = 100        # candidates with a letter that is rare in the pool are added up to this number for each letter
DUPLICATE, NOT_NEEDED = "duplicate", "not selected: enough other sentences"
_EXCLUDED = ""          # sorts before the numbers of candidates

Candidate = collections.namedtuple("Candidate", "place seconds text")
Candidate.__doc__ = """A sentence. place: ``file:line``. seconds: float, estimated time of its recording. text: str."""


class Candidates:
    """Clean sentences, of which duplicates are found in a folder on disk.

    Args:
      folder: an empty folder for temporary files.
      memory: bytes of sentences in memory.

    Attributes:
      num: number of candidates.
    """

    def __init__(self, folder, memory=1 << 27):
        self._runs, self.num = SortedRuns(folder, memory), 0

    def exclude(self, key, place):
        """Excludes sentences with a key, e.g. because they are recorded already."""
        self._runs.add(_hash(key) + _EXCLUDED, place)

    def add(self, key, candidate):
        """Adds a :class:`Candidate`; those with the same key are duplicates."""
        self.num += 1
        self._runs.add("%s%012d" % (_hash(key), self.num), "%s\t%r\t%s" % (
            _escaped(candidate.place), candidate.seconds, candidate.text))

    def unique(self, on_duplicate):
        """Yields each candidate that is not a duplicate.

        Args:
          on_duplicate: function (Candidate, place of the sentence that it equals).
        """
        last, place = None, None
        for key, value in self._runs:
            digest, number = key[:_DIGEST], key[_DIGEST:]
            if number == _EXCLUDED:
                last, place = digest, value
                continue
            source, seconds, text = value.split("\t")
            candidate = Candidate(_restored(source), float(seconds), text)
            if digest == last:
                on_duplicate(candidate, place)
            else:
                last, place = digest, candidate.place
                yield candidate


class Selector:
    """Chooses sentences.

    Args:
      language: code for lower case, or None.
      seconds: recordings that are shorter count as long as this.
      pool: number of candidates in memory; of more, a random part and those with rare letters are used.
      exact: number of sentences that are chosen one by one.

    Attributes:
      letters: Counter, occurrences of each letter in the selected sentences.
      available: Counter, in the sentences of the pool.
    """

    def __init__(self, language=None, seconds=5.0, pool=POOL, exact=EXACT):
        self._language, self._seconds, self._size, self._exact = language, seconds, pool, exact
        self._pool, self.letters, self.available = [], collections.Counter(), collections.Counter()
        self._having, self._weights, self._chosen = collections.Counter(), [], 0
        self._counts, self._taken = [], np.zeros(0, bool)
        # of candidate i: letters _indices[_starts[i]:_starts[i + 1]], their numbers in _numbers
        self._index, self._indices, self._numbers, self._starts = {}, array("i"), array("i"), array("q", [0])

    def offer(self, candidate):
        """Takes a candidate into the pool; returns whether it did."""
        letters = self._letters_of(candidate.text)
        if len(self._pool) >= self._size and all(self._having[letter] >= PER_LETTER for letter in letters):
            return False
        self._pool.append(candidate)
        self.available.update(letters)
        self._having.update(letters.keys())
        self._indices.extend(self._index.setdefault(letter, len(self._index)) for letter in letters)
        self._numbers.extend(letters.values())
        self._starts.append(len(self._indices))
        return True

    @property
    def size(self):
        """Number of candidates in the pool."""
        return len(self._pool)

    def select(self, count=None, seconds=None):
        """Yields candidates, those that add most first, until there are ``count`` or their recordings have ``seconds``."""
        every = sum(self.available.values())
        self._weights = [math.log2(every / self.available[letter]) for letter in self._index]
        self._counts = [0] * len(self._index)
        self._taken = np.zeros(len(self._pool), bool)
        total = 0.0
        for number in self._ordered():
            if count is not None and self._chosen >= count or seconds is not None and total >= seconds:
                return
            candidate = self._pool[number]
            self._taken[number] = True
            self._chosen += 1
            total += candidate.seconds
            for place in range(self._starts[number], self._starts[number + 1]):
                self._counts[self._indices[place]] += self._numbers[place]
            self.letters.update(self._letters_of(candidate.text))
            yield candidate

    def remaining(self):
        """The candidates that :meth:`select` left, a generator."""
        return (self._pool[number] for number in np.flatnonzero(~self._taken))

    def _ordered(self):
        """Yields numbers of candidates in the order of the choice; each must be taken before the next is asked for."""
        heap = [(-gain, number) for number, gain in enumerate(self._gains().tolist())]
        heapq.heapify(heap)
        while heap and self._chosen < self._exact:
            number = heap[0][1]
            again = -self._gain(number), number
            if len(heap) > 1 and again > min(heap[1:3]):
                heapq.heapreplace(heap, again)
            else:
                yield heapq.heappop(heap)[1]
        del heap
        while self._chosen < len(self._pool):
            gains = np.where(self._taken, -np.inf, self._gains())
            best = np.argsort(-gains, kind="stable")[:max(int(BLOCK * self._chosen), 1)]
            yield from best[~self._taken[best]].tolist()

    def _gain(self, number):
        """What a candidate adds for each second."""
        total = 0.0
        for place in range(self._starts[number], self._starts[number + 1]):
            letter = self._indices[place]
            before = 1 + self._counts[letter]
            total += self._weights[letter] * math.log((before + self._numbers[place]) / before)
        return total / max(self._pool[number].seconds, self._seconds)

    def _gains(self):
        """Array [candidates] of :meth:`_gain`."""
        indices, starts = np.frombuffer(self._indices, np.int32), np.frombuffer(self._starts, np.int64)
        before = 1.0 + np.array(self._counts, float)[indices]
        added = np.array(self._weights)[indices] * np.log((before + np.frombuffer(self._numbers, np.int32)) / before)
        sums = np.bincount(np.repeat(np.arange(len(self._pool)), np.diff(starts)), added, len(self._pool))
        return sums / np.maximum([candidate.seconds for candidate in self._pool], self._seconds)

    def _letters_of(self, text):
        counts = collections.Counter(languages.lower(text, self._language))
        return collections.Counter({
            letter: number for letter, number in counts.items() if unicodedata.category(letter)[0] in "LM"})


def _hash(key):
    return hashlib.blake2b(key.encode("utf-8"), digest_size=_DIGEST // 2).hexdigest()


_DIGEST = 32  # hexadecimal digits


def _escaped(place):
    return place.replace("%", "%25").replace("\t", "%09").replace("\n", "%0a")


def _restored(place):
    return place.replace("%0a", "\n").replace("%09", "\t").replace("%25", "%")
