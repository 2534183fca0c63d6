from npu_device.compat.utils import SessionConfigBuilder  # noqa: F401
