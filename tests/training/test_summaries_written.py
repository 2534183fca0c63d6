"""What a training writes for TensorBoard, read back from its event files."""
import collections
import glob
import os

import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers import SUMMARIES
from open_seq2seq.training.metrics import read_metrics
from open_seq2seq.training.tracking.tensorboard_tracker import TensorBoardTracker
from open_seq2seq.training.tracking.tracker import FINISHED
from tests.training.short_runs import make_corpus, train_short


@pytest.mark.slow
def test_all_summaries_of_a_training(tmp_path, monkeypatch):
    make_corpus(tmp_path)
    monkeypatch.chdir(str(tmp_path))
    train_short("--summaries=%s" % (list(SUMMARIES),), "--save_summaries_steps=2", "--metrics_steps=2", "--max_steps=4",
                "--save_checkpoint_steps=1", "--loss_scaling=8.0", "--diagnostics_utterances=0",
                "--larc_params={'larc_eta': 0.1}")
    written = collections.defaultdict(dict)
    for path in glob.glob("run/events.out.tfevents.*"):
        for event in tf.train.summary_iterator(path):
            for value in event.summary.value:
                written[value.tag][event.step] = value
    metrics = {entry["step"]: entry for entry in read_metrics("run/metrics.jsonl") if entry["kind"] == "step"}
    for tag, name in (("learning_rate", "learning_rate"), ("loss_scale", "loss_scale"), ("train_loss", "loss"),
                      ("Loss_Optimization/global_gradient_norm", "gradient_norm")):
        assert {step: value.simple_value for step, value in written[tag].items()} == {
            step: pytest.approx(metrics[step][name], rel=1e-6) for step in (1, 2, 4)}, tag
    assert written["loss_scale"][4].simple_value == 8.0
    before, reader = (tf.train.load_checkpoint("run/model.ckpt-%d" % step) for step in (3, 4))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith("ForwardPass/") and "moving" not in name]
    assert len(names) == 4 * 3 + 2  # kernel, gamma and beta of 4 convolutions; kernel and bias of the decoder
    squares = 0.0
    for name in names:
        values = reader.get_tensor(name)
        tag = "%s/" + name + "_0"
        norm = written["Loss_Optimization/" + tag % "variable_norm"][4].simple_value
        # read in the run that changes them, so before or after the step
        norms = sorted((model.get_tensor(name) ** 2).sum() ** 0.5 for model in (reader, before))
        assert norms[0] - 1e-3 <= norm <= norms[1] + 1e-3
        histogram = written["Loss_Optimization/" + tag % "variables"][4].histo
        assert (histogram.num, histogram.max) == (values.size, pytest.approx(values.max(), abs=0.1))
        gradient = written["Loss_Optimization/" + tag % "gradients"][4].histo
        own = written["Loss_Optimization/" + tag % "gradient_norm"][4].simple_value
        assert gradient.num == values.size and own ** 2 == pytest.approx(gradient.sum_squares, rel=1e-4)
        squares += own ** 2
        factor = written["Loss_Optimization/" + tag % "larc_grad_update"][4].simple_value
        assert 0.0 < factor <= 1.0
        assert written["Loss_Optimization/" + tag % "larc_final_lr"][4].simple_value == pytest.approx(
            factor * metrics[4]["learning_rate"], rel=1e-5)
        assert written["Loss_Optimization/" + tag % "larc_clip_on"][4].simple_value == float(factor < 1.0)
    assert squares ** 0.5 == pytest.approx(metrics[4]["gradient_norm"], rel=1e-5)

    # both parts of a resumed training start a session at their first step
    first = set(glob.glob("run/events.out.tfevents.*"))
    train_short("--save_summaries_steps=2", "--max_steps=5", "--loss_scaling=8.0", resume=True)
    second = set(glob.glob("run/events.out.tfevents.*")) - first
    for paths, step in ((first, 1), (second, 5)):
        path, = paths
        assert [(event.session_log.status, event.step) for event in tf.train.summary_iterator(path)
                if event.HasField("session_log")] == [(tf.SessionLog.START, step)]


def _summary(loss):
    return tf.Summary(value=[tf.Summary.Value(tag="train_loss", simple_value=loss)])


def test_a_resumed_run_replaces_the_curve_of_the_steps_that_it_makes_again(tmp_path):
    """As TensorBoard reads it: killed after step 6, resumed from the checkpoint of step 4."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for first_step, last_step, loss in ((0, 6, 1.0), (4, 8, 2.0)):
        # event files of one second are read in the order of their names, which end with the name of the host
        summaries = TensorBoardTracker(str(tmp_path))
        summaries.start(first_step, tf.Graph())
        for step in range(first_step + 1, last_step + 1):
            summaries.add_summary(_summary(loss), step)
        summaries.finish(FINISHED)
        path, = [path for path in glob.glob(str(tmp_path / "events.out.tfevents.*")) if not path.endswith(".read")]
        started = [(event.session_log.status, event.step) for event in tf.train.summary_iterator(path)
                   if event.HasField("session_log")]
        assert started == [(tf.SessionLog.START, first_step + 1)]
        os.rename(path, str(tmp_path / ("events.out.tfevents.%d.read" % first_step)))
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("train_loss")] == [
        (step, 1.0 if step <= 4 else 2.0) for step in range(1, 9)]
