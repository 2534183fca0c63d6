import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.checkpoints.moving_average import SUFFIX, MovingAverages, is_average, started_averages
from open_seq2seq.checkpoints.restore import describe_restore, read_values, restore
from open_seq2seq.errors import CheckpointError
from open_seq2seq.optimizers.update_operations import cond_with_updates


def network(value=(1.0, 2.0)):
    """A weight and a frozen one, under the names of a network."""
    with tf.variable_scope("ForwardPass", reuse=tf.AUTO_REUSE, use_resource=False):
        weight = tf.get_variable("layer/kernel", initializer=np.array(value, np.float32))
        tf.get_variable("frozen/kernel", initializer=np.float32(7.0))
        tf.get_variable("layer/moving_mean", initializer=np.float32(3.0), trainable=False)
    return weight


def numpy_average(weights, applied, decay, start):
    """The average after each step, in float64, with its warm-up."""
    average, updates, averages = np.array(start, np.float64), 0, []
    for weight, was_applied in zip(weights, applied):
        if was_applied:
            decay_now = min(decay, (1.0 + updates) / (10.0 + updates))
            average = decay_now * average + (1.0 - decay_now) * weight
            updates += 1
        averages.append(average)
    return np.array(averages)


@pytest.mark.parametrize("decay", [0.05, 0.3, 0.9999])
def test_equals_numpy_and_skipped_steps_do_not_count(graph, decay):
    weight = network()
    change, applied = tf.placeholder(tf.float32, [2]), tf.placeholder(tf.bool, [])
    averages = MovingAverages(decay, "ForwardPass/frozen")
    step = cond_with_updates(applied, lambda: tf.assign_add(weight, change).op, tf.no_op)
    update, start = averages.updated_after(step, applied), averages.start()
    names = [variable.op.name for variable in tf.global_variables() if is_average(variable.op.name)]
    assert names == ["ForwardPass/layer/kernel" + SUFFIX]
    average = next(variable for variable in tf.global_variables() if variable.op.name == names[0])
    draw = np.random.RandomState(3)
    made = [True, True, False, True, False, True, True, True]
    weights, averages_seen = [], []
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        session.run(start)
        first = session.run(weight)
        assert session.run(average).tolist() == first.tolist() == [1.0, 2.0]
        for is_made in made:
            session.run(update, {change: draw.randn(2), applied: is_made})
            weights.append(session.run(weight))
            averages_seen.append(session.run(average))
        # an average that has begun does not start again, unless its weight is new
        values = graph_variables().read(session)
        np.testing.assert_array_equal(started_averages(values)[names[0]], averages_seen[-1])
        np.testing.assert_array_equal(started_averages(values, ["ForwardPass/layer/kernel"])[names[0]], weights[-1])
    np.testing.assert_allclose(averages_seen, numpy_average(weights, made, decay, first), rtol=1e-5)
    np.testing.assert_array_equal(averages_seen[2], averages_seen[1])


def test_names_and_numbers_equal_those_of_tensorflows_class():
    def averages_of(make):
        with tf.Graph().as_default(), tf.Session() as session:
            change = tf.placeholder(tf.float32, [2])
            weight = network()
            average, update, start = make(weight, tf.assign_add(weight, change).op)
            session.run(weight.initializer)  # TensorFlow's class asks for its value to begin with
            session.run(tf.global_variables_initializer())
            session.run(start)
            seen = []
            for number in range(6):
                session.run(update, {change: [0.5, -0.25 * number]})
                seen.append(session.run(average))
            return average.op.name, seen

    def ours(weight, step):
        averages = MovingAverages(0.2, "ForwardPass/frozen")
        update = averages.updated_after(step, tf.constant(True))
        return next(variable for variable in tf.global_variables() if is_average(variable.op.name)), update, averages.start()

    def theirs(weight, step):
        count = tf.get_variable("count", [], tf.int64, tf.zeros_initializer(), trainable=False)
        averages = tf.train.ExponentialMovingAverage(0.2, num_updates=count)
        with tf.control_dependencies([step]):
            update = averages.apply([weight])
        with tf.control_dependencies([update]):
            counted = tf.assign_add(count, 1)
        return averages.average(weight), counted, tf.no_op()

    (name, values), (expected_name, expected) = averages_of(ours), averages_of(theirs)
    assert name == expected_name
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_a_model_built_with_averages_uses_the_same_batch_norm_statistics(graph):
    weight = network()
    averages = MovingAverages(0.5, "ForwardPass/frozen")
    averages.start()
    with averages.in_place_of_weights(), tf.variable_scope("ForwardPass", reuse=tf.AUTO_REUSE, use_resource=False):
        seen = [tf.get_variable(name, shape).op.name for name, shape in (
            ("layer/kernel", [2]), ("frozen/kernel", []), ("layer/moving_mean", []))]
    assert seen == ["ForwardPass/layer/kernel" + SUFFIX, "ForwardPass/frozen/kernel", "ForwardPass/layer/moving_mean"]
    assert network() is weight


def saved(folder, with_averages):
    """A checkpoint whose weight is 5, 6 and whose average, where there is one, is 50, 60 after three updates."""
    with tf.Graph().as_default():
        network((5.0, 6.0))
        if with_averages:
            MovingAverages(0.5, "ForwardPass/frozen").start()
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for variable in tf.global_variables():
                if is_average(variable.op.name):
                    variable.load(np.array([50.0, 60.0], np.float32), session)
                elif variable.dtype.base_dtype == tf.int64:
                    variable.load(3, session)
            return tf.train.Saver().save(session, str(folder / "model.ckpt"), 4, write_meta_graph=False)


@pytest.mark.parametrize("with_averages, averaged, expected", [
    (True, True, [50.0, 60.0]), (True, False, [5.0, 6.0]), (False, True, [5.0, 6.0])])
def test_evaluation_uses_the_averages_of_a_checkpoint(tmp_path, graph, with_averages, averaged, expected):
    checkpoint = saved(tmp_path, with_averages)
    weight = network()
    with tf.Session() as session:
        report = restore(session, checkpoint, tf.global_variables(), averaged=averaged)
        assert session.run(weight).tolist() == expected
    assert report.missing == []
    assert ("1 of them as moving averages" in describe_restore(report)) == (expected[0] == 50.0)


def test_averages_missing_in_a_checkpoint_start_at_the_weights(tmp_path, graph):
    weight = network()
    averages = MovingAverages(0.5, "ForwardPass/frozen")
    averages.start()
    variables = tf.global_variables()
    average = next(variable for variable in variables if is_average(variable.op.name))
    (tmp_path / "without").mkdir()
    (tmp_path / "with").mkdir()
    without, with_averages = saved(tmp_path / "without", False), saved(tmp_path / "with", True)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        initial = graph_variables().read(session)
        report, values = read_values(without, variables)
        assert report.missing == [average.op.name, "moving_average_updates"]
        graph_variables().write(session, started_averages(dict(initial, **values)))
        assert session.run(average).tolist() == session.run(weight).tolist() == [5.0, 6.0]
        graph_variables().write(session, started_averages(read_values(with_averages, variables)[1]))
        assert session.run(average).tolist() == [50.0, 60.0]
    with tf.Graph().as_default(), tf.Session() as session:
        other = tf.get_variable("ForwardPass/other/kernel", [2])
        with pytest.raises(CheckpointError, match="1 variables of the network are not in the checkpoint: ForwardPass/other"):
            restore(session, with_averages, [other])
