"""What the rest of the code may ask of a device."""


class Device:
    """One kind of compute device.

    Attributes:
      name: "cpu", "gpu" or "npu".
      fast_gradients: whether convolution gradients written as forward convolutions are the faster ones here.
    """

    name = None
    fast_gradients = False

    def session_config(self, use_xla_jit=False):
        """Returns the ``tf.ConfigProto`` for sessions on this device."""
        raise NotImplementedError

    def precision_note(self, dtype):
        """Returns a sentence when the device computes in another precision than ``dtype`` asks for, else None."""
        raise NotImplementedError
