"""Determines which operations of a run the Ascend adapter offloads, and which it leaves on the host.

The rules are those of its partition pass (om_partition_subgraphs_pass.cc). In the default mode only one part of the graph goes
to the NPU: where operations of the host split the supported ones, the adapter offloads the largest connected part and silently
leaves the other supported operations on the host.
"""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.graph_analysis.clusters import offloaded_part
from open_seq2seq.graph_analysis.graph_walk import folded_constants, predecessors, reference_inputs

HOST_ATTRIBUTE = "_without_npu_compile"  # set by the adapter's without_npu_compile_scope
_NEVER_OFFLOADED = ("_Arg", "_Retval", "StringJoin")
_WITHOUT_COMPUTATION = frozenset(["NoOp", "Identity", "Const", "ControlTrigger", "Variable", "VariableV2", "VarHandleOp",
                           "ReadVariableOp"])
INPUT_TYPES = frozenset(["Iterator", "IteratorV2", "OneShotIterator", "IteratorGetNext", "IteratorGetNextSync", "MakeIterator",
                         "Placeholder", "PlaceholderV2", "PlaceholderWithDefault"])
SUMMARY_TYPES = frozenset(["ScalarSummary", "HistogramSummary", "MergeSummary", "TensorSummary", "TensorSummaryV2",
                           "ImageSummary", "AudioSummary"])

Partition = collections.namedtuple("Partition", "operations constants supported offloaded host parts splitting")
Partition.__doc__ = """How a run is divided between NPU and host.

operations: all executed operations, inputs first.
constants: set of operations that TensorFlow's optimizer has replaced by constants.
supported: set of operations that the adapter could offload.
offloaded: set of operations that it does offload; with mix_compile_mode all supported ones, otherwise one part of them.
host: dict from every operation that is not supported to the reason, one of the texts below.
parts: sizes of the parts into which operations of the host split the supported ones; only operations that compute are counted.
  Without mix_compile_mode only the first one is offloaded.
splitting: list of operations of the host between supported ones.
"""

UNSUPPORTED, GRAY, SCOPE, INPUT, FUNCTION, CONNECTED = (
    "not in the operator list", "left on the host by mix_compile_mode", "kept on the host by its scope", "input",
    "calls a function that the operator list does not cover", "connected by a reference or a string to an operation of the host")


def partition(operations, operator_list, mix_compile_mode=False):
    """Divides the operations of a run in the same way as the adapter.

    Args:
      operations: list of ``graph_walk.executed_operations``.
      operator_list: an ``OperatorList``.
      mix_compile_mode: the adapter's option of that name.

    Returns:
      A :class:`Partition`.
    """
    constants = folded_constants(operations)
    types = operator_list.supported - operator_list.gray if mix_compile_mode else operator_list.supported
    functions = _function_bodies(operations)
    host = collections.OrderedDict()
    for operation in operations:
        reason = None if operation in constants else _reason(operation, operator_list.supported, types, functions)
        if reason is not None:
            host[operation] = reason
    _add_connected(operations, constants, host)
    supported = {operation for operation in operations if operation not in constants and operation not in host}
    remaining = [operation for operation in operations if operation not in constants]
    offloaded = supported if mix_compile_mode else offloaded_part(remaining, supported)
    parts = _parts(operations, supported, host)
    if not mix_compile_mode:
        parts = [size for size in [_computing(offloaded)] if size] + _parts(operations, supported - offloaded, host)
    splitting = _splitting(operations, supported, host) if len(parts) > 1 else []
    return Partition(operations, constants, supported, offloaded, host, parts, splitting)


def _reason(operation, listed, supported, functions):
    kind = operation.type
    if kind in INPUT_TYPES:
        return INPUT
    attributes = operation.node_def.attr  # serialized by each access
    if HOST_ATTRIBUTE in attributes and attributes[HOST_ATTRIBUTE].b:
        return SCOPE
    if kind in _NEVER_OFFLOADED or kind.endswith(("Dataset", "DatasetV2")):
        return UNSUPPORTED
    if kind not in supported and kind not in functions:
        return GRAY if kind in listed else UNSUPPORTED
    if functions and any(unsupported_in_function(name, supported, functions) for name in functions_of(operation.node_def)):
        return FUNCTION
    return None


def functions_of(node):
    """Names of the functions that a node (NodeDef) calls: bodies of loops, branches of conditions."""
    names = [value.func.name for value in node.attr.values() if value.HasField("func")]
    return names + [function.name for value in node.attr.values() for function in value.list.func]


def _function_bodies(operations):
    """Function name -> list of NodeDef, if any of the operations calls one."""
    one_of_each_type = {operation.type: operation for operation in operations}
    calling = {name for name, operation in one_of_each_type.items()
               if any(attribute.type in ("func", "list(func)") for attribute in operation.op_def.attr)}
    if not any(functions_of(operation.node_def) for operation in operations if operation.type in calling):
        return {}
    # as_graph_def serializes the whole graph, which is slow
    library = operations[0].graph.as_graph_def().library
    return {function.signature.name: function.node_def for function in library.function}


def unsupported_in_function(name, supported, functions, depth=0):
    """Type of the first unsupported operator in a function's body or in functions that it calls; None if all are supported."""
    for node in functions.get(name, ()):
        if node.op != "Const" and node.op not in supported and node.op not in functions:
            return node.op
        for inner in functions_of(node) if depth < 10 else ():
            found = unsupported_in_function(inner, supported, functions, depth + 1)
            if found is not None:
                return found
    return None


def _add_connected(operations, constants, host):
    """Adds to ``host`` the operations connected to it by a variable passed by reference, a string or a resource."""
    executed = set(operations)
    pending = collections.deque(host)

    def add(operation):
        if operation in executed and operation not in constants and operation not in host:
            host[operation] = CONNECTED
            pending.append(operation)

    while pending:
        operation = pending.popleft()
        for tensor in operation.outputs:
            for consumer in tensor.consumers():
                by_reference = any(tensor is other for other in reference_inputs(consumer))
                if by_reference or (_is_handle(tensor) and consumer.type != "Assert"):
                    add(consumer)
        references = reference_inputs(operation)
        for tensor in operation.inputs:
            if any(tensor is other for other in references) or _is_handle(tensor):
                add(tensor.op)


def _is_handle(tensor):
    return tensor.dtype.base_dtype in (tf.string, tf.resource)


def _parts(operations, supported, host):
    """Sizes of the parts into which operations of the host split the supported ones.

    The stage of an operation is the number of transfers back from the host before it.
    """
    stages = {}
    sizes = collections.Counter()
    for operation in operations:
        stage = 0
        for predecessor in predecessors(operation):
            # a constant is available in every part
            stage = max(stage, stages.get(predecessor, 0) + (predecessor in supported and operation in host))
        stages[operation] = stage
        if operation in supported:
            sizes[stage] += operation.type not in _WITHOUT_COMPUTATION
    return [sizes[stage] for stage in sorted(sizes) if sizes[stage]]


def _computing(operations):
    return sum(operation.type not in _WITHOUT_COMPUTATION for operation in operations)


def _splitting(operations, supported, host):
    """List of the operations of the host that split the supported ones."""
    leading = _leading_to_computation(operations, supported)
    return [operation for operation in operations if operation in host and operation in leading
            and any(predecessor in supported for predecessor in predecessors(operation))]


def _leading_to_computation(operations, offloaded):
    """Operations from which a path leads to an offloaded operation that computes."""
    leading = set()
    for operation in reversed(operations):
        if operation in leading or (operation in offloaded and operation.type not in _WITHOUT_COMPUTATION):
            leading.update(predecessors(operation))
    return leading
