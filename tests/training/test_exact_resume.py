"""Interrupted and resumed trainings have the losses of an uninterrupted one, to the last bit."""
import contextlib
import io
import json
import os
import subprocess
import sys

import pytest

from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.devices.device import Device
from open_seq2seq.errors import ConfigError
from open_seq2seq.training.determinism import note_on_threads, require_repeatable
from open_seq2seq.training.requests import Request
from tests.paths import REPOSITORY
from tests.training import short_runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the corpus; the tests run in it."""
    folder = tmp_path_factory.mktemp("corpus")
    short_runs.make_corpus(folder)
    return folder


@pytest.fixture
def train(folder, tmp_path, monkeypatch):
    """``short_runs.train_short`` in the folder; returns the Run and what it printed."""
    monkeypatch.chdir(str(folder))

    def call(*words, logdir="run", **options):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            run = short_runs.train_short(*words, logdir=str(tmp_path / logdir), **options)
        return run, printed.getvalue()
    return call


def check_parts(train, whole, stops, *words, **options):
    """Trains in parts that end after the steps ``stops``; every part's losses and evaluations must be those of ``whole``."""
    made, evaluated = {}, {}
    for number, stop in enumerate(list(stops) + [None]):
        part, _ = train(*words, logdir="parts", stop_after=stop, resume=number > 0, **options)
        assert part.stop is (None if stop is None else Request.SIGTERM)
        assert list(part.losses) == list(range(max(made, default=0) + 1, (stop or max(whole.losses)) + 1))
        made.update(part.losses)
        evaluated.update(part.evaluations)
    assert made == whole.losses
    assert evaluated == whole.evaluations


@pytest.mark.slow
def test_resume_at_the_end_of_an_epoch(train):
    # epochs of 2.5 batches: they end within step 3, after step 5, within step 8
    whole, _ = train(mode="train_eval")
    assert sorted(whole.losses) == list(range(1, 10)) and len({loss for losses in whole.losses.values() for loss in losses}) == 9
    assert sorted(whole.evaluations) == [2, 4, 6, 8, 9]
    check_parts(train, whole, (5,), mode="train_eval")


@pytest.mark.slow
def test_accumulation_loss_scaling_and_skipped_steps(train):
    """iter_size 3, a loss scale that rises and falls, a skipped step: the position in the data does not follow from the step."""
    words = ("--iter_size=3", "--max_steps=5", "--loss_scaling=Backoff", "--try_worst_batch=True",
             # 2 ** 127 overflows at once; half of it is the first that does not
             "--loss_scaling_params={'scale_max': 1.7e38, 'step_window': 2}")
    whole, printed = train(*words)
    assert "skipped" in printed and sorted(whole.losses)[-5:] == [1, 2, 3, 4, 5]
    made = {}
    for stop, resume in ((2, False), (None, True)):
        for step, losses in train(*words, logdir="parts", stop_after=stop, resume=resume)[0].losses.items():
            made.setdefault(step, []).extend(losses)
    assert made == whole.losses


@pytest.mark.slow
def test_resume_after_the_first_step_with_static_shapes_and_moving_averages(train, monkeypatch):
    monkeypatch.setattr(Cpu, "static_shapes", True)
    words = ("--npu_params={'bucket_frames': [96, 160]}", "--ema_decay=0.9", "--max_steps=4",
             # frozen at the stop, released afterwards
             "--unfreeze_at={'conv21': 2, 'decoder': 1}", "--lr_decay_per_layer=0.7")
    whole, printed = train(*words)
    assert "2 static shapes" in printed and len(whole.losses) == 4
    assert "Frozen before step 2: conv21" in printed and "Learning rate times 0.7: conv22" in printed
    check_parts(train, whole, (1,), *words)


@pytest.mark.slow
@pytest.mark.parametrize("static", [False, True])
def test_resume_between_batches_of_different_sizes(train, monkeypatch, static):
    """The first part ends within the first epoch, which goes from short to long, the second within the next one."""
    monkeypatch.setattr(Cpu, "static_shapes", static)
    words = ("--data_layer_params/num_buckets=3", "--data_layer_params/batch_frames=400", "--data_layer_params/sortagrad=True",
             "--max_steps=8", "--num_checkpoints=20")
    whole, printed = train(*words)
    assert ("3 static shapes (utterances x frames" if static else "3 length buckets") in printed and "padding: " in printed
    assert sorted(whole.losses) == list(range(1, 9))
    check_parts(train, whole, (2, 6), *words)


WITHOUT_BUCKETS = """

class WithoutBuckets(Speech2TextDataLayer):
    @property
    def utterances_per_batch(self):
        raise AttributeError("a data layer of earlier versions has none")

    padding_share = utterances_per_batch


base_params["data_layer"] = WithoutBuckets
"""


@pytest.mark.slow
def test_a_custom_data_layer_that_knows_no_length_buckets(train, folder):
    (folder / "custom.py").write_text((folder / "config.py").read_text() + WITHOUT_BUCKETS)
    words = ("--config_file=custom.py", "--max_steps=3")
    whole, _ = train(*words)
    check_parts(train, whole, (2,), *words)
    assert whole.losses == train("--max_steps=3", logdir="usual")[0].losses


@pytest.mark.slow
def test_an_evaluation_that_a_signal_interrupts_runs_again_on_resume(train):
    whole, _ = train("--max_steps=3", "--eval_steps=2", mode="train_eval")

    def interrupt_in_evaluation(run):
        if run.step == 1 and not hasattr(run.graph.evaluation, "interrupted"):
            run.graph.evaluation.interrupted = True
            batches = run.graph.evaluation.batches

            def interrupted(*arguments, **options):
                run.graph.requests.ask(Request.SIGINT)
                return batches(*arguments, **options)
            run.graph.evaluation.batches = interrupted

    first, printed = train("--max_steps=3", "--eval_steps=2", mode="train_eval", logdir="parts",
                           before_step=interrupt_in_evaluation)
    assert first.stop is Request.SIGINT and sorted(first.losses) == [1, 2] and first.evaluations == {}
    assert "Evaluation interrupted; it will run again on resume" in printed and "Finished training" not in printed
    second, _ = train("--max_steps=3", "--eval_steps=2", mode="train_eval", logdir="parts", resume=True)
    assert {**first.losses, **second.losses} == whole.losses
    assert second.evaluations == whole.evaluations and sorted(whole.evaluations) == [2, 3]


TWO_RANKS = '''
import json, sys
from open_seq2seq.distributed import open_group
from tests.training import short_runs
logdir, stop_after, resume = sys.argv[1:]
group = open_group("cpu")
# only one rank is asked to stop
run = short_runs.train_short("--max_steps=5", mode="train_eval", logdir=logdir, resume=resume == "resume", group=group,
                             stop_after=int(stop_after) if group.rank == 1 else None)
with open("%s.%d.json" % (logdir + resume, group.rank), "w") as file:
    json.dump([run.losses, run.evaluations], file)
'''


@pytest.mark.slow
def test_two_ranks_of_which_one_is_asked_to_stop(folder, tmp_path, needs_horovod):
    (folder / "rank.py").write_text(TWO_RANKS)

    def results(*words):
        done = subprocess.run(
            [sys.executable, "-m", "open_seq2seq.launch", "--device", "cpu", "--processes", "2", "--log",
             str(tmp_path / "log_{rank}"), "--", sys.executable, "rank.py", str(tmp_path / words[0])] + list(words[1:]),
            cwd=str(folder), env=dict(os.environ, PYTHONPATH=REPOSITORY), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=300, text=True)
        assert done.returncode == 0, done.stdout
        ranks = [json.loads((tmp_path / ("%s.%d.json" % (words[0] + words[2], rank))).read_text()) for rank in range(2)]
        assert ranks[0] == ranks[1]
        return ranks[0]
    whole = results("whole", "0", "fresh")
    assert sorted(whole[0]) == list("12345") and sorted(whole[1]) == list("12345")
    first, second = results("parts", "3", "fresh"), results("parts", "0", "resume")
    assert sorted(first[0]) == list("123") and sorted(second[0]) == list("45")
    assert [dict(one, **other) for one, other in zip(first, second)] == whole


def test_deterministic_needs_a_cpu():
    class Other(Device):
        name = "npu"
    require_repeatable({"deterministic": False}, Other())
    require_repeatable({"deterministic": True}, Cpu(cores=2))
    with pytest.raises(ConfigError, match="only the CPU supports, and the device is the NPU.*'deterministic': 1"):
        require_repeatable({"deterministic": True}, Other())


def test_a_note_on_another_number_of_threads():
    assert note_on_threads({"deterministic": False}, 8, Cpu(cores=2)) is None
    assert note_on_threads({"deterministic": True}, 2, Cpu(cores=2)) is None
    assert note_on_threads({"deterministic": True}, 0, Cpu(cores=2)) is None  # the checkpoint does not say
    assert "was trained with 8 threads, and this process has 2" in note_on_threads({"deterministic": True}, 8, Cpu(cores=2))


@pytest.mark.slow
def test_backstitch_of_every_second_step_with_dropout(train):
    """A resumed run makes the backstitches at the same steps, and both passes of a batch have the same dropout."""
    words = ("--backstitch_scale=0.3", "--backstitch_interval=2", "--ema_decay=0.9")
    whole, _ = train(*words)
    plain, _ = train(logdir="plain")
    # the seed is odd: the second update is the first backstitch, which the loss of the third step shows
    assert whole.losses[2] == plain.losses[2] and whole.losses[3] != plain.losses[3]
    check_parts(train, whole, (3,), *words)
