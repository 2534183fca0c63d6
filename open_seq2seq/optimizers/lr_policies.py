"""Learning-rate policies: functions from the global step and the config's ``lr_policy_params`` to a learning rate.

The names, arguments and values are those of NVIDIA OpenSeq2Seq, whose configs import them from here. Every policy
declares its parameters in ``PARAMETERS``, so that a config is checked before any graph is built. ``decay_steps`` and
``steps_per_epoch`` may be left out of a config: ``learning_rate.py`` derives them from the length of the training.
A policy of one's own is any function ``policy(global_step, **lr_policy_params)``.

The learning rate of a training run: its policy, completed with what only the length of the training tells.
"""
import inspect
import math

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Any, Float, Int, List, Parameter, require_rules
from open_seq2seq.optimizers.signatures import declares, parameters_from_signature

_LEARNING_RATE = Parameter("learning_rate", Float(minimum=0.0), doc="learning rate at the start of the decay")
_DECAY_STEPS = Parameter("decay_steps", Int(minimum=1), default=None,
                         doc="updates from the start of the decay to its end; by default all that remain of the training")
_BEGIN_DECAY_AT = Parameter("begin_decay_at", Int(minimum=0), default=0, doc="first update of the decay")
_MIN_LR = Parameter("min_lr", Float(minimum=0.0), default=0.0, doc="learning rate at the end of the decay")
_POWER = Parameter("power", Float(above=0.0), default=1.0, doc="power of the polynomial")
_WARMUP_STEPS = Parameter("warmup_steps", Int(minimum=0), default=0,
                          doc="updates over which the learning rate rises linearly from 0")


def parameters_of(policy):
    """Declared parameters of a learning-rate policy.

    Args:
      policy: one of this module's functions or any other ``policy(global_step, ...)``.

    Returns:
      A tuple of Parameter; for a function that declares none, its arguments as ``Any``; None if the function takes
      ``**kwargs`` or cannot be inspected, so that nothing is known about the keys it accepts.
    """
    if hasattr(policy, "PARAMETERS"):
        return policy.PARAMETERS
    return parameters_from_signature(policy, supplied=("global_step",))


def _warmed_up(global_step, learning_rate, warmup_steps):
    """Linear rise from 0 at step 0 to ``learning_rate`` at ``warmup_steps``; float32 scalar."""
    learning_rate = tf.constant(learning_rate, tf.float32)
    if not warmup_steps:
        return learning_rate
    rising = learning_rate * tf.cast(global_step, tf.float32) / float(warmup_steps)
    return tf.where(tf.less(global_step, warmup_steps), rising, learning_rate)


@declares(Parameter("learning_rate", Float(minimum=0.0), doc="the learning rate"))
def fixed_lr(global_step, learning_rate):
    """``learning_rate`` at every step."""
    return learning_rate


@declares(
    _LEARNING_RATE,
    Parameter("boundaries", List(Float(minimum=0.0), minimum_length=1), doc="last step, or epoch, of each rate but the last"),
    Parameter("decay_rates", List(Float(minimum=0.0), minimum_length=1), doc="factor of learning_rate after each boundary"),
    Parameter("steps_per_epoch", Int(minimum=1), default=None,
              doc="updates in one epoch; by default known if the config has num_epochs, and then boundaries are epochs"))
def piecewise_constant(global_step, learning_rate, boundaries, decay_rates, steps_per_epoch=None):
    """``learning_rate`` up to and including the first boundary, then times each of ``decay_rates`` in turn.

    Raises:
      ConfigError: there are not as many ``decay_rates`` as ``boundaries``.
    """
    require_rules(_check_boundaries, {"boundaries": boundaries, "decay_rates": decay_rates}, "lr_policy_params")
    steps = [int(round(boundary * (steps_per_epoch or 1))) for boundary in boundaries]
    rates = [learning_rate] + [learning_rate * decay for decay in decay_rates]
    passed = tf.reduce_sum(tf.cast(tf.greater(tf.cast(global_step, tf.int64), tf.constant(steps, tf.int64)), tf.int32))
    return tf.gather(tf.constant(rates, tf.float32), passed)


def _check_boundaries(params, path, report):
    boundaries, rates = len(params["boundaries"]), len(params["decay_rates"])
    if boundaries != rates:
        report.problem(path, "has %d boundaries and %d decay_rates, expected as many of one as of the other"
                       % (boundaries, rates))


piecewise_constant.check_rules = _check_boundaries


@declares(
    _LEARNING_RATE, _DECAY_STEPS,
    Parameter("decay_rate", Float(above=0.0), doc="factor by which the learning rate falls every decay_steps"),
    Parameter("use_staircase_decay", Any(), doc="True: fall at once every decay_steps; False: smoothly"),
    _BEGIN_DECAY_AT, _MIN_LR)
def exp_decay(global_step, learning_rate, decay_steps, decay_rate, use_staircase_decay, begin_decay_at=0, min_lr=0.0):
    """Exponential decay from ``begin_decay_at`` on, never below ``min_lr``."""
    decayed = tf.train.exponential_decay(learning_rate, global_step - begin_decay_at, decay_steps, decay_rate,
                                         staircase=bool(use_staircase_decay))
    return tf.maximum(min_lr, tf.where(tf.less(global_step, begin_decay_at), tf.constant(learning_rate, tf.float32), decayed))


@declares(_LEARNING_RATE, _DECAY_STEPS, _POWER, _BEGIN_DECAY_AT, _MIN_LR, _WARMUP_STEPS)
def poly_decay(global_step, learning_rate, decay_steps, power=1.0, begin_decay_at=0, min_lr=0.0, warmup_steps=0):
    """Polynomial decay to ``min_lr`` over ``decay_steps`` steps from ``begin_decay_at`` on.

    Called with ``begin_decay_at`` below ``warmup_steps`` the decay starts during the warm-up, as in OpenSeq2Seq.
    """
    rate = _warmed_up(global_step, learning_rate, warmup_steps)
    decayed = tf.train.polynomial_decay(rate, global_step - begin_decay_at, decay_steps, end_learning_rate=min_lr, power=power)
    return tf.where(tf.less(global_step, begin_decay_at), rate, decayed)


@declares(
    _LEARNING_RATE, _DECAY_STEPS,
    Parameter("power", Float(), default=1.0, ignored="a cosine has no power, and OpenSeq2Seq does not use it either"),
    _BEGIN_DECAY_AT,
    Parameter("min_lr", Float(minimum=0.0, maximum=1.0), default=0.0,
              doc="learning rate at the end of the decay, as a FRACTION of learning_rate"),
    _WARMUP_STEPS)
def cosine_decay(global_step, learning_rate, decay_steps, power=1.0, begin_decay_at=0, min_lr=0.0, warmup_steps=0):
    """Half a cosine (arXiv:1608.03983, without restarts) from ``begin_decay_at`` on, down to ``min_lr * learning_rate``."""
    rate = _warmed_up(global_step, learning_rate, warmup_steps)
    decayed = tf.train.cosine_decay(rate, global_step - begin_decay_at, decay_steps, alpha=min_lr)
    return tf.where(tf.less(global_step, begin_decay_at), rate, decayed)


@declares(
    Parameter("learning_rate", Float(minimum=0.0), doc="factor of the whole curve"),
    Parameter("d_model", Int(minimum=1), doc="width of the model; the rate falls with its square root"),
    Parameter("warmup_steps", Int(minimum=1), doc="updates over which the learning rate rises linearly"),
    Parameter("max_lr", Float(above=0.0), default=None, doc="the learning rate never exceeds this"),
    Parameter("coefficient", Float(above=0.0), default=1.0, doc="another factor; 0.002 is usual for Adam"),
    Parameter("dtype", Any(), default=tf.float32, doc="type to compute in"))
def transformer_policy(global_step, learning_rate, d_model, warmup_steps, max_lr=None, coefficient=1.0, dtype=tf.float32):
    """Linear warm-up, then decay with the inverse square root of the step (arXiv:1706.03762, section 5.3)."""
    step = tf.cast(global_step, dtype) + 1
    warmup = tf.cast(warmup_steps, dtype)
    rate = coefficient * d_model ** -0.5 * tf.minimum(step * warmup ** -1.5, step ** -0.5) * learning_rate
    return rate if max_lr is None else tf.minimum(tf.cast(max_lr, dtype), rate)


@declares(
    Parameter("learning_rate", Float(above=0.0), doc="learning rate at the start of the decay"),
    _DECAY_STEPS,
    Parameter("min_lr", Float(minimum=0.0), doc="learning rate after decay_steps"),
    _POWER,
    Parameter("begin_decay_at", Int(minimum=0), default=0, ignored="inv_poly_decay decays from the first step"),
    Parameter("warmup_steps", Int(minimum=0), default=0, ignored="inv_poly_decay has no warm-up"),
    Parameter("name", Any(), default="learning_rate", ignored="it only names TensorFlow operations"))
def inv_poly_decay(global_step, learning_rate, decay_steps, min_lr, power=1.0, begin_decay_at=0, warmup_steps=0,
                   name="learning_rate"):
    """``learning_rate / (1 + scale * step) ** power``, with the scale that reaches ``min_lr`` at ``decay_steps``."""
    min_lr = min(max(min_lr, 1e-8), learning_rate)
    scale = (math.pow(learning_rate / min_lr, 1.0 / power) - 1.0) / decay_steps
    return tf.constant(learning_rate, tf.float32) / tf.pow(1.0 + scale * tf.cast(global_step, tf.float32), power)


def complete_policy_params(policy, policy_params, last_step, steps_per_epoch):
    """Fills in what a policy takes and the config leaves open, as OpenSeq2Seq does.

    ``begin_decay_at`` is at least ``warmup_steps``; ``decay_steps`` lasts from there to ``last_step``.

    Args:
      policy: the policy function.
      policy_params: dict of its arguments; None counts as left open.
      last_step: updates in the whole training.
      steps_per_epoch: updates in one epoch, or None if the training is measured in steps.

    Returns:
      A new dict of keyword arguments for ``policy``.
    """
    completed = dict(policy_params)
    try:
        accepted = inspect.signature(policy).parameters
    except (TypeError, ValueError):
        return completed
    if "decay_steps" in accepted and completed.get("decay_steps") is None:
        begin = completed.get("begin_decay_at") or 0
        if "begin_decay_at" in accepted:
            begin = max(begin, completed.get("warmup_steps") or 0)
            completed["begin_decay_at"] = begin
        # a trial run can end before the decay begins: then the decay's length does not matter, but must not be zero
        completed["decay_steps"] = max(1, last_step - begin)
    if "steps_per_epoch" in accepted and completed.get("steps_per_epoch") is None and steps_per_epoch is not None:
        completed["steps_per_epoch"] = steps_per_epoch
    return completed


def learning_rate_at(global_step, policy, policy_params, last_step, steps_per_epoch):
    """The policy's learning rate, float32 scalar; arguments as :func:`complete_policy_params`."""
    rate = policy(global_step, **complete_policy_params(policy, policy_params, last_step, steps_per_epoch))
    return tf.cast(tf.convert_to_tensor(rate), tf.float32, name="learning_rate")
