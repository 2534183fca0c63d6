"""The position of a resumed run in the stream of training batches."""
import pytest

from open_seq2seq.errors import UsageError
from open_seq2seq.training.input_stream import batches_done, note_on_long_steps


def _state(micro_batches, batch_utterances=0, iter_size=0):
    return {"micro_batches": micro_batches, "batch_utterances": batch_utterances, "iter_size": iter_size}


@pytest.mark.parametrize("state, batch_utterances, iter_size, counts_epochs, expected", [
    (_state(24, 8, 1), 8, 1, True, 24),        # nothing has changed
    (_state(0), 8, 2, True, 20),               # a checkpoint of OpenSeq2Seq: ten steps
    (_state(24), 32, 1, True, 24),             # a checkpoint without these numbers
    (_state(24, 8, 1), 32, 1, False, 6),       # four ranks resume where one stopped
    (_state(6, 32, 1), 8, 1, False, 24),       # and the other way round
    (_state(24, 8, 4), 32, 1, True, 6),        # ranks instead of accumulated batches: the same steps
    (_state(24, 8, 1), 6, 1, False, 32)])
def test_the_position_in_the_data_does_not_change(state, batch_utterances, iter_size, counts_epochs, expected):
    assert batches_done(state, batch_utterances, iter_size, 10, counts_epochs) == expected


def test_epochs_of_another_number_of_steps_are_refused():
    with pytest.raises(UsageError, match="8 utterances a batch on all ranks and iter_size 1, this run has 32 and 1.*max_steps"):
        batches_done(_state(24, 8, 1), 32, 1, 24, counts_epochs=True)


@pytest.mark.parametrize("batches_per_epoch, iter_size, beginning", [
    (3, 3, None), (30, 10, None),
    (3, 10, "one step takes 3.3 epochs of the data (iter_size 10, 3 batches in an epoch). Each step counts as one epoch"),
    (1, 2, "one step takes 2.0 epochs of the data (iter_size 2, 1 batch in an epoch)")])
def test_a_note_on_steps_that_are_longer_than_an_epoch(batches_per_epoch, iter_size, beginning):
    note = note_on_long_steps(batches_per_epoch, iter_size)
    assert note is None if beginning is None else note.startswith(beginning)
