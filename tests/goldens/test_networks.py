"""The original's checkpoints, inputs and outputs: logits, losses, gradients and statistics of three small networks."""
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.decoding.greedy import collapse
from open_seq2seq.encoders import Execution
from open_seq2seq.experiment.loading import load_experiment
from tests.fixtures.convolutions import EverywhereFourier

pytestmark = pytest.mark.shared

CASES = ("case1_dense_residual_masks", "case3_w2l_nores_nomask", "case4_quartznet_sep")
VOCABULARY = " abcdefghijklmnopqrstuvwxyz'"


class Case:
    """A case's model in one mode, in the current graph, restored from the original's checkpoint."""

    def __init__(self, goldens, name, mode, fast_gradients, fast_convolutions=None, **changes):
        self.folder = os.path.join(goldens, "networks", name)
        experiment = load_experiment(os.path.join(self.folder, "config.py"), mode)
        params = dict(experiment.params[mode], **changes)
        with np.load(os.path.join(self.folder, "inputs.npz")) as inputs:
            batch = Batch(*[tf.constant(inputs[key]) for key in ("x", "x_len", "y", "y_len")],
                          utterance_indices=tf.range(len(inputs["x"])))
        execution = Execution(fast_gradients, fast_convolutions=fast_convolutions)
        self.output = experiment.base_model(params, mode, len(VOCABULARY), execution=execution)(batch)
        with np.load(os.path.join(self.folder, "outputs.npz")) as golden:
            self.golden = dict(golden)
        with open(os.path.join(self.folder, "results.json")) as file:
            self.results = json.load(file)

    def restored_session(self):
        session = tf.Session()
        variables = {variable.op.name: variable for variable in tf.global_variables()}
        tf.train.Saver(variables).restore(session, os.path.join(self.folder, "model.ckpt-0"))
        return session


def assert_close(actual, expected, tolerance=1e-4):
    """Equal up to ``tolerance`` of the expected tensor's largest magnitude, as the goldens' README has it."""
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize("mode", ["train", "eval", "infer"])
@pytest.mark.parametrize("name", CASES)
def test_forward(goldens, graph, name, mode):
    case = Case(goldens, name, mode, fast_gradients=True)
    output = case.output
    with case.restored_session() as session:
        logits, lengths, best_path = session.run([output.logits, output.logit_lengths, output.best_path])
        assert_close(logits.transpose(1, 0, 2), case.golden[mode + "_logits"])
        assert lengths.tolist() == case.golden[mode + "_src_length"].tolist()
        decoded = ["".join(VOCABULARY[label] for label in labels) for labels in collapse(best_path, lengths, len(VOCABULARY))]
        assert decoded == case.results["train_mode_decoded" if mode == "train" else mode + "_decoded"]
        if mode == "infer":
            assert output.loss is None
            return
        loss, per_utterance, counted, encoded = session.run(list(output.loss) + [output.encoder_output.outputs])
        np.testing.assert_allclose(loss, case.golden[mode + "_loss"], rtol=1e-4)
        assert_close(encoded, case.golden[mode + "_encoder_outputs"])
        assert counted.all()
        if mode == "train":
            assert_close(per_utterance, case.golden["train_per_sample_ctc"])


@pytest.mark.parametrize("fast_gradients, fourier", [(True, False), (False, False), (True, True)],
                         ids=["forward convolutions", "TensorFlow's gradients", "Fourier transforms"])
@pytest.mark.parametrize("name", CASES)
def test_gradients_and_moving_statistics(goldens, graph, name, fast_gradients, fourier):
    convolutions = EverywhereFourier()
    case = Case(goldens, name, "train", fast_gradients, convolutions if fourier else None)
    assert bool(convolutions.chosen) == (fourier and name != "case4_quartznet_sep")
    variables = tf.trainable_variables()
    moving = [variable for variable in tf.global_variables() if "/moving_" in variable.op.name]
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    assert len(updates) == len(moving) == case.results["num_update_ops"]
    with case.restored_session() as session:
        gradients = session.run(tf.gradients(case.output.loss.loss, variables))
        session.run(updates)
        statistics = session.run(moving)
    assert {"grad/" + variable.op.name for variable in variables} == {key for key in case.golden if key.startswith("grad/")}
    for variable, gradient in zip(variables, gradients):
        assert_close(gradient, case.golden["grad/" + variable.op.name])
    for variable, value in zip(moving, statistics):
        assert_close(value, case.golden["bn_after_one_update/" + variable.op.name])


def test_regularized_tensors(goldens, graph):
    """L2 covers kernels and batch-norm gammas, those of the residual branches too, but not the residual 1x1 kernels."""
    scaled_l2 = lambda scale: (lambda tensor: scale * tf.nn.l2_loss(tensor))  # noqa: E731
    case = Case(goldens, "case1_dense_residual_masks", "train", True, regularizer=scaled_l2,
                regularizer_params={"scale": 0.001})
    penalties = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    golden = case.results["traj_momentum_l2"]
    assert ([penalty.op.name.split("/Regularizer/")[0] for penalty in penalties]
            == [name.split("/Regularizer/")[0] for name in golden["regularized"]])
    with case.restored_session() as session:
        total = session.run(case.output.loss.loss + tf.add_n(penalties))
    np.testing.assert_allclose(total, golden["train_op_value_loss_plus_regularization"][0], rtol=1e-5)
