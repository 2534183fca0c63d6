"""Collective operations over Horovod in real processes."""
import json

import pytest

PRELUDE = '''
import json
import numpy as np
import tensorflow.compat.v1 as tf
from open_seq2seq.distributed import open_group
group = open_group("cpu")
results = {}
'''
CLOSE = '''
    group.finish(session)
print(json.dumps(results))
'''

COLLECTIVES = PRELUDE + '''
mine = group.rank + 1.0
vector, scalar = tf.constant([1.0, 2.0]) * mine, tf.constant(3.0) * mine
sums = group.sum([vector, scalar])
# each rank's loss weighs the sums in its own way
loss = mine * sums[0][0] + mine * sums[1] * sums[0][1]
slopes = tf.gradients(loss, [vector, scalar])
means = group.average([vector, tf.constant([60000.0], tf.float16), tf.constant([2.0 ** -24], tf.float16), scalar])
gathered = group.gather(tf.constant([group.rank, 7]))
with tf.Session() as session:
    group.start(session)
    for name, tensors in (("sums", sums), ("slopes", slopes), ("means", means), ("gathered", [gathered])):
        results[name] = [value.tolist() for value in session.run(tensors)]
        results[name + "_shapes"] = [tensor.shape.as_list() for tensor in tensors]
    results["place"] = [group.rank, group.size, group.local_rank, group.local_size, group.is_first, group.name]
''' + CLOSE

BROADCAST = PRELUDE + '''
def value_of(kind):
    return tf.cast(tf.fill([3], group.rank + 1), kind)
variables = [tf.Variable(value_of(kind)) for kind in (tf.float32, tf.float16, tf.float64, tf.int32, tf.int64)]
variables += [tf.Variable(group.rank == 0), tf.get_variable("resource", initializer=float(group.rank + 1), use_resource=True)]
optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
step = tf.train.get_or_create_global_step()
update = optimizer.minimize(tf.reduce_sum(variables[0] * (group.rank + 1.0)), step)
broadcast = group.broadcast(tf.global_variables())
with tf.Session() as session:
    group.start(session)
    session.run(tf.global_variables_initializer())
    for _ in range(group.rank + 2):
        session.run(update)
    session.run(broadcast)
    results = {variable.op.name: np.array(session.run(variable)).tolist() for variable in tf.global_variables()}
''' + CLOSE

# many small gradients, as of a deep network: the mean of all of them has to be the same numbers on every rank
TRAINING = PRELUDE + '''
random = np.random.RandomState(group.rank)
inputs = tf.constant(random.normal(size=[8, 16]), tf.float32)
hidden, weights = inputs, []
for layer in range(40):
    weights.append(tf.get_variable("kernel%d" % layer, initializer=np.eye(16, dtype=np.float32) * (1 + layer / 40)))
    hidden = tf.tanh(tf.matmul(hidden, weights[-1]))
gradients = tf.gradients(tf.reduce_mean(hidden ** 2), weights)
means = group.average(gradients)
update = tf.group(*[tf.assign_sub(weight, mean) for weight, mean in zip(weights, means)])
with tf.Session() as session:
    group.start(session)
    session.run(tf.global_variables_initializer())
    own, mean = session.run([gradients, means])
    results["own"], results["mean"] = [float(np.sum(g, dtype=np.float64)) for g in own], [
        float(np.sum(m, dtype=np.float64)) for m in mean]
    for _ in range(5):
        session.run(update)
    results["trained"] = [value.tolist() for value in session.run(weights[:3])]
''' + CLOSE


def results_of(outcomes):
    return [json.loads(outcome.out) for outcome in outcomes]


@pytest.mark.slow
def test_sums_means_and_gathered_rows(run_ranks):
    for rank, results in enumerate(results_of(run_ranks(COLLECTIVES, size=3))):
        assert results["place"] == [rank, 3, rank, 3, rank == 0, "Horovod"]
        assert results["sums"] == [[6.0, 12.0], 18.0]
        # the gradient of a sum over ranks is the sum over ranks of the gradients: 6 = 1 + 2 + 3 for the weights of the losses
        assert results["slopes"] == [[6.0, 6.0 * 18.0], 6.0 * 12.0]
        assert results["means"][0] == pytest.approx([2.0, 4.0], rel=1e-6) and results["means"][3] == pytest.approx(6.0, rel=1e-6)
        # three times 60,000 is beyond float16
        assert results["means"][1] == pytest.approx([60000.0], rel=1e-3)
        assert results["gathered"] == [[[0, 7], [1, 7], [2, 7]]]
        assert results["gathered_shapes"] == [[3, 2]] and results["means_shapes"] == [[2], [1], [1], []]


@pytest.mark.slow
def test_every_kind_of_variable_becomes_the_first_ranks(run_ranks):
    first, second = results_of(run_ranks(BROADCAST))
    assert first == second
    assert first["global_step"] == 2
    assert first["resource"] == 1.0 and first["Variable_5"] is True
    assert first["Variable_3"] == first["Variable_4"] == [1, 1, 1]
    # two steps of momentum 0.9 with gradient 1: slots 1, then 1.9
    assert first["Variable/Momentum"] == pytest.approx([1.9] * 3)
    assert first["Variable"] == pytest.approx([1 - 0.1 * (1 + 1.9)] * 3)


@pytest.mark.slow
def test_mean_gradients_are_the_same_numbers_on_every_rank(run_ranks):
    first, second = results_of(run_ranks(TRAINING))
    assert first["own"] != second["own"]
    assert first["mean"] == pytest.approx([(a + b) / 2 for a, b in zip(first["own"], second["own"])], rel=1e-4, abs=1e-7)
    assert first["mean"] == second["mean"] and first["trained"] == second["trained"]
