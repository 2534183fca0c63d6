"""Models with several tasks: losses, gradients into the encoder, names of variables, and the model of one task of them."""
import copy
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.provenance import KeyPath, Sources
from open_seq2seq.config.report import Report
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.data.speech2text.frame_targets import FrameGeometry
from open_seq2seq.data.speech2text.task_targets import TaskBatch
from open_seq2seq.data.tasks import TaskTargets
from open_seq2seq.decoders import FrameRegression, FullyConnectedCTCDecoder
from open_seq2seq.decoders.utterance_classifier import pooled_statistics
from open_seq2seq.encoders import EncoderOutput, TDNNEncoder
from open_seq2seq.errors import UsageError
from open_seq2seq.experiment.checking import check_params
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.losses import CTCLoss, RegressionLoss
from open_seq2seq.models import Speech2Text
from open_seq2seq.models.multi_task import scheduled
from open_seq2seq.models.task_params import config_of_task
from tests.paths import REPOSITORY

FEATURES, LABELS, SPEAKERS = 6, 4, 3
SIZES = {"letters": LABELS, "early": LABELS, "speaker": SPEAKERS, "clean": FEATURES}
LENGTHS, LABEL_LENGTHS = [24, 19, 0], [3, 2, 0]


def params_of(tasks=None, **changes):
    def block(channels, stride):
        return {"type": "conv1d", "kernel_size": [3], "stride": [stride], "num_channels": channels, "repeat": 1}

    report = Report()
    values = dict({
        "batch_size_per_gpu": 3, "max_steps": 100, "data_layer": object, "logdir": "run", "encoder": TDNNEncoder,
        "decoder": FullyConnectedCTCDecoder, "loss": CTCLoss, "encoder_params": {
            "convnet_layers": [block(4, 2), block(5, 1), block(6, 2)], "dropout_keep_prob": 1.0, "normalization": None,
            "activation_fn": tf.nn.relu, "use_conv_mask": True},
    }, **changes)
    if tasks is not None:
        values["tasks"] = tasks
    checked = check_params(Speech2Text, "eval", values, KeyPath(Sources("config.py")), report)
    assert not report.problems, report.problems
    return checked


def all_tasks(**changes):
    tasks = {"letters": {"data": {}},
             "early": {"data": {}, "layer": "conv21", "weight": 0.25},
             "speaker": {"data": {"kind": "label", "column": "speaker"}, "decoder_params": {"hidden": [7]}},
             "clean": {"data": {"kind": "features"}, "layer": "conv11"}}
    for name, keys in changes.items():
        tasks[name] = dict(tasks[name], **keys)
    return tasks


def batch_of(names, weights=None):
    """A TaskBatch of three rows, the last one padding; ``weights``: dict from tasks to the weights of the rows."""
    draw = np.random.RandomState(0)
    features = tf.constant(draw.randn(3, 24, FEATURES).astype(np.float32))
    lengths, labels = tf.constant(LENGTHS), tf.constant(draw.randint(0, LABELS, [3, 3]), tf.int32)
    label_lengths, rows = tf.constant(LABEL_LENGTHS), tf.constant([1.0, 1.0, 0.0])
    clean = tf.constant(draw.randn(3, 24, FEATURES).astype(np.float32))
    of_task = {"letters": (labels, label_lengths), "early": (labels, label_lengths),
               "speaker": (tf.constant([1, 2, 0]), tf.zeros([3], tf.int32)), "clean": (clean, lengths)}
    targets = [TaskTargets(*of_task[name], weights=tf.constant((weights or {}).get(name, [1.0, 1.0, 0.0]))) for name in names]
    return TaskBatch(*Batch(features, lengths, labels, label_lengths, tf.constant([0, 1, -1]), rows, tf.range(3, dtype=tf.int64)),
                     targets=tuple(targets))


def run(fetches, seed=0):
    """The values of fetches with the same initial weights for the same names of variables."""
    with tf.Session() as session:
        for variable in tf.global_variables():
            draw = np.random.RandomState(sum(map(ord, variable.op.name)) + seed)
            value = draw.normal(0.0, 0.3, variable.shape.as_list())
            variable.load(np.asarray(value, variable.dtype.base_dtype.as_numpy_dtype), session)
        return session.run(fetches)


def outputs_of(tasks, mode="train", weights=None):
    params = params_of(tasks)
    return Speech2Text(params, mode, {name: SIZES[name] for name in tasks})(batch_of(tasks, weights))


def gradients(tasks, task):
    """(gradient of the task's term by the first layer's kernel, by the task's own output layer)."""
    with tf.Graph().as_default():
        output = outputs_of(tasks)
        term, = [found.term for found in output.tasks if found.name == task]
        of_task, = [variable for variable in tf.trainable_variables() if task in variable.op.name
                    and variable.op.name.endswith("fully_connected/kernel")]
        first, = [variable for variable in tf.trainable_variables() if variable.op.name.endswith("conv11/kernel")]
        return run(tf.gradients(term, [first, of_task]))


def test_the_loss_is_the_weighted_sum_and_the_main_task_has_the_names_and_losses_of_a_model_without_tasks(graph):
    output = outputs_of(all_tasks())
    names = {variable.op.name for variable in tf.global_variables()}
    total, per_utterance, counted, terms, sums = run([output.loss.loss, output.loss.per_utterance, output.loss.counted,
                                                      [task.term for task in output.tasks], output.loss.task_sums])
    by_task = [run([task.loss.loss, task.loss.per_utterance]) for task in output.tasks]
    assert np.isclose(total, sum(terms)) and counted.all()
    np.testing.assert_allclose(terms, [loss * weight for (loss, _), weight in zip(by_task, (1.0, 0.25, 1.0, 1.0))], rtol=1e-6)
    # a mean over all rows of the batch in the loss; sums and numbers of the task's rows in the figures
    np.testing.assert_allclose(sums, [[losses[:2].sum(), 2.0, weight] for (_, losses), weight in zip(
        by_task, (1.0, 0.25, 1.0, 1.0))], rtol=1e-5)
    with tf.Graph().as_default():
        alone = Speech2Text(params_of(), "train", LABELS)(batch_of([]))
        alone_names = {variable.op.name for variable in tf.global_variables()}
        np.testing.assert_array_equal(run(alone.loss.per_utterance), per_utterance)
    assert alone_names < names
    assert {name.split("/")[1] for name in names - alone_names} == {"task_early", "task_speaker", "task_clean"}


@pytest.mark.parametrize("name", ["letters", "early", "speaker", "clean"])
def test_the_model_of_one_task_has_the_outputs_and_names_that_it_has_among_all(name):
    with tf.Graph().as_default():
        logits, = [task.logits for task in outputs_of(all_tasks(), "eval").tasks if task.name == name]
        names, expected = {variable.op.name for variable in tf.global_variables()}, run(logits)
    with tf.Graph().as_default():
        own = config_of_task(params_of(all_tasks()), name)
        size = SIZES[name] if not own["tasks"] else {name: SIZES[name]}
        output = Speech2Text(own, "eval", size)(batch_of([name]))
        assert {variable.op.name for variable in tf.global_variables()} < names
        np.testing.assert_array_equal(run(output.tasks[0].logits if own["tasks"] else output.logits), expected)


@pytest.mark.parametrize("keys, factor", [
    ({"adversarial": {"strength": 0.5}}, -0.5), ({"encoder_gradient_scale": 0.3}, 0.3), ({"encoder_gradient_scale": 0.0}, 0.0),
    ({"adversarial": True, "encoder_gradient_scale": 2.0}, -2.0)])
def test_the_gradient_into_the_encoder_is_scaled_or_reversed_and_that_of_the_task_is_not(keys, factor):
    (encoder, own), (changed_encoder, changed_own) = [gradients(all_tasks(speaker=keys), "speaker") for keys in ({}, keys)]
    assert abs(encoder).max() > 1e-4
    np.testing.assert_allclose(changed_encoder, factor * encoder, atol=1e-6)
    np.testing.assert_allclose(changed_own, own, atol=1e-6)


def test_rows_of_other_tasks_change_neither_a_loss_nor_a_gradient():
    found = []
    for speakers in ([1, 2, 0], [1, 0, 0]):
        with tf.Graph().as_default():
            params = params_of(all_tasks(speaker={"weight": "uncertainty"}))
            batch = batch_of(SIZES, {"speaker": [1.0, 0.0, 0.0]})
            targets = list(batch.targets)
            targets[2] = targets[2]._replace(labels=tf.constant(speakers))
            output = Speech2Text(params, "train", SIZES)(batch._replace(targets=tuple(targets)))
            found.append(run([output.loss.loss] + tf.gradients(output.loss.loss, tf.trainable_variables())))
    for one, other in zip(*found):
        np.testing.assert_array_equal(one, other)


def test_weights_by_schedule_and_by_uncertainty(graph):
    step = tf.train.get_or_create_global_step()
    schedule = scheduled({"start": 0.5, "end": 0.1, "first_step": 10, "last_step": 30}, None)
    to_the_end = scheduled({"start": 0.0, "end": 1.0, "first_step": 0, "last_step": None}, 50)
    number = tf.placeholder(tf.int64, [])
    set_step = tf.assign(step, number)
    values = []
    with tf.Session() as session:
        for value in (0, 10, 20, 30, 99):
            session.run(set_step, {number: value})
            values.append(session.run([schedule, to_the_end]))
    np.testing.assert_allclose(values, [[0.5, 0.0], [0.5, 0.2], [0.3, 0.4], [0.1, 0.6], [0.1, 1.0]], atol=1e-6)
    tasks = all_tasks(speaker={"weight": "uncertainty"}, clean={"weight": "uncertainty"})
    output = outputs_of(tasks)
    log_variances = {task: [variable for variable in tf.trainable_variables() if variable.op.name.endswith(
        "task_%s/log_variance" % task)][0] for task in ("speaker", "clean")}
    for task, half in (("speaker", 1.0), ("clean", 0.5)):
        of_task, = [found for found in output.tasks if found.name == task]
        loss, weight, term, variable = run([of_task.loss.loss, of_task.weight, of_task.term, log_variances[task]])
        assert np.isclose(weight, half * np.exp(-variable))
        # two of three rows belong to the task
        assert np.isclose(term, weight * loss + 0.5 * variable * 2 / 3, rtol=1e-5)


def test_statistics_do_not_depend_on_padding_and_regression_compares_aligned_frames(graph):
    draw = np.random.RandomState(0)
    values = draw.randn(2, 5, 3).astype(np.float32)
    pooled = run(pooled_statistics(tf.constant(values), tf.constant([5, 2])))
    np.testing.assert_allclose(pooled[1, :3], values[1, :2].mean(0), rtol=1e-5)
    np.testing.assert_allclose(pooled[0, 3:], np.sqrt(values[0].var(0) + 1e-5), rtol=1e-4)
    expected = draw.randn(2, 9, 3).astype(np.float32)
    loss = RegressionLoss({"distance": "absolute"})(tf.constant(np.repeat(values, 2, 1)), tf.constant([10, 4]),
                                                    tf.constant(expected), tf.constant([9, 9]))
    per_utterance = run(loss.per_utterance)
    for row, frames in ((0, 9), (1, 4)):
        difference = np.abs(np.repeat(values, 2, 1)[row, :frames] - expected[row, :frames]).mean()
        assert np.isclose(per_utterance[row], difference, rtol=1e-5)


def test_frame_regression_has_a_prediction_for_each_frame_of_the_features(graph):
    geometry = FrameGeometry(lambda frames: -(-frames // 4), 0.01)
    decoder = FrameRegression({"initializer": None, "initializer_params": {}, "regularizer": None, "regularizer_params": {}}, 6,
                              "train", geometry=geometry)
    output = decoder(EncoderOutput(tf.zeros([2, 7, 5]), tf.constant([7, 3])))
    assert output.logits.shape.as_list() == [2, 28, 6]
    assert run(output.logit_lengths).tolist() == [28, 12]


def test_gradients_of_static_shapes_have_no_operations_of_unknown_shape(graph):
    outputs = tf.placeholder(tf.float32, [2, 7, 5])
    losses = [tf.reduce_sum(pooled_statistics(outputs, tf.constant([7, 3]))), RegressionLoss({"distance": "squared"})(
        outputs, tf.constant([7, 3]), tf.zeros([2, 9, 5]), tf.constant([7, 3]), weights=tf.ones([2])).loss]
    gradient, = tf.gradients(losses, outputs)
    computed = tf.graph_util.extract_sub_graph(tf.get_default_graph().as_graph_def(), [gradient.op.name])
    assert not [node.name for node in computed.node if node.op == "BroadcastGradientArgs"]


def test_a_shipped_config_has_the_same_graph_without_tasks_and_with_none():
    path = os.path.join(REPOSITORY, "configs", "speech2text", "jasper_mini_digits.py")
    params = load_experiment(path, "train").params["train"]
    assert params["tasks"] == {} and config_of_task(params) is params
    before = {name: value for name, value in params.items() if name not in ("tasks", "main_task")}
    graphs = []
    for version in (before, params):
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(0)
            version = copy.copy(version)
            batch = Batch(tf.zeros([2, 64, 64]), tf.constant([64, 50]), tf.zeros([2, 3], tf.int32), tf.constant([3, 2]),
                          tf.constant([0, 1]), tf.ones([2]), tf.range(2, dtype=tf.int64))
            output = Speech2Text(version, "train", 28)(batch)
            tf.gradients(output.loss.loss, tf.trainable_variables())
            assert output.tasks == ()
            graphs.append(graph.as_graph_def().SerializeToString(deterministic=True))
    assert graphs[0] == graphs[1]


def test_a_task_that_does_not_exist_is_named():
    params = params_of(all_tasks())
    with pytest.raises(UsageError, match="speeker.*speaker"):
        config_of_task(params, "speeker")
    with pytest.raises(UsageError, match="no tasks"):
        config_of_task(params_of(), "speaker")
