"""Operators of the adapter by the names that they have in the module that TensorFlow generates for its library."""
from fake_ascend import status_register

npu_clear_float_status_v2 = status_register.clear_float_status


def npu_get_float_status_v2():
    return status_register.get_float_status([])
