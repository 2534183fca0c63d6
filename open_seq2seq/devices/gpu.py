"""An NVIDIA GPU, through TensorFlow's own kernels."""
import glob

import tensorflow.compat.v1 as tf

from open_seq2seq.devices.cpu import with_xla
from open_seq2seq.devices.device import Device
from open_seq2seq.errors import DeviceError


class Gpu(Device):
    name = "gpu"

    def __init__(self):
        if not gpu_available():
            raise DeviceError(
                "--device gpu: TensorFlow %s sees no GPU. Expected an NVIDIA driver (nvidia-smi), the CUDA version this "
                "TensorFlow was built for, and a build with CUDA. Use --device cpu to run on the CPU" % tf.__version__)

    def session_config(self, use_xla_jit=False):
        config = tf.ConfigProto(allow_soft_placement=True)
        # the whole memory is not taken at once, so that evaluation beside training is possible
        config.gpu_options.allow_growth = True
        return with_xla(config, use_xla_jit)

    def precision_note(self, dtype):
        if dtype == tf.float32:
            return None
        return "dtype %s: mixed precision on a GPU is not written yet; the run goes on in float32" % (dtype,)


def gpu_available():
    """True if TensorFlow was built with CUDA and sees a GPU."""
    # asking TensorFlow where there is no driver prints an error that frightens people
    return bool(glob.glob("/dev/nvidia[0-9]*")) and tf.test.is_built_with_cuda() and tf.test.is_gpu_available()
