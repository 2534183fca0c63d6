"""Which checkpoints are averaged, the mean, and the checkpoint that is written."""
import json
import os
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.description import resolved_config_of, vocabulary_of
from open_seq2seq.checkpoints.files import latest_checkpoint, write_state
from open_seq2seq.checkpoints.moving_average import SUFFIX
from open_seq2seq.checkpoints.run_directory import RunDirectory
from open_seq2seq.checkpoints.writer import write_checkpoint
from open_seq2seq.errors import CheckpointError, UsageError
from open_seq2seq.evaluation.record import recorded_word_error_rate
from open_seq2seq.training.averaging.mean import weighted_mean
from open_seq2seq.training.averaging.mode import average_checkpoints
from open_seq2seq.training.averaging.source_checkpoints import SourceCheckpoint, best_checkpoints, last_checkpoints, opened
from tests.paths import REPOSITORY

KERNEL = "ForwardPass/w2l_encoder/conv11/kernel"


def record(folder, *entries):
    with open(str(folder / "evaluations.jsonl"), "a") as file:
        for step, wer, data_set in entries:
            file.write(json.dumps({"step": step, "wer": wer, "data_set": data_set}) + "\n")


def steps(paths):
    return [int(path.rsplit("-", 1)[1]) for path in paths]


def test_the_mean_is_that_of_float64(make_checkpoint, network):
    # in float32 the small numbers would be lost
    paths = [make_checkpoint(step, step, change=lambda values, scale=scale: dict(values, **{KERNEL: values[KERNEL] * scale}))
             for step, scale in ((10, 1e7), (20, 1.0), (30, -1e7), (40, 1.0))]
    mean = weighted_mean(opened(paths))
    for name in network.values(0):
        arrays = [tf.train.load_checkpoint(path).get_tensor(name) for path in paths]
        assert mean[name].dtype == np.float32
        np.testing.assert_array_equal(mean[name], np.mean(np.array(arrays, np.float64), 0).astype(np.float32))
    weighted = weighted_mean(opened(paths), [0.0, 0.25, 0.0, 0.75])
    expected = 0.25 * network.values(20)[KERNEL].astype(np.float64) + 0.75 * network.values(40)[KERNEL].astype(np.float64)
    np.testing.assert_array_equal(weighted[KERNEL], expected.astype(np.float32))


def test_moving_averages_and_master_copies_are_averaged(make_checkpoint, network, tmp_path):
    more = {KERNEL + SUFFIX: np.full([3, 4, 5], 2.5, np.float32),
            "Loss_Optimization/FP32-master-copy/ForwardPass/w2l_encoder/conv21/kernel": np.full([3, 5, 6], 7.0, np.float32)}
    paths = [make_checkpoint(10, 1, more), make_checkpoint(20, 2, more)]
    sources = opened(paths)
    mean = weighted_mean(sources)
    assert sources[0].num_averaged == 1
    assert (mean[KERNEL] == 2.5).all() and (mean["ForwardPass/w2l_encoder/conv21/kernel"] == 7.0).all()
    assert set(mean) == set(network.values(0))
    without = weighted_mean(opened(paths, averaged=False))
    np.testing.assert_allclose(without[KERNEL], (network.values(1)[KERNEL] + network.values(2)[KERNEL]) / 2, rtol=1e-6)


def test_memory_does_not_grow_with_the_number_of_checkpoints(tmp_path):
    size = 1 << 20  # of one variable, in bytes
    paths = []
    for step in range(8):
        paths.append(str(tmp_path / ("model.ckpt-%d" % step)))
        write_checkpoint(paths[-1], {"ForwardPass/v%d" % number: np.full([size // 4], step, np.float32) for number in range(8)},
                         {"step": step})
    sources = opened(paths)
    tracemalloc.start()
    mean = weighted_mean(sources)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all((value == 3.5).all() for value in mean.values())
    # the result, the sum of one variable in float64, and one that is read, scaled in float64
    assert peak < 8 * size + 6 * size


def test_the_result_is_an_ordinary_checkpoint_with_the_step_of_the_newest(make_checkpoint, tmp_path, capsys):
    for step in (10, 20, 30):
        make_checkpoint(step, step, {"Loss_Optimization/momentum": np.float32(1.0)})
    directory = RunDirectory(str(tmp_path / "run"))
    path = average_checkpoints(directory, last=2)
    assert path == str(tmp_path / "run" / "combined" / "model.ckpt-30")
    assert latest_checkpoint(os.path.dirname(path)) == path == tf.train.latest_checkpoint(os.path.dirname(path))
    reader = tf.train.load_checkpoint(path)
    assert reader.get_tensor("global_step") == 30
    assert not any("Loss_Optimization" in name for name in reader.get_variable_to_shape_map())
    assert vocabulary_of(path) == tuple(" abc") and resolved_config_of(path)[0] == {"seed": 30}
    with open(path + ".json") as file:
        averaged = json.load(file)["averaged"]
    assert [os.path.basename(source) for source in averaged["checkpoints"]] == ["model.ckpt-20", "model.ckpt-30"]
    assert averaged["weights"] == [0.5, 0.5] and averaged["moving_averages"] is False
    assert "without the optimizer's state" in capsys.readouterr().out
    # of other checkpoints: the earlier result is replaced
    again = average_checkpoints(None, checkpoints=[str(tmp_path / "run" / ("model.ckpt-%d.index" % step)) for step in (10, 20)])
    assert again.endswith("model.ckpt-20")
    assert sorted(name for name in os.listdir(os.path.dirname(again)) if name.endswith(".index")) == ["model.ckpt-20.index"]
    # the run itself is unchanged
    assert latest_checkpoint(str(tmp_path / "run")).endswith("model.ckpt-30")


def test_evaluations_of_an_earlier_result_are_removed(make_checkpoint, tmp_path):
    paths = [make_checkpoint(step, step) for step in (10, 20, 30)]
    mean = average_checkpoints(None, checkpoints=paths, output=str(tmp_path / "mean"))
    record(tmp_path / "mean", (30, 0.25, "dev.csv"))
    assert recorded_word_error_rate(mean) == (0.25, "dev.csv")
    assert average_checkpoints(None, checkpoints=paths[1:], output=str(tmp_path / "mean")) == mean
    assert recorded_word_error_rate(mean) is None


def test_the_last_and_the_best(make_checkpoint, tmp_path, capsys):
    for step in (100, 20, 30, 9):
        make_checkpoint(step, step)
    run = tmp_path / "run"
    assert steps(last_checkpoints(str(run), 3)) == [20, 30, 100]
    # the data set that was evaluated last; a rate measured again; a damaged line; a step that is gone
    record(run, (9, 0.01, "other.csv"), (20, 0.9, "dev.csv"), (30, 0.2, "dev.csv"), (9, 0.3, "dev.csv"), (5, 0.0, "dev.csv"))
    (run / "evaluations.jsonl").open("a").write('{"step": 30, "we\n'
                                                 '{"step": 9, "wer": 0.0, "data_set": "dev.csv", "decoder": "beam"}\n')
    record(run, (20, 0.2, "dev.csv"))
    assert steps(best_checkpoints(str(run), 2)) == [30, 20]  # of equal ones the later
    assert "dev.csv: 0.2000 at step 30, 0.2000 at step 20" in capsys.readouterr().out
    with pytest.raises(CheckpointError, match=r"--best=4; .* 4 \(steps 9, 20, 30, 100\) .*, 3 have an evaluation recorded"):
        best_checkpoints(str(run), 4)
    with pytest.raises(CheckpointError, match=r"--last=5, and .* has 4 \(steps 9, 20, 30, 100\)"):
        last_checkpoints(str(run), 5)
    # a best one that has been rotated out of the ordinary ones, and an ordinary one that is damaged
    write_checkpoint(str(run / "best_dev-50"), {"ForwardPass/x": np.zeros([2], np.float32)}, {})
    record(run, (50, 0.1, "dev.csv"))
    assert steps(best_checkpoints(str(run), 2)) == [50, 30]
    with open(str(run / "model.ckpt-100.data-00000-of-00001"), "r+b") as file:
        file.truncate(100)
    assert steps(last_checkpoints(str(run), 3)) == [9, 20, 30]
    assert "model.ckpt-100 is damaged" in capsys.readouterr().out


def test_checkpoints_that_cannot_be_averaged(make_checkpoint, tmp_path):
    first, second = make_checkpoint(10, 1), make_checkpoint(20, 2)
    with pytest.raises(UsageError, match="1 checkpoint to be averaged"):
        opened([first])
    with pytest.raises(UsageError, match="model.ckpt-10 is listed 2 times"):
        opened([first, second, first + ".index"])
    with pytest.raises(CheckpointError, match="there is no checkpoint .*model.ckpt-11"):
        opened([first, first[:-1] + "1"])
    wider = make_checkpoint(30, 3, change=lambda values: dict(values, **{KERNEL: np.zeros([3, 4, 9], np.float32)}))
    with pytest.raises(CheckpointError, match=r"ckpt-10 and .*ckpt-30 are of different networks, 1 .*: .*conv11/kernel is "
                                              r"\[3, 4, 9\] in the second, \[3, 4, 5\] in the first"):
        opened([first, wider])
    fewer = make_checkpoint(40, 3, change=lambda values: {name: value for name, value in values.items() if name != KERNEL})
    with pytest.raises(CheckpointError, match="conv11/kernel is missing"):
        opened([first, fewer])
    with pytest.raises(CheckpointError, match="different vocabularies: ' abc' and ' abd'"):
        opened([first, make_checkpoint(50, 1, vocabulary=" abd")])
    with open(second + ".data-00000-of-00001", "r+b") as file:
        file.seek(50)
        file.write(b"\xff\xff\xff\xff")
    with pytest.raises(CheckpointError, match="model.ckpt-20 is damaged: .*checksum"):
        opened([first, second])
    (tmp_path / "other").mkdir()
    write_checkpoint(str(tmp_path / "other" / "model.ckpt-1"), {"weights": np.zeros([2], np.float32)}, {})
    with pytest.raises(CheckpointError, match="has no network"):
        SourceCheckpoint(str(tmp_path / "other" / "model.ckpt-1"))


def test_folders_that_are_refused_for_the_result(make_checkpoint, tmp_path):
    paths = [make_checkpoint(10, 1), make_checkpoint(20, 2)]
    with pytest.raises(UsageError, match="the folder of checkpoint .*ckpt-10"):
        average_checkpoints(None, checkpoints=paths, output=str(tmp_path / "run"))
    make_checkpoint(30, 3, folder="another")
    with pytest.raises(UsageError, match="has the checkpoint .*another/model.ckpt-30 of a training in it"):
        average_checkpoints(None, checkpoints=paths, output=str(tmp_path / "another"))
    with pytest.raises(UsageError, match="no checkpoints are given"):
        average_checkpoints(RunDirectory(str(tmp_path / "run")))
    with pytest.raises(UsageError, match="--last and --best are given"):
        average_checkpoints(RunDirectory(str(tmp_path / "run")), last=2, best=2)


@pytest.mark.slow
def test_the_script(make_checkpoint, tmp_path):
    for step in (10, 20):
        make_checkpoint(step, step)
    write_state(str(tmp_path / "run"), "checkpoint", [str(tmp_path / "run" / "model.ckpt-20")])

    def script(*words):
        process = subprocess.run([sys.executable, os.path.join(REPOSITORY, "scripts", "average_checkpoints.py")] + list(words),
                                 cwd=str(tmp_path), capture_output=True, text=True, timeout=240)
        return process.returncode, process.stdout, process.stderr

    status, out, err = script("--logdir", "run", "--last", "2", "--output", "mean")
    assert status == 0, err
    assert "*** Wrote mean/model.ckpt-20" in out
    assert latest_checkpoint(str(tmp_path / "mean")) is not None
    status, _, err = script("--logdir", "run", "--best", "2")
    assert status == 3 and err.startswith("CheckpointError: --best=2; of the ") and "Traceback" not in err
    status, _, err = script("--last", "1", "--logdir", "run")
    assert status == 2 and "1 is too small, at least 2 is needed" in err
    assert script("--last", "2")[0] == 2
