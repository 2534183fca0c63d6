import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.files import latest_checkpoint
from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.checkpoints.restore import SavedState, describe_restore, open_checkpoint, read_values, restore
from open_seq2seq.checkpoints.writer import CheckpointWriter
from open_seq2seq.errors import CheckpointError, StorageError


def variables(**values):
    return [tf.get_variable(name.replace("__", "/"), initializer=np.asarray(value, np.float32))
            for name, value in values.items()]


def saved(directory, step=1, **values):
    """A checkpoint with these variables; returns its path."""
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in values.items():
            value = np.asarray(value)
            tf.get_variable(name.replace("__", "/"), initializer=value.astype(
                np.float32 if value.dtype.kind == "f" and value.dtype != np.float16 else value.dtype))
        session.run(tf.global_variables_initializer())
        return CheckpointWriter(str(directory), keep=5).save(session, step)


def test_matching_variables_are_restored_and_the_others_listed(tmp_path, graph):
    checkpoint = saved(tmp_path, ForwardPass__a=[1.0, 2.0], Optimizer__old=[3.0])
    mine = variables(ForwardPass__a=[0.0, 0.0], slot__new=[5.0])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        report = restore(session, checkpoint, mine)
        np.testing.assert_array_equal(session.run(mine[0]), [1.0, 2.0])
        np.testing.assert_array_equal(session.run(mine[1]), [5.0])
    assert report.restored == ["ForwardPass/a"]
    assert report.missing == ["slot/new"] and report.surplus == ["Optimizer/old"]
    assert "1 not in it (they keep their initial values): slot/new" in describe_restore(report)
    assert "1 only in it (not used): Optimizer/old" in describe_restore(report)


def test_what_an_evaluation_does_not_use_of_a_training_is_only_counted(tmp_path, graph):
    trained = {"Loss_Optimization__ForwardPass__a__Momentum": [1.0], "ForwardPass__a__ExponentialMovingAverage": [1.0],
               "Loss_Optimization__global_step": 3, "training_state__best_wer": 0.5}
    checkpoint = saved(tmp_path, ForwardPass__a=[1.0], ForwardPass__b=[1.0], **trained)
    report, _ = read_values(checkpoint, variables(ForwardPass__a=[0.0]))
    text = describe_restore(report)
    assert "1 only in it (not used): ForwardPass/b; " in text
    assert "4 only in it (2 numbers of the training, 1 " in text and "1 optimizer slots" in text and "1 moving averages" in text
    assert "Momentum" not in text and "best_wer" not in text


def test_another_architecture_is_refused_with_all_its_differences(tmp_path, graph):
    checkpoint = saved(tmp_path, ForwardPass__a=[1.0, 2.0], ForwardPass__c=[1.0])
    mine = variables(ForwardPass__a=[0.0, 0.0, 0.0], ForwardPass__b=[0.0])
    with tf.Session() as session, pytest.raises(CheckpointError) as refused:
        restore(session, checkpoint, mine)
    message = str(refused.value)
    assert "1 variables of the network are not in the checkpoint: ForwardPass/b" in message
    assert "ForwardPass/a is [3] here, [2] in the checkpoint" in message
    assert "1 of the checkpoint are not in the network: ForwardPass/c" in message


@pytest.mark.parametrize("partial", [True, False])
def test_non_finite_weights_are_refused_unless_they_are_being_examined(tmp_path, graph, partial):
    checkpoint = saved(tmp_path, ForwardPass__a=[1.0], ForwardPass__moving_mean=[np.nan, 2.0], state__best=[np.inf])
    mine = variables(ForwardPass__a=[0.0], ForwardPass__moving_mean=[0.0, 0.0], state__best=[0.0])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(CheckpointError, match=r"not finite .* in 1 variables, the first is ForwardPass/moving_mean"):
            restore(session, checkpoint, mine, partial=partial)
        assert len(restore(session, checkpoint, mine, partial=partial, finite=False).restored) == 3
        # other variables may be infinite, e.g. the best score before the first evaluation
        assert len(restore(session, checkpoint, [mine[0], mine[2]], partial=True).restored) == 2


def test_a_non_finite_average_is_named(tmp_path, graph):
    checkpoint = saved(tmp_path, ForwardPass__a=[1.0], ForwardPass__a__ExponentialMovingAverage=[np.nan])
    mine = variables(ForwardPass__a=[0.0])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(CheckpointError, match="the first is ForwardPass/a/ExponentialMovingAverage"):
            restore(session, checkpoint, mine, averaged=True)
        assert restore(session, checkpoint, mine).restored == ["ForwardPass/a"]


def test_a_partial_restore_takes_what_matches(tmp_path, graph):
    checkpoint = saved(tmp_path, ForwardPass__a=[1.0], ForwardPass__b=[1.0, 2.0])
    mine = variables(ForwardPass__a=[0.0], ForwardPass__b=[0.0])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        report = restore(session, checkpoint, mine, partial=True)
        assert session.run(mine[0]) == [1.0] and session.run(mine[1]) == [0.0]
    assert report.restored == ["ForwardPass/a"]


def test_the_float32_master_copy_of_a_mixed_precision_run_is_preferred(tmp_path, graph):
    precise = np.float32(1.0 + 2.0 ** -20)
    checkpoint = saved(tmp_path, **{"ForwardPass__a": np.asarray([precise], np.float16),
                                    "Loss_Optimization__FP32-master-copy__ForwardPass__a": np.asarray([precise]),
                                    "ForwardPass__b": np.asarray([0.5], np.float16)})
    mine = variables(ForwardPass__a=[0.0], ForwardPass__b=[0.0])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        restore(session, checkpoint, mine)
        assert session.run(mine[0])[0] == precise
        assert session.run(mine[1])[0] == 0.5


def test_a_missing_or_damaged_checkpoint_is_named(tmp_path, graph):
    mine = variables(ForwardPass__a=[0.0])
    with tf.Session() as session:
        with pytest.raises(CheckpointError, match="cannot read checkpoint .*nowhere"):
            restore(session, str(tmp_path / "nowhere"), mine)
        checkpoint = saved(tmp_path, ForwardPass__a=[1.0])
        data = checkpoint + ".data-00000-of-00001"
        with open(data, "r+b") as file:
            file.truncate(1)
        with pytest.raises(CheckpointError, match="is damaged: .* has 1 bytes, 4 were written"):
            open_checkpoint(checkpoint)
        with pytest.raises(CheckpointError, match="is damaged: .* has 1 bytes, 4 were written"):
            restore(session, checkpoint, mine)
        os.remove(checkpoint + ".json")
        with pytest.raises(CheckpointError, match="damaged"):
            restore(session, checkpoint, mine)


def test_a_damaged_manifest_is_reported(tmp_path, capsys):
    with tf.Graph().as_default():
        checkpoint = saved(tmp_path, ForwardPass__a=[1.0])
    open_checkpoint(checkpoint)
    assert not capsys.readouterr().out
    with open(checkpoint + ".json", "r+") as file:
        file.truncate(20)
    assert open_checkpoint(checkpoint).get_tensor("ForwardPass/a") == [1.0]
    assert "ckpt-1.json is damaged, was changed or cannot be read. The checkpoint itself is valid" in capsys.readouterr().out


def test_the_last_checkpoints_are_kept_across_processes(tmp_path):
    for first in (1, 4):
        with tf.Graph().as_default(), tf.Session() as session:
            variables(a=[1.0])
            session.run(tf.global_variables_initializer())
            writer = CheckpointWriter(str(tmp_path), keep=3)
            writer.recover()
            for step in range(first, first + 3):
                writer.save(session, step)
    names = sorted(name for name in os.listdir(str(tmp_path)) if name.endswith(".index"))
    assert names == ["model.ckpt-4.index", "model.ckpt-5.index", "model.ckpt-6.index"]
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / "model.ckpt-6")
    assert not [name for name in os.listdir(str(tmp_path)) if name.endswith(".meta")]


def test_saving_into_an_unwritable_directory_is_a_clear_error(graph):
    variables(a=[1.0])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        with pytest.raises(StorageError, match="cannot save checkpoint /proc/nowhere/model.ckpt-3"):
            CheckpointWriter("/proc/nowhere", keep=1).save(session, 3)


def test_saved_state_is_part_of_the_checkpoint(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        weight, = variables(ForwardPass__a=[1.0])
        state = SavedState(micro_batches=0, best_loss=1e9)
        session.run(tf.global_variables_initializer())
        state.set(micro_batches=2 ** 40 + 1, best_loss=0.25)
        values = dict(graph_variables().read(session), **state.arrays())
        checkpoint, _ = CheckpointWriter(str(tmp_path), keep=1).write(1, values, {})
    # the types of earlier versions, in which they were variables
    assert tf.train.load_variable(checkpoint, "training_state/micro_batches").dtype == np.int64
    assert tf.train.load_variable(checkpoint, "training_state/best_loss").dtype == np.float32
    with tf.Graph().as_default():
        mine = variables(ForwardPass__a=[0.0])
        state = SavedState(micro_batches=0, best_loss=1e9, later_number=3)
        assert state.get()["best_loss"] == np.float32(1e9)
        report, values = read_values(checkpoint, mine, state=state)
        assert state.get() == {"micro_batches": 2 ** 40 + 1, "best_loss": 0.25, "later_number": 3}
    assert values == {"ForwardPass/a": [1.0]} and report.missing == ["training_state/later_number"]
    assert report.restored == ["ForwardPass/a", "training_state/best_loss", "training_state/micro_batches"]
    assert report.surplus == []


def test_variables_are_read_and_set_by_one_set_of_fetches_each_whichever_are_set(graph):
    # two variables that share their initial value
    zeros = tf.zeros([2])
    mine = variables(ForwardPass__a=[1.0, 2.0], slot__b=[3.0]) + [tf.get_variable(name, initializer=zeros) for name in ("c", "d")]
    runs = []

    class Session(tf.Session):
        def run(self, fetches, *others, **named):
            runs.append(frozenset(fetch.name for fetch in tf.nest.flatten(fetches)))
            return super().run(fetches, *others, **named)

    with Session() as session:
        session.run(tf.global_variables_initializer())
        del runs[:]
        access = graph_variables()
        assert graph_variables(graph) is access
        before = access.read(session)
        for values in ({"slot/b": [7.0]}, {"ForwardPass/a": [5.0, 6.0], "unknown": [1.0]}, before, {}):
            access.write(session, {name: np.array(value, np.float32) for name, value in values.items()})
            if "slot/b" in values and len(values) == 1:
                assert session.run(mine[1]) == [7.0] and session.run(mine[0]).tolist() == [1.0, 2.0]
        after = access.read(session)
    assert {name: value.tolist() for name, value in after.items()} == {name: value.tolist() for name, value in before.items()}
    # all are read, all are set
    assert len({run for run in runs if len(run) == len(mine)}) == 2
    tf.get_variable("another", [1])
    assert graph_variables() is not access
