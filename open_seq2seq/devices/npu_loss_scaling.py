"""Loss scaling on an Ascend NPU, by the adapter: only the adapter can detect an overflow.

In float16 an Ascend 910 saturates: an overflow gives the largest number instead of inf and sets a bit of a status register. The
adapter's NPUOptimizer scales the loss, reads the register after the backward pass, sums it over the ranks and skips the step.
"""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import checked_part
from open_seq2seq.devices.npu_option_checks import computes_in_float16
from open_seq2seq.errors import ConfigError, DeviceError
from open_seq2seq.optimizers.loss_scaling import BackoffScaler, FixedScaler
from open_seq2seq.optimizers.optimize import AdapterOptimizer

STATUS_OPERATORS = ("NpuGetFloatStatusV2", "NpuClearFloatStatusV2")

_OPTIMIZER = "estimator.npu.npu_optimizer"
_MANAGER = "estimator.npu.npu_loss_scale_manager"
_OPERATORS = "helper.helper"

LossScaling = collections.namedtuple("LossScaling", "setting params reason")
LossScaling.__doc__ = """How the loss is scaled on an NPU.

setting: None (no scaling), a number, or "Backoff". params: checked parameters of Backoff, else an empty dict. reason: a phrase.
"""


def choose_loss_scaling(loss_scaling, loss_scaling_params, npu_params):
    """Chooses how the loss is scaled.

    Args:
      loss_scaling: the config's value: None, a number, "Backoff" or "LogMax".
      loss_scaling_params: parameters of automatic scaling; defaults may be missing.
      npu_params: checked ``npu_params``.

    Returns:
      A :class:`LossScaling`.

    Raises:
      ConfigError: the setting is not supported on an NPU.
    """
    if isinstance(loss_scaling, str) and loss_scaling.lower() == "logmax":
        raise ConfigError('"loss_scaling" is "LogMax", which derives the scale from gradients that overflow to inf; on an NPU '
                          'they saturate instead. Use "Backoff" or a number')
    if loss_scaling in (None, 1.0) and not computes_in_float16(npu_params):
        return LossScaling(None, {}, "nothing is computed in float16")
    if loss_scaling is None:
        reason = "the default where the NPU computes in float16; --loss_scaling=1.0 keeps the loss unscaled"
        loss_scaling = "Backoff"
    else:
        reason = '"loss_scaling" of the config'
    if isinstance(loss_scaling, str):
        return LossScaling("Backoff", checked_part(BackoffScaler.PARAMETERS, loss_scaling_params, "loss_scaling_params"), reason)
    if loss_scaling < 1.0:
        raise ConfigError('"loss_scaling" is %g; the adapter accepts at least 1, because float16 loses small gradients'
                          % loss_scaling)
    return LossScaling(float(loss_scaling), {}, reason)


def describe_loss_scaling(scaling):
    """One line for the log."""
    if scaling.setting is None:
        return "loss scaling: none (%s)" % scaling.reason
    if scaling.setting == "Backoff":
        params = scaling.params
        return ("loss scaling: Backoff with the NPU's overflow check, initially %g, divided by %g at an overflow, multiplied "
                "after %d steps without one (%s)" % (
                    params["scale_max"], params["step_factor"], params["step_window"], scaling.reason))
    return "loss scaling: %g; a step in which the NPU reports an overflow is skipped (%s)" % (scaling.setting, scaling.reason)


def wrap_optimizer(adapter, optimizer, scaling, is_distributed, is_tailing_optimization, operators):
    """Wraps an optimizer in the adapter's.

    Args:
      adapter: the imported :class:`~open_seq2seq.devices.npu_adapter.Adapter`.
      optimizer: a ``tf.train.Optimizer``.
      scaling: a :class:`LossScaling`.
      is_distributed: whether gradients are averaged over several ranks.
      is_tailing_optimization: whether the adapter's option of that name is on.
      operators: :class:`~open_seq2seq.graph_analysis.npu_operators.OperatorList` of the machine.

    Returns:
      AdapterOptimizer, or None where neither scaling nor averaging is needed.

    Raises:
      DeviceError: the operator list lacks the operators for the status register.
    """
    if scaling.setting is None and not is_distributed:
        return None
    optimizers = adapter.module(_OPTIMIZER)
    if scaling.setting is None:
        return AdapterOptimizer(optimizers.NPUDistributedOptimizer(optimizer), tf.constant(1.0))
    missing = [name for name in STATUS_OPERATORS if name not in operators.supported]
    if missing:
        raise DeviceError("the operator list %s does not contain %s, with which the adapter detects overflows: the adapter and "
                          "CANN are of different releases, and the first step would fail. Install both from one release, or "
                          "train without loss scaling: --loss_scaling=None --npu_params/precision_mode=force_fp32"
                          % (operators.source, " and ".join(missing)))
    manager = _manager(adapter, scaling)
    # the adapter supports tailing optimization only where it averages; in a single process it would never read the register
    wrapped = optimizers.NPUOptimizer(optimizer, manager, is_distributed=is_distributed, is_loss_scale=True,
                                      is_tailing_optimization=is_tailing_optimization and is_distributed)
    # the minimum of the adapter's managers is 1; scale_min has no effect
    if scaling.setting != "Backoff":
        return AdapterOptimizer(wrapped, tf.identity(manager.get_loss_scale(), name="npu_loss_scale"))
    return AdapterOptimizer(wrapped, tf.identity(manager.get_loss_scale(), name="npu_loss_scale"), 1.0,
                            lambda: _read(manager.get_loss_scale()))


def _read(scale):
    """The value when the operation runs; ``scale`` is a variable, or a tensor computed from one."""
    if hasattr(scale, "read_value"):
        return scale.read_value()
    variable = next((variable for variable in tf.global_variables() if variable.op is scale.op or any(
        tensor.op is variable.op for tensor in scale.op.inputs)), None)
    return tf.identity(scale) if variable is None else variable.read_value()


def clear_status_register(adapter):
    """Operation that clears the status register, in the current graph.

    The register keeps an overflow until it is cleared, and the adapter's optimizers clear it only after they have read it, at the
    end of a step. An overflow of an evaluation between two steps would be read as one of the next step.
    """
    return tf.convert_to_tensor(adapter.module(_OPERATORS).get_gen_ops().npu_clear_float_status_v2()).op


def can_clear_status_register(adapter):
    """Whether the adapter has the operator for :func:`clear_status_register`."""
    return adapter.has_module(_OPERATORS) and hasattr(adapter.module(_OPERATORS).get_gen_ops(), "npu_clear_float_status_v2")


def _manager(adapter, scaling):
    if not adapter.has_module(_MANAGER):  # npu_device has NPUOptimizer without the managers
        return _OwnManager(BackoffScaler(scaling.params) if scaling.setting == "Backoff" else FixedScaler(scaling.setting))
    managers = adapter.module(_MANAGER)
    if scaling.setting != "Backoff":
        return managers.FixedLossScaleManager(scaling.setting, enable_overflow_check=True)
    params = scaling.params
    # the minimum is 1 and there is no maximum: scale_min and scale_max have no effect there; an overflow reduces the scale again
    return managers.ExponentialUpdateLossScaleManager(
        init_loss_scale=params["scale_max"], incr_every_n_steps=params["step_window"], decr_every_n_nan_or_inf=1,
        incr_ratio=params["step_factor"], decr_ratio=1.0 / params["step_factor"])


class _OwnManager:
    """The interface of a loss scale manager that NPUOptimizer requires, implemented with this project's loss scaling."""

    def __init__(self, scaler):
        self._scaler = scaler

    def get_loss_scale(self):
        """float32 scalar."""
        return self._scaler.scale

    def update_loss_scale(self, finite_gradients):
        """Operation that sets the scale of the next step; ``finite_gradients`` is a bool scalar."""
        return self._scaler.update(finite_gradients, None)
