"""Finds and reads npu_supported_ops.json in the same way as the adapter."""
import json
import os

from fake_ascend.fatal import log

STATUS_OPERATORS = ("NpuAllocFloatStatus", "NpuGetFloatStatusV2", "NpuClearFloatStatusV2")


def list_file():
    """Path at which the adapter expects its operator list."""
    root = os.environ.get("ASCEND_OPP_PATH") or "/usr/local/Ascend/opp"
    if os.path.exists(os.path.join(root, "built-in")):
        return os.path.join(root, "built-in", "framework", "tensorflow", "npu_supported_ops.json")
    return os.path.join(root, "framework", "built-in", "tensorflow", "npu_supported_ops.json")


def read_operators():
    """Returns {operator type: whether gray}; empty, without a message, if there is no list."""
    path = list_file()
    try:
        with open(path, encoding="utf-8") as file:
            return {name: bool(facts.get("isGray")) for name, facts in json.load(file).items()}
    except (OSError, ValueError):
        log("I", "util/npu_ops_identifier.cc:150", "%s cannot be read" % path)
        return {}
