"""What ``npu_device.compat`` names. ``import npu_device.compat.v1.npu_init`` finds the folder ``compat``, as in the adapter."""
from npu_device.npu_device import enable_v1  # noqa: F401

from . import v1  # noqa: F401
