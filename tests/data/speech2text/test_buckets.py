import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.data.speech2text.buckets import Bucket, StaticShapes, bucket_lengths, make_buckets
from open_seq2seq.errors import ConfigError, DataError


def cost(frames, lengths, global_batch):
    """Frames of all batches when every utterance is in the shortest bucket that is long enough."""
    counts = np.bincount(np.searchsorted(lengths, frames), minlength=len(lengths))
    return sum(-(-count // global_batch) * global_batch * length for count, length in zip(counts, lengths))


@settings(deadline=None)
@given(frames=st.lists(st.integers(1, 18), min_size=1, max_size=25), max_buckets=st.integers(1, 4),
       pad_to=st.sampled_from([1, 3, 8]), global_batch=st.integers(1, 6))
def test_no_other_bucket_lengths_need_fewer_frames(frames, max_buckets, pad_to, global_batch):
    lengths = bucket_lengths(frames, max_buckets, pad_to, global_batch)
    assert 1 <= len(lengths) <= max_buckets and sorted(set(lengths)) == lengths
    assert all(length % pad_to == 0 for length in lengths)
    assert 0 <= lengths[-1] - max(frames) < pad_to
    candidates = range(pad_to, lengths[-1], pad_to)
    best = min(cost(frames, list(shorter) + lengths[-1:], global_batch)
               for count in range(max_buckets) for shorter in itertools.combinations(candidates, count))
    assert cost(frames, lengths, global_batch) == best


def test_lengths_computed_by_hand():
    frames = [10] * 50 + [11] * 50 + [30] * 50 + [100] * 50
    assert bucket_lengths(frames, 4) == [10, 11, 30, 100]
    assert bucket_lengths(frames, 3) == [11, 30, 100]
    assert bucket_lengths(frames, 2) == [30, 100]
    assert bucket_lengths(frames, 1, pad_to=16) == [112]
    # 50 utterances in batches of 100 need 50 padding rows; 10 and 11 in one bucket need none
    assert bucket_lengths(frames, 4, global_batch=100) == [11, 100]


def test_thousands_of_lengths():
    assert bucket_lengths(np.repeat(np.arange(1, 3001), 5), 4) == [750, 1500, 2250, 3000]
    frames = np.random.RandomState(0).randint(1, 3000, 20000)
    lengths = bucket_lengths(frames, 4)
    for place, change in itertools.product(range(3), (-1, 1)):
        moved = list(lengths)
        moved[place] += change
        assert cost(frames, moved, 1) >= cost(frames, lengths, 1)


def test_label_lengths_are_the_longest_of_the_bucket_rounded_up():
    buckets, numbers = make_buckets([10, 90, 12, 100, 95], [3, 17, 8, 20, 24], StaticShapes(max_buckets=2), pad_to=4)
    assert buckets == [Bucket(12, 8), Bucket(100, 24)]
    assert numbers.tolist() == [0, 1, 0, 1, 1]
    assert make_buckets([5], [0], StaticShapes())[0] == [Bucket(5, 8)]


def test_configured_lengths_are_used_and_empty_buckets_dropped():
    buckets, numbers = make_buckets([10, 400, 401, 16], [1, 9, 9, 1], StaticShapes([16, 32, 400, 800]), pad_to=16)
    assert buckets == [Bucket(16, 8), Bucket(400, 16), Bucket(800, 16)]
    assert numbers.tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize("bucket_frames, message", [
    ([], "has 0 lengths, expected 1 to 4"),
    ([8, 16, 24, 32, 40], "has 5 lengths, expected 1 to 4"),
    ([16, 8], r"is \[16, 8\], expected positive lengths in frames, in ascending order"),
    ([0, 8], "expected positive lengths in frames"),
    ([8, 20], r'contains 20, which is not a multiple of data_layer_params\["pad_to"\] = 8; the next is 24'),
])
def test_invalid_configured_lengths_are_refused(bucket_frames, message):
    with pytest.raises(ConfigError, match=message):
        make_buckets([5], [1], StaticShapes(bucket_frames), pad_to=8)


def test_an_utterance_longer_than_the_last_bucket_is_named():
    with pytest.raises(DataError, match="2 of 3 utterances are longer than the longest bucket, 20 frames; utterance "
                                        'train.csv:7 has the most: 31 frames .* data_layer_params\\["max_feature_length"\\]'):
        make_buckets([21, 5, 31], [1, 1, 1], StaticShapes([10, 20]), names=lambda index: "train.csv:%d" % (index + 5))
