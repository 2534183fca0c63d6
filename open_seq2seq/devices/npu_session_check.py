"""Checks that a session uses the NPU, and that the NPU's CTC loss is correct.

A graph that the adapter does not offload runs and trains on the host without any message. The evidence for offloading is an
operator ``GeOp`` in the graphs that TensorFlow executed: it replaces the offloaded operations.
"""
import collections
import sys

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import DeviceError
from open_seq2seq.graph_analysis.graph_check import ERROR, check_graph
from open_seq2seq.graph_analysis.npu_operators import DEFAULT_OPP_PATH, FILE_NAME, operator_list_files
from open_seq2seq.losses import CTCLoss

OPTIMIZER_NAME = "NpuOptimizer"
OFFLOADED = "GeOp"

_MOST_LAYERS = 5  # named in a message

# these operators make up nearly all arithmetic of a network
_PRODUCTS = frozenset(["Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "DepthwiseConv2dNative", "MatMul", "BatchMatMul",
                       "BatchMatMulV2"])

# float16 has 11 bits, and a few logarithms are added; a wrong label length changes the loss by at least half
CTC_TOLERANCE = 0.02

# [utterances, frames, labels and blank]; repeated labels need a blank between them, the rest of a row is padding
_LOGITS = np.random.RandomState(20190405).normal(size=[3, 8, 5]).astype(np.float32)
_LOGIT_LENGTHS = np.array([8, 6, 7], np.int32)
_LABELS = np.array([[0, 1, 1, 3], [2, 2, 0, 0], [3, 0, 0, 0]], np.int32)
_LABEL_LENGTHS = np.array([4, 2, 1], np.int32)


def run_with_partitions(session, fetches, feed_dict=None):
    """Runs ``fetches``; returns their values and the set of operator types that TensorFlow executed."""
    metadata = tf.RunMetadata()
    values = session.run(fetches, feed_dict=feed_dict, options=tf.RunOptions(output_partition_graphs=True),
                         run_metadata=metadata)
    return values, {node.op for graph in metadata.partition_graphs for node in graph.node}


def start_session(session, graph, adapter_name, environ, with_loss, operations=None, feed_dict=None, name_runs=None):
    """Runs operations together with a small matrix product and the CTC loss: the device compiles one graph for all of them.

    Args:
      session, graph: see ``Device.start_session``.
      adapter_name: name of the adapter's module.
      environ: the environment.
      with_loss: whether the CTC loss is checked, too.
      operations: what else to run, e.g. the initializers; None for nothing.
      feed_dict: what to feed to them.
      name_runs: function that is given a list of one (name for messages, fetches), or None.

    Raises:
      DeviceError: the product ran on the host (the message lists the likely causes), the device cannot compute the CTC loss, or
        a result is wrong.
    """
    with graph.as_default():
        fetches, feed = check_fetches(with_loss)
    fetches["operations"] = [] if operations is None else operations
    feed.update(feed_dict or {})
    if name_runs is not None:
        what = "" if operations is None else "initialization and " if feed_dict is None else "setting the variables and "
        name_runs([(what + "checks of the device", fetches)])
    try:
        values, operators = run_with_partitions(session, fetches, feed)
    except (tf.errors.OpError, DeviceError) as error:
        if not with_loss or not _is_about_ctc(error):
            raise
        raise DeviceError("--device npu: the device cannot compute the CTC loss of three short utterances: %s\n%s" % (
            getattr(error, "message", None) or error, _CTC_ON_HOST))
    _require_offloaded(values["product"], operators, session, adapter_name, environ)
    if with_loss:
        _require_right_ctc(*values["ctc"])


def check_fetches(with_loss):
    """(dict of what the check fetches, dict of what to feed), in the current graph; ``with_loss``: see :func:`start_session`."""
    fetches = {}
    matrix, fetches["product"] = _product()
    feed = {matrix: 2.0 * np.eye(4, dtype=np.float32)}
    if with_loss:
        fetches["ctc"], ctc_feed = _ctc()
        feed.update(ctc_feed)
    return fetches, feed


def _is_about_ctc(error):
    """Whether the text of TensorFlow or of the engine names the CTC loss; memory that does not suffice is another matter."""
    if getattr(error, "out_of_memory", None) is not None:
        return False
    cause = error if isinstance(error, tf.errors.OpError) else error.__cause__
    return "CTC" in (getattr(cause, "message", None) or "").upper()


def check_offloading(session, graph, adapter_name, environ):
    """Runs a small matrix product and checks that it was offloaded; see :func:`start_session`."""
    start_session(session, graph, adapter_name, environ, with_loss=False)


def _product():
    """(placeholder, its square), in the current graph."""
    with tf.name_scope("npu_check"):
        matrix = tf.placeholder(tf.float32, [4, 4], "matrix")
        return matrix, tf.matmul(matrix, matrix)


def _require_offloaded(value, operators, session, adapter_name, environ):
    if OFFLOADED not in operators:
        raise DeviceError("--device npu: the session does not use the NPU: a matrix product ran on the host (no operator %s "
                          "among %s). Likely causes:\n%s" % (
                              OFFLOADED, ", ".join(sorted(operators)), _causes(session, adapter_name, environ)))
    if not np.allclose(value, 4.0 * np.eye(4), rtol=1e-2):
        raise DeviceError("--device npu: the device computes a wrong matrix product: twice the identity, squared, is\n%s\n"
                          "expected 4 on the diagonal. Check `npu-smi info` and the Ascend log" % value)


def _causes(session, adapter_name, environ):
    """Lines about the four reasons for which an adapter silently does nothing, and which of them apply."""
    config = getattr(session, "_config", None) or tf.ConfigProto()
    optimizers = config.graph_options.rewrite_options.custom_optimizers
    ours = [optimizer for optimizer in optimizers if optimizer.name == OPTIMIZER_NAME]
    off_line = [optimizer.parameter_map["use_off_line"].b for optimizer in ours if "use_off_line" in optimizer.parameter_map]
    lists = operator_list_files(environ)
    path = environ.get("ASCEND_OPP_PATH") or DEFAULT_OPP_PATH
    causes = [
        (adapter_name not in sys.modules, "the adapter %s is not imported" % adapter_name),
        (not ours, "the session's config has no optimizer named %s; it has %s" % (
            OPTIMIZER_NAME, ", ".join(repr(optimizer.name) for optimizer in optimizers) or "none")),
        (bool(off_line) and not off_line[0], "use_off_line is False"),
        (not lists, "ASCEND_OPP_PATH is %s, and there is no %s below it" % (path, FILE_NAME)),
    ]
    lines = ["  %s: %s" % ("applies" if applies else "does not apply", text) for applies, text in causes]
    if not any(applies for applies, _ in causes):
        lines.append("  None of them applies. The adapter may be for another TensorFlow or CANN release, or the device in use. "
                     "Check `npu-smi info`, and the Ascend log with ASCEND_GLOBAL_LOG_LEVEL=1 ASCEND_SLOG_PRINT_TO_STDOUT=1")
    return "\n".join(lines)


def check_steps(graph, runs, operators, mix_compile_mode):
    """Checks with the machine's operator list that the NPU would compute every step completely.

    :func:`check_offloading` tests only a small product. An operator that is not in the list stays on the host; without
    ``mix_compile_mode`` only the largest of the parts into which it cuts the graph is offloaded. With ``mix_compile_mode``, which
    the user chooses, several parts are allowed, and only convolutions and matrix products have to be on the device.

    Args:
      graph: the ``tf.Graph``.
      runs: list of (name for messages, list of fetches).
      operators: an ``OperatorList``.
      mix_compile_mode: the adapter's option.

    Raises:
      DeviceError: a part of a run would silently be computed on the host.
    """
    found = {}
    for name, fetches in runs:
        for finding in check_graph(graph, fetches, operators, name, mix_compile_mode).findings:
            splits = finding.kind == "splits the graph"
            if (splits and finding.level == ERROR) or (finding.type in _PRODUCTS and (splits or finding.kind == "on the host")):
                found.setdefault(finding.type, (finding, name, []))[2].append(finding.layer)
    if not found:
        return
    lines = ["%s in %s (%s, the first is %s): %s" % (
        kind, ", ".join(list(collections.OrderedDict.fromkeys(layers))[:_MOST_LAYERS]), name, finding.operation, finding.message)
        for kind, (finding, name, layers) in found.items()]
    raise DeviceError("--device npu: part of the computation would silently run on the host:\n  %s\nIf every network has these "
                      "operators, install the operator package of the adapter's CANN release; `--mode=npu_check` lists all "
                      "findings and how to fix them" % "\n  ".join(lines))


def check_ctc(session, graph):
    """Compares the CTC loss of three short utterances, and its gradient, with a NumPy computation.

    Raises:
      DeviceError: the device cannot compute the loss, or computes a wrong loss or gradient.
    """
    with graph.as_default():
        fetches, feed = _ctc()
    try:
        values = session.run(fetches, feed)
    except (tf.errors.OpError, DeviceError) as error:
        raise DeviceError("--device npu: the device cannot compute the CTC loss: %s. %s" % (
            getattr(error, "message", None) or error, _CTC_ON_HOST))
    _require_right_ctc(*values)


def _ctc():
    """([losses [B], gradient [B, T, V + 1]], what to feed), in the current graph.

    Labels are padded to static shapes with the blank; the operator determines their lengths itself.
    """
    with tf.name_scope("npu_check"):
        logits = tf.placeholder(tf.float32, _LOGITS.shape, "logits")
        labels = tf.placeholder(tf.int32, _LABELS.shape, "labels")
        logit_lengths = tf.placeholder(tf.int32, _LOGIT_LENGTHS.shape, "logit_lengths")
        label_lengths = tf.placeholder(tf.int32, _LABEL_LENGTHS.shape, "label_lengths")
        losses = CTCLoss({"mask_nan": True})(logits, logit_lengths, labels, label_lengths).per_utterance
        return [losses, tf.gradients(losses, logits)[0]], {
            logits: _LOGITS, labels: _LABELS, logit_lengths: _LOGIT_LENGTHS, label_lengths: _LABEL_LENGTHS}


def _require_right_ctc(found, found_gradient):
    expected, expected_gradient = reference_ctc(_LOGITS, _LOGIT_LENGTHS, _LABELS, _LABEL_LENGTHS)
    if not np.allclose(found, expected, rtol=CTC_TOLERANCE):
        raise DeviceError("--device npu: the device computes a wrong CTC loss: %s, expected %s. %s" % (
            _numbers(found), _numbers(expected), _CTC_ON_HOST))
    error = np.max(np.abs(found_gradient - expected_gradient))
    if not error < CTC_TOLERANCE:
        raise DeviceError("--device npu: the device computes a wrong gradient of the CTC loss: the largest error is %.3g, "
                          "expected at most %g. %s" % (error, CTC_TOLERANCE, _CTC_ON_HOST))


_CTC_ON_HOST = "Compute it on the host: --npu_params/ctc_on_host=True"


def _numbers(values):
    return "[%s]" % ", ".join("%.4f" % value for value in values)


def reference_ctc(logits, logit_lengths, labels, label_lengths):
    """CTC loss and gradient in double precision, for a few short utterances.

    Args:
      logits: [B, T, V + 1], the blank last.
      logit_lengths: [B]. labels: [B, L]. label_lengths: [B].

    Returns:
      (losses [B], gradient of their sum by the logits [B, T, V + 1], by central differences).
    """
    logits = np.asarray(logits, np.float64)
    rows = [(logit_lengths[b], labels[b][:label_lengths[b]]) for b in range(len(logits))]
    losses = np.array([_reference_loss(logits[b][:length], label) for b, (length, label) in enumerate(rows)])
    gradient = np.zeros_like(logits)
    step = 1e-5
    for b, (length, label) in enumerate(rows):
        for index in np.ndindex(length, logits.shape[2]):
            moved = [logits[b][:length].copy() for _ in range(2)]
            moved[0][index] += step
            moved[1][index] -= step
            gradient[b][index] = (_reference_loss(moved[0], label) - _reference_loss(moved[1], label)) / (2.0 * step)
    return losses, gradient


def _reference_loss(logits, label):
    """The negative log of the summed probability of all paths (Graves et al. 2006, equations 6 and 8)."""
    probabilities = np.exp(logits) / np.sum(np.exp(logits), 1, keepdims=True)
    blank = logits.shape[1] - 1
    states = [blank]
    for symbol in label:
        states += [symbol, blank]
    forward = np.zeros(len(states) + 2)  # two more entries of probability 0 in front
    forward[2:4] = probabilities[0][states[:2]]
    for frame in probabilities[1:]:
        skips = [0.0] * len(states)
        for s in range(2, len(states)):
            if states[s] not in (blank, states[s - 2]):
                skips[s] = forward[s]
        forward[2:] = (forward[2:] + forward[1:-1] + skips) * frame[states]
    return -np.log(forward[-1] + (forward[-2] if len(states) > 1 else 0.0))
