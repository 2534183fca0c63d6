"""The learning rate of a training run: its policy, completed with what only the length of the training tells."""
import inspect

import tensorflow.compat.v1 as tf


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
