"""Checks whether the Ascend adapter would run a graph completely on the NPU, with one compilation. The graph is not run."""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.graph_analysis import graph_partition
from open_seq2seq.graph_analysis.graph_walk import executed_operations, reference_inputs
from open_seq2seq.graph_analysis.layer_names import LayerNames
from open_seq2seq.graph_analysis.memory_estimate import estimate_memory

ERROR, WARNING, NOTE = "error", "warning", "note"

Finding = collections.namedtuple("Finding", "level kind layer operation type count message fix")
Finding.__doc__ = """A result of the check.

level: "error" (the run would fail, or silently compute on the host), "warning" (it costs time or memory) or "note".
kind: a short name for the table, e.g. "unknown shape".
layer: layer of the network. operation, type: name and type of the first operation concerned.
count: number of operations of this kind in this layer.
message: what was found. fix: how to fix it; None for a note.
"""

GraphReport = collections.namedtuple("GraphReport", "name findings offloaded host parts signature unknown_shapes memory")
GraphReport.__doc__ = """The result of :func:`check_graph`.

name: the graph's name. findings: list of :class:`Finding`, errors first.
offloaded, host: numbers of operations. parts: numbers of operations in the parts of the graph, the offloaded one first.
signature: tuple of (dtype name, shape) of the input tensors of the offloaded part; a graph is compiled for each signature.
unknown_shapes: number of tensors in the offloaded part whose shape is unknown.
memory: a ``memory_estimate.MemoryEstimate``, None where shapes are unknown.
"""

FIX_SHAPE = ("use static shapes: pad to the lengths of npu_params bucket_frames; build shapes from numbers (tensor.shape) "
             "instead of tf.shape; avoid tf.where(mask), tf.boolean_mask and tf.unique")
FIX_HOST = "replace it by operators of the list, or move it from the training step into the data layer"
FIX_FLOAT64 = "compute in float32 (tf.cast; NumPy constants are float64 by default)"
FIX_REFERENCE = "pass the value (tf.identity of the variable), or replace it by an operator of the list"
FIX_SCOPE = ("without mix_compile_mode only the largest part is offloaded; keep npu_params ctc_on_host at False, or also set "
             "npu_params mix_compile_mode to True")


def check_graph(graph, fetches, operator_list, name="graph", mix_compile_mode=False, feeds=(), half_precision=True):
    """Checks the operations that a ``Session.run`` of ``fetches`` would execute.

    Args:
      graph: the ``tf.Graph``.
      fetches: list of tensors and operations of it.
      operator_list: an ``OperatorList``.
      name: name of the report.
      mix_compile_mode: the adapter's option.
      feeds: tensors that are fed.
      half_precision: whether the adapter casts activations to float16 (its precision_mode); used for the memory.

    Returns:
      A :class:`GraphReport`.
    """
    operations = executed_operations(fetches, feeds)
    divided = graph_partition.partition(operations, operator_list, mix_compile_mode)
    trainable = {variable.op.name for variable in graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES)}
    variables = {variable.op.name for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)}
    layers = LayerNames(operations, trainable or variables)
    unknown = [tensor for operation in operations if operation in divided.supported for tensor in operation.outputs
               if _is_unknown(tensor)]
    found = (_unknown_shapes(divided, layers) + _double_precision(divided, layers) + _strings(divided, layers)
             + _host(divided, layers, operator_list, mix_compile_mode) + _references(divided, layers)
             + _unfused_batch_norms(divided, layers))
    order = (ERROR, WARNING, NOTE)
    memory = None if unknown else estimate_memory(divided, layers, trainable, half_precision)
    return GraphReport(name, sorted(_merged(found), key=lambda finding: order.index(finding.level)), len(divided.offloaded),
                       len(divided.host) + len(divided.supported - divided.offloaded), divided.parts, _signature(divided),
                       len(unknown), memory)


def _finding(level, kind, operation, layers, message, fix):
    return Finding(level, kind, layers[operation], operation.name, operation.type, 1, message, fix)


def _merged(findings):
    """Merges findings of the same kind about operations of the same type in the same layer."""
    groups = collections.OrderedDict()
    for finding in findings:
        groups.setdefault((finding.level, finding.kind, finding.layer, finding.type), []).append(finding)
    return [group[0]._replace(count=len(group)) for group in groups.values()]


def _is_unknown(tensor):
    # the last output of FusedBatchNormV3 is scratch space, for which TensorFlow never knows a shape
    return not tensor.shape.is_fully_defined() and not (tensor.op.type == "FusedBatchNormV3" and tensor.value_index == 5)


def _unknown_shapes(divided, layers):
    """Only the causes of unknown shapes: offloaded operations with an unknown output although all their inputs are known, and
    inputs from the host with an unknown shape."""
    found, blamed, from_shapes = [], set(), set()
    for operation in divided.operations:
        if operation not in divided.supported:
            continue
        if _computes_with_unknown_shapes(operation, from_shapes):
            # operations that depend on this size are consequences as well
            from_shapes.add(operation)
        unknown_inputs = [tensor for tensor in operation.inputs
                          if _is_unknown(tensor) and tensor.op not in divided.constants]
        for tensor in unknown_inputs:
            if tensor.op not in divided.supported and tensor not in blamed:
                blamed.add(tensor)
                found.append(_finding(ERROR, "unknown shape", tensor.op, layers, "%s enters the NPU with shape %s; the graph "
                                      "is compiled again for every new shape" % (tensor.name, tensor.shape), FIX_SHAPE))
        outputs = [tensor for tensor in operation.outputs if _is_unknown(tensor)]
        if outputs and not unknown_inputs and not any(tensor.op in from_shapes for tensor in operation.inputs):
            found.append(_finding(ERROR, "unknown shape", operation, layers, "%s has shape %s" % (
                outputs[0].name, outputs[0].shape), FIX_SHAPE))
    return found


def _computes_with_unknown_shapes(operation, from_shapes):
    if operation.type in ("Shape", "ShapeN", "Size", "Rank"):
        return any(_is_unknown(tensor) for tensor in operation.inputs)
    return (any(tensor.op in from_shapes for tensor in operation.inputs)
            and all(tensor.dtype.base_dtype in (tf.int32, tf.int64) for tensor in operation.outputs))


def _double_precision(divided, layers):
    found = []
    for operation in divided.operations:
        if operation in divided.supported and tf.float64 in _dtypes(operation.outputs):
            if not any(tensor.op in divided.supported and tensor.dtype.base_dtype == tf.float64 for tensor in operation.inputs):
                found.append(_finding(ERROR, "float64", operation, layers,
                                      "produces a float64, which the NPU does not support", FIX_FLOAT64))
        elif operation in divided.supported and tf.float64 in _dtypes(
                tensor for tensor in operation.inputs if tensor.op not in divided.supported):
            found.append(_finding(ERROR, "float64", operation, layers, "takes a float64, which the NPU does not support",
                                  FIX_FLOAT64))
    return found


def _strings(divided, layers):
    return [_finding(ERROR, "string", operation, layers, "computes with strings inside the offloaded part", FIX_HOST)
            for operation in divided.operations
            if operation in divided.supported and tf.string in _dtypes(operation.outputs)]


def _dtypes(tensors):
    return {tensor.dtype.base_dtype for tensor in tensors}


def _host(divided, layers, operator_list, mix_compile_mode):
    """Operations that stay on the host: they split the offloaded part, feed it, or run after it."""
    found, splitting = [], set(divided.splitting)
    feeding = {tensor.op for operation in divided.supported for tensor in operation.inputs}
    for operation, reason in divided.host.items():
        why = "%s is %s" % (operation.type, reason)
        if reason == graph_partition.UNSUPPORTED:
            why += " (%s)" % operator_list.source
        if operation in splitting:
            found.append(_splitting(operation, reason, why, layers, divided.parts, mix_compile_mode))
        elif reason == graph_partition.INPUT:
            continue
        elif operation.type in graph_partition.SUMMARY_TYPES or reason == graph_partition.CONNECTED:
            found.append(_finding(NOTE, "on the host", operation, layers, why, None))
        elif operation in feeding:
            found.append(_finding(WARNING, "on the host", operation, layers, why + "; it runs on the host before every step",
                                  FIX_HOST))
        else:
            found.append(_finding(NOTE, "on the host", operation, layers, why + "; it runs on the host after the step", None))
    return found


def _splitting(operation, reason, why, layers, parts, mix_compile_mode):
    if mix_compile_mode:
        return _finding(WARNING, "splits the graph", operation, layers, "%s; the graph becomes %d subgraphs with transfers to "
                        "the host between them" % (why, len(parts)), "keep npu_params mix_compile_mode at False")
    rest = sum(parts[1:])
    message = "%s, between offloaded operations: the adapter offloads only the largest part and silently leaves %d of %d " \
              "supported operations on the host" % (why, rest, sum(parts))
    return _finding(ERROR, "splits the graph", operation, layers, message,
                    FIX_SCOPE if reason == graph_partition.SCOPE else FIX_HOST)


def _references(divided, layers):
    found = []
    for operation, reason in divided.host.items():
        if reason in (graph_partition.CONNECTED, graph_partition.INPUT):
            continue
        for tensor in reference_inputs(operation):
            if operation.type.startswith(("Save", "Restore")):
                continue
            found.append(_finding(ERROR, "reference", operation, layers, "%s stays on the host and takes the variable %s by "
                                  "reference, so the variable cannot be on the NPU" % (operation.type, tensor.op.name),
                                  FIX_REFERENCE))
    for operation in divided.operations:
        for tensor in reference_inputs(operation) if operation in divided.supported else ():
            if tensor.op in divided.supported and (operation in divided.offloaded) != (tensor.op in divided.offloaded):
                found.append(_finding(
                    ERROR, "reference", operation, layers, "the graph is split between the variable %s and %s, which takes it by "
                    "reference; the adapter refuses that" % (tensor.op.name, operation.type), FIX_SCOPE))
    return found


def _unfused_batch_norms(divided, layers):
    """Rsqrt of a variance that was computed from squares: a normalization of single operators, not FusedBatchNorm."""
    found = []
    for operation in divided.operations:
        if operation.type != "Rsqrt" or operation not in divided.supported or layers.is_backward(operation):
            continue
        if any(squared.type in ("SquaredDifference", "Square") for squared in _near(operation, 5)):
            found.append(_finding(
                WARNING, "unfused normalization", operation, layers, "mean and variance are computed by single operators",
                "use tf.nn.fused_batch_norm on a tensor of rank 4 (not possible with mask_batch_norm)"))
    return found


def _near(operation, steps):
    """Set of the operations at most ``steps`` steps before an operation."""
    level, seen = [operation], set()
    for _ in range(steps):
        level = [tensor.op for before in level for tensor in before.inputs if tensor.op not in seen]
        seen.update(level)
    return seen


def _signature(divided):
    """Sorted dtypes and shapes of the input tensors of the offloaded part."""
    entering = {tensor.name: tensor for operation in divided.offloaded for tensor in operation.inputs
                if tensor.op not in divided.offloaded and tensor.op not in divided.constants}
    return tuple((tensor.dtype.base_dtype.name, str(tensor.shape)) for _, tensor in sorted(entering.items()))
