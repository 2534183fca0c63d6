"""Access to the adapter's operators."""
import types

from fake_ascend import status_register


def get_gen_ops():
    """The operators by name, as in the module that TensorFlow generates."""
    return types.SimpleNamespace(npu_clear_float_status_v2=status_register.clear_float_status,
                                 npu_get_float_status_v2=lambda: status_register.get_float_status([]))
