"""Learning-rate policies: functions from the global step and the config's ``lr_policy_params`` to a learning rate.

The names, arguments and values are those of NVIDIA OpenSeq2Seq, whose configs import them from here. Every policy
declares its parameters in ``PARAMETERS``, so that a config is checked before any graph is built. A config may omit
``decay_steps`` and ``steps_per_epoch``: :func:`complete_policy_params` derives them from the length of the training.
A custom policy is any function ``policy(global_step, **lr_policy_params)``.
"""
import inspect
import math

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import (
    Any,
    Float,
    Int,
    List,
    Parameter,
    child_path,
    declares,
    parameters_from_signature,
    require_rules,
)
from open_seq2seq.errors import ConfigError

LARGEST_STEP = 2 ** 62  # far beyond any training, and still an int64

_LEARNING_RATE = Parameter("learning_rate", Float(minimum=0.0), doc="learning rate at the start of the decay")
_DECAY_STEPS = Parameter("decay_steps", Int(minimum=1), default=None,
                         doc="updates from the start of the decay to its end; None: up to the last update of the training")
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
      A tuple of Parameter; for a function without declarations, its arguments as ``Any``; None if the function takes
      ``**kwargs`` or cannot be inspected, so that the keys it accepts are not known.
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
    Parameter("boundaries", List(Float(minimum=0.0), minimum_length=1),
              doc="last step, or epoch, of each learning rate except the final one; ascending"),
    Parameter("decay_rates", List(Float(minimum=0.0), minimum_length=1), doc="factor of learning_rate after each boundary"),
    Parameter("steps_per_epoch", Int(minimum=1), default=None,
              doc="updates in one epoch, for boundaries in epochs; None: boundaries are steps unless the config has num_epochs"))
def piecewise_constant(global_step, learning_rate, boundaries, decay_rates, steps_per_epoch=None):
    """``learning_rate`` up to and including the first boundary, then ``learning_rate`` times each of ``decay_rates`` in turn.

    Raises:
      ConfigError: the numbers of ``decay_rates`` and ``boundaries`` differ, or the boundaries are not ascending.
    """
    require_rules(_check_boundaries, {"boundaries": boundaries, "decay_rates": decay_rates}, "lr_policy_params")
    steps = [min(int(round(boundary * (steps_per_epoch or 1))), LARGEST_STEP) for boundary in boundaries]
    rates = [learning_rate] + [learning_rate * decay for decay in decay_rates]
    passed = tf.reduce_sum(tf.cast(tf.greater(tf.cast(global_step, tf.int64), tf.constant(steps, tf.int64)), tf.int32))
    return tf.gather(tf.constant(rates, tf.float32), passed)


def _check_boundaries(params, path, report):
    boundaries, rates = params["boundaries"], params["decay_rates"]
    if len(boundaries) != len(rates):
        report.problem(path, "has %d boundaries and %d decay_rates, expected the same number of both"
                       % (len(boundaries), len(rates)))
    for index in range(1, len(boundaries)):
        if boundaries[index] <= boundaries[index - 1]:
            report.problem(child_path(child_path(path, "boundaries"), index), "is %g and follows %g; expected ascending "
                           "boundaries, each with its decay rate" % (boundaries[index], boundaries[index - 1]))
            return


piecewise_constant.check_rules = _check_boundaries


@declares(
    _LEARNING_RATE, _DECAY_STEPS,
    Parameter("decay_rate", Float(above=0.0), doc="factor by which the learning rate falls every decay_steps"),
    Parameter("use_staircase_decay", Any(), doc="True: fall at once every decay_steps; False: smoothly"),
    _BEGIN_DECAY_AT, _MIN_LR)
def exp_decay(global_step, learning_rate, decay_steps, decay_rate, use_staircase_decay, begin_decay_at=0, min_lr=0.0):
    """Exponential decay that starts at step ``begin_decay_at`` and never falls below ``min_lr``."""
    decayed = tf.train.exponential_decay(learning_rate, global_step - begin_decay_at, decay_steps, decay_rate,
                                         staircase=bool(use_staircase_decay))
    return tf.maximum(min_lr, tf.where(tf.less(global_step, begin_decay_at), tf.constant(learning_rate, tf.float32), decayed))


@declares(_LEARNING_RATE, _DECAY_STEPS, _POWER, _BEGIN_DECAY_AT, _MIN_LR, _WARMUP_STEPS)
def poly_decay(global_step, learning_rate, decay_steps, power=1.0, begin_decay_at=0, min_lr=0.0, warmup_steps=0):
    """Polynomial decay to ``min_lr`` over ``decay_steps`` steps, starting at step ``begin_decay_at``.

    Called with ``begin_decay_at`` below ``warmup_steps`` the decay starts during the warm-up, as in OpenSeq2Seq.
    """
    rate = _warmed_up(global_step, learning_rate, warmup_steps)
    decayed = tf.train.polynomial_decay(rate, global_step - begin_decay_at, decay_steps, end_learning_rate=min_lr, power=power)
    return tf.where(tf.less(global_step, begin_decay_at), rate, decayed)


@declares(
    _LEARNING_RATE, _DECAY_STEPS,
    Parameter("power", Float(), default=1.0, ignored="a cosine has no power; OpenSeq2Seq does not use it either"),
    _BEGIN_DECAY_AT,
    Parameter("min_lr", Float(minimum=0.0, maximum=1.0), default=0.0,
              doc="learning rate at the end of the decay, as a FRACTION of learning_rate"),
    _WARMUP_STEPS)
def cosine_decay(global_step, learning_rate, decay_steps, power=1.0, begin_decay_at=0, min_lr=0.0, warmup_steps=0):
    """Half a cosine (arXiv:1608.03983, without restarts) down to ``min_lr * learning_rate``, starting at ``begin_decay_at``."""
    rate = _warmed_up(global_step, learning_rate, warmup_steps)
    decayed = tf.train.cosine_decay(rate, global_step - begin_decay_at, decay_steps, alpha=min_lr)
    return tf.where(tf.less(global_step, begin_decay_at), rate, decayed)


@declares(
    Parameter("learning_rate", Float(minimum=0.0), doc="factor of the learning rate at every step"),
    Parameter("d_model", Int(minimum=1), doc="width of the model; the rate falls with its square root"),
    Parameter("warmup_steps", Int(minimum=1), doc="updates over which the learning rate rises linearly"),
    Parameter("max_lr", Float(above=0.0), default=None, doc="the learning rate never exceeds this"),
    Parameter("coefficient", Float(above=0.0), default=1.0, doc="a second factor; 0.002 is usual for Adam"),
    Parameter("dtype", Any(), default=tf.float32, doc="data type of the computation"))
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
    """``learning_rate / (1 + scale * step) ** power``, with the scale that reaches ``min_lr`` at ``decay_steps``.

    Raises:
      ConfigError: the scale overflows, because ``power`` is too close to 0.
    """
    min_lr = min(max(min_lr, 1e-8), learning_rate)
    try:
        scale = (math.pow(learning_rate / min_lr, 1.0 / power) - 1.0) / decay_steps
    except OverflowError:
        raise ConfigError('lr_policy_params["power"] is %g, too close to 0 for a decay from learning_rate %g to min_lr %g; '
                          "expected a larger one" % (power, learning_rate, min_lr))
    return tf.constant(learning_rate, tf.float32) / tf.pow(1.0 + scale * tf.cast(global_step, tf.float32), power)


def complete_policy_params(policy, policy_params, last_step, steps_per_epoch):
    """Fills in the arguments that a policy takes and the config omits, as OpenSeq2Seq does.

    ``begin_decay_at`` is at least ``warmup_steps``; ``decay_steps`` lasts from there to ``last_step``.

    Args:
      policy: the policy function.
      policy_params: dict of its arguments; None counts as omitted.
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
        # a short trial run can end before the decay begins; the length of the decay does not matter then, but must not be zero
        completed["decay_steps"] = max(1, last_step - begin)
    if "steps_per_epoch" in accepted and completed.get("steps_per_epoch") is None and steps_per_epoch is not None:
        completed["steps_per_epoch"] = steps_per_epoch
    return completed


def beyond_the_end(policy, policy_params, last_step, steps_per_epoch, num_epochs=None):
    """The parts of a schedule that no step of the training reaches.

    Args:
      policy: the policy function; the arguments of a custom one are not interpreted.
      policy_params: dict of its arguments.
      last_step: updates in the whole training; None if not known.
      steps_per_epoch: updates in one epoch, if boundaries are epochs and it is known; None otherwise.
      num_epochs: the config's; None if the training is measured in steps.

    Returns:
      List of (key, message about its value).
    """
    if getattr(policy, "__module__", None) != __name__:
        return []
    found = []
    boundaries = policy_params.get("boundaries") if policy is piecewise_constant else None
    if isinstance(boundaries, list) and all(isinstance(boundary, (int, float)) for boundary in boundaries):
        epoch = policy_params.get("steps_per_epoch") or steps_per_epoch
        unit, end = "step", last_step
        if num_epochs is not None and policy_params.get("steps_per_epoch") is None:
            unit, end = "epoch", num_epochs
        elif epoch and last_step is not None:
            unit, end = "epoch", last_step / epoch
        beyond = [boundary for boundary in boundaries if end is not None and boundary >= end]
        if beyond:
            found.append(("boundaries", "has %s at or beyond the end of the training, which is %s %g: the decay rates of these "
                          "boundaries are never used" % (", ".join("%g" % boundary for boundary in beyond[:5]), unit, end)))
    for key, consequence in (("warmup_steps", "the warm-up never ends"), ("begin_decay_at", "the learning rate never decays")):
        value = policy_params.get(key)
        if isinstance(value, int) and last_step is not None and value >= last_step:
            found.append((key, "is %d, at or beyond the last step, which is %d: %s" % (value, last_step, consequence)))
    return found


def learning_rate_at(global_step, policy, policy_params, last_step, steps_per_epoch):
    """The policy's learning rate, float32 scalar; arguments as :func:`complete_policy_params`."""
    rate = policy(global_step, **complete_policy_params(policy, policy_params, last_step, steps_per_epoch))
    return tf.cast(tf.convert_to_tensor(rate), tf.float32, name="learning_rate")
