"""Which nodes of a run go to the NPU, by the adapter's rules (om_partition_subgraphs_pass.cc)."""
import collections

import tensorflow.compat.v1 as tf

from fake_ascend import standins
from fake_ascend.standins import HOST_MARK

ITERATORS = ("Iterator", "IteratorV2", "OneShotIterator")
NEVER = ("_Arg", "_Retval", "StringJoin")
# not offloaded if a cluster contains nothing else
TRIVIAL = ("Const", "Identity", "NoOp", "Placeholder")

Partition = collections.namedtuple("Partition", "operations offloaded host clusters")
Partition.__doc__ = """The partition of one run.

operations: list of tf.Operation that the run executes, producers first (except in loops).
offloaded: set of names of those on the NPU.
host: {name: why on the host}.
clusters: {name of an offloaded operation: number of the GeOp that it became part of}.
"""


def executed(fetches, targets, fed):
    """Operations that a run of ``fetches`` (tensors) and ``targets`` (operations) executes, producers first."""
    fed_names = {tensor.name for tensor in fed}
    order, seen = [], set()
    stack = [(tensor.op, False) for tensor in fetches if tensor.name not in fed_names] + [(op, False) for op in targets]
    while stack:
        operation, finished = stack.pop()
        if finished:
            order.append(operation)
            continue
        if operation.name in seen:
            continue
        seen.add(operation.name)
        stack.append((operation, True))
        stack.extend((tensor.op, False) for tensor in operation.inputs if tensor.name not in fed_names)
        stack.extend((producer, False) for producer in operation.control_inputs)
    return order


def supported(operator_type, operators, options):
    """Whether the adapter can offload nodes of this type; ``operators``: see ``read_operators``."""
    if options.iterator_offloaded and operator_type in ("IteratorV2", "IteratorGetNext"):
        return True
    if operator_type.endswith(("Dataset", "DatasetV2")) or operator_type in NEVER:
        return False
    return operator_type in operators and not (options.mix_compile and operators[operator_type])


def divide(fetches, targets, fed, operators, options):
    """Partitions a run between host and NPU."""
    operations = executed(fetches, targets, fed)
    types = {operation.name: standins.type_of(operation) for operation in operations}
    host = {}
    for operation in operations:
        if standins.attribute(operation, HOST_MARK):
            host[operation.name] = "in without_npu_compile_scope"
        elif not supported(types[operation.name], operators, options):
            host[operation.name] = "This op is not exsit on npu."
    present = set(types.values())
    if present & set(ITERATORS) and "MakeIterator" in present and not options.iterator_offloaded:
        host = {name: host.get(name, "in a graph with Iterator and MakeIterator") for name in types}
    _follow_strings(operations, host)
    offloaded = set(types) - set(host)
    if all(types[name] in TRIVIAL for name in offloaded):
        host.update((name, "nothing to compute") for name in offloaded)
        offloaded = set()
    return Partition(operations, offloaded, host, _clusters(operations, offloaded))


def _follow_strings(operations, host):
    """Nodes that are connected to a host node by a string edge also stay on the host."""
    edges = [(operation.name, tensor.op.name) for operation in operations for tensor in operation.inputs
             if tensor.dtype.base_dtype == tf.string]
    changed = True
    while changed:
        changed = False
        for consumer, producer in edges:
            if (consumer in host) != (producer in host):
                host.setdefault(consumer, "a string edge to the host")
                host.setdefault(producer, "a string edge to the host")
                changed = True


def _clusters(operations, offloaded):
    """Numbers the GeOps: by how often a path left the device, as nodes with a host node between them cannot be one GeOp."""
    depth = {}  # of a host node: 1 + the depth of the deepest offloaded node that it depends on, otherwise 0
    for operation in operations:
        producers = [tensor.op.name for tensor in operation.inputs] + [other.name for other in operation.control_inputs]
        depths = [depth.get(name, 0) for name in producers]
        if operation.name in offloaded:
            depth[operation.name] = max(depths + [0])
        else:
            crossing = [depth.get(name, 0) + 1 for name in producers if name in offloaded]
            depth[operation.name] = max(depths + crossing + [0])
    used = sorted({depth[name] for name in offloaded})
    return {name: used.index(depth[name]) for name in offloaded}
