"""The float status register of an Ascend 910: an overflow gives the largest number instead of inf and sets this register."""
import numpy as np
import tensorflow.compat.v1 as tf

from fake_ascend import settings, standins

SIZE = 8  # int32 words that NpuGetFloatStatusV2 returns
_register = {"overflow": False, "readings": 0}


def reset():
    """Resets the register, for tests."""
    _register.update(overflow=False, readings=0)


def set_overflow():
    """Sets the register, like an overflow anywhere on the device."""
    _register["overflow"] = True


def is_set():
    """Whether an overflow has occurred since the register was cleared."""
    return _register["overflow"]


def readings():
    """Number of readings of the register: one per training step."""
    return _register["readings"]


def saturate(gradients):
    """Limits scaled gradients to the range of half precision.

    Returns:
      The list of limited gradients (None stays None), and a list of bool [] tensors, true where a value was NaN or was
      limited.
    """
    limit = settings.largest_gradient()
    if limit is None:
        return list(gradients), []
    limited, overflows = [], []
    for gradient in gradients:
        if gradient is None:
            limited.append(None)
            continue
        values = gradient.values if isinstance(gradient, tf.IndexedSlices) else gradient
        # is_nan is separate because grappler turns "not less or equal" into "greater", which is false for NaN
        inside = tf.reduce_all(tf.logical_and(tf.abs(values) <= limit, tf.logical_not(tf.is_nan(values))))
        overflows.append(tf.logical_not(inside))
        values = tf.clip_by_value(values, -limit, limit)
        limited.append(tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
                       if isinstance(gradient, tf.IndexedSlices) else values)
    return limited, overflows


def get_float_status(overflows):
    """NpuGetFloatStatusV2, int32 [8], not zero after an overflow. An overflow in ``overflows`` sets the register first."""
    def read(*found):
        if any(found) or _register["readings"] in settings.overflow_at():
            _register["overflow"] = True
        _register["readings"] += 1
        status = np.zeros([SIZE], np.int32)
        status[0] = int(_register["overflow"])
        return status

    return _stand_in(read, overflows, "NpuGetFloatStatusV2")


def clear_float_status():
    """NpuClearFloatStatusV2, int32 [8]."""
    def clear():
        _register["overflow"] = False
        return np.zeros([SIZE], np.int32)

    return _stand_in(clear, [], "NpuClearFloatStatusV2")


def _stand_in(function, inputs, operator_type):
    status = tf.py_func(function, inputs, tf.int32, name=operator_type)
    status.set_shape([SIZE])
    standins.mark(status.op, operator_type)
    return status
