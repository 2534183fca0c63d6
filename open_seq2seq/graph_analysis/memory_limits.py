"""Checks whether the graphs fit into the device's memory, as the adapter divides it."""
import re

from open_seq2seq.errors import ConfigError
from open_seq2seq.graph_analysis.graph_check import ERROR, WARNING, Finding

# The graph engine's default division of the memory: 26/32 and 5/32; it uses the rest itself (documentation of
# graph_memory_max_size and variable_memory_max_size)
GRAPH_SHARE, VARIABLE_SHARE = 26.0 / 32.0, 5.0 / 32.0
SHARED_BY_GRAPHS = (2, 4)  # values of static_memory_policy with which the graphs of a session use the same memory
GIBIBYTE = 2.0 ** 30
ASSUMED_MEMORY = 32.0 * GIBIBYTE  # of an Ascend 910


def memory_limits(npu_params, memory_bytes):
    """(bytes for a graph's tensors, bytes for variables) of a device with ``memory_bytes``.

    Raises:
      ConfigError: an option is not a number or a product of numbers.
    """
    limits = []
    for option, share in (("graph_memory_max_size", GRAPH_SHARE), ("variable_memory_max_size", VARIABLE_SHARE)):
        given = npu_params.get(option)
        limits.append(share * memory_bytes if given is None else _product(given, option))
    return tuple(limits)


def _product(text, option):
    """The bytes of an option such as "26 * 1024 * 1024 * 1024"."""
    value = 1
    for factor in str(text).split("*"):
        if not re.fullmatch(r"\s*[0-9]{1,18}\s*", factor):
            raise ConfigError('npu_params["%s"] is %r, expected a number of bytes or a product such as '
                              '"26 * 1024 * 1024 * 1024"' % (option, text))
        value *= int(factor)
    return value


def check_memory(reports, npu_params, memory_bytes):
    """Findings about memory.

    Args:
      reports: list of GraphReport.
      npu_params: checked dict.
      memory_bytes: memory of the device, bytes.

    Returns:
      List of (Finding, names of the graphs).
    """
    known = [report for report in reports if report.memory is not None]
    if not known:
        return []
    graph_limit, variable_limit = memory_limits(npu_params, memory_bytes)
    found = []
    largest = max(known, key=lambda report: report.memory.peak)
    layer = largest.memory.largest_layers[0][0] if largest.memory.largest_layers else "graph"
    if largest.memory.peak > graph_limit:
        found.append((_finding(ERROR, layer, largest.memory.peak, graph_limit, "tensors of a graph",
                               "reduce batch_size_per_gpu (and increase iter_size), or max_duration and with it the largest "
                               "of bucket_frames"),
                      [report.name for report in known if report.memory.peak > graph_limit]))
    variables = max(report.memory.weights + report.memory.optimizer for report in known)
    if variables > variable_limit:
        found.append((_finding(ERROR, "variables", variables, variable_limit, "variables", "increase npu_params "
                               "variable_memory_max_size (and reduce graph_memory_max_size); both have to fit into the device"),
                      [largest.name]))
    together = sum(report.memory.peak for report in known if report.name.startswith("train"))
    if largest.memory.peak <= graph_limit < together and npu_params.get("static_memory_policy", 0) not in SHARED_BY_GRAPHS:
        found.append((_finding(WARNING, "graph", together, graph_limit, "tensors of all compiled graphs of training together",
                               "set npu_params static_memory_policy to 2: the graphs then share the memory of the largest"),
                      [report.name for report in known if report.name.startswith("train")]))
    return found


def _finding(level, layer, needed, limit, of_what, fix):
    return Finding(level, "memory", layer, "", "", 1, "%s: about %.1f GB, but the device has %.1f GB for them" % (
        of_what, needed / GIBIBYTE, limit / GIBIBYTE), fix)
