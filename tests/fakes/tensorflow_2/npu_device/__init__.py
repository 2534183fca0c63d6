"""A fake of the Ascend adapter's Python package for TensorFlow 2.6.5. See ../../README.md; ``build.py`` adds ``compat.v1``."""
from npu_device._api import compat  # noqa: F401
from npu_device.npu_device import gen_npu_ops, global_options, open  # noqa: F401
