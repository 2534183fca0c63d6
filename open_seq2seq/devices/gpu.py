"""An NVIDIA GPU, through TensorFlow's own kernels."""
import glob
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.devices.cpu import with_xla
from open_seq2seq.devices.device import Device
from open_seq2seq.errors import DeviceError

DEVICE_FILES = "/dev/nvidia[0-9]*"


class Gpu(Device):
    """One GPU for each process.

    Args:
      group: the ``ProcessGroup`` of the run, None for one process.

    Raises:
      DeviceError: TensorFlow sees no GPU, or fewer GPUs than processes on this machine.
    """

    name = "gpu"

    def __init__(self, group=None):
        if not gpu_available():
            raise DeviceError("--device gpu: TensorFlow %s sees no GPU: %s. Use --device cpu to run on the CPU" % (
                tf.__version__, gpu_obstacle()))
        self._visible_device = None if group is None else device_of_rank(group, len(visible_gpus()), os.environ)

    def session_config(self, use_xla_jit=False):
        config = tf.ConfigProto(allow_soft_placement=True)
        # memory is allocated as needed, so that an evaluation can run at the same time as a training
        config.gpu_options.allow_growth = True
        if self._visible_device is not None:
            config.gpu_options.visible_device_list = self._visible_device
        return with_xla(config, use_xla_jit)

    def compute_dtype(self, dtype):
        return tf.float32 if dtype == tf.float32 else tf.float16

    def precision_note(self, dtype):
        if dtype == tf.float16:
            return "dtype float16: products and activations are float16; variables, batch norm and the loss are float32"
        return None


def visible_gpus():
    """The GPUs that TensorFlow may use; does not initialize them, which would allocate their memory."""
    return tf.config.experimental.list_physical_devices("GPU")


def gpu_available():
    """True if TensorFlow was built with CUDA and sees a GPU."""
    return gpu_obstacle() is None


def has_nvidia_gpu():
    """True if the machine has an NVIDIA GPU whose driver is loaded, whether or not TensorFlow can use it."""
    return bool(glob.glob(DEVICE_FILES))


def gpu_obstacle():
    """What prevents TensorFlow from using a GPU and how to fix it, as a part of a sentence; None if it can use one."""
    # without a driver TensorFlow would print an error, although a missing GPU is not one here
    if not has_nvidia_gpu():
        return "there is no /dev/nvidia0, so there is no NVIDIA GPU, or its driver is not loaded (nvidia-smi must list the GPU)"
    if not tf.test.is_built_with_cuda():
        return "this TensorFlow was built without CUDA. Install one with CUDA: tensorflow-gpu 1.15, or a TensorFlow 2 for GPUs"
    if not visible_gpus():
        return ("the driver is loaded, but TensorFlow cannot use it: CUDA or cuDNN of the versions that it was built for are "
                "missing, or CUDA_VISIBLE_DEVICES hides the GPU. With TF_CPP_MIN_LOG_LEVEL=0 it names the library that it cannot "
                "load")
    return None


def unused_gpu_note():
    """A line for the log of a run on the CPU of a machine whose GPU TensorFlow cannot use; None if there is nothing to say."""
    obstacle = gpu_obstacle() if has_nvidia_gpu() else None
    return None if obstacle is None else "Note: the run is on the CPU, not on this machine's GPU: %s" % obstacle


def device_of_rank(group, num_devices, environ):
    """The GPU of this process, for ``gpu_options.visible_device_list``.

    Args:
      group: the ``ProcessGroup``.
      num_devices: number of GPUs that TensorFlow sees.
      environ: the environment.

    Returns:
      A number as text, or None where the process may use any GPU.

    Raises:
      DeviceError: there are fewer GPUs than processes.
    """
    if group.size == 1:
        return None
    if num_devices == 1 and environ.get("CUDA_VISIBLE_DEVICES"):
        return "0"  # the launcher made only this process's own GPU visible
    if group.local_size > num_devices:
        raise DeviceError("rank %d: %d processes run on this machine, but TensorFlow sees %d GPU%s. Start one process for each "
                          "GPU, or make more GPUs visible (CUDA_VISIBLE_DEVICES is %r)" % (
                              group.rank, group.local_size, num_devices, "" if num_devices == 1 else "s",
                              environ.get("CUDA_VISIBLE_DEVICES")))
    return str(group.local_rank)
