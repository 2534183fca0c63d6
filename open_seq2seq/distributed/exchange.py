"""Exchanges values of the hosts between all ranks: numbers (counts, losses, times, decisions) and texts."""
import math

import numpy as np

from open_seq2seq.distributed.gathering import gather_numbers


class Exchange:
    """Gathers a fixed set of named numbers from all ranks.

    The numbers are sent as the bits of a float64, split into two int32: no device rounds them, and HCCL, which does not support
    float64, can send them as well.

    Args:
      group: a ``ProcessGroup``.
      names: the numbers' names; the same names in the same order on every rank.
    """

    def __init__(self, group, names):
        self._group, self._names = group, tuple(names)
        if len(set(self._names)) != len(self._names):
            raise ValueError("a name occurs twice in %s" % (self._names,))

    def all(self, session, values):
        """Every rank's numbers. All ranks have to call it together.

        Args:
          session: a session.
          values: dict from every name to a float or an int of at most 2^53 in magnitude, beyond which a float64 has gaps.

        Returns:
          List of dicts from name to float, in the order of the ranks.

        Raises:
          ValueError: a name is missing or unknown, or its int is too large to be sent exactly.
        """
        if set(values) != set(self._names):
            raise ValueError("expected numbers for %s, got %s" % (sorted(self._names), sorted(values)))
        for name, value in values.items():
            if isinstance(value, (int, np.integer)) and abs(int(value)) > 2 ** 53:
                raise ValueError("%s is %d, more than a float64 holds exactly" % (name, value))
        own = np.array([values[name] for name in self._names], np.float64)
        gathered = gather_numbers(self._group, session, own.view(np.int32))
        return [dict(zip(self._names, row.tolist())) for row in gathered.view(np.float64)]

    def sum(self, session, values):
        """Sums over all ranks, rounded only once: the same float64 on each rank. Arguments and errors: see :meth:`all`.

        Returns:
          Dict from name to float; NaN where a rank's number is NaN or infinities cancel.
        """
        ranks = self.all(session, values)
        return {name: _exact_sum([rank[name] for rank in ranks]) for name in self._names}


class TextExchange:
    """Gathers a text from all ranks.

    Args:
      group: a ``ProcessGroup``.
      size: maximum bytes of a text in UTF-8; a longer text is cut.
    """

    def __init__(self, group, size):
        self._group, self._size = group, 4 * -(-size // 4)

    def all(self, session, text):
        """List of every rank's text, in the order of the ranks. All ranks have to call it together.

        Args:
          session: a session.
          text: str without the character NUL.
        """
        own = text.encode("utf-8")[:self._size].ljust(self._size, b"\0")
        gathered = gather_numbers(self._group, session, np.frombuffer(own, np.int32))
        # an incomplete character at the end is dropped
        return [row.tobytes().rstrip(b"\0").decode("utf-8", "ignore") for row in gathered]


def _exact_sum(numbers):
    try:
        return math.fsum(numbers)
    except (ValueError, OverflowError):
        # infinities of both signs, or finite numbers whose sum is infinite
        return float(np.sum(np.array(numbers)))
