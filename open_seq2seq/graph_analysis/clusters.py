"""The one part of a graph that the Ascend adapter offloads in its default mode.

The adapter joins supported operations along their edges as long as no cycle arises, i.e. no path from the joined operations
through the host back to them. It takes the largest of these clusters, adds other clusters that neither depend on it nor precede
it, and leaves all other supported operations on the host without a message (om_partition_subgraphs_pass.cc, MergeSubgraphs).
"""
import collections

from open_seq2seq.graph_analysis.graph_walk import predecessors


def offloaded_part(operations, supported):
    """The supported operations that the adapter offloads.

    Args:
      operations: list of all operations of a run, inputs first.
      supported: set of those that the adapter could offload.

    Returns:
      A subset of ``supported``.
    """
    edges = Edges(operations)
    stages = _stages(operations, supported, edges)
    if not any(stages[operation] for operation in supported):
        # no path leads through the host, so that all clusters can be merged
        return set(supported)
    clusters = _clusters(operations, supported, edges, stages)
    part = set(max(clusters, key=len))
    _absorb_neighbors(part, operations, supported, edges)
    related = edges.related(part)
    for cluster in sorted(_clusters(operations, supported - part, edges, stages), key=len, reverse=True):
        if related.isdisjoint(cluster):
            part.update(cluster)
            related |= edges.related(cluster)
    return part


class Edges:
    """The edges between the operations of a run.

    Attributes:
      before, after: dicts of an operation to the list of those directly before or after it.
    """

    def __init__(self, operations):
        executed = set(operations)
        self.before = {operation: [other for other in predecessors(operation) if other in executed] for operation in operations}
        self.after = collections.defaultdict(list)
        for operation, others in self.before.items():
            for other in others:
                self.after[other].append(operation)

    def related(self, operations):
        """Set of the operations that depend on one of ``operations``, or precede one."""
        return _reachable(operations, self.after) | _reachable(operations, self.before)


def _reachable(operations, neighbors):
    found, pending = set(), list(operations)
    while pending:
        for other in neighbors[pending.pop()]:
            if other not in found:
                found.add(other)
                pending.append(other)
    return found


def _stages(operations, supported, edges):
    """Dict of each operation to the number of transfers to the host before it."""
    stages = {}
    for operation in operations:
        stages[operation] = max([stages.get(other, 0) + (other in supported and operation not in supported)
                                 for other in edges.before[operation]] + [0])
    return stages


def _clusters(operations, supported, edges, stages):
    """List of lists: supported operations that are connected and in the same stage."""
    of_operation, clusters = {}, []
    for operation in operations:
        if operation not in supported:
            continue
        own = of_operation[operation] = [operation]
        clusters.append(own)
        for other in edges.before[operation]:
            if other in of_operation and stages[other] == stages[operation]:
                own = _joined(own, of_operation[other], of_operation)
    return [cluster for cluster in clusters if cluster and of_operation[cluster[0]] is cluster]


def _joined(one, other, of_operation):
    """Joins two clusters; returns the result, which is the larger of the two lists."""
    if one is other:
        return one
    larger, smaller = (one, other) if len(one) >= len(other) else (other, one)
    larger.extend(smaller)
    of_operation.update((operation, larger) for operation in smaller)
    return larger


def _absorb_neighbors(part, operations, supported, edges):
    """Adds the supported neighbors of ``part`` to it from which no path through other operations leads back."""
    size = 0
    while len(part) > size:
        size = len(part)
        for ordered, behind in ((operations, edges.before), (operations[::-1], edges.after)):
            outside = set()  # reached from the part through other operations
            for operation in ordered:
                if operation in part:
                    continue
                if any(other in outside for other in behind[operation]):
                    outside.add(operation)
                elif any(other in part for other in behind[operation]):
                    (part if operation in supported else outside).add(operation)
