"""Python imports this if the folder is on PYTHONPATH; the process then finds simulated davinci devices."""
import os

if "FAKE_ASCEND_DEVICES" in os.environ:
    from fake_ascend import device_files
    device_files.install()
