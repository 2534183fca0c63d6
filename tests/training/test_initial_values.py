"""Initial values depend on the name of a variable and the seed only."""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.contrib import xavier_initializer
from open_seq2seq.training.initial_values import seeded_by_name


def _values(operations_before, seed, graph_seed=1):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(graph_seed)
        for _ in range(operations_before):
            tf.constant(0.0)
        with tf.name_scope("bucket"), seeded_by_name(seed):
            with tf.variable_scope("network", initializer=tf.glorot_uniform_initializer()):
                inherited, again = tf.get_variable("kernel", [3, 4]), tf.get_variable("kernel_2", [3, 4])
                bias = tf.get_variable("bias", [4], initializer=tf.zeros_initializer())
            default = tf.get_variable("default", [4])
            chosen = tf.get_variable("chosen", [4], initializer=tf.random_normal_initializer(seed=7))
            assert tf.constant(0.0).op.name.startswith("bucket/")
        session.run(tf.global_variables_initializer())
        return session.run([inherited, again, bias, default, chosen])


def test_values_depend_on_the_name_and_the_seed_and_on_nothing_built_before():
    reference, later, other = _values(0, 5), _values(7, 5), _values(0, 6)
    for value, same in zip(reference, later):
        np.testing.assert_array_equal(value, same)
    assert np.all(reference[0] != reference[1])
    assert np.all(reference[0] != other[0]) and np.all(reference[3] != other[3])


def test_initializers_of_configs_are_seeded_too():
    drawn = []
    for operations_before in (0, 7):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(1)
            for _ in range(operations_before):
                tf.constant(0.0)
            with seeded_by_name(5), tf.variable_scope("network", initializer=xavier_initializer(uniform=False)):
                kernels = [tf.get_variable(name, [3, 4]) for name in ("a", "b")]
            session.run(tf.global_variables_initializer())
            drawn.append(session.run(kernels))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert np.all(drawn[0][0] != drawn[0][1])


def test_zeros_and_custom_seeds_do_not_change():
    reference, other = _values(0, 5), _values(0, 6)
    np.testing.assert_array_equal(reference[2], np.zeros(4))
    np.testing.assert_array_equal(reference[4], other[4])
