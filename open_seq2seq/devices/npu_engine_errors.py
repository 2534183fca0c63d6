"""What a user reads when the graph engine of an NPU fails.

The adapter raises an ``InternalError`` (older releases: ``UnavailableError``) whatever has failed, with the text of the engine:

    GeOp1_0GEOP::::DoRunAsync Failed
    Error Message is :
    EJ0001: Failed to initialize the HCCP process. Reason: Maybe the last training process is running.
            Solution: Wait for 10s after killing the last training process and try again.
            TraceBack (most recent call last):
            tsd client wait response fail, device response code[1]. unknown device error.
"""
import re

import tensorflow.compat.v1 as tf

from open_seq2seq.devices.npu_error_codes import CODE_BY_NAME, MEMORY, OTHER_PROCESSES, PEERS, code_of, codes_in
from open_seq2seq.errors import DeviceError

ERRORS_OF_ADAPTER = (tf.errors.InternalError, tf.errors.UnavailableError, tf.errors.ResourceExhaustedError)
# parts of the adapter's own text
_SIGNS = re.compile(r"\bGEOP\b|GEOP::|\[GePlugin\]|Error Message is :|graph parse failed|RunTuning fail")
_MOST_CHARACTERS = 300  # of the engine's text in a message
_NOISE = re.compile(r"\[PID: \d+\]|\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d\.[\d.]+|\[FUNC:\w+\]\[FILE:[^\]]*\]\[LINE:\d+\]")


def engine_failure(error, run_name, waits_for_peers, has_batch=True):
    """The error to raise instead of TensorFlow's.

    Args:
      error: a ``tf.errors.OpError`` from ``Session.run``.
      run_name: a phrase on what was run, e.g. "training, 1680 frames".
      waits_for_peers: whether the process is one of several. Then errors about peers that did not answer are not explained here:
        the caller reports the lost peer.
      has_batch: whether the run takes less memory with a smaller batch.

    Returns:
      A DeviceError, or None if the error is not one of the engine. If memory did not suffice, its ``out_of_memory`` is set.
    """
    if not isinstance(error, ERRORS_OF_ADAPTER):
        return None
    text = error.message or ""
    named = [name for name in codes_in(text) if name in CODE_BY_NAME or name[0] == "E"]
    if not named and not _SIGNS.search(text):
        return None
    code = code_of(text)
    if code is None:
        return DeviceError("the NPU's graph engine failed in %s without a known error code: %s\nMore is in the Ascend log, "
                           "~/ascend/log (ASCEND_GLOBAL_LOG_LEVEL=1)" % (run_name, quoted(text)))
    if code.kind == PEERS and waits_for_peers:
        return None
    if code.kind == MEMORY:
        reported = "the NPU's graph engine reported %s, %s: %s" % (code.code, code.title, quoted(text, code.code))
        advice = code.advice if has_batch else OTHER_PROCESSES
        failure = DeviceError("out of memory in %s: %s. %s%s" % (run_name, reported, advice[0].upper(), advice[1:]))
        failure.out_of_memory = reported
        return failure
    return DeviceError("the NPU's graph engine failed in %s with %s, %s: %s\n  Meaning: %s\n  What to do: %s" % (
        run_name, code.code, code.title, quoted(text, code.code), code.meaning, code.advice))


def quoted(text, code=None):
    """The decisive line of the engine's text, the one with ``code``, in quotation marks, without times and places in a source."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("TraceBack")]
    chosen = next((number for number, line in enumerate(lines) if code is not None and code in line), None)
    if chosen is None:
        chosen = next((number for number, line in enumerate(lines) if not _SIGNS.search(line)), 0)
    line = lines[chosen] if lines else ""
    # an inner error tells the reason in the lines that follow
    if re.search(r"Inner Error", line) and chosen + 1 < len(lines):
        line += " " + " ".join(lines[chosen + 1:chosen + 3])
    line = re.sub(r"\s+", " ", _NOISE.sub("", line)).strip()
    return '"%s"' % (line if len(line) <= _MOST_CHARACTERS else line[:_MOST_CHARACTERS] + "...")
