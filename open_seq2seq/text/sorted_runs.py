"""Counts and sorted records of texts larger than memory: sorted runs in a folder on disk, which are merged at the end.

Results are exact: nothing is sampled or forgotten. An external sort, as in GNU sort and in KenLM's lmplz.
"""
import heapq
import itertools
import os
import sys

from open_seq2seq.errors import StorageError

# A dict entry in CPython: hash, two references, free slots and the number; 60 to 90 measured, more while it grows
ENTRY_BYTES = 140
RECORD_BYTES = 16        # a reference in a list, with its free places
MOST_RUNS = 64           # that are open at the same time
_SEPARATOR = "\t"


class SortedRuns:
    """Records (key, value), sorted.

    Args:
      folder: where runs are written; it must exist and belong to this object.
      memory: bytes of records in memory; more go to disk.
      combine: function from an iterable of the values of one key to one value; runs that are merged contain it instead.

    Keys contain neither a tab nor a line break, values no line break. Records of the same key keep the order in which they were
    added.
    """

    def __init__(self, folder, memory, combine=None):
        self._folder, self._memory, self._combine = folder, memory, combine
        self._records, self._bytes, self._runs, self._made = [], 0, [], 0

    def add(self, key, value):
        """Adds a record; both are str. StorageError: a run cannot be written."""
        self._records.append((key, value))
        self._bytes += sys.getsizeof(key) + sys.getsizeof(value) + 64 + RECORD_BYTES
        if self._bytes > self._memory:
            self._records.sort(key=_key)
            self.write_run(self._records)
            self._records, self._bytes = [], 0

    def write_run(self, records):
        """Writes records that are sorted already."""
        self._runs.append(self._write(records))
        if len(self._runs) >= MOST_RUNS:
            # the merged run is first, so records of one key stay in order
            records, old = heapq.merge(*map(_read, self._runs), key=_key), self._runs
            merged = self._write(self._combined(records) if self._combine else records)
            self._runs = [merged]
            for path in old:
                os.remove(path)

    @property
    def num_runs(self):
        """Number of the runs on disk."""
        return len(self._runs)

    def __iter__(self):
        """Yields (key, value) in the order of the keys, by Unicode code points. It can be iterated more than once."""
        self._records.sort(key=_key)
        return heapq.merge(*[_read(path) for path in self._runs], self._records, key=_key)

    def _combined(self, records):
        for key, group in itertools.groupby(records, _key):
            yield key, self._combine(value for _, value in group)

    def _write(self, records):
        path = os.path.join(self._folder, "run-%06d" % self._made)
        self._made += 1
        try:
            with open(path, "w", encoding="utf-8", newline="\n", buffering=1 << 18) as file:
                for key, value in records:
                    file.write(key + _SEPARATOR + value + "\n")
        except OSError as error:
            raise StorageError("cannot write the temporary file %s: %s. Free some space, or choose another folder for temporary "
                               "files with the environment variable TMPDIR" % (path, error.strerror or error))
        return path


class DiskCounter:
    """Counts of str, exact however many there are.

    Args:
      folder, memory: see :class:`SortedRuns`.

    Attributes:
      total: sum of all counts.
    """

    def __init__(self, folder, memory):
        self._runs, self._memory = SortedRuns(folder, memory, _sum), memory
        self._counts, self._bytes, self.total = {}, 0, 0

    def add(self, key, count=1):
        """Counts a key without tab and line break."""
        self.total += count
        counts = self._counts
        if key in counts:
            counts[key] += count
            return
        counts[key] = count
        self._bytes += sys.getsizeof(key) + ENTRY_BYTES
        if self._bytes > self._memory:
            self._runs.write_run((name, str(counts[name])) for name in sorted(counts))
            self._counts, self._bytes = {}, 0

    @property
    def num_runs(self):
        return self._runs.num_runs

    def items(self):
        """Yields (key, count) in the order of the keys. It can be iterated more than once."""
        if not self.num_runs:
            yield from ((key, self._counts[key]) for key in sorted(self._counts))
            return
        here = ((key, str(self._counts[key])) for key in sorted(self._counts))
        for key, group in itertools.groupby(heapq.merge(self._runs, here, key=_key), _key):
            yield key, sum(int(value) for _, value in group)


def joined(first, second):
    """Yields (key, count in the first or 0, count in the second or 0) of two sorted iterables of (key, count)."""
    marked = heapq.merge(((key, 0, count) for key, count in first), ((key, 1, count) for key, count in second), key=_key)
    for key, group in itertools.groupby(marked, _key):
        counts = [0, 0]
        for _, place, count in group:
            counts[place] = count
        yield key, counts[0], counts[1]


def by_count(items, folder, memory):
    """Yields (key, count) by descending count, then by key; ``items`` is an iterable of (key, count) in the order of the keys."""
    runs = SortedRuns(folder, memory)
    for key, count in items:
        runs.add("%019d" % (10 ** 18 - count), key)
    for rank, key in runs:
        yield key, 10 ** 18 - int(rank)




def _key(record):
    return record[0]


def _sum(values):
    return str(sum(map(int, values)))


def _read(path):
    with open(path, encoding="utf-8", newline="\n", buffering=1 << 14) as file:
        for line in file:
            key, _, value = line[:-1].partition(_SEPARATOR)
            yield key, value
