"""Rows of a batch that hold several short utterances end to end, so that fewer frames of the static shapes are padding."""
import bisect
import collections

Row = collections.namedtuple("Row", "indices num_samples labels")
Row.__doc__ = """What one row of a batch holds: indices, a tuple of utterances' numbers; num_samples, of all of them; labels,
a tuple of all of their labels."""


def single_rows(utterances):
    """A list of :class:`Row`, one for each Utterance of a list."""
    return [Row((utterance.index,), utterance.num_samples, tuple(utterance.labels)) for utterance in utterances]


def joined_rows(utterances, shorter_than, separator, is_alignable):
    """Rows of short utterances as long as the longest utterance, or nearly so, and rows of one utterance for the others.

    The longest short utterance that is left begins a row; the longest that still fits in follows, again and again (best fit
    decreasing). The rows are the same in every epoch, as the number of batches must be.

    Args:
      utterances: list of Utterance.
      shorter_than: samples; only utterances of less are joined.
      separator: tuple of labels that come between two utterances'.
      is_alignable: function (labels, num_samples) -> whether CTC can align these; if not, the utterances stay alone.

    Returns:
      List of :class:`Row`; every utterance is in exactly one. A row comes where its first utterance stood.
    """
    rows = single_rows(utterances)
    longest = max(row.num_samples for row in rows)
    short = sorted((row for row in rows if row.num_samples < shorter_than), key=lambda row: row.num_samples)
    lengths = [row.num_samples for row in short]
    whole = [row for row in rows if row.num_samples >= shorter_than]
    while short:
        parts, room = [short.pop()], longest - lengths.pop()
        while lengths and lengths[0] <= room:
            place = bisect.bisect_right(lengths, room) - 1
            parts.append(short.pop(place))
            room -= lengths.pop(place)
        row = _joined(parts, separator)
        whole.extend([row] if is_alignable(row.labels, row.num_samples) else parts)
    return sorted(whole, key=lambda row: row.indices[0])


def _joined(rows, separator):
    labels = rows[0].labels
    for row in rows[1:]:
        labels += separator + row.labels
    return Row(sum((row.indices for row in rows), ()), sum(row.num_samples for row in rows), labels)
