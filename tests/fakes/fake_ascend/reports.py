"""The adapter's outputs for users: GeOps in the partition graphs, check_result.tf.json."""
import json

from fake_ascend import settings, standins
from fake_ascend.partition import TRIVIAL, supported

STRING = 7  # DataType.DT_STRING


def show_geops(run_metadata, graph, operators, options):
    """Replaces the offloaded nodes in the partition graphs of ``run_metadata`` by GeOps.

    The graphs are the ones that the runtime executes, and include the changes by TensorFlow's own optimizers:
    a fused node that is not in the operator list stays on the host.
    """
    if not graph.partition.offloaded:
        return
    for definition in _partition_graphs(run_metadata):
        offloaded = [node for node in definition.node if _offloaded(node, graph.partition, operators, options)]
        if all(standins.type_of_node(node) in TRIVIAL for node in offloaded):
            continue
        place = {node.name: "GeOp%d_%d" % (graph.number, graph.partition.clusters.get(node.name, 0)) for node in offloaded}
        host = [node for node in definition.node if node.name not in place]
        geops = _geops(offloaded, place)
        for node in host:
            inputs = [place.get(_producer(name), name) if _producer(name) in place else name for name in node.input]
            del node.input[:]
            node.input.extend(inputs)
        kept = [type(node).FromString(node.SerializeToString()) for node in host]
        del definition.node[:]
        definition.node.extend(kept)
        for name in sorted(geops):
            definition.node.add(name=name, op="GeOp", input=geops[name])


def _partition_graphs(run_metadata):
    graphs = list(run_metadata.partition_graphs)
    for functions in getattr(run_metadata, "function_graphs", ()):
        graphs.extend(functions.partition_graphs)
    return graphs


def _producer(name):
    return name.lstrip("^").split(":")[0]


def _offloaded(node, partition, operators, options):
    operator_type = standins.type_of_node(node)
    for prefix in ("_MklNative", "_Mkl"):  # this CPU's own variant of an operator, in newer TensorFlow
        if operator_type.startswith(prefix):
            operator_type = operator_type[len(prefix):]
    if node.name in partition.host or not supported(operator_type, operators, options):
        return False
    if standins.HOST_MARK in node.attr and node.attr[standins.HOST_MARK].b:
        return False
    return all(node.attr[key].type != STRING for key in ("dtype", "T") if key in node.attr)


def _geops(offloaded, place):
    """{name of a GeOp: its inputs from the host and from other GeOps}."""
    geops = {name: [] for name in place.values()}
    for node in offloaded:
        for name in node.input:
            source = place.get(_producer(name), name)
            if source != place[node.name] and source not in geops[place[node.name]]:
                geops[place[node.name]].append(source)
    return geops


def write_check_result(state):
    """check_result.tf.json in the working directory: the nodes that are not offloaded; no file if there are none."""
    rows = {}
    for graph in state.graphs.values():
        for operation in graph.partition.operations:
            reason = graph.partition.host.get(operation.name, "")
            if reason.startswith("This op"):
                rows[operation.name] = {"name": operation.name, "type": standins.type_of(operation), "is_support": False,
                                        "not_support_reason": {"code": 1, "message": reason}}
    if rows:
        try:
            with open("check_result.tf.json", "w", encoding="utf-8") as file:
                json.dump({"op": [rows[name] for name in sorted(rows)]}, file, indent=2)
        except OSError:  # the adapter also ignores this error
            pass


def write_record(state):
    """Writes a line of JSON for tests of another process, if FAKE_ASCEND_RECORD_FILE is set."""
    path = settings.record_file()
    if path is None:
        return
    graphs = [{"fetches": key[0], "targets": key[1], "operations": len(graph.partition.operations),
               "offloaded": len(graph.partition.offloaded), "geops": graph.partition.geops,
               "shapes": len(graph.shapes), "builds": graph.builds[0]} for key, graph in state.graphs.items()]
    with open(path, "a", encoding="utf-8") as file:
        file.write(json.dumps({"offloaded_anything": any(graph["offloaded"] for graph in graphs), "graphs": graphs}) + "\n")
