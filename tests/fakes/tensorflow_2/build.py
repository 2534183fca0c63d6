"""Makes the fake ``npu_device`` complete, in the way in which the adapter is built.

The adapter's build copies the package ``npu_bridge`` to ``npu_device/compat/v1`` and rewrites its imports
(tf_adapter_2.x/compat_v1/upgrade_tf1_compat_tf2.py); the loss scale managers and their optimizer are removed.
"""
import os
import shutil

FOLDER = os.path.dirname(os.path.abspath(__file__))
NPU_BRIDGE = os.path.join(os.path.dirname(FOLDER), "tensorflow_1", "npu_bridge")
REMOVED = ("npu_loss_scale_manager", "npu_loss_scale_optimizer")
HELPER = '''"""Access to the adapter's operators."""
from npu_device.npu_device import gen_npu_ops


def get_gen_ops():
    """The operators by name, as in the module that TensorFlow generates."""
    return gen_npu_ops


version = "v2.6.2"
'''


def build(folder):
    """Writes the package npu_device into ``folder`` and returns the folder."""
    target = os.path.join(str(folder), "npu_device")
    without_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(os.path.join(FOLDER, "npu_device"), target, ignore=without_caches)
    compat = os.path.join(target, "compat", "v1")
    shutil.copytree(NPU_BRIDGE, compat, ignore=shutil.ignore_patterns("__pycache__", *("%s.py" % name for name in REMOVED)))
    for root, _, files in os.walk(compat):
        for path in (os.path.join(root, name) for name in files):
            with open(path, encoding="utf-8") as file:
                lines = [line for line in file if not any(name in line for name in REMOVED)]
            with open(path, "w", encoding="utf-8") as file:
                file.writelines(line.replace("from npu_bridge", "from npu_device.compat.v1", 1) for line in lines)
    with open(os.path.join(compat, "helper", "helper.py"), "w", encoding="utf-8") as file:
        file.write(HELPER)
    return str(folder)
