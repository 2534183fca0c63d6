"""Packed utterances: rows of a batch that hold several short utterances end to end, to reduce the padding of static shapes."""
import bisect
import collections

Row = collections.namedtuple("Row", "indices num_samples labels")
Row.__doc__ = """What one row of a batch holds.

indices: tuple of the utterances' indices. num_samples: sum over the utterances. labels: tuple of the labels of all of them."""


def single_rows(utterances):
    """List of :class:`Row`, one for each Utterance of a list."""
    return [Row((utterance.index,), utterance.num_samples, tuple(utterance.labels)) for utterance in utterances]


def pack(utterances, shorter_than, separator, is_alignable):
    """Packs short utterances into rows that are at most as long as the longest utterance; the others get a row each.

    The longest short utterance left begins a row; the longest that still fits follows, until none fits (best-fit decreasing). The
    rows are the same in every epoch, because the number of batches must be.

    Args:
      utterances: list of Utterance.
      shorter_than: samples; only shorter utterances are packed.
      separator: tuple of labels to put between two utterances.
      is_alignable: function (labels, num_samples) -> whether CTC can align them; if not, the utterances get a row each.

    Returns:
      List of :class:`Row`, in the order of the rows' first utterances. Every utterance is in exactly one.
    """
    rows = single_rows(utterances)
    longest = max(row.num_samples for row in rows)
    short = sorted((row for row in rows if row.num_samples < shorter_than), key=lambda row: row.num_samples)
    lengths = [row.num_samples for row in short]
    packed = [row for row in rows if row.num_samples >= shorter_than]
    while short:
        parts, remaining = [short.pop()], longest - lengths.pop()
        while lengths and lengths[0] <= remaining:
            place = bisect.bisect_right(lengths, remaining) - 1
            parts.append(short.pop(place))
            remaining -= lengths.pop(place)
        row = _concatenated(parts, separator)
        packed.extend([row] if is_alignable(row.labels, row.num_samples) else parts)
    return sorted(packed, key=lambda row: row.indices[0])


def _concatenated(rows, separator):
    labels = rows[0].labels
    for row in rows[1:]:
        labels += separator + row.labels
    return Row(sum((row.indices for row in rows), ()), sum(row.num_samples for row in rows), labels)
