"""Estimates the memory of a training step, before anything is computed: that of the host on a CPU, and that of an NPU.

The graph of a CPU has no static lengths. A copy of the operations of a step gets the lengths of the batch in question, TensorFlow
infers all other shapes from them, and ``memory_estimate.py`` computes the peak.
"""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.graph_analysis.graph_partition import Partition
from open_seq2seq.graph_analysis.graph_walk import executed_operations, folded_constants
from open_seq2seq.graph_analysis.layer_names import LayerNames
from open_seq2seq.graph_analysis.memory_estimate import SAME_MEMORY, estimate_memory
from open_seq2seq.graph_analysis.memory_limits import GIBIBYTE, SHARED_BY_GRAPHS

# What the estimate does not cover, measured with TensorFlow 1.15: operations run in another order than they were built in,
# convolutions have work space, the update copies gradients and weights, the allocator has fragments that it cannot use
SHARE, COPIES_OF_WEIGHTS, BYTES = 1.4, 2, 200 * 2 ** 20

BatchShape = collections.namedtuple("BatchShape", "rows frames labels")
BatchShape.__doc__ = "Utterances in a batch; feature frames and labels to which they are padded."


class StepMemory(collections.namedtuple("StepMemory", "total fixed rows")):
    """Bytes of a step in addition to the variables. total: of a batch of ``rows`` rows. fixed: independent of the rows."""

    __slots__ = ()

    def rows_within(self, limit):
        """The largest number of rows whose step takes at most ``limit`` bytes; 0 or less: not even one fits."""
        return int((limit - self.fixed) * self.rows // max(self.total - self.fixed, 1))


def step_memory(fetches, batch, shape, trainable):
    """Estimates the memory of a run of ``fetches``.

    Args:
      fetches: list of tensors and operations.
      batch: the Batch of tensors that they are computed from.
      shape: a BatchShape.
      trainable: set of the names of the trainable variables.

    Returns:
      StepMemory.
    """
    estimate = _estimate(fetches, batch, shape, trainable)
    fixed = BYTES + COPIES_OF_WEIGHTS * estimate.weights
    return StepMemory(int(SHARE * estimate.peak + fixed), int(SHARE * min(estimate.gradients, estimate.peak) + fixed), shape.rows)


def advised_batch(device, fetches, batch, npu_params, num_graphs, key):
    """A clause on the largest batch that fits into the memory of a device with static shapes, by an estimate.

    A trial would take minutes of compilation for each batch size.

    Args:
      device: a ``Device``.
      fetches: list of tensors and operations, what is run.
      batch: the Batch of tensors of static shape that they are computed from.
      npu_params: checked dict.
      num_graphs: number of graphs, one for each shape of batches.
      key: the config's key of the batch size.

    Returns:
      A str; None if the memory of the device is not known.
    """
    if device.graph_memory is None or not (batch.features.shape.is_fully_defined() and batch.labels.shape.is_fully_defined()):
        return None
    (rows, frames, _), (_, labels) = batch.features.shape.as_list(), batch.labels.shape.as_list()
    trainable = {variable.op.name for variable in tf.trainable_variables()}
    estimate = _estimate(fetches, batch, BatchShape(rows, frames, labels), trainable, device.half_precision)
    need = StepMemory(estimate.peak, min(estimate.gradients, estimate.peak), rows)
    source = "by an estimate of %.2g GB for %d utterances x %d frames, and %.3g GB for the tensors of a graph" % (
        need.total / GIBIBYTE, rows, frames, device.graph_memory / GIBIBYTE)
    fitting = need.rows_within(device.graph_memory)
    if fitting < rows:
        advice = "%s, %s" % (advised_rows(fitting, "would fit", key), source)
    else:
        # it fits by the estimate, but not on the device: graphs of other lengths, or other processes, need memory
        advice = "%s; %s, it should have fitted. Other processes may use the device (`npu-smi info`)" % (
            advised_rows(rows // 2, "may fit", key), source)
    if num_graphs > 1 and npu_params.get("static_memory_policy", 0) not in SHARED_BY_GRAPHS:
        advice += ". --npu_params/static_memory_policy=2 lets the graphs of all lengths use the same memory"
    return advice


def advised_rows(rows, verb, key="batch_size_per_gpu"):
    """A clause on a batch of ``rows`` utterances, e.g. "batch_size_per_gpu=8 would fit"."""
    if rows < 1:
        return "Not even one utterance %s" % verb
    return "%s=%d %s" % (key, rows, verb)


def largest_possible_bytes(fetches, shape):
    """Bytes of a run of ``fetches`` if no tensor were ever freed: computed quickly, and usually small enough.

    Args:
      fetches: list of tensors and operations.
      shape: a BatchShape.

    Returns:
      An int.
    """
    total = BYTES
    for operation in executed_operations(fetches):
        if operation.type in SAME_MEMORY:
            continue
        for tensor in operation.outputs:
            if tensor.dtype == tensor.dtype.base_dtype and tensor.shape.ndims is not None:
                known = [size for size in tensor.shape.as_list() if size is not None]
                unknown = tensor.shape.ndims - len(known)
                elements = 1
                for size in known:
                    elements *= size
                if unknown:
                    # the unknown dimension is the time; the batch, too, if it is unknown or merged with the time
                    elements *= shape.frames * (shape.rows if unknown > 1 or tensor.shape.ndims < 3 else 1)
                total += elements * (tensor.dtype.size or 0)
    return total


def _estimate(fetches, batch, shape, trainable, half_precision=False):
    operations = [fetch if isinstance(fetch, tf.Operation) else fetch.op for fetch in fetches]
    names = [operation.name for operation in operations]
    definition = tf.graph_util.extract_sub_graph(operations[0].graph.as_graph_def(), names)
    shapes = {"features": [shape.rows, shape.frames, batch.features.shape.as_list()[2]], "labels": [shape.rows, shape.labels]}
    with tf.Graph().as_default() as graph:
        inputs = {tensor.name: tf.placeholder(tensor.dtype, shapes.get(name, tensor.shape.as_list()))
                  for name, tensor in batch._asdict().items() if tensor is not None}
        tf.import_graph_def(definition, inputs, name="")
        executed = executed_operations([graph.get_operation_by_name(name) for name in names])
    constants = folded_constants(executed)
    entering = {operation: "input" for operation in executed if operation.type.startswith(("Placeholder", "Iterator"))}
    computed = {operation for operation in executed if operation not in constants and operation not in entering}
    # everything is "offloaded": the whole step runs on the device whose memory is estimated
    divided = Partition(executed, constants, supported=computed, offloaded=computed, host=entering, parts=[], splitting=[])
    return estimate_memory(divided, LayerNames(executed, trainable), trainable, half_precision)
