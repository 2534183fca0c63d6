"""Rows, their lengths and their buckets."""
import numpy as np
import pytest

from open_seq2seq.data.speech2text.buckets import Bucket, StaticShapes
from open_seq2seq.data.speech2text.packing import Row
from open_seq2seq.data.speech2text.row_layout import RowLayout
from open_seq2seq.errors import DataError

# utterances 1 and 4 are packed
ROWS = [Row((0,), 100, (1, 2)), Row((1, 4), 300, (3,) * 9), Row((2,), 120, ()), Row((3,), 310, (4,))]


def layout(**options):
    return RowLayout(ROWS, lambda num_samples: num_samples // 10, 4, **options)


def test_without_static_shapes_a_row_is_padded_to_a_multiple():
    found = layout()
    assert found.buckets is None and found.bucket_of_row is None
    assert found.first_utterances.tolist() == [0, 1, 2, 3] and found.most_frames.tolist() == [10, 30, 12, 31]
    assert [found.frame_limit(index) for index in range(4)] == [12, 32, 12, 32]
    assert found.longest_shape() == (32, 9)
    assert RowLayout(ROWS, int, 0).padded(7) == 7


def test_with_static_shapes_a_row_is_as_long_as_its_bucket():
    found = layout(limits=StaticShapes(max_buckets=2))
    assert found.buckets == [Bucket(12, 8), Bucket(32, 16)] and found.bucket_of_row.tolist() == [0, 1, 0, 1]
    assert [found.frame_limit(index) for index in range(4)] == [12, 32, 12, 32]
    assert [found.longest_shape(bucket) for bucket in (0, 1)] == found.buckets


def test_a_row_is_found_by_its_first_utterance():
    found = layout()
    assert found.row_of(1) is ROWS[1] and found.row_of(3) is ROWS[3]
    with pytest.raises(KeyError):
        found.row_of(4)


def test_longest_rows_are_chosen_from_all_or_from_a_bucket():
    found = layout(limits=StaticShapes(max_buckets=2))
    assert found.longest_rows(2).tolist() == [3, 1] and found.longest_rows(5).tolist() == [3, 1, 2, 0, 3]
    assert found.longest_rows(3, bucket=0).tolist() == [2, 0, 2]
    assert found.row_with_most_labels() == 1 and found.row_with_most_labels(bucket=0) == 0


def test_the_error_for_a_row_that_is_too_long_names_all_its_utterances():
    rows = [Row((0, 2), 500, ()), Row((1,), 100, ())]
    with pytest.raises(DataError, match=r"1 of 2 utterances .* utterance #0 \+ #2 has the most: 50 frames"):
        RowLayout(rows, lambda num_samples: num_samples // 10, 1, StaticShapes([20, 40]),
                  name_of=lambda row: " + ".join("#%d" % index for index in row.indices))


def test_rows_with_equal_lengths_stay_in_order():
    rows = [Row((index,), 50, ()) for index in range(6)]
    assert np.array_equal(RowLayout(rows, int, 1).longest_rows(6), np.arange(6))
