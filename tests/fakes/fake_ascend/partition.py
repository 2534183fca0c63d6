"""Which nodes of a run go to the NPU, by the adapter's rules (om_partition_subgraphs_pass.cc).

By default exactly one cluster is offloaded: the largest one, with those that can be merged into it. The other supported nodes run
on the host. With mix_compile_mode every cluster is offloaded.
"""
import collections

import tensorflow.compat.v1 as tf

from fake_ascend import standins
from fake_ascend.standins import HOST_MARK

ITERATORS = ("Iterator", "IteratorV2", "OneShotIterator")
NEVER = ("_Arg", "_Retval", "StringJoin")
# not offloaded if a cluster contains nothing else
TRIVIAL = ("Const", "Identity", "NoOp", "Placeholder")


class Partition(collections.namedtuple("Partition", "operations offloaded host clusters")):
    """The partition of one run.

    operations: list of tf.Operation that the run executes, producers first (except in loops).
    offloaded: set of names of those on the NPU.
    host: {name: why on the host}.
    clusters: {name of an offloaded operation: number of the GeOp that it became part of}.
    """

    __slots__ = ()

    @property
    def geops(self):
        """Number of GeOps; the engine compiles each as a graph."""
        return len(set(self.clusters.values()))


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
    if not options.mix_compile:
        part = _merged_cluster(operations, offloaded)
        host.update((name, "not in the largest cluster") for name in offloaded - part)
        offloaded = part
    if all(types[name] in TRIVIAL for name in offloaded):
        host.update((name, "nothing to compute") for name in offloaded)
        offloaded = set()
    clusters = _clusters(operations, offloaded) if options.mix_compile else dict.fromkeys(offloaded, 0)
    computing = {clusters[name] for name in offloaded if types[name] not in TRIVIAL}
    for name in [name for name in clusters if clusters[name] not in computing]:
        host[name] = "nothing to compute"
        offloaded.remove(name)
        del clusters[name]
    return Partition(operations, offloaded, host, clusters)


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


def _producers(operation):
    """Names of the operations directly before one, without the back edges of loops."""
    names = [tensor.op.name for tensor in operation.inputs if tensor.op.type not in ("NextIteration", "RefNextIteration")]
    return names + [other.name for other in operation.control_inputs]


def _merged_cluster(operations, supported):
    """Names of the operations of the cluster that MergeSubgraphs keeps.

    Contracting edges unless a cycle arises joins neighbors with equally many ways back from the host before them. A neighbor of
    the largest cluster joins it if no path between them leads through other nodes. Other clusters join if no path at all connects
    them with what has joined before.
    """
    order = [operation.name for operation in operations]
    before = {operation.name: _producers(operation) for operation in operations}
    before = {name: [other for other in others if other in before] for name, others in before.items()}
    after = collections.defaultdict(list)
    for name, others in before.items():
        for other in others:
            after[other].append(name)
    kept = set(max(_connected(order, supported, before), key=len, default=()))
    size = 0
    while len(kept) > size:
        size = len(kept)
        for names, neighbors in ((order, before), (order[::-1], after)):
            beyond = set()
            for name in names:
                if name in kept:
                    continue
                if beyond.intersection(neighbors[name]):
                    beyond.add(name)
                elif kept.intersection(neighbors[name]):
                    (kept if name in supported else beyond).add(name)
    joined = _reached(kept, before) | _reached(kept, after)
    for cluster in sorted(_connected(order, supported - kept, before), key=len, reverse=True):
        if joined.isdisjoint(cluster):
            kept.update(cluster)
            joined |= _reached(cluster, before) | _reached(cluster, after)
    return kept


def _connected(order, supported, before):
    """List of sets of names: neighbors with equally many ways back from the host before them."""
    ways, cluster_of = {}, {}
    for name in order:
        ways[name] = max([ways.get(other, 0) + (other in supported and name not in supported) for other in before[name]] + [0])
        if name in supported:
            own = {name}
            for other in before[name]:
                if ways.get(other) == ways[name] and other in cluster_of and cluster_of[other] is not own:
                    small, large = sorted((own, cluster_of[other]), key=len)
                    large |= small
                    cluster_of.update((member, large) for member in small)
                    own = large
            cluster_of[name] = own
    return list({id(cluster): cluster for cluster in cluster_of.values()}.values())


def _reached(names, neighbors):
    found, pending = set(), list(names)
    while pending:
        for other in neighbors[pending.pop()]:
            if other not in found:
                found.add(other)
                pending.append(other)
    return found


def _clusters(operations, offloaded):
    """Numbers the GeOps of mix_compile_mode: by how often a path left the device.

    Nodes with a host node between them cannot be one GeOp.
    """
    depth = {}  # of a host node: 1 + the depth of the deepest offloaded node that it depends on, otherwise 0
    for operation in operations:
        producers = _producers(operation)
        depths = [depth.get(name, 0) for name in producers]
        if operation.name in offloaded:
            depth[operation.name] = max(depths + [0])
        else:
            crossing = [depth.get(name, 0) + 1 for name in producers if name in offloaded]
            depth[operation.name] = max(depths + crossing + [0])
    used = sorted({depth[name] for name in offloaded})
    return {name: used.index(depth[name]) for name in offloaded}
