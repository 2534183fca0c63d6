"""What ``--mode=npu_check`` prints: tables for people, or one JSON object."""
import contextlib
import json
import os
import sys

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import DeviceError
from open_seq2seq.graph_analysis.graph_check import ERROR, NOTE
from open_seq2seq.graph_analysis.memory_limits import GIBIBYTE
from open_seq2seq.npu_check.check import check_experiment

_COLOURS = {ERROR: "red", NOTE: "dim"}


def run_check(experiment, arguments):
    """Checks an :class:`~open_seq2seq.experiment.loading.Experiment` loaded for "npu_check" and prints the result.

    Args:
      experiment: the experiment.
      arguments: the command line's flags; json and npu_memory are used.

    Raises:
      DeviceError: after everything is printed: something would fail on an NPU.
      DataError, ConfigError: see ``check_experiment``.
    """
    tf.logging.set_verbosity(tf.logging.ERROR)
    # stdout is for the result alone
    with contextlib.redirect_stdout(sys.stderr):
        for note in experiment.notes:
            print("Note: " + note)
        result = check_experiment(experiment.base_model, experiment.params, arguments.npu_memory * GIBIBYTE)
    if arguments.json:
        print(json.dumps(as_json(result)))
    else:
        print_result(result, os.path.basename(experiment.path))
    failures = [finding for finding, _ in result.findings if finding.level == ERROR]
    if failures:
        raise DeviceError("npu_check: %d %s would fail on an NPU, or silently run on the host: %s" % (
            len(failures), "thing" if len(failures) == 1 else "things", "; ".join(sorted(
                {"%s in %s" % (finding.kind, finding.layer) for finding in failures}))))


def as_json(result):
    """A :class:`~open_seq2seq.npu_check.check.CheckResult` as a dict for JSON; sizes are bytes."""
    return {
        "passed": all(finding.level != ERROR for finding, _ in result.findings),
        "operator_list": result.operator_list.source, "shapes_from": result.data_source,
        "compiled_shapes": dict(result.shapes), "compilations": result.compilations, "padding_share": result.padding_share,
        "unknown_shapes": sum(row.unknown_shapes for row in result.graphs), "seconds": round(result.seconds, 3),
        "device_memory": int(result.memory_bytes),
        "findings": [dict(finding._asdict(), graphs=names) for finding, names in result.findings],
        "graphs": [{
            "name": row.name, "offloaded": row.offloaded, "host": row.host, "parts": row.parts,
            "unknown_shapes": row.unknown_shapes,
            "inputs": [{"dtype": dtype, "shape": shape} for dtype, shape in row.signature],
            "memory": None if row.memory is None else row.memory._asdict()} for row in result.graphs]}


def print_result(result, name):
    """Prints the tables."""
    from rich.console import Console
    from rich.table import Table
    console = Console()
    # cut columns are no use in a log file
    console = console if console.is_terminal else Console(width=max(console.width, 150))
    table = Table(title="%s: graphs" % name, title_justify="left", caption_justify="left",
                  caption="GB; working: the most that is there at a time beside variables, activations and gradients included")
    for column in ("graph", "on the NPU", "host", "unknown shapes", "weights", "optimizer", "gradients", "activations", "working",
                   "total", "largest layers"):
        table.add_column(column, justify="left" if column in ("graph", "largest layers") else "right")
    for row in result.graphs:
        table.add_row(*_cells(row))
    console.print(table)
    if result.findings:
        console.print(_findings_table(result, Table))
    for line in _totals(result):
        print("*** " + line)


def _cells(report):
    cells = [report.name, str(report.offloaded), str(report.host), str(report.unknown_shapes)]
    if report.memory is None:
        return cells + ["?"] * 6 + ["unknown: shapes are"]
    sizes = report.memory[:6]
    return cells + ["%.2f" % (size / GIBIBYTE) for size in sizes] + [", ".join(
        "%s %.2f" % (layer, size / GIBIBYTE) for layer, size in report.memory.largest_layers[:3])]


def _findings_table(result, table_class):
    from rich.markup import escape
    table = table_class(title="findings", title_justify="left", show_lines=True)
    for column in ("", "what", "layer", "first operation", "found, and how to mend it"):
        table.add_column(column, overflow="fold")
    for finding, names in result.findings:
        first = finding.operation and "%s (%s%s)" % (
            finding.operation, finding.type, ", %d of these" % finding.count if finding.count > 1 else "")
        where = names[0] if len(names) == 1 else "%s and %d more" % (names[0], len(names) - 1)
        text = "%s [%s]%s" % (finding.message, where, "" if finding.mend is None else "\n-> " + finding.mend)
        colour = _COLOURS.get(finding.level, "yellow")
        table.add_row("[%s]%s[/]" % (colour, finding.level), finding.kind, escape(finding.layer), escape(first), escape(text))
    return table


def _totals(result):
    yield "Operator list: %s%s, %d operators" % (
        result.operator_list.source, "" if result.operator_list.files else " (no operator package is installed here)",
        len(result.operator_list.supported))
    yield "Shapes: %s" % result.data_source
    yield "Compiled shapes: %s; unknown shapes: %d" % (", ".join("%s %d" % item for item in result.shapes.items()),
                                                       sum(row.unknown_shapes for row in result.graphs))
    yield "Graphs that a whole run compiles: %d, each takes minutes on the device" % result.compilations
    known = [row.memory.total for row in result.graphs if row.memory is not None]
    if known:
        yield "Memory of the largest graph: about %.1f GB of %.0f GB" % (max(known) / GIBIBYTE, result.memory_bytes / GIBIBYTE)
    if result.padding_share is not None:
        yield "Padding: %.1f %% of all frames of training" % (100.0 * result.padding_share)
    yield "Checked in %.1f s" % result.seconds
