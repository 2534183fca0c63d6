"""A Huawei Ascend NPU, through the adapter ``npu_bridge``.

Facts used here (adapter source, master of December 2023): the optimizer must be named exactly ``NpuOptimizer`` and
``npu_bridge`` must be imported, or the graph silently runs on the host; ``remapping`` must be off or inference graphs
fall back to the host; ``from npu_bridge.npu_init import *`` patches every session of the process, so it is not used.
"""
import glob
import importlib
import importlib.util

import tensorflow.compat.v1 as tf

from open_seq2seq.devices.device import Device
from open_seq2seq.errors import DeviceError

DEVICE_FILES = "/dev/davinci[0-9]*"


def missing_parts():
    """Returns a list of sentences, one for each thing that an NPU run needs and this machine lacks."""
    missing = []
    if importlib.util.find_spec("npu_bridge") is None:
        missing.append("the TensorFlow adapter: the module npu_bridge cannot be imported (install the CANN toolkit and its "
                       "TensorFlow plugin for %s, then `source /usr/local/Ascend/ascend-toolkit/set_env.sh`)"
                       % tf.__version__)
    if not glob.glob(DEVICE_FILES):
        missing.append("a device: no %s (install the Ascend driver; in a container pass --device /dev/davinci0 "
                       "and the driver's folders)" % DEVICE_FILES)
    return missing


class Npu(Device):
    name = "npu"

    def __init__(self, training=True):
        missing = missing_parts()
        if missing:
            raise DeviceError("--device npu: this machine lacks " + "; and ".join(missing)
                              + ". Use --device cpu to run the same config on the CPU")
        importlib.import_module("npu_bridge")
        self._training = training

    def session_config(self, use_xla_jit=False):
        config = tf.ConfigProto(allow_soft_placement=True)
        rewrite_options = config.graph_options.rewrite_options
        optimizer = rewrite_options.custom_optimizers.add()
        optimizer.name = "NpuOptimizer"
        optimizer.parameter_map["use_off_line"].b = True
        optimizer.parameter_map["precision_mode"].s = tf.compat.as_bytes("allow_mix_precision")
        optimizer.parameter_map["graph_run_mode"].i = 1 if self._training else 0
        rewrite_options.remapping = rewrite_options.OFF
        rewrite_options.memory_optimization = rewrite_options.OFF
        return config

    def precision_note(self, dtype):
        return "the adapter casts to float16 where it gains (allow_mix_precision); variables stay float32"
