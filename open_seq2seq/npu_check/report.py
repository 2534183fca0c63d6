"""Prints the result of ``--mode=npu_check``: tables, or one JSON object."""
import collections
import contextlib
import json
import os
import sys

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import DeviceError
from open_seq2seq.graph_analysis.graph_check import ERROR, NOTE
from open_seq2seq.graph_analysis.memory_limits import GIBIBYTE
from open_seq2seq.npu_check.check import check_experiment
from open_seq2seq.progress import print_table

_COLORS = {ERROR: "red", NOTE: "dim"}


def run_check(experiment, arguments):
    """Checks an :class:`~open_seq2seq.experiment.loading.Experiment` loaded for "npu_check" and prints the result.

    Args:
      experiment: the experiment.
      arguments: the command line's flags, of which json and npu_memory are used.

    Raises:
      DeviceError: after the result was printed: something would fail on an NPU.
      DataError, ConfigError: see ``check_experiment``.
    """
    tf.logging.set_verbosity(tf.logging.ERROR)
    # only the result goes to stdout
    with contextlib.redirect_stdout(sys.stderr):
        for note in experiment.notes:
            print("Note: " + note)
        if arguments.export_dir is not None:
            print("Note: --export_dir has no effect in --mode=npu_check: the export runs on the host and is not checked")
        result = check_experiment(experiment.base_model, experiment.params, arguments.npu_memory * GIBIBYTE)
    if arguments.json:
        print(json.dumps(as_json(result)))
    else:
        print_result(result, os.path.basename(experiment.path))
    failures = [finding for finding, _ in result.findings if finding.level == ERROR]
    if failures:
        raise DeviceError("npu_check: %d %s: the experiment would fail on an NPU, or silently run on the host: %s" % (
            len(failures), "error" if len(failures) == 1 else "errors", "; ".join(sorted(
                {"%s in %s" % (finding.kind, finding.layer) for finding in failures}))))


def as_json(result):
    """A :class:`~open_seq2seq.npu_check.check.CheckResult` as a dict for JSON; sizes are bytes."""
    return {
        "passed": all(finding.level != ERROR for finding, _ in result.findings),
        "operator_list": result.operator_list.source, "shapes_from": result.data_source,
        "compiled_shapes": dict(result.shapes), "compilations": len(_usual(result.compilations).one_process),
        "compiled_graphs": {name: len(graphs.one_process) for name, graphs in result.compilations.items()},
        "compiled_graphs_of_ranks": {name: len(graphs.several_processes) for name, graphs in result.compilations.items()},
        "compiled_graphs_by_option": {name: dict(graphs.by_option) for name, graphs in result.compilations.items()},
        "padding_share": result.padding_share,
        "unknown_shapes": sum(row.unknown_shapes for row in result.graphs), "seconds": round(result.seconds, 3),
        "device_memory": int(result.memory_bytes),
        "findings": [_finding_entry(finding, names) for finding, names in result.findings],
        "graphs": [{
            "name": row.name, "offloaded": row.offloaded, "host": row.host, "parts": row.parts,
            "unknown_shapes": row.unknown_shapes,
            "inputs": [{"dtype": dtype, "shape": shape} for dtype, shape in row.signature],
            "memory": None if row.memory is None else row.memory._asdict()} for row in result.graphs]}


def _usual(compilations):
    """The ``Compilations`` of a training with evaluations, or of what comes next to it."""
    return next(compilations[name] for name in ("train_eval", "train", "eval") if name in compilations)


def _finding_entry(finding, names):
    """A finding as a dict for JSON."""
    return dict(finding._asdict(), graphs=names)


def print_result(result, name):
    """Prints the tables."""
    columns = ("graph", "on the NPU", "host", "unknown shapes", "weights", "optimizer", "gradients", "activations", "working",
               "total", "largest layers")
    print_table("%s: graphs" % name, columns, [_cells(row) for row in result.graphs], left=("graph", "largest layers"),
                min_width=150, caption="GB; working: the maximum in use at a time, in addition to variables; activations and "
                                       "gradients are included")
    if result.findings:
        columns = ("", "what", "layer", "first operation", "found, and how to fix it")
        print_table("findings", columns, [_finding_cells(*finding) for finding in result.findings], left=columns, min_width=150,
                    fold=True)
    for line in _totals(result):
        print("*** " + line)


def _cells(report):
    cells = [report.name, str(report.offloaded), str(report.host), str(report.unknown_shapes)]
    if report.memory is None:
        return cells + ["?"] * 6 + ["unknown shapes"]
    sizes = report.memory[:6]
    return cells + ["%.2f" % (size / GIBIBYTE) for size in sizes] + [", ".join(
        "%s %.2f" % (layer, size / GIBIBYTE) for layer, size in report.memory.largest_layers[:3])]


def _finding_cells(finding, names):
    first = finding.operation and "%s (%s%s)" % (
        finding.operation, finding.type, ", %d of them" % finding.count if finding.count > 1 else "")
    where = names[0] if len(names) == 1 else "%s and %d more" % (names[0], len(names) - 1)
    text = "%s [%s]%s" % (finding.message, where, "" if finding.fix is None else "\n-> " + finding.fix)
    return [(finding.level, _COLORS.get(finding.level, "yellow")), finding.kind, finding.layer, first, text]


def _added_by_options(compilations):
    """List of clauses like "iter_size 4 (train, train_eval)"."""
    runs = collections.OrderedDict()
    for name, graphs in compilations.items():
        for item in graphs.by_option.items():
            runs.setdefault(item, []).append(name)
    return ["%s %d (%s)" % (*item, ", ".join(names)) for item, names in sorted(runs.items())]


def _totals(result):
    yield "Operator list: %s%s, %d operators" % (
        result.operator_list.source, "" if result.operator_list.files else " (no operator package is installed here)",
        len(result.operator_list.supported))
    yield "Shapes: %s" % result.data_source
    yield "Compiled shapes: %s; unknown shapes: %d" % (", ".join("%s %d" % item for item in result.shapes.items()),
                                                       sum(row.unknown_shapes for row in result.graphs))
    yield "Graphs that a run compiles, at most: %s; each can take minutes on the device" % ", ".join(
        "%s %d%s" % (name, len(graphs.one_process), " (of several ranks %d)" % len(graphs.several_processes)
                     if len(graphs.several_processes) > len(graphs.one_process) else "")
        for name, graphs in result.compilations.items())
    added = _added_by_options(result.compilations)
    if added:
        yield "Options that add graphs: " + "; ".join(added)
    known = [row.memory.total for row in result.graphs if row.memory is not None]
    if known:
        yield "Memory of the largest graph: about %.1f GB of %.0f GB" % (max(known) / GIBIBYTE, result.memory_bytes / GIBIBYTE)
    if result.padding_share is not None:
        yield "Padding: %.1f %% of all frames of training" % (100.0 * result.padding_share)
    yield "Checked in %.1f s" % result.seconds
