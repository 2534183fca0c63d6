"""The optimizer's summaries for TensorBoard."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers import SUMMARIES


def _summaries(model, poison=1.0):
    feed = {model.inputs: np.array([[1.0, 0.0, 0.0]], np.float32), model.targets: np.array([0.0], np.float32),
            model.poison: poison}
    written = tf.Summary()
    written.ParseFromString(model.session.run([tf.summary.merge_all(), model.train.update], feed)[0])
    return {value.tag: value for value in written.value}


@pytest.mark.parametrize("iter_size", [1, 2])
def test_all(make_linear, iter_size):
    model = make_linear(summaries=list(SUMMARIES), loss_scaling=8.0, iter_size=iter_size,
                        larc_params={"larc_eta": 0.01, "larc_mode": "scale"})
    written = _summaries(model)
    part = 2.5 / iter_size  # with iter_size 2 nothing was accumulated before: half the gradient
    scalars = {
        "learning_rate": 0.1, "loss_scale": 8.0, "Loss_Optimization/global_gradient_norm": part * 2 ** 0.5,
        "Loss_Optimization/gradient_norm/model/weights_0": part, "Loss_Optimization/gradient_norm/model/bias_0": part,
        "Loss_Optimization/variable_norm/model/weights_0": 5.25 ** 0.5, "Loss_Optimization/variable_norm/model/bias_0": 0.25,
        "Loss_Optimization/larc_grad_update/model/bias_0": 0.01 * 0.25 / part,
        "Loss_Optimization/larc_final_lr/model/bias_0": 0.1 * 0.01 * 0.25 / part,
        "Loss_Optimization/larc_clip_on/model/bias_0": 1.0}
    for tag in set(scalars) - {"Loss_Optimization/variable_norm/model/weights_0", "Loss_Optimization/variable_norm/model/bias_0"}:
        assert written[tag].simple_value == pytest.approx(scalars[tag], rel=1e-5), tag
    # read in the run that changes them, so before or after the step
    for tag in ("Loss_Optimization/variable_norm/model/weights_0", "Loss_Optimization/variable_norm/model/bias_0"):
        assert written[tag].simple_value == pytest.approx(scalars[tag], abs=0.01), tag
    histogram = written["Loss_Optimization/gradients/model/weights_0"].histo
    assert (histogram.num, histogram.max) == (3.0, pytest.approx(part, rel=1e-5))
    assert "Loss_Optimization/variables/model/weights_0" in written


def test_none(make_linear):
    make_linear(summaries=[])
    assert tf.summary.merge_all() is None


def test_gradients_that_are_not_finite_can_be_summarized(make_linear):
    written = _summaries(make_linear(summaries=["gradients", "global_gradient_norm"]), poison=float("nan"))
    assert written["Loss_Optimization/gradients/model/weights_0"].histo.max == 0.0
    assert np.isnan(written["Loss_Optimization/global_gradient_norm"].simple_value)


def test_the_norm_after_clipping(make_linear):
    written = _summaries(make_linear(summaries=["global_gradient_norm"], max_grad_norm=0.5))
    assert written["Loss_Optimization/global_gradient_norm"].simple_value == pytest.approx(2.5 * 2 ** 0.5, rel=1e-5)
    assert written["Loss_Optimization/global_clipped_gradient_norm"].simple_value == 0.5
