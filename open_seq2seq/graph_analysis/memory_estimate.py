"""Estimates the device memory of a graph from the shapes of its tensors and the order of its operations.

The graph engine plans memory before the first step in the same way: a tensor is allocated from the operation that produces it to
the last one that reads it. Memory that the engine adds for its formats and work space, or saves by fusing operators, is unknown.
"""
import collections

import tensorflow.compat.v1 as tf

MemoryEstimate = collections.namedtuple("MemoryEstimate", "weights optimizer gradients activations peak total largest_layers")
MemoryEstimate.__doc__ = """Bytes.

weights: trainable variables. optimizer: the other variables. gradients: one for each weight that has one.
activations: results of the forward pass that the backward pass reads.
peak: maximum allocated at the same time in addition to the variables: activations, gradients, intermediate results.
total: weights + optimizer + peak.
largest_layers: list of (layer, bytes of its activations), the largest first; results instead in a graph without backward pass.
"""

_VARIABLES = frozenset(["Variable", "VariableV2", "VarHandleOp"])
# their first output uses the memory of their first input
SAME_MEMORY = frozenset(["Reshape", "Squeeze", "ExpandDims", "Identity", "StopGradient", "PreventGradient", "CheckNumerics",
                          "Enter", "Exit", "Switch", "ReadVariableOp"])
LARGEST_LAYERS = 5


def estimate_memory(divided, layers, trainable, half_precision=True):
    """Estimates the memory of the offloaded part of a run.

    Args:
      divided: a ``graph_partition.Partition`` whose offloaded tensors have known shapes.
      layers: its ``LayerNames``.
      trainable: set of names of the trainable variables.
      half_precision: whether float32 activations are float16 on the device. Gradients of weights, variables and
        tensors of rank below 3 keep their type.

    Returns:
      A :class:`MemoryEstimate`.
    """
    # in the order of creation: the forward pass, then the backward pass
    graph = divided.operations[0].graph
    order = [operation for operation in graph.get_operations() if operation in divided.supported]
    variables = [operation for operation in divided.operations if operation.type in _VARIABLES]
    weights = sum(_variable_bytes(operation) for operation in variables if operation.name in trainable)
    others = sum(_variable_bytes(operation) for operation in variables if operation.name not in trainable)
    shapes = {_plain(_variable_shape(operation)) for operation in variables}
    allocations = _allocations(order, divided, lambda tensor: _bytes(tensor, shapes, half_precision))
    kept = [allocation for allocation in allocations
            if not layers.is_backward(allocation.producer) and any(map(layers.is_backward, allocation.readers))]
    by_layer = collections.Counter()
    for allocation in kept or allocations:
        by_layer[layers[allocation.producer]] += allocation.size
    gradients = sum(_variable_bytes(operation) for operation in variables if operation.name in trainable) if kept else 0
    peak = _peak(allocations, order)
    return MemoryEstimate(weights, others, gradients, sum(allocation.size for allocation in kept), peak, weights + others + peak,
                          by_layer.most_common(LARGEST_LAYERS))


class _Allocation:
    """A block of memory: the operation that produces it and those that read it, under any tensor name."""

    def __init__(self, producer, size):
        self.producer, self.size, self.readers = producer, size, []


def _allocations(order, divided, size_of):
    held, allocations = {}, []
    entering = {tensor for operation in order for tensor in operation.inputs if tensor.op in divided.host}
    for tensor in sorted(entering, key=lambda tensor: tensor.name):
        held[tensor] = _Allocation(tensor.op, size_of(tensor))
        allocations.append(held[tensor])
    for operation in order:
        for tensor in operation.inputs:
            if tensor in held:
                held[tensor].readers.append(operation)
        if operation.type in SAME_MEMORY and len(operation.inputs):
            source = held.get(operation.inputs[0])
            if source is not None:
                held.update((tensor, source) for tensor in operation.outputs)
            continue
        for tensor in operation.outputs:
            # a reference is the variable itself
            if operation.type in _VARIABLES or tensor.dtype != tensor.dtype.base_dtype:
                continue
            held[tensor] = _Allocation(operation, size_of(tensor))
            allocations.append(held[tensor])
    return allocations


def _peak(allocations, order):
    position = {operation: index for index, operation in enumerate(order)}
    change = collections.Counter()
    for allocation in allocations:
        begin = position.get(allocation.producer, 0)
        end = max([position[operation] for operation in allocation.readers] + [begin])
        change[begin] += allocation.size
        change[end + 1] -= allocation.size
    allocated, most = 0, 0
    for index in sorted(change):
        allocated += change[index]
        most = max(most, allocated)
    return most


def _bytes(tensor, variable_shapes, half_precision):
    if not tensor.shape.is_fully_defined() or tensor.dtype.base_dtype in (tf.string, tf.resource, tf.variant):
        return 0
    size = tensor.dtype.base_dtype.size
    shape = tensor.shape.as_list()
    if half_precision and tensor.dtype.base_dtype == tf.float32 and len(shape) > 2 and _plain(shape) not in variable_shapes:
        size = 2
    return tensor.shape.num_elements() * size


def _variable_shape(operation):
    return [dimension.size for dimension in operation.get_attr("shape").dim]


def _variable_bytes(operation):
    elements = 1
    for size in _variable_shape(operation):
        elements *= size
    return elements * tf.as_dtype(operation.get_attr("dtype")).size


def _plain(shape):
    """A shape without leading ones: the kernel [1, W, Cin, Cout] of a Conv2D is a variable [W, Cin, Cout]."""
    shape = list(shape)
    while shape and shape[0] == 1:
        shape = shape[1:]
    return tuple(shape)
