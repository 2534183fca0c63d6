import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.data.speech2text.batch_order import TrainingOrder, buffer_permutation, evaluation_batches

LENGTHS = np.random.RandomState(0).randint(1, 500, 97)


def stream(num_batches, batch_size, num_workers=1, **options):
    """The global stream of all workers: indices, positions."""
    orders = [TrainingOrder(LENGTHS, batch_size, num_workers=num_workers, worker_id=worker, **options)
              for worker in range(num_workers)]
    parts = [order.batch(number) for number in range(num_batches) for order in orders]
    return np.concatenate([part.indices for part in parts]), np.concatenate([part.positions for part in parts])


def test_every_epoch_has_every_utterance_once_in_a_different_order():
    indices, positions = stream(97, 8, seed=3)
    epochs = indices.reshape(8, 97)
    for epoch in epochs:
        assert sorted(epoch) == list(range(97))
    assert len({tuple(epoch) for epoch in epochs}) == 8
    assert (positions == np.arange(97 * 8)).all()
    assert (stream(97, 8, seed=3)[0] == indices).all()
    assert (stream(97, 8, seed=4)[0] != indices).any()


def test_without_shuffle_the_order_is_that_of_the_manifest():
    indices, _ = stream(30, 10, shuffle=False)
    assert (indices == np.arange(300) % 97).all()


@pytest.mark.parametrize("length_pool", [0, 5])
@pytest.mark.parametrize("num_workers", [2, 4])
def test_global_batches_do_not_depend_on_the_number_of_workers(num_workers, length_pool):
    alone = stream(40, 16, length_pool=length_pool)
    shared = stream(40, 16 // num_workers, num_workers, length_pool=length_pool)
    for one, many in zip(alone, shared):
        assert (one == many).all()


@pytest.mark.parametrize("length_pool", [0, 7])
def test_a_resumed_order_gives_the_remaining_batches(length_pool):
    whole = TrainingOrder(LENGTHS, 8, seed=1, length_pool=length_pool)
    batches = [whole.batch(number) for number in range(60)]
    for first in (1, 6, 7, 13, 50):
        resumed = TrainingOrder(LENGTHS, 8, seed=1, length_pool=length_pool)
        for number in range(first, 60):
            for one, other in zip(resumed.batch(number), batches[number]):
                assert (one == other).all()


def test_pools_contain_the_same_utterances_with_less_padding():
    # 120 batches of 8 are 10 pools of an epoch of 12 batches
    plain, _ = stream(120, 8)
    pooled, positions = stream(120, 8, length_pool=12)
    assert sorted(pooled) == sorted(plain)
    assert (positions == np.arange(960)).all()

    def padded(indices):
        return LENGTHS[indices].reshape(120, 8).max(1).sum() * 8
    assert padded(plain) > 1.5 * LENGTHS[plain].sum()
    assert padded(pooled) < 1.15 * LENGTHS[plain].sum()
    longest = LENGTHS[pooled].reshape(120, 8).max(1)
    assert (np.diff(longest) < 0).sum() > 40, "the batches of a pool are not shuffled"


def test_any_integer_is_a_valid_seed():
    for seed in (-1, 2 ** 31, 2 ** 40):
        assert sorted(TrainingOrder(LENGTHS, 97, seed=seed, length_pool=2).batch(0).indices.tolist()
                      + TrainingOrder(LENGTHS, 97, seed=seed, length_pool=2).batch(1).indices.tolist()) == sorted(
                          list(range(97)) * 2)


def test_a_batch_may_span_several_epochs():
    order = TrainingOrder([5, 6, 7], 8, seed=0)
    assert sorted(np.concatenate([order.batch(number).indices for number in range(3)])) == [0] * 8 + [1] * 8 + [2] * 8


@settings(deadline=None)
@given(frames=st.lists(st.integers(1, 60), max_size=50), batch_size=st.integers(1, 9), num_workers=st.integers(1, 4),
       pad_to=st.integers(0, 16), same_length=st.booleans())
def test_evaluation_covers_every_utterance_once(frames, batch_size, num_workers, pad_to, same_length):
    seen = []
    for worker in range(num_workers):
        for batch in evaluation_batches(frames, batch_size, same_length, pad_to, num_workers, worker):
            assert 1 <= len(batch) <= batch_size
            padded = {-(-frames[index] // max(pad_to, 1)) for index in batch}
            assert not same_length or len(padded) == 1
            seen.extend(batch)
    assert sorted(seen) == list(range(len(frames)))


def test_evaluation_begins_with_the_longest_in_full_batches():
    batches = evaluation_batches([10, 40, 20, 40, 30], 2)
    assert [batch.tolist() for batch in batches] == [[1, 3], [4, 2], [0]]
    batches = evaluation_batches([10, 40, 33, 40, 12], 2, same_length=True, pad_to=8)
    assert [batch.tolist() for batch in batches] == [[1, 3], [2], [4, 0]]


def emitted_by_buffer(count, buffer_size, draw):
    """nnet3-shuffle-egs, as its source has it."""
    buffer, emitted = [None] * buffer_size, []
    for number, place in enumerate(draw.randint(buffer_size, size=count)):
        if buffer[place] is not None:
            emitted.append(buffer[place])
        buffer[place] = number
    return emitted + [number for number in buffer if number is not None]


@settings(deadline=None)
@given(st.integers(1, 60), st.integers(1, 80), st.integers(0, 5))
def test_a_shuffle_with_a_buffer_is_that_of_kaldi(count, buffer_size, seed):
    found = buffer_permutation(count, buffer_size, np.random.RandomState(seed))
    assert found.tolist() == emitted_by_buffer(count, buffer_size, np.random.RandomState(seed))


def test_a_shuffle_with_a_buffer_has_every_utterance_once_near_its_place():
    for epoch in stream(97, 8, shuffle_buffer=10)[0].reshape(8, 97):
        assert sorted(epoch) == list(range(97)) and epoch.tolist() != list(range(97))
        assert np.abs(epoch - np.arange(97)).mean() < 15


@pytest.mark.parametrize("length_pool", [0, 5])
def test_the_epoch_of_a_position_is_that_of_its_utterance(length_pool):
    indices, positions = stream(60, 16, length_pool=length_pool)
    epochs = TrainingOrder(LENGTHS, 16, length_pool=length_pool).epoch_of(positions)
    assert len(set(zip(indices.tolist(), epochs.tolist()))) == len(indices)  # never twice in one epoch
    assert np.bincount(epochs)[:-1].tolist() == [97] * epochs.max()
    assert (TrainingOrder(LENGTHS, 16, length_pool=length_pool).epoch_of(positions[500:520]) == epochs[500:520]).all()


@pytest.mark.parametrize("size, batch_size", [(16, 16), (40, 8), (20, 16)])
def test_a_length_pool_that_is_larger_than_the_data_does_not_repeat_utterances_in_a_batch(size, batch_size):
    order = TrainingOrder(LENGTHS[:size], batch_size, seed=1, length_pool=30)
    for number in range(size // batch_size):
        assert len(set(order.global_batch(number).tolist())) == batch_size
