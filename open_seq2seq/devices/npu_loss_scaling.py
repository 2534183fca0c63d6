"""Loss scaling on an Ascend NPU: by the adapter, which alone can see an overflow.

In float16 an Ascend 910 saturates: what overflows is the largest number, not inf, and sets a bit of a status register. The
adapter's NPUOptimizer scales the loss, reads the register after the backward pass, adds it up over the ranks and skips the step.
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

LossScaling = collections.namedtuple("LossScaling", "setting params because")
LossScaling.__doc__ = """How the loss is scaled on an NPU.

setting: None (not at all), a number, or "Backoff". params: checked parameters of Backoff, else an empty dict. because: a phrase.
"""


def chosen_loss_scaling(loss_scaling, loss_scaling_params, npu_params):
    """How the loss is scaled.

    Args:
      loss_scaling: what the config says: None, a number, "Backoff" or "LogMax".
      loss_scaling_params: parameters of automatic scaling, perhaps without defaults.
      npu_params: checked ``npu_params``.

    Returns:
      A :class:`LossScaling`.

    Raises:
      ConfigError: the setting has no meaning on an NPU.
    """
    if isinstance(loss_scaling, str) and loss_scaling.lower() == "logmax":
        raise ConfigError('"loss_scaling" is "LogMax", which finds its scale from the size of gradients that have overflowed; on '
                          'an NPU these saturate and have none. Use "Backoff" or a number')
    if loss_scaling in (None, 1.0) and not computes_in_float16(npu_params):
        return LossScaling(None, {}, "nothing is computed in float16")
    if loss_scaling is None:
        because = "the default where the NPU computes in float16; --loss_scaling=1.0 leaves the loss as it is"
        loss_scaling = "Backoff"
    else:
        because = '"loss_scaling" of the config'
    if isinstance(loss_scaling, str):
        return LossScaling("Backoff", checked_part(BackoffScaler.PARAMETERS, loss_scaling_params, "loss_scaling_params"), because)
    if loss_scaling < 1.0:
        raise ConfigError('"loss_scaling" is %g; the adapter takes at least 1, because small gradients are what float16 loses'
                          % loss_scaling)
    return LossScaling(float(loss_scaling), {}, because)


def describe_loss_scaling(scaling):
    """One line for the log."""
    if scaling.setting is None:
        return "loss scaling: none (%s)" % scaling.because
    if scaling.setting == "Backoff":
        params = scaling.params
        return ("loss scaling: Backoff by the NPU's overflow check, from %g, divided by %g at an overflow, multiplied after %d "
                "good steps (%s)" % (params["scale_max"], params["step_factor"], params["step_window"], scaling.because))
    return "loss scaling: %g; a step in which the NPU reports an overflow is skipped (%s)" % (scaling.setting, scaling.because)


def wrapped_optimizer(adapter, optimizer, scaling, is_distributed, is_tailing_optimization, operators):
    """The adapter's optimizer round ours.

    Args:
      adapter: the imported :class:`~open_seq2seq.devices.npu_adapter.Adapter`.
      optimizer: a ``tf.train.Optimizer``.
      scaling: a :class:`LossScaling`.
      is_distributed: whether gradients are averaged over several ranks.
      is_tailing_optimization: whether the adapter's option of that name is on.
      operators: :class:`~open_seq2seq.graph_analysis.npu_operators.OperatorList` of the machine.

    Returns:
      AdapterOptimizer, or None where there is nothing for the adapter to do.

    Raises:
      DeviceError: the operator package has no operators for the status register.
    """
    if scaling.setting is None and not is_distributed:
        return None
    optimizers = adapter.module(_OPTIMIZER)
    if scaling.setting is None:
        return AdapterOptimizer(optimizers.NPUDistributedOptimizer(optimizer), tf.constant(1.0))
    missing = [name for name in STATUS_OPERATORS if name not in operators.supported]
    if missing:
        raise DeviceError("the operator list %s has no %s, with which the adapter looks for overflows: the adapter and CANN are "
                          "of different generations, and the first step would fail. Install both from one release, or train "
                          "without loss scaling: --loss_scaling=None --npu_params/precision_mode=force_fp32"
                          % (operators.source, " and no ".join(missing)))
    manager = _manager(adapter, scaling)
    # the adapter reads tailing optimization only where it averages; alone it would never look at the register then
    wrapped = optimizers.NPUOptimizer(optimizer, manager, is_distributed=is_distributed, is_loss_scale=True,
                                      is_tailing_optimization=is_tailing_optimization and is_distributed)
    # the adapter's managers stop at 1, whatever scale_min says
    return AdapterOptimizer(wrapped, tf.identity(manager.get_loss_scale(), name="npu_loss_scale"),
                            1.0 if scaling.setting == "Backoff" else None)


def _manager(adapter, scaling):
    if not adapter.has_module(_MANAGER):  # npu_device has NPUOptimizer without the managers
        return _OwnManager(BackoffScaler(scaling.params) if scaling.setting == "Backoff" else FixedScaler(scaling.setting))
    managers = adapter.module(_MANAGER)
    if scaling.setting != "Backoff":
        return managers.FixedLossScaleManager(scaling.setting, enable_overflow_check=True)
    params = scaling.params
    # not below 1 and without an upper limit, whatever scale_min and scale_max say: an overflow brings it down again
    return managers.ExponentialUpdateLossScaleManager(
        init_loss_scale=params["scale_max"], incr_every_n_steps=params["step_window"], decr_every_n_nan_or_inf=1,
        incr_ratio=params["step_factor"], decr_ratio=1.0 / params["step_factor"])


class _OwnManager:
    """What NPUOptimizer wants of a loss scale manager, on our own loss scaling."""

    def __init__(self, scaler):
        self._scaler = scaler

    def get_loss_scale(self):
        """float32 scalar."""
        return self._scaler.scale

    def update_loss_scale(self, finite_gradients):
        """Operation that sets the scale of the next step; ``finite_gradients`` is a bool scalar."""
        return self._scaler.update(finite_gradients, None)
