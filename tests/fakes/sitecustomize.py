"""Read by every Python that has this folder on its PYTHONPATH: the machine then has davinci devices."""
import os

if "FAKE_ASCEND_DEVICES" in os.environ:
    from fake_ascend import device_files
    device_files.install()
