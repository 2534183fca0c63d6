import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.data.speech2text.bucket_order import BucketedOrder, bucketed_evaluation_batches

BUCKETS = np.random.RandomState(0).choice(3, 101, p=[0.1, 0.3, 0.6])
GLOBAL_BATCH = 16


def orders(num_workers, global_batch=GLOBAL_BATCH, buckets=BUCKETS, **options):
    return [BucketedOrder(buckets, global_batch // num_workers, num_workers=num_workers, worker_id=worker, **options)
            for worker in range(num_workers)]


def interleaved(parts):
    """The global batch of the workers' parts; each part has every num_workers-th row."""
    return [np.stack(fields, 1).reshape(-1) for fields in zip(*parts)]


@pytest.mark.parametrize("num_workers", [1, 2, 4, 8])
def test_every_utterance_has_a_weight_once_per_epoch_over_all_workers(num_workers):
    workers = orders(num_workers, seed=3)
    per_epoch = workers[0].batches_per_epoch
    assert per_epoch == sum(-(-np.bincount(BUCKETS) // GLOBAL_BATCH))
    seen = []
    for epoch in range(3):
        weighted = []
        for number in range(epoch * per_epoch, (epoch + 1) * per_epoch):
            for order in workers:
                batch = order.batch(number)
                assert batch.indices.shape == batch.positions.shape == batch.weights.shape == (GLOBAL_BATCH // num_workers,)
                assert set(BUCKETS[batch.indices]) == {order.bucket_of_batch(number)}
                weighted.extend(batch.indices[batch.weights > 0])
        assert sorted(weighted) == list(range(len(BUCKETS)))
        seen.append(tuple(weighted))
    assert len(set(seen)) == 3, "the epochs are equal"


@pytest.mark.parametrize("num_workers", [2, 4, 8])
def test_global_batches_do_not_depend_on_the_number_of_workers(num_workers):
    alone, workers = orders(1, seed=1)[0], orders(num_workers, seed=1)
    for number in range(2 * alone.batches_per_epoch):
        for whole, parts in zip(alone.batch(number), interleaved([order.batch(number) for order in workers])):
            assert (whole == parts).all()
        assert {order.bucket_of_batch(number) for order in workers} == {alone.bucket_of_batch(number)}


@pytest.mark.parametrize("num_workers", [1, 4])
def test_the_mean_over_all_workers_is_the_mean_over_the_utterances_with_a_weight(num_workers):
    workers, losses = orders(num_workers), np.random.RandomState(1).rand(len(BUCKETS))
    incomplete = 0
    for number in range(workers[0].batches_per_epoch):
        parts = [order.batch(number) for order in workers]
        means = [np.sum(part.weights * losses[part.indices]) / len(part.indices) for part in parts]
        weighted = np.concatenate([part.indices[part.weights > 0] for part in parts])
        assert np.mean(means) == pytest.approx(losses[weighted].mean(), rel=1e-6)
        shares = [int(np.sum(part.weights > 0)) for part in parts]
        assert max(shares) - min(shares) <= 1, "the workers' shares differ"
        incomplete += len(weighted) < GLOBAL_BATCH
    assert incomplete == 3


def test_the_mean_counts_the_utterances_of_packed_rows():
    counts = np.random.RandomState(2).randint(1, 4, len(BUCKETS))
    workers, losses = orders(4, counts=counts), np.random.RandomState(1).rand(len(BUCKETS))
    for number in range(workers[0].batches_per_epoch):
        parts = [order.batch(number) for order in workers]
        # the loss of a row is the sum of its utterances' losses
        mean = np.mean([np.sum(part.weights * losses[part.indices]) / len(part.indices) for part in parts])
        rows = np.concatenate([part.indices[part.weights > 0] for part in parts])
        assert mean == pytest.approx(losses[rows].sum() / counts[rows].sum(), rel=1e-6)


def test_what_fills_up_a_batch_is_speech_of_its_bucket_but_not_of_the_batch():
    order = orders(1)[0]
    for number in range(order.batches_per_epoch):
        batch = order.batch(number)
        if len(np.unique(BUCKETS[BUCKETS == order.bucket_of_batch(number)])) >= GLOBAL_BATCH:
            assert len(set(batch.indices)) == GLOBAL_BATCH


def test_a_bucket_smaller_than_a_batch_goes_round():
    order = BucketedOrder([0, 1, 1], 8, num_workers=1)
    batches = {order.bucket_of_batch(number): order.batch(number) for number in range(order.batches_per_epoch)}
    assert len(batches) == 2
    assert batches[0].indices.tolist() == [0] * 8 and batches[0].weights.tolist() == [8.0] + [0.0] * 7
    assert sorted(batches[1].indices) == [1] * 4 + [2] * 4 and batches[1].weights.tolist() == [4.0] * 2 + [0.0] * 6


def test_positions_are_all_different():
    workers = orders(4)
    positions = np.concatenate([order.batch(number).positions for number in range(30) for order in workers])
    assert sorted(positions) == list(range(30 * GLOBAL_BATCH))


def test_a_batch_does_not_depend_on_earlier_ones():
    order = orders(1, seed=5)[0]
    batches = [order.batch(number) for number in range(4 * order.batches_per_epoch)]
    for number in (0, 1, order.batches_per_epoch - 1, order.batches_per_epoch, 3 * order.batches_per_epoch + 2):
        fresh = orders(1, seed=5)[0]
        for first, second in zip(fresh.batch(number), batches[number]):
            assert (first == second).all()
    assert (orders(1, seed=6)[0].batch(0).indices != batches[0].indices).any()


def test_batches_of_a_bucket_are_counted_across_epochs():
    order = orders(1, seed=2)[0]
    buckets = [order.bucket_of_batch(number) for number in range(4 * order.batches_per_epoch)]
    for bucket in range(3):
        numbers = [number for number, found in enumerate(buckets) if found == bucket]
        assert [order.number_of_batch(bucket, count) for count in range(len(numbers))] == numbers
        for number in range(len(buckets)):
            assert order.batches_before(bucket, number) == buckets[:number].count(bucket)


def test_batches_of_the_buckets_are_shuffled():
    order = BucketedOrder(np.repeat([0, 1], 400), 8)
    buckets = [order.bucket_of_batch(number) for number in range(order.batches_per_epoch)]
    assert 30 < np.count_nonzero(np.diff(buckets)) < 70


def test_without_shuffle_the_order_is_that_of_the_manifest():
    order = BucketedOrder([1, 0, 0, 1, 1, 0], 2, shuffle=False)
    for first in (0, order.batches_per_epoch):
        assert [order.batch(first + number).indices.tolist() for number in range(4)] == [[0, 3], [1, 2], [4, 0], [5, 1]]
    assert order.batch(2).weights.tolist() == [2.0, 0.0]


@settings(deadline=None)
@given(frames=st.lists(st.integers(1, 60), min_size=1, max_size=50), batch_size=st.integers(1, 9),
       num_workers=st.integers(1, 4))
def test_evaluation_covers_every_utterance_once_in_full_batches(frames, batch_size, num_workers):
    buckets = np.searchsorted([20, 40, 60], frames)
    seen = []
    for worker in range(num_workers):
        for bucket, batches in enumerate(bucketed_evaluation_batches(frames, buckets, 3, batch_size, num_workers, worker)):
            assert batches.shape[1] == batch_size and batches.dtype == np.int64
            assert np.sum(batches == -1) < batch_size
            found = batches[batches >= 0]
            assert (buckets[found] == bucket).all()
            seen.extend(found)
    assert sorted(seen) == list(range(len(frames)))
