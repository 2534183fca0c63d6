"""Imported by every Python with this folder on its PYTHONPATH: the machine then seems to have davinci devices."""
import os

if "FAKE_ASCEND_DEVICES" in os.environ:
    from fake_ascend import device_files
    device_files.install()
