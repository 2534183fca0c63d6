"""Which of many sentences to record: no duplicates, all letters of the alphabet, rare letters first; in bounded memory.

Candidates are sorted by a hash on disk, so duplicates are neighbors and the order is random but always the same. A greedy choice
follows: the next sentence is the one that adds most to the sum over letters of w log(1 + count), for each second of its
recording; w is the information of a letter, -log2 of its share of all letters. The sum is submodular, so a stored gain is an
upper limit, and few are computed again (lazy greedy, Minoux 1978).
"""
import collections
import hashlib
import heapq
import math
import unicodedata

from open_seq2seq.text import languages
from open_seq2seq.text.sorted_runs import SortedRuns

POOL = 200000           # candidates in memory, about 500 bytes each
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

    Attributes:
      letters: Counter, occurrences of each letter in the selected sentences.
      available: Counter, in the sentences of the pool.
    """

    def __init__(self, language=None, seconds=5.0, pool=POOL):
        self._language, self._seconds, self._size = language, seconds, pool
        self._pool, self.letters, self.available = [], collections.Counter(), collections.Counter()
        self._having, self._weights, self._remaining = collections.Counter(), {}, []

    def offer(self, candidate):
        """Takes a candidate into the pool; returns whether it did."""
        letters = self._letters_of(candidate.text)
        if len(self._pool) >= self._size and all(self._having[letter] >= PER_LETTER for letter in letters):
            return False
        self._pool.append(candidate)
        self.available.update(letters)
        self._having.update(letters.keys())
        return True

    @property
    def size(self):
        """Number of candidates in the pool."""
        return len(self._pool)

    def select(self, count=None, seconds=None):
        """Yields candidates, those that add most first, until there are ``count`` or their recordings have ``seconds``."""
        every = sum(self.available.values())
        self._weights = {letter: math.log2(every / number) for letter, number in self.available.items()}
        heap = [(-self._gain(candidate), number) for number, candidate in enumerate(self._pool)]
        heapq.heapify(heap)
        chosen, total = 0, 0.0
        while heap and (count is None or chosen < count) and (seconds is None or total < seconds):
            number = heap[0][1]
            gain = -self._gain(self._pool[number])
            if len(heap) > 1 and (gain, number) > min(heap[1:3]):
                heapq.heapreplace(heap, (gain, number))
                continue
            heapq.heappop(heap)
            candidate = self._pool[number]
            self.letters.update(self._letters_of(candidate.text))
            chosen, total = chosen + 1, total + candidate.seconds
            yield candidate
        self._remaining = sorted(number for _, number in heap)

    def remaining(self):
        """The candidates that :meth:`select` left, a generator."""
        return (self._pool[number] for number in self._remaining)

    def _gain(self, candidate):
        total = 0.0
        for letter, number in self._letters_of(candidate.text).items():
            before = self.letters[letter]
            total += self._weights[letter] * math.log((1 + before + number) / (1 + before))
        return total / max(candidate.seconds, self._seconds)

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
