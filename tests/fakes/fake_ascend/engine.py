"""What only the graph engine does and a test has to provoke: failures, and a precision that changes during the training.

Failures: ``FAKE_ASCEND_FAIL`` is a list of ``GRAPH:CODE`` with commas, e.g. ``3:EL0004,Loss_Optimization/:EZ9999``. GRAPH is the
number of a graph as in the log, or a part of the name of what it fetches; ``GRAPH@2:CODE`` fails at the second run. The engine's
text ends as an InternalError, like every failure of the adapter (geop_npu.cc). CODE may be a return code of the runtime, e.g.
207001, which is then a part of an inner error's text.

Precision: ``experimental_accelerate_train_mode`` (geop_npu.cc, DoAccelerateTrain). Every graph is compiled with the lower
precision first; when STEP_NOW or LOSS_NOW in the environment has come far enough, its next run compiles it again with the
original one.
"""
import collections
import os
import re

import tensorflow.compat.v1 as tf

from fake_ascend import fatal
from fake_ascend.options import npu_optimizer

PLACE = "kernels/geop_npu.cc"

# texts of CANN's documentation and of public logs; other codes get a text of their own
TEXTS = {
    "EI0002": "The wait execution of the Notify register times out. Reason: The Notify register has not received the Notify "
              "record from remote rank: [1].",
    "EI0006": "Getting socket times out. Reason: Remote Rank did not send the data in time.\n        Solution: 1. Check the rank "
              "service processes with other errors or no errors in the cluster.",
    "EI0008": "The CANN versions are inconsistent: tag [HcomAllReduce_1], local_version [1.83.T10.0.B206], remote_version "
              "[1.83.T10.0.B207]\n        Solution: Install the same CANN version.",
    "EJ0001": "Failed to initialize the HCCP process. Reason: Maybe the last training process is running.\n        Solution: "
              "Wait for 10s after killing the last training process and try again.",
    "EL0004": "Failed to allocate memory requested by GE module.\n        Possible Cause: Available memory is insufficient.\n"
              "        Solution: Close applications not in use.",
    "E40021": "Failed to compile Op [conv11/Conv2D]. (oppath: [/usr/local/Ascend/opp], optype: [Conv2D])",
    "EZ3002": "Optype [CTCLoss] of Ops kernel [aicpu_tf_kernel] is unsupported. Reason: op type is not in op info library.",
}
ALLOCATION = "[Malloc][Memory] Allocate 34359738368 bytes of device memory failed[FUNC:Alloc][FILE:device_allocator.cc][LINE:72]"


class _Failure:
    def __init__(self, text):
        graph, _, self.code = text.strip().rpartition(":")
        self._graph, _, run = graph.partition("@")
        self._run = int(run or 1)

    def is_due(self, number, run, names):
        chosen = int(self._graph) == number if self._graph.isdigit() else any(self._graph in name for name in names)
        return chosen and run == self._run


def engine_text(code):
    """The engine's text of an error, e.g. for "EL0004", for "207001", and for "EZ9999 allocate", an inner error about memory."""
    name, _, about_memory = code.partition(" ")
    if name.isdigit():
        return ("EE9999: Inner Error!\n        rtModelExecute execute failed, runtime result = %s[FUNC:ReportCallError]"
                "[FILE:log_inner.cpp][LINE:148]" % name)
    if re.fullmatch("E[0-9A-Z]9999", name):
        detail = ALLOCATION if about_memory else "Call loadTask fail[FUNC:Distribute][FILE:hccl_task_info.cc][LINE:213]"
        return "%s: Inner Error!\n        %s" % (name, detail)
    return "%s: [PID: 4711] 2023-11-29-10:00:00.000.000 %s" % (name, TEXTS.get(name, "The engine's text for %s." % name))


class Engine:
    """The graph engine of one session.

    Args:
      config: the session's ConfigProto.

    Attributes:
      acceleration: an :class:`Acceleration`.
    """

    def __init__(self, config):
        self.acceleration = Acceleration(config)
        self._runs = collections.Counter()

    def before_run(self, graph, names):
        """Notes a run of ``graph``, which fetches and runs ``names``.

        Raises:
          InternalError: FAKE_ASCEND_FAIL asks for it, or the mode of acceleration is invalid.
        """
        self._runs[graph.number] += 1
        if self.acceleration.before_run(graph.number) and self._runs[graph.number] > 1:
            graph.builds[0] += graph.partition.geops
        for failure in map(_Failure, filter(None, os.environ.get("FAKE_ASCEND_FAIL", "").split(","))):
            if failure.is_due(graph.number, self._runs[graph.number], names):
                raise _internal("GeOp%d_0GEOP::::DoRunAsync Failed\nError Message is : \n%s\n        TraceBack (most recent call "
                                "last):\n        Call task of graph %d fail[FUNC:Run][FILE:graph_manager.cc][LINE:100]\n\n\t "
                                "[[{{node GeOp%d_0}}]]" % (graph.number, engine_text(failure.code), graph.number, graph.number))


FAST = {"fast": {"precision_mode": "allow_mix_precision_fp16", "precision_mode_v2": "mixed_float16"},
        "fast1": {"precision_mode": "allow_mix_precision_bf16", "precision_mode_v2": "mixed_bfloat16"}}
ORIGINAL = {"precision_mode": ("", "allow_fp32_to_fp16", "must_keep_origin_dtype"), "precision_mode_v2": ("", "origin")}
RATIOS = {"step": (0.2, 0.9, 0.9), "loss": (1.01, 1.5, 1.05)}  # smallest, largest, default


class Acceleration:
    """The lower precision at the beginning of a training, for the graphs of one session.

    Args:
      config: the session's ConfigProto.

    Attributes:
      changes: list of (number of a graph, STEP_NOW or LOSS_NOW, precision), one for each compilation.
    """

    def __init__(self, config):
        entry = npu_optimizer(config)
        given = {} if entry is None else entry.parameter_map
        self._mode = tf.compat.as_str(given["experimental_accelerate_train_mode"].s) \
            if "experimental_accelerate_train_mode" in given else ""
        self._key = "precision_mode_v2" if "precision_mode_v2" in given else "precision_mode"
        self._original = tf.compat.as_str(given[self._key].s) if self._key in given else ""
        self._recovered = {}
        self.changes = []

    def before_run(self, graph):
        """Checks the mode; compiles graph number ``graph`` with another precision if that is due, and returns whether it did."""
        if not self._mode:
            return False
        fast, by, ratio = self._parts()
        now, goal = map(_number, ("STEP_NOW", "TOTAL_STEP") if by == "step" else ("LOSS_NOW", "TARGET_LOSS"))
        if graph not in self._recovered:
            self._recovered[graph] = False
            self._compiled(graph, now, FAST[fast][self._key])
            return True
        is_due = now >= int(goal * ratio) or now + 1 >= goal if by == "step" else now != 0.0 and now <= goal * ratio
        if self._recovered[graph] or not is_due:
            return False
        self._recovered[graph] = True
        self._compiled(graph, now, self._original)
        return True

    def _compiled(self, graph, now, precision):
        self.changes.append((graph, now, precision))
        fatal.log("I", PLACE, "[GEOP] graph %d: change %s to: %s at %g" % (graph, self._key.upper(), precision, now))

    def _parts(self):
        parts = self._mode.split("|")
        if len(parts) not in (2, 3):
            raise _internal("Format of accelerate_train_mode is invalid: %s" % self._mode)
        if parts[0] not in FAST:
            raise _internal("accelerate_train_mode first part is invalid: %s, you can choose one of `fast, fast1`" % parts[0])
        if parts[1] not in RATIOS:
            raise _internal("accelerate_train_mode second part is invalid: %s, you can choose one of `loss, step`" % parts[1])
        smallest, largest, ratio = RATIOS[parts[1]]
        if len(parts) == 3 and parts[2]:
            ratio = float(parts[2])
            if not smallest <= ratio <= largest:
                raise _internal("accelerate_train_mode third part is invalid: %s ,you can choose `%g-%g` for `%s`" % (
                    parts[2], smallest, largest, parts[1]))
        if self._original not in ORIGINAL[self._key]:
            raise _internal("accelerate fast_value:%s is not support with %s: %s" % (parts[0], self._key.upper(), self._original))
        return parts[0], parts[1], ratio


def _number(name):
    try:
        return float(os.environ[name])
    except (KeyError, ValueError):
        raise _internal("accelerate train: %s is not set in the environment, or is not a number" % name)


def _internal(message):
    return tf.errors.InternalError(None, None, message)
