"""Checks the machine and the environment variables for a run on an NPU, before TensorFlow or the adapter read them.

The adapter aborts the process for some wrong variables. For others it trains on the wrong device, or without the other ranks.
"""
import glob
import json
import os
import re

from open_seq2seq.devices.npu_option_checks import ACCELERATION
from open_seq2seq.devices.npu_options import OPTION_BY_NAME
from open_seq2seq.errors import DeviceError
from open_seq2seq.graph_analysis.npu_operators import DEFAULT_OPP_PATH, FILE_NAME, operator_list_files
from open_seq2seq.rank_tables.rank_table import read_rank_table

DRIVER_FOLDER = "/usr/local/Ascend/driver"
SET_ENVIRONMENT = "`source /usr/local/Ascend/ascend-toolkit/set_env.sh`"

LARGEST_STEP = 2 ** 31 - 1
# the adapter's
DEFAULT_STEP_RATIO, DEFAULT_LOSS_RATIO = 0.9, 1.05

_CLUSTER_MANAGER = ("CM_CHIEF_IP", "CM_CHIEF_PORT", "CM_CHIEF_DEVICE", "CM_WORKER_IP", "CM_WORKER_SIZE")


def device_numbers(device_files):
    """Ascending list of the numbers of this machine's devices; ``device_files`` is the pattern of their files."""
    found = (re.search(r"(\d+)$", path) for path in glob.glob(device_files))
    return sorted(int(number.group(1)) for number in found if number)


def missing_device(device_files):
    """List of sentences about a missing driver or device; empty if there is a device."""
    if device_numbers(device_files):
        return []
    missing = []
    if not os.path.isdir(DRIVER_FOLDER):
        missing.append("the driver: no %s (install the Ascend driver and firmware for this NPU and restart; `npu-smi "
                       "info` lists it then; in a container mount the folder)" % DRIVER_FOLDER)
    missing.append("a device: no %s (the driver creates it; in a container pass --device /dev/davinci0 --device "
                   "/dev/davinci_manager --device /dev/devmm_svm --device /dev/hisi_hdc)" % device_files)
    return missing


def missing_variables(environ):
    """List of sentences about missing environment variables without which nothing would be offloaded."""
    if operator_list_files(environ):
        return []
    path = environ.get("ASCEND_OPP_PATH")
    found = "ASCEND_OPP_PATH is %r" % path if path else "ASCEND_OPP_PATH is not set, which means %s" % DEFAULT_OPP_PATH
    return ["an environment variable: %s, and there is no %s below it; without this file the adapter leaves every operator on "
            "the host (install the CANN toolkit with its operator package and %s)" % (found, FILE_NAME, SET_ENVIRONMENT)]


def check_environment(environ, options, device_files):
    """Checks the environment variables that the adapter reads.

    Args:
      environ: the environment.
      options: dict of the adapter's options of the run.
      device_files: pattern of the devices' files.

    Raises:
      DeviceError: lists all problems and names the rank.
    """
    problems = _device_problems(environ, options, device_numbers(device_files))
    problems += _rank_problems(environ, options)
    problems += _cluster_manager_problems(environ)
    problems += _other_problems(environ, options)
    if problems:
        rank = environ.get("RANK_ID")
        raise DeviceError("%s: environment variables are wrong for a run on an NPU:\n  %s" % (
            "rank %s" % rank if rank else "this process (RANK_ID is not set)", "\n  ".join(problems)))


def integer_of(environ, name):
    """The variable as an int; None if it is absent, not an integer or longer than 9 digits."""
    text = environ.get(name, "")
    return int(text) if re.fullmatch(r"\s*[+-]?[0-9]{1,9}\s*", text) else None


def chosen_device(environ, options):
    """(source of the device's number, the number) for the session; None if the text is not an integer.

    The engine opens the device that is chosen without ``options``.
    """
    if "session_device_id" in options:
        return 'npu_params["session_device_id"]', options["session_device_id"]
    for name in ("ASCEND_DEVICE_ID", "DEVICE_ID"):
        if environ.get(name):
            return name, integer_of(environ, name)
    return "the adapter's default", 0


def _device_problems(environ, options, numbers):
    problems = []
    for name in ("ASCEND_DEVICE_ID", "DEVICE_ID"):
        if environ.get(name) and (integer_of(environ, name) is None or integer_of(environ, name) < 0):
            problems.append("%s is %r, expected the number of a device, such as 0; there are %s"
                            % (name, environ[name], _listed(numbers)))
    # the option reaches the session, the environment's device is the one that the engine opens
    for source, number in sorted({chosen_device(environ, options), chosen_device(environ, {})}):
        # logical numbers count the devices that this process may use; DEVICE_ID is the number in the name of the device file
        known = set(numbers) if source == "DEVICE_ID" else set(numbers) | set(range(len(numbers)))
        if number is not None and number >= 0 and number not in known and source != "the adapter's default":
            problems.append("%s is %d, but this machine has no such device; there are %s" % (source, number, _listed(numbers)))
    return problems


def _listed(numbers):
    return "none" if not numbers else ", ".join(map(str, numbers))


def _rank_problems(environ, options):
    problems = []
    size, rank, table = integer_of(environ, "RANK_SIZE"), integer_of(environ, "RANK_ID"), environ.get("RANK_TABLE_FILE")
    if environ.get("RANK_SIZE") and (size is None or size < 1):
        problems.append("RANK_SIZE is %r, expected the number of processes, at least 1" % environ["RANK_SIZE"])
    if environ.get("RANK_ID") and (rank is None or rank < 0):
        problems.append("RANK_ID is %r, expected an integer from 0" % environ["RANK_ID"])
    elif rank is not None and size is not None and rank >= max(size, 1):
        problems.append("RANK_ID is %d, but RANK_SIZE is %d; expected at most %d" % (rank, size, size - 1))
    if table and not os.path.isfile(table):
        problems.append("RANK_TABLE_FILE is %r, but there is no such file; scripts/make_rank_table.py writes one" % table)
    if table and not environ.get("RANK_ID"):
        problems.append("RANK_TABLE_FILE is set without RANK_ID; unset RANK_TABLE_FILE for one device, or start several with "
                        "scripts/run_8p.sh")
    if size is None or size <= 1:
        return problems + _problems_of_one_rank(environ, table)
    for name, consequence in (("RANK_TABLE_FILE", "each rank would train alone"),
                              ("RANK_ID", "HCCL needs the number of this rank"),
                              ("JOB_ID", "the adapter cannot build its all-reduce")):
        if not environ.get(name) and not (name == "RANK_ID" and table):
            problems.append("RANK_SIZE is %d, but %s is not set: %s. scripts/run_8p.sh sets it" % (size, name, consequence))
    if not environ.get("ASCEND_DEVICE_ID") and not environ.get("DEVICE_ID"):
        problems.append("RANK_SIZE is %d, but neither ASCEND_DEVICE_ID nor DEVICE_ID is set: all ranks would use device 0"
                        % size)
    if "session_device_id" in options:
        problems.append('RANK_SIZE is %d, but npu_params["session_device_id"] puts all ranks on device %d; remove it'
                        % (size, options["session_device_id"]))
    if not options.get("use_off_line", True):
        problems.append('RANK_SIZE is %d, but npu_params["use_off_line"] is False: HCCL has no operators on the host. Use '
                        "--device cpu for several processes without NPUs" % size)
    return problems


def _problems_of_one_rank(environ, table):
    """The problem of a table of several ranks without RANK_SIZE: each process would train alone, into the same files."""
    if not table or not os.path.isfile(table) or (environ.get("RANK_SIZE") or "1").strip() != "1":
        return []
    ranks = read_rank_table(table).size
    if ranks == 1:
        return []
    return ["RANK_TABLE_FILE is %r, a table of %d ranks, but RANK_SIZE is %s; unset RANK_TABLE_FILE for one device, or start "
            "several with scripts/run_8p.sh" % (table, ranks, environ.get("RANK_SIZE") or "not set, which means 1")]


def _cluster_manager_problems(environ):
    given = [name for name in _CLUSTER_MANAGER if environ.get(name)]
    problems = []
    if given and environ.get("RANK_TABLE_FILE"):
        problems.append("%s and RANK_TABLE_FILE are both set: the adapter would train without HCCL. Unset %s"
                        % (", ".join(given), " ".join(given)))
    elif given:
        problems.append("%s: this trainer finds its ranks with RANK_TABLE_FILE, RANK_SIZE and RANK_ID. Unset %s and start the "
                        "ranks with scripts/run_8p.sh" % (
                            ", ".join("%s is %r" % (name, environ[name]) for name in given), " ".join(given)))
    if environ.get("RANK_SIZE") and environ.get("CM_WORKER_SIZE"):
        problems.append("RANK_SIZE and CM_WORKER_SIZE are both set, which the adapter does not allow; unset CM_WORKER_SIZE")
    return problems


def _other_problems(environ, options):
    problems = []
    if environ.get("TF_CONFIG"):
        problems += _tf_config_problems(environ["TF_CONFIG"])
    if environ.get("AOE_MODE") and "aoe_mode" not in options:
        accepted = OPTION_BY_NAME["aoe_mode"].kind.values
        if environ["AOE_MODE"] not in accepted:
            problems.append("AOE_MODE is %r, expected one of %s, or an empty value" % (environ["AOE_MODE"], ", ".join(accepted)))
    mode = options.get(ACCELERATION, "")
    if "|loss" in mode and not _is_loss(environ.get("TARGET_LOSS", "")):
        problems.append('npu_params["%s"] is %r, which needs TARGET_LOSS in the environment, the loss that the training is to '
                        "reach; TARGET_LOSS is %s, expected a number above 0" % (
                            ACCELERATION, mode, repr(environ["TARGET_LOSS"]) if "TARGET_LOSS" in environ else "not set"))
    return problems


def _is_loss(text):
    return re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) is not None and float(text) > 0.0


def publish_progress(environ, options, step=0, last_step=LARGEST_STEP, loss=None):
    """Sets the environment variables with which the adapter ends the lower precision of an accelerated training.

    The adapter reads them at every run of a session, also before the training has begun.

    Args:
      environ: the environment, which is changed.
      options: the adapter's options of the run.
      step, last_step, loss: see ``Device.before_step``.
    """
    mode = options.get(ACCELERATION, "")
    if "|step" in mode:
        environ.update(STEP_NOW=str(step), TOTAL_STEP=str(last_step))
    elif "|loss" in mode:
        # 0: not known yet
        environ["LOSS_NOW"] = "0" if loss is None else "%.9g" % loss


def acceleration_has_ended(environ, options):
    """Whether the adapter computes the next run with the precision that a training has after it was accelerated.

    It then compiles each graph once more, at the graph's second run or later (geop_npu.cc, DoAccelerateTrain).

    Args:
      environ: the environment with what :func:`publish_progress` sets.
      options: the adapter's options of the run.
    """
    if ACCELERATION not in options:
        return False
    _, measure, ratio = (options[ACCELERATION].split("|") + [""])[:3]
    if measure == "step":
        step, last_step = int(environ["STEP_NOW"]), int(environ["TOTAL_STEP"])
        return step >= int(last_step * float(ratio or DEFAULT_STEP_RATIO)) or step + 1 >= last_step
    loss = float(environ["LOSS_NOW"])
    return loss != 0.0 and loss <= float(environ["TARGET_LOSS"]) * float(ratio or DEFAULT_LOSS_RATIO)


def _tf_config_problems(text):
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        return ["TF_CONFIG is %r, which is not valid JSON (%s); unset it, the ranks are in RANK_TABLE_FILE" % (text[:200], error)]
    task = config.get("task", {}) if isinstance(config, dict) else None
    if not isinstance(task, dict):
        return ["TF_CONFIG is %r, expected an object whose task is an object; unset it, the ranks are in RANK_TABLE_FILE"
                % text[:200]]
    if isinstance(task.get("type"), str) and task["type"] in ("ps", "evaluator"):
        return ["TF_CONFIG declares this process a %s, for which the adapter does not use a device or HCCL; unset it"
                % task["type"]]
    return []
