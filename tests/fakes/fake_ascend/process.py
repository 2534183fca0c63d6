"""What the adapter reads from the environment when the process first touches the device (ge_plugin.cc)."""
import json
import os

from fake_ascend.fatal import abort, log

PLACE = "util/ge_plugin.cc"
_initialized = []


def initialize(session_device_id=None):
    """Checks the environment once per process: aborts for invalid device ids and logs other unusual values."""
    if _initialized:
        return
    _check_device(session_device_id)
    if "JOB_ID" not in os.environ:
        log("W", PLACE, "[GePlugin] can not find Environment variable : JOB_ID")
    try:
        json.loads(os.environ.get("TF_CONFIG") or "{}")
    except ValueError:
        log("W", PLACE, "Failed to convert TF_CONFIG info from string to json")
    hcom_enabled(log_why=True)
    _initialized.append(True)


def _check_device(session_device_id):
    for name in ("ASCEND_DEVICE_ID", "DEVICE_ID"):
        text = os.environ.get(name)
        if not text:
            continue
        if not text.lstrip("-").isdigit():
            abort(PLACE, "%s is invalid, should be int, such as 0, 1, 2." % name)
        if int(text) < 0:
            abort(PLACE, "%s should be >= 0." % name)
        return
    if session_device_id is None:
        log("W", PLACE, "[GePlugin] DEVICE_ID and ASCEND_DEVICE_ID is none, use default device id : 0, if set session_device_id, "
                        "session_device_id has a higher priority.")


def rank_size():
    """RANK_SIZE as the adapter's C++ code reads it: 1 if it is not a number."""
    text = os.environ.get("RANK_SIZE", "1")
    return int(text) if text.isdigit() else 1


def hcom_enabled(log_why=False):
    """Whether the adapter would set ge.exec.isUseHcom, with which the graph engine uses HCCL."""
    if not os.environ.get("RANK_TABLE_FILE") or rank_size() < 1:
        return False
    if os.environ.get("CM_CHIEF_IP"):
        if log_why:
            log("E", PLACE, "CM_CHIEF_IP and RANK_TABLE_FILE cannot be configured at the same time.")
        return False
    if log_why and not (os.environ.get("POD_NAME") or os.environ.get("RANK_ID")):
        log("E", PLACE, "[GePlugin] Can't find rank_id or pod_name in env.")
    return True


def forget():
    """Resets the state of the process, for tests that simulate several processes in one."""
    del _initialized[:]
