"""``deterministic: True``: what has to be so that a resumed run repeats an uninterrupted one to the last bit.

Nearly all of it holds anyway: the data, their augmentation and dropout follow from the place in the stream, a checkpoint has
every number that a step reads, and TensorFlow's CPU kernels split their sums by the number of threads, not by which thread is
free. Left are the number of threads itself, and the moving statistics of batch norm, which every rank keeps for itself: they are
averaged over the ranks when something is saved, so whoever saves at another step rounds them another time.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError

INITIAL_STATE = {"threads": 0}
"""What a ``SavedState`` is to keep of it, with its initial values."""


def require_repeatable(params, device):
    """Refuses what could not be kept.

    Args:
      params: the checked config of mode "train".
      device: a ``Device``.

    Raises:
      ConfigError: ``deterministic`` is asked for on a device whose sums may come in any order.
    """
    if not params["deterministic"] or device.name == "cpu":
        return
    advice = ('; its own switch for the order of its sums is --npu_params="{\'deterministic\': 1}", and a resumed run is then '
              "the same but for dropout") if device.name == "npu" else ""
    raise ConfigError('"deterministic" is True, which is a promise of the CPU, and the device is the %s. Leave it out%s'
                      % (device.name.upper(), advice))


def note_on_threads(params, saved_threads, device):
    """A sentence where a run goes on with another number of threads than before, or None.

    Args:
      params: the checked config of mode "train".
      saved_threads: int, of the checkpoint's training; 0: unknown.
      device: a ``Device``.
    """
    if not params["deterministic"] or saved_threads in (0, device.threads):
        return None
    return ("deterministic: the checkpoint was trained with %d threads, and this process has %d; sums are split among them, so "
            "losses may differ in their last bits. For the same bits give it as many cores as before"
            % (saved_threads, device.threads))


def averaged_at_every_step(update, variables, group):
    """Operation: ``update``, and then the mean over all ranks of every one of ``variables``, on all ranks.

    Args:
      update: operation.
      variables: list of float32 variables.
      group: a ``ProcessGroup``.
    """
    with tf.control_dependencies([update]):
        # not the variable's own reading, which may have been made before the update
        values = [variable.read_value() for variable in variables]
    return tf.group(update, *[variable.assign(mean, read_value=False)
                              for variable, mean in zip(variables, group.average(values))])
