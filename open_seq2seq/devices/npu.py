"""A Huawei Ascend NPU, through the adapter ``npu_bridge`` (TensorFlow 1.15) or ``npu_device`` (TensorFlow 2.6.5).

The whole graph is float32; the adapter casts to float16 where that is faster. The optimizer has to be named exactly
``NpuOptimizer`` and the adapter has to be imported; otherwise the graph silently runs on the host. :meth:`Npu.check_session`
detects that. The options of the adapter (``npu_params``) are declared in ``npu_options.py``, their single values are checked in
``npu_option_kinds.py``, their combinations in ``npu_option_checks.py``, the environment variables in ``npu_environment.py``.
"""
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.devices import npu_environment, npu_option_checks, npu_session_check
from open_seq2seq.devices.device import Device
from open_seq2seq.devices.npu_adapter import has_adapter, load_adapter, missing_adapter, require_unpatched_sessions
from open_seq2seq.devices.npu_engine_errors import engine_failure
from open_seq2seq.devices.npu_loss_scaling import (
    can_clear_status_register,
    choose_loss_scaling,
    clear_status_register,
    describe_loss_scaling,
    wrap_optimizer,
)
from open_seq2seq.errors import DeviceError
from open_seq2seq.graph_analysis.memory_limits import ASSUMED_MEMORY, memory_limits
from open_seq2seq.graph_analysis.npu_operators import load_operator_list

DEVICE_FILES = "/dev/davinci[0-9]*"

# TensorFlow's own optimizers, then the adapter's, which allows the all-reduces of several gradients to be fused. A list overrides
# the settings remapping and memory_optimization, so it must not contain "remap" and "memory".
_DISTRIBUTED_OPTIMIZERS = ("pruning", "function", "constfold", "shape", "arithmetic", "loop", "dependency", "layout",
                           "GradFusionOptimizer")


def npu_present():
    """Whether this machine has an NPU and an adapter, even a wrong one; ``--device auto`` depends on it."""
    return has_adapter() and not npu_environment.missing_device(DEVICE_FILES)


def missing_parts(environ=None):
    """Returns a list of sentences, one for each part that a run on an NPU needs and that this machine does not have."""
    environ = os.environ if environ is None else environ
    return (missing_adapter() + npu_environment.missing_device(DEVICE_FILES)
            + npu_environment.missing_variables(environ))


class Npu(Device):
    """One NPU.

    Args:
      training: False for evaluation and inference.
      params: the checked config of the model, of which npu_params, loss_scaling, loss_scaling_params and use_xla_jit are used;
        None for the defaults.
      group: the ``ProcessGroup`` of the run, None for one process.
      environ: the environment, None for this process's.

    Raises:
      ConfigError: an option is invalid for this kind of run, or names a file that does not exist.
      DeviceError: a part is missing on this machine, or environment variables are wrong.
    """

    name = "npu"
    static_shapes = True
    # the adapter does not offload StatelessRandomUniform
    stateless_dropout = False
    skip_reason = "the NPU reported an overflow, or the gradient is not finite"

    def __init__(self, training=True, params=None, group=None, environ=None):
        params = params or {}
        self._environ = os.environ if environ is None else environ
        self._params = npu_option_checks.checked_npu_params(params.get("npu_params") or {})
        self._options = npu_option_checks.with_defaults(self._params, training)
        self._use_xla_jit = params.get("use_xla_jit", False)
        self._distributed = group is not None and group.size > 1
        # what the driver leaves to this process is not known
        self.graph_memory = memory_limits(self._params, ASSUMED_MEMORY)[0]
        self.half_precision = npu_option_checks.computes_in_float16(self._params)
        self._loss_scaling = choose_loss_scaling(
            params.get("loss_scaling"), params.get("loss_scaling_params"), self._params) if training else None
        missing = missing_parts(self._environ)
        if missing:
            raise DeviceError("--device npu: this machine does not have\n  %s\nUse --device cpu to run the same config on the CPU"
                              % "\n  ".join(missing))
        npu_environment.check_environment(self._environ, self._options, DEVICE_FILES)
        npu_option_checks.require_existing_paths(self._options)
        npu_environment.publish_progress(self._environ, self._options)
        self._operators = load_operator_list(self._environ)
        self._adapter = load_adapter()

    @property
    def offloads(self):
        """False where the config sets use_off_line to False: everything runs on the host."""
        return self._options["use_off_line"]

    def session_config(self, use_xla_jit=False):
        config = tf.ConfigProto(allow_soft_placement=True)
        rewrite_options = config.graph_options.rewrite_options
        optimizer = rewrite_options.custom_optimizers.add()
        optimizer.name = npu_session_check.OPTIMIZER_NAME
        npu_option_checks.write_parameter_map(self._options, optimizer.parameter_map)
        # the adapter's list does not contain fused operators: a whole inference graph would stay on the host
        rewrite_options.remapping = rewrite_options.OFF
        rewrite_options.memory_optimization = rewrite_options.OFF
        if self._distributed:
            rewrite_options.optimizers.extend(_DISTRIBUTED_OPTIMIZERS)
        return config

    def compute_dtype(self, dtype):
        return tf.float32

    def precision_note(self, dtype):
        if not self.offloads:
            return "use_off_line is False: everything runs on the host's CPU in float32"
        acceleration = self._options.get(npu_option_checks.ACCELERATION)
        return "the graph is float32, the adapter computes with %s %s%s; variables stay float32" % (
            *npu_option_checks.precision_of(self._params), "" if acceleration is None else
            ", at the beginning of the training with a lower precision (%s)" % acceleration)

    def wrap_optimizer(self, optimizer, params, group):
        if not self.offloads:
            return None
        scaling = choose_loss_scaling(params.get("loss_scaling"), params.get("loss_scaling_params"), self._params)
        return wrap_optimizer(self._adapter, optimizer, scaling, group is not None and group.size > 1,
                              self._options.get("is_tailing_optimization", False), self._operators)

    def host_scope(self):
        if not self._params["ctc_on_host"]:
            return super().host_scope()
        return self._adapter.module("estimator.npu.npu_scope").without_npu_compile_scope()

    def check_steps(self, graph, runs):
        super().check_steps(graph, runs)
        if self.offloads:
            npu_session_check.check_steps(graph, runs, self._operators, self._options.get("mix_compile_mode", False))

    def start_session(self, session, graph, operations, feed_dict=None, with_loss=True):
        require_unpatched_sessions()
        if not self.offloads:
            return super().start_session(session, graph, operations, feed_dict, with_loss)
        return npu_session_check.start_session(session, graph, self._adapter.name, self._environ,
                                               with_loss and not self._params["ctc_on_host"], operations, feed_dict,
                                               lambda runs: self.name_runs(runs, with_batch=False))

    def check_session(self, session, graph, with_loss=True):
        self.start_session(session, graph, None, with_loss=with_loss)

    def count_compiled(self, partition_graphs):
        return sum(node.op == npu_session_check.OFFLOADED for graph in partition_graphs for node in graph.node)

    def compiles_again(self):
        return npu_environment.acceleration_has_ended(self._environ, self._options)

    @property
    def keeps_overflows(self):
        """See ``Device``."""
        return (self.offloads and self._loss_scaling is not None and self._loss_scaling.setting is not None
                and can_clear_status_register(self._adapter))

    def clear_overflows(self):
        return clear_status_register(self._adapter)

    def before_step(self, step, last_step, loss):
        npu_environment.publish_progress(self._environ, self._options, step, last_step, loss)

    def failure(self, error, fetches):
        name = self.name_of_run(fetches)
        return engine_failure(error, name, self._distributed, self.has_batch(name)) or super().failure(error, fetches)

    def describe(self):
        # session_device_id reaches the session only
        source, number = npu_environment.chosen_device(self._environ, {})
        lines = ["NPU: device %s (from %s), adapter %s %s, operator list %s" % (
            number, source, self._adapter.name, self._adapter.version, self._operators.source)]
        if not self.offloads:
            lines.append("use_off_line is False: everything runs on the host")
        if self._loss_scaling is not None and self.offloads:
            lines.append(describe_loss_scaling(self._loss_scaling))
        if self._params["ctc_on_host"]:
            lines.append("the CTC loss is computed on the host")
        if self._use_xla_jit:
            lines.append("use_xla_jit has no effect: the NPU's graph engine compiles the graph")
        for name, value in sorted(self._options.items()):
            lines.append("npu_params[%r] = %r%s" % (name, value, "" if name in self._params else " (not in the config)"))
        return lines
