"""Estimates the host memory of a training step on a CPU, before anything is computed.

The graph of a CPU has no static lengths. A copy of the operations of a step gets the lengths of the batch in question, TensorFlow
infers all other shapes from them, and ``memory_estimate.py`` computes the peak.
"""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.graph_analysis.graph_partition import Partition
from open_seq2seq.graph_analysis.graph_walk import executed_operations, folded_constants
from open_seq2seq.graph_analysis.layer_names import LayerNames
from open_seq2seq.graph_analysis.memory_estimate import estimate_memory

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


def _estimate(fetches, batch, shape, trainable):
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
    return estimate_memory(Partition(executed, constants, computed, entering, [], []), LayerNames(executed, trainable), trainable,
                           half_precision=False)
