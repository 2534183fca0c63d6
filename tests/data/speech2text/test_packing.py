import collections

from hypothesis import given
from hypothesis import strategies as st

from open_seq2seq.data.speech2text.packing import Row, pack, single_rows

Utterance = collections.namedtuple("Utterance", "index num_samples labels")


def utterances_of(lengths):
    return [Utterance(index, length, (index,)) for index, length in enumerate(lengths)]


def always(labels, num_samples):
    return True


def test_the_longest_utterance_that_fits_follows():
    rows = pack(utterances_of([3, 10, 4, 5, 2, 6, 7]), 7, (), always)
    # 6 and 4 make 10; 5, 3 and 2, too; 7 is not short, and 10 is the longest
    assert rows == [Row((1,), 10, (1,)), Row((3, 0, 4), 10, (3, 0, 4)), Row((5, 2), 10, (5, 2)), Row((6,), 7, (6,))]


def test_the_separator_is_between_the_labels_of_two_utterances():
    rows = pack(utterances_of([1, 1, 4]), 2, (9, 9), always)
    assert rows == [Row((1, 0), 2, (1, 9, 9, 0)), Row((2,), 4, (2,))]


def test_utterances_that_ctc_could_not_align_together_are_not_packed():
    asked = []

    def is_alignable(labels, num_samples):
        asked.append((labels, num_samples))
        return len(labels) < 4

    rows = pack(utterances_of([4, 2, 1, 1]), 3, (8,), is_alignable)
    assert asked == [((1, 8, 3, 8, 2), 4)]
    assert rows == single_rows(utterances_of([4, 2, 1, 1]))


@given(lengths=st.lists(st.integers(1, 50), min_size=1, max_size=40), shorter_than=st.integers(0, 60))
def test_every_utterance_is_in_one_row_and_no_row_longer_than_the_longest(lengths, shorter_than):
    rows = pack(utterances_of(lengths), shorter_than, (), always)
    assert sorted(index for row in rows for index in row.indices) == list(range(len(lengths)))
    for row in rows:
        assert row.num_samples == sum(lengths[index] for index in row.indices) <= max(lengths)
        assert row.labels == row.indices
        assert len(row.indices) == 1 or all(lengths[index] < shorter_than for index in row.indices)
    packed = sorted(row.num_samples for row in rows if all(lengths[index] < shorter_than for index in row.indices))
    # a row is begun only when nothing fits into the previous one, so no two rows fit together
    assert all(first + second > max(lengths) for first, second in zip(packed, packed[1:]))
