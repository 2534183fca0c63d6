"""Moving statistics of batch normalization when a batch is not finite."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.normalization import batch_norm

CHANNELS, FRAMES = 6, 8


@pytest.mark.parametrize("dtype", [tf.float32, tf.float16], ids=["float32", "float16"])
@pytest.mark.parametrize("kind", ["fused", "masked", "synchronized"])
def test_non_finite_statistics_do_not_change_the_moving_ones_of_their_channel(graph, kind, dtype):
    images = tf.placeholder(tf.float32, [2, 1, FRAMES, CHANNELS])
    with tf.variable_scope("norm", use_resource=False):
        batch_norm(tf.cast(images, dtype), True, 0.9, 1e-3, mask=tf.ones([2, FRAMES, 1]) if kind == "masked" else None,
                   sum_over_ranks=list if kind == "synchronized" else None)
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    moving = [variable for variable in tf.global_variables() if "moving" in variable.op.name]
    features = np.random.RandomState(0).randn(2, 1, FRAMES, CHANNELS).astype(np.float32)
    poisoned = features.copy()
    poisoned[1, 0, 3, 1] = np.nan
    poisoned[0, 0, 0, 2] = np.inf
    poisoned[0, 0, 5, 3] = -np.inf
    poisoned[0, 0, 5, 4] = 1e30  # the mean is finite, the variance is not
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(updates, {images: features})
        before = session.run(moving)
        session.run(updates, {images: poisoned})
        after = session.run(moving)
    count = 2 * FRAMES
    tolerance = 1e-7 if dtype == tf.float32 else 1e-4
    for old, new, batch in zip(before, after, (features.mean((0, 1, 2)), features.var((0, 1, 2)) * count / (count - 1))):
        np.testing.assert_array_equal(new[1:5], old[1:5])
        np.testing.assert_allclose(new[[0, 5]], (0.9 * old + 0.1 * batch)[[0, 5]], rtol=1e-5, atol=tolerance)
