"""What each of four ranks runs once for several tests: every section prints a line of JSON, see ``conftest.py``."""
import json

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed import open_group
from open_seq2seq.distributed.agreement import check_agreement
from open_seq2seq.distributed.exchange import Exchange, TextExchange
from open_seq2seq.distributed.gathering import gather_bytes
from open_seq2seq.errors import DeviceError

group = open_group("cpu")


def collectives(results):
    mine = group.rank + 1.0
    vector, scalar = tf.constant([1.0, 2.0]) * mine, tf.constant(3.0) * mine
    sums = group.sum([vector, scalar])
    # each rank's loss weighs the sums differently
    loss = mine * sums[0][0] + mine * sums[1] * sums[0][1]
    gradients = tf.gradients(loss, [vector, scalar])
    means = group.average([vector, tf.constant([60000.0], tf.float16), tf.constant([2.0 ** -24], tf.float16), scalar])
    gathered = group.gather(tf.constant([group.rank, 7]))
    with tf.Session() as session:
        group.start(session)
        for name, tensors in (("sums", sums), ("gradients", gradients), ("means", means), ("gathered", [gathered])):
            results[name] = [value.tolist() for value in session.run(tensors)]
            results[name + "_shapes"] = [tensor.shape.as_list() for tensor in tensors]
    results["place"] = [group.rank, group.size, group.local_rank, group.local_size, group.is_first, group.name]


def broadcast(results):
    types = (tf.float32, tf.float16, tf.float64, tf.int32, tf.int64)
    variables = [tf.Variable(tf.cast(tf.fill([3], group.rank + 1), dtype)) for dtype in types]
    variables += [tf.Variable(group.rank == 0), tf.get_variable("resource", initializer=float(group.rank + 1), use_resource=True)]
    step = tf.train.get_or_create_global_step()
    update = tf.train.MomentumOptimizer(0.1, 0.9).minimize(tf.reduce_sum(variables[0] * (group.rank + 1.0)), step)
    operation = group.broadcast(tf.global_variables())
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for _ in range(group.rank + 2):
            session.run(update)
        session.run(operation)
        results.update((variable.op.name, np.array(session.run(variable)).tolist()) for variable in tf.global_variables())


def training(results):
    """Many small gradients, as in a deep network."""
    random = np.random.RandomState(group.rank)
    hidden, weights = tf.constant(random.normal(size=[8, 16]), tf.float32), []
    for layer in range(40):
        weights.append(tf.get_variable("kernel%d" % layer, initializer=np.eye(16, dtype=np.float32) * (1 + layer / 40)))
        hidden = tf.tanh(tf.matmul(hidden, weights[-1]))
    gradients = tf.gradients(tf.reduce_mean(hidden ** 2), weights)
    means = group.average(gradients)
    update = tf.group(*[tf.assign_sub(weight, mean) for weight, mean in zip(weights, means)])
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for name, values in zip(("own", "mean"), session.run([gradients, means])):
            results[name] = [float(np.sum(value, dtype=np.float64)) for value in values]
        for _ in range(5):
            session.run(update)
        results["trained"] = [value.tolist() for value in session.run(weights[:3])]


def steps(results):
    """What every training step exchanges: sums with gradients, then the gradients themselves, longer than a chunk."""
    mine = group.rank + 1.0
    vector = tf.get_variable("vector", initializer=[1.0, 2.0]) * mine
    first = group.sum_in_step([vector])[0]
    second = group.sum_in_step([tf.reshape(first * vector, [1, 2])])[0]
    loss = tf.reduce_sum(second) * mine
    gradient, = tf.gradients(loss, [vector])
    large = tf.range(700000, dtype=tf.float32) * mine
    means = group.average_gradients([gradient, large]) + group.average_in_step([tf.reduce_sum(large[:3])])
    plain = group.average([gradient, large, tf.reduce_sum(large[:3])])
    shapes = [tensor.shape.as_list() for tensor in [first, second] + means]
    with tf.Session(config=tf.ConfigProto(inter_op_parallelism_threads=1)) as session:
        session.run(tf.global_variables_initializer())
        for _ in range(3):
            found, exchanged, expected, own = session.run([second, means, plain, gradient])
        results.update(shapes=shapes, second=found.tolist(), gradient=own.tolist(),
                       equal=[bool((a == b).all()) for a, b in zip(exchanged, expected)],
                       bits=[float(np.float64(value).sum()) for value in exchanged], shared=group._memory is not None)


def exchange(results):
    numbers, texts = Exchange(group, ["loss", "count", "bad"]), TextExchange(group, 9)
    with tf.Session() as session:
        values = {"loss": [0.1, 1e16, 0.2, -1e16][group.rank], "count": 2 ** 53 - group.rank,
                  "bad": float("inf") if group.rank else float("-inf")}
        text = ["rank 0", "", "R\u00e4nge, whose end is cut", "\u8a9e\u8a9e\u8a9e\u8a9e\u8a9e"][group.rank]
        results.update(all=numbers.all(session, values), sum=numbers.sum(session, values), texts=texts.all(session, text))
        parts = gather_bytes(group, session, bytes(range(256)) * (group.rank * 20) + b"\0" * group.rank)
        results["bytes"] = [part.hex() for part in parts]


def agreement(results):
    same = {"TensorFlow": "1.15.0", "data": "f" * 500}
    with tf.Session() as session:
        for name, facts in (
                ("first", dict(same, umlaut="\u00e4")),
                ("versions", dict(same, TensorFlow="1.15.0" if group.rank != 1 else "2.6.5")),
                ("data", dict(same, data="%d" % (group.rank // 3) * 500)),
                ("absent", same if group.rank else dict(same, buckets="[400, 800]")),
                ("last", same)):
            try:
                check_agreement(group, session, facts)
                results[name] = "agreed"
            except DeviceError as error:
                results[name] = str(error)


everything = {}
for section in (collectives, broadcast, training, steps, exchange, agreement):
    with tf.Graph().as_default():
        section(everything.setdefault(section.__name__, {}))
with tf.Graph().as_default(), tf.Session() as last:
    group.finish(last)
print(json.dumps(everything))
