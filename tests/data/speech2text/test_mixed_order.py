"""Orders of several data sets."""
import numpy as np
import pytest

from open_seq2seq.data.speech2text.batch_order import TrainingOrder
from open_seq2seq.data.speech2text.bucket_order import BucketedOrder
from open_seq2seq.data.speech2text.mixed_order import DataSetBatches, DataSetSampling, shares

SIZES = (10, 60, 230)
DATA_SETS = np.random.RandomState(0).permutation(np.repeat(np.arange(3), SIZES))
BUCKETS = np.random.RandomState(1).choice(3, len(DATA_SETS), p=[0.2, 0.5, 0.3])
LENGTHS = 100 * BUCKETS + np.random.RandomState(2).randint(0, 100, len(DATA_SETS))


def orders(kind, workers, temperature=3.0, batch=16, seed=4, shuffle=True):
    """The orders of all workers that share batches of ``batch`` rows."""
    sampling = DataSetSampling(DATA_SETS, temperature, None if kind == "row" else BUCKETS, shuffle, seed)
    made = {"row": lambda *options: TrainingOrder(LENGTHS, *options, sampling=sampling),
            "row in buckets": lambda *options: BucketedOrder(BUCKETS, *options, lengths=LENGTHS, window=4, sampling=sampling),
            "batch": lambda *options: DataSetBatches(sampling, *options, lengths=LENGTHS)}[kind]
    return sampling, [made(batch // workers, shuffle, seed, workers, worker) for worker in range(workers)]


KINDS = ("row", "row in buckets", "batch")


@pytest.mark.parametrize("temperature, expected", [
    (1, [0.1, 0.9]), (2, [0.25, 0.75]), (100, [0.4945, 0.5055])])
def test_shares_are_powers_of_the_sizes(temperature, expected):
    assert shares([10, 90], temperature) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("buckets", [None, BUCKETS])
def test_with_temperature_1_every_row_is_in_every_epoch_once(buckets):
    sampling = DataSetSampling(DATA_SETS, 1, buckets)
    epochs = [sampling.rows(epoch) for epoch in range(3)]
    assert all(sorted(rows) == list(range(len(DATA_SETS))) for rows in epochs)
    assert (epochs[0] != epochs[1]).any() and (sampling.rows(1) == epochs[1]).all()


@pytest.mark.parametrize("temperature", [1.0, 2.0, 50.0])
def test_an_epoch_has_the_share_of_every_data_set_and_rows_are_repeated_evenly(temperature):
    sampling, epochs = DataSetSampling(DATA_SETS, temperature, BUCKETS, seed=3), 12
    rows = np.concatenate([sampling.rows(epoch) for epoch in range(epochs)])
    assert len(rows) == epochs * sampling.size and abs(sampling.size - len(DATA_SETS)) <= 9
    assert np.bincount(DATA_SETS[rows]) / len(rows) == pytest.approx(shares(SIZES, temperature), abs=0.01)
    times = np.bincount(rows, minlength=len(DATA_SETS))
    for cell in range(len(sampling.rows_of_cell)):
        own = times[sampling.cell_of_row == cell]
        assert own.max() - own.min() <= 1, "a row is taken again before the others of its cell"


def test_every_batch_of_mixed_rows_has_its_share_of_every_data_set():
    sampling, (order,) = orders("row", 1, temperature=4, batch=30)
    counts = np.array([np.bincount(DATA_SETS[order.batch(number).indices], minlength=3) for number in range(40)])
    assert np.abs(counts - 30 * sampling.shares).max() <= 2
    assert counts.min() >= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_depend_only_on_their_number_and_are_shared_by_any_number_of_workers(kind, shuffle):
    (_, (alone,)), (_, workers), (_, (again,)) = (orders(kind, count, shuffle=shuffle) for count in (1, 4, 1))
    for number in list(range(40)) + [997, 3]:
        parts = [order.batch(number) for order in workers]
        indices = np.concatenate([part.indices for part in parts])
        if kind != "row":
            indices = np.stack([part.indices for part in parts], 1).reshape(-1)
        assert (indices == alone.batch(number).indices).all()
        assert (again.batch(number).weights == alone.batch(number).weights).all()
    assert (again.batch(20).indices == alone.batch(20).indices).all()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_every_worker_takes_the_same_bucket_and_a_bucket_can_be_read_alone(kind):
    _, workers = orders(kind, 2)
    order = workers[0]
    counts = np.zeros(3, int)
    for number in range(2 * order.batches_per_epoch + 5):
        bucket = order.bucket_of_batch(number)
        assert {other.bucket_of_batch(number) for other in workers} == {bucket}
        assert set(BUCKETS[order.global_batch(number)]) == {bucket}
        assert order.batches_before(bucket, number) == counts[bucket]
        assert order.number_of_batch(bucket, counts[bucket]) == number
        counts[bucket] += 1


def test_batches_of_one_data_set_have_every_sampled_row_with_a_weight_once():
    sampling, (order,) = orders("batch", 1)
    for epoch in range(2):
        weighted, sets = [], []
        for number in range(epoch * order.batches_per_epoch, (epoch + 1) * order.batches_per_epoch):
            batch = order.batch(number)
            assert len(set(DATA_SETS[batch.indices])) == 1
            assert batch.weights.mean() == pytest.approx(1.0)
            sets.append(DATA_SETS[batch.indices[0]])
            weighted.extend(batch.indices[batch.weights > 0])
        assert sorted(weighted) == sorted(sampling.rows(epoch))
        assert sets != sorted(sets), "the batches of the data sets are not mixed"


def test_sortagrad_sorts_the_sampled_rows():
    sampling = DataSetSampling(DATA_SETS, 3.0)
    order = TrainingOrder(LENGTHS, 10, sortagrad=True, sampling=sampling)
    lengths = np.concatenate([LENGTHS[order.batch(number).indices] for number in range(sampling.size // 10)])
    assert (np.diff(lengths) >= 0).all()
