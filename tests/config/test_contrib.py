import subprocess
import sys

import numpy as np
import pytest
import tensorflow as installed_tensorflow
import tensorflow.compat.v1 as tf

from open_seq2seq.config import contrib
from open_seq2seq.errors import ConfigError
from tests.paths import REPOSITORY

ON_1_15 = tf.__version__.startswith("1.15")


def drawn(initializer, shape):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        return session.run(initializer(shape))


def computed(regularizer, weights):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(regularizer(tf.constant(weights, tf.float32)))


@pytest.mark.parametrize("initializer, standard_deviation, limit", [
    # fan in 5 * 40, fan out 5 * 60: mean 250
    (contrib.xavier_initializer(), (1 / 250) ** 0.5, (3 / 250) ** 0.5),
    # a normal distribution cut at two of its standard deviations keeps 0.8796 of them
    (contrib.xavier_initializer(uniform=False), 0.8796 * (1.3 / 250) ** 0.5, 2 * (1.3 / 250) ** 0.5),
    (contrib.variance_scaling_initializer(), 0.8796 * (2.6 / 200) ** 0.5, 2 * (2.6 / 200) ** 0.5),
    (contrib.variance_scaling_initializer(1.0, "FAN_OUT", uniform=True), (1 / 300) ** 0.5, (3 / 300) ** 0.5),
])
def test_initializers_have_the_variance_of_contrib(initializer, standard_deviation, limit):
    weights = drawn(initializer, [5, 40, 60])
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights.std(), standard_deviation, rtol=0.03)
    assert 0.97 * limit < np.abs(weights).max() <= limit * 1.000001


@pytest.mark.parametrize("shape", [[7], [3, 4], [5, 4, 6]])
@pytest.mark.skipif(not ON_1_15, reason="only TensorFlow 1 has tf.contrib")
@pytest.mark.slow
def test_numbers_equal_those_of_the_real_contrib(shape):
    real = __import__("tensorflow.contrib.layers", fromlist=["layers"])
    for name, arguments in (("xavier_initializer", {"uniform": False, "seed": 3}), ("xavier_initializer", {"seed": 3}),
                            ("xavier_initializer_conv2d", {"seed": 3}),
                            ("variance_scaling_initializer", {"factor": 1.5, "mode": "FAN_OUT", "seed": 3})):
        np.testing.assert_array_equal(drawn(contrib.STAND_INS["layers"][name](**arguments), shape),
                                      drawn(getattr(real, name)(**arguments), shape), err_msg=name)
    weights = np.arange(6.0).reshape(2, 3)
    for name in ("l1_regularizer", "l2_regularizer"):
        assert computed(contrib.STAND_INS["layers"][name](0.5), weights) == computed(getattr(real, name)(0.5), weights)


def test_regularizers():
    assert computed(contrib.l2_regularizer(0.001), [3.0, -4.0]) == np.float32(0.001) * np.float32(12.5)
    assert computed(contrib.l1_regularizer(0.5), [3.0, -4.0]) == 3.5
    assert contrib.l2_regularizer(0.0)(None) is None and contrib.l1_regularizer(0.0)(None) is None
    for scale in (1, -0.5):
        with pytest.raises(ValueError, match="integer|less than 0"):
            contrib.l2_regularizer(scale)


def test_wrong_arguments_of_an_initializer():
    with pytest.raises(ValueError, match="FAN_INN"):
        contrib.variance_scaling_initializer(mode="FAN_INN")
    with pytest.raises(TypeError, match="int32"):
        contrib.xavier_initializer(dtype=tf.int32)


def test_imports_find_the_replacements_only_while_installed():
    stand_in = contrib.ConfigTensorFlow(installed_tensorflow)
    with stand_in.installed():
        import tensorflow as seen
        import tensorflow.compat.v1 as seen_v1
        from tensorflow.contrib.layers import l2_regularizer
        assert seen is stand_in and seen_v1 is tf and l2_regularizer is contrib.l2_regularizer
        assert seen.train.AdamOptimizer is tf.train.AdamOptimizer and seen.float32 is tf.float32
        assert seen.contrib.layers.xavier_initializer is contrib.xavier_initializer
        assert seen.glorot_uniform_initializer is tf.glorot_uniform_initializer
    assert sys.modules["tensorflow"] is installed_tensorflow
    assert sys.modules.get("tensorflow.contrib.layers") is not stand_in.contrib.layers
    # a config's lambda uses its tf long after the config was loaded
    assert stand_in.nn.relu is tf.nn.relu


def test_an_unknown_name_of_tensorflow():
    stand_in = contrib.ConfigTensorFlow(installed_tensorflow)
    with pytest.raises(AttributeError, match="no_such_name"):
        stand_in.no_such_name  # noqa: B018
    if not ON_1_15:
        with stand_in.installed(), pytest.raises(ConfigError, match="contrib.layers.batch_norm is not in TensorFlow 2"):
            stand_in.contrib.layers.batch_norm  # noqa: B018


@pytest.mark.skipif(not ON_1_15, reason="only TensorFlow 1 has tf.contrib")
@pytest.mark.slow
def test_other_names_of_contrib_are_the_original_ones_and_imported_once():
    script = """
import tensorflow
from open_seq2seq.config.contrib import ConfigTensorFlow
stand_in = ConfigTensorFlow(tensorflow)
with stand_in.installed():
    import tensorflow as tf
    optimizer = tf.contrib.opt.AdamWOptimizer
    first = tf.contrib.layers.batch_norm
assert first is tensorflow.contrib.layers.batch_norm
assert optimizer is tensorflow.contrib.opt.AdamWOptimizer
with ConfigTensorFlow(tensorflow).installed():
    import tensorflow as tf
    assert tf.contrib.layers.batch_norm is first
print("same")
"""
    output = subprocess.check_output([sys.executable, "-W", "ignore", "-c", script], cwd=REPOSITORY, universal_newlines=True)
    assert output == "same\n"
