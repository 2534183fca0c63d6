"""``deterministic: True``: a resumed run repeats an uninterrupted one to the last bit.

Nearly everything needed holds without it: the data, their augmentation and dropout follow from the position in the stream, a
checkpoint has every number that a step reads, and TensorFlow's CPU kernels split their sums by the number of threads, not by
which thread is idle. Two things remain: the number of threads, and the moving statistics of batch norm. Every rank has its own
statistics, which are averaged over the ranks when something is saved; a run that saves at another step rounds them differently.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import ConfigError

INITIAL_STATE = {"threads": 0}
"""What a ``SavedState`` keeps of it, with initial values."""


def require_repeatable(params, device):
    """Refuses a device that cannot compute deterministically.

    Args:
      params: the checked config of mode "train".
      device: a ``Device``.

    Raises:
      ConfigError: ``deterministic`` is True on a device that sums in any order.
    """
    if not params["deterministic"] or device.name == "cpu":
        return
    advice = ('. For sums in a fixed order on the NPU use --npu_params="{\'deterministic\': 1}"; a resumed run is then the same '
              "except for dropout") if device.name == "npu" else ""
    raise ConfigError('"deterministic" is True, which only the CPU supports, and the device is the %s. Remove it%s'
                      % (device.name.upper(), advice))


def note_on_threads(params, saved_threads, device):
    """A sentence where a run resumes with another number of threads than before, or None.

    Args:
      params: the checked config of mode "train".
      saved_threads: int, threads of the checkpoint's training; 0: unknown.
      device: a ``Device``.
    """
    if not params["deterministic"] or saved_threads in (0, device.threads):
        return None
    return ("deterministic: the checkpoint was trained with %d threads, and this process has %d; sums are split among them, so "
            "losses may differ in their last bits. For the same bits use as many cores as before"
            % (saved_threads, device.threads))


def averaged_at_every_step(update, variables, group):
    """Operation: ``update``, and then on every rank the mean over all ranks of each of ``variables``.

    Args:
      update: operation.
      variables: list of float32 variables.
      group: a ``ProcessGroup``.
    """
    with tf.control_dependencies([update]):
        # not variable.value(), which may have been read before the update
        values = [variable.read_value() for variable in variables]
    return tf.group(update, *[variable.assign(mean, read_value=False)
                              for variable, mean in zip(variables, group.average(values))])
