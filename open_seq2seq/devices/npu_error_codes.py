"""The error codes of CANN, the software of Ascend devices, that a training, an evaluation or an inference can meet.

The adapter raises every failure of the graph engine as the same TensorFlow error; only a code in its text tells one from another.
A code has six characters: the letter E, the module, and four digits. 0000 to 8999 are errors that a user can fix, 9000 to 9999
internal ones. Numbers without a letter are return codes of the runtime and of the graph engine.

Source: CANN's public documentation, "Error Codes" (releases 5.0 to 9.0), "aclError", and the public headers
``acl/error_codes/{rt,ge}_error_codes.h``.
"""
import collections
import re

MEMORY, PEERS, OTHER = "memory", "peers", "other"

ErrorCode = collections.namedtuple("ErrorCode", "code title meaning advice kind")
ErrorCode.__new__.__defaults__ = (OTHER,)
ErrorCode.__doc__ = """One code.

code: as in the text, e.g. "EI0006". title: a phrase. meaning, advice: one sentence each, without the period: what the
documentation says, and what to do in this project. kind: MEMORY, the device's memory does not suffice; PEERS, other ranks did not
answer; OTHER."""

_REPORT = "search the Ascend log (~/ascend/log, with ASCEND_GLOBAL_LOG_LEVEL=1) for the first error, and report it to the vendor"
OTHER_PROCESSES = "stop other processes on the device (`npu-smi info`)"
_SMALLER = "lower the batch size, or " + OTHER_PROCESSES
_LIST = "run --mode=npu_check, and install the operator package (OPP) of the adapter's CANN release"
_INSTALL = "install toolkit, operator package and tfplugin of one CANN release again"

CODES = (
    ErrorCode("E10001", "invalid argument", "an option has an invalid value", "compare npu_params with docs/parameters.md"),
    ErrorCode("E13002", "unsupported operator", "the operator does not match the specification in the operator library", _LIST),
    ErrorCode("E13003", "unsupported operator", "no engine of the device supports the operator", _LIST),
    ErrorCode("E19010", "unsupported operator", "the parser does not know the operator", _LIST),
    ErrorCode("E19999", "inner error of the graph engine", "the graph engine failed unexpectedly", _REPORT),
    ErrorCode("E20001", "operator compilation failure", "an operator has an invalid argument, or its implementation is wrong",
              "the text names the operator; " + _LIST),
    ErrorCode("E20002", "invalid environment variable", "an environment variable has an invalid value",
              "set it again: `source set_env.sh`"),
    ErrorCode("E20003", "invalid content", "an item of a configuration file is invalid",
              "correct the file that the text names; npu_params gives its path"),
    ErrorCode("E20007", "fusion pass failure", "a fusion of operators failed",
              "disable the fusion in a file and give its path: npu_params fusion_switch_file"),
    ErrorCode("E20101", "invalid initialization argument", "CANN was started with an invalid option",
              "compare npu_params with docs/parameters.md"),
    ErrorCode("E20103", "invalid platform argument", "the version of the chip is unknown",
              "remove npu_params soc_config, or use a CANN release for this device"),
    ErrorCode("E21001", "file opening failure", "a file cannot be opened",
              "check the file that the text names and its permissions"),
    ErrorCode("E21002", "file read failure", "a file cannot be read", "check the file that the text names; " + _INSTALL),
    ErrorCode("E22001", "no compilation result", "the result of compiling an operator was not found",
              "delete the cache (npu_params op_compiler_cache_dir, ~/atc_data), and check that the disk is not full"),
    ErrorCode("E29999", "inner error of the fusion engine", "the fusion engine failed unexpectedly", _REPORT),
    ErrorCode("E30003", "too many processes", "too many processes use the AI CPU of the device",
              "stop other processes on the device (`npu-smi info`)"),
    ErrorCode("E30004", "AI CPU program error", "a program of the AI CPU is damaged", _INSTALL),
    ErrorCode("E30005", "device connection failure", "the host lost the connection to the device",
              "check the device: `npu-smi info`, `npu-smi info -t health -i 0`"),
    ErrorCode("E30006", "operator package verification failure", "the operator package of the AI CPU cannot be verified",
              _INSTALL),
    ErrorCode("E30007", "control group failure", "the process could not be added to a control group",
              "in a container use the Ascend runtime (scripts/docker_start.sh)"),
    ErrorCode("E30008", "AI CPU timeout", "an operator on the AI CPU took too long",
              "look for an overloaded device (`npu-smi info`); compute the CTC loss on the host: --npu_params/ctc_on_host=True"),
    ErrorCode("E39999", "inner error of the AI CPU engine", "the AI CPU engine failed unexpectedly", _REPORT),
    ErrorCode("E40001", "invalid environment variable", "an environment variable has an invalid value",
              "set it again: `source set_env.sh`"),
    ErrorCode("E40002", "invalid Python version", "operators are compiled with a Python that CANN does not support",
              "use the Python of the CANN release: --python PATH of the scripts"),
    ErrorCode("E40003", "JSON file cannot be opened", "a description of an operator cannot be opened", _INSTALL),
    ErrorCode("E40020", "Python module cannot be imported", "a module with which operators are compiled is missing",
              "`source set_env.sh`, and install the Python packages that CANN requires (decorator, sympy, psutil, ...)"),
    ErrorCode("E40021", "operator compilation failure", "an operator could not be compiled",
              "the text names the operator, the Ascend log has the Python error; for CTCLoss: --npu_params/ctc_on_host=True"),
    ErrorCode("E40022", "invalid argument", "an argument of the compiler is invalid",
              "compare npu_params with docs/parameters.md"),
    ErrorCode("E40023", "invalid path", "a path does not exist or has no permissions", "check the path that the text names"),
    ErrorCode("E40024", "Python exception", "a Python function of the compiler raised an exception", _REPORT),
    ErrorCode("E49999", "inner error of operator compilation", "the compilation of operators failed unexpectedly", _REPORT),
    ErrorCode("E89999", "inner error of an operator",
              "an operator failed unexpectedly, often for a shape that it does not support",
              "the text names the operator; other lengths may work: --npu_params/bucket_frames. Else " + _REPORT),
    ErrorCode("EE1001", "invalid argument of the runtime", "a function of the runtime got an invalid argument", _REPORT),
    ErrorCode("EE1002", "timeout of a stream", "the device did not finish in time",
              "increase npu_params stream_sync_timeout or graph_exec_timeout; with several ranks look for one that is slow"),
    ErrorCode("EE9999", "inner error of the runtime", "the runtime failed unexpectedly, e.g. because another process "
              "uses the device, or an operator accessed wrong memory",
              "stop other processes on the device (`npu-smi info`). Else " + _REPORT),
    ErrorCode("EH9999", "inner error of ACL", "the interface of the device (ACL) failed unexpectedly", _REPORT),
    ErrorCode("EI0001", "invalid environment variable", "an environment variable of HCCL has an invalid value",
              "unset or correct the HCCL_* variable that the text names"),
    ErrorCode("EI0002", "collective operation timeout", "another rank did not take part in time: it failed, is slow, or the "
              "network loses packets", "look for the first error in the logs of the other ranks; increase "
              "HCCL_EXEC_TIMEOUT if all are only slow", PEERS),
    ErrorCode("EI0003", "invalid argument of a collective operation", "a collective operation got an invalid argument", _REPORT),
    ErrorCode("EI0004", "invalid rank table", "the rank table or the rank is invalid",
              "`python3 scripts/make_rank_table.py --check FILE`"),
    ErrorCode("EI0005", "ranks do not match", "the ranks called a collective operation with different arguments",
              "use the same code, config and data on all servers"),
    ErrorCode("EI0006", "no connection to another rank", "another rank did not connect in time",
              "look for the first error in the logs of the other ranks; check `hccn_tool -i N -link -g`, `-tls -g` and the "
              "addresses in the rank table; increase HCCL_CONNECT_TIMEOUT if a rank starts late", PEERS),
    ErrorCode("EI0007", "resources exhausted", "HCCL could not allocate memory or a notify register", _SMALLER, MEMORY),
    ErrorCode("EI0008", "CANN releases differ", "the servers have different CANN releases",
              "install the same release on all servers"),
    ErrorCode("EI0009", "transport initialization failure", "a link between devices could not be opened",
              "check the cards of all devices: `hccn_tool -i N -link -g`, `hccn_tool -i N -net_health -g`"),
    ErrorCode("EI0010", "peer-to-peer failure", "devices of one server cannot reach each other",
              "restart the server; check `npu-smi info -t topo`"),
    ErrorCode("EI0011", "not enough device memory", "HCCL could not allocate device memory", _SMALLER, MEMORY),
    ErrorCode("EI0012", "SDMA error", "a transfer between devices of one server failed", _REPORT),
    ErrorCode("EI0013", "RoCE error", "a transfer over the network failed",
              "check the network: `hccn_tool -i N -stat -g`, cables and switches"),
    ErrorCode("EI0014", "invalid rank table", "a value in the rank table is invalid",
              "`python3 scripts/make_rank_table.py --check FILE`"),
    ErrorCode("EI0015", "rank information exchange failure", "the ranks could not exchange their addresses",
              "start all ranks at the same time; check that the host network connects the servers"),
    ErrorCode("EI9999", "inner error of HCCL", "HCCL failed unexpectedly", _REPORT),
    ErrorCode("EJ0001", "HCCP cannot start", "the process for communication could not start, probably because the previous "
              "training still runs", "wait 10 s after the end of the previous training; look for its processes (`npu-smi info`)"),
    ErrorCode("EJ0003", "port in use", "an address and port are already bound",
              "wait until the previous training has ended; look for its processes (`npu-smi info`)"),
    ErrorCode("EJ0004", "wrong address", "the address in the rank table is not that of the device's network card",
              "`python3 scripts/make_rank_table.py` reads the addresses of this server"),
    ErrorCode("EK0001", "invalid profiling argument", "an argument of profiling is invalid",
              "correct npu_params profiling_options, above all the path in output"),
    ErrorCode("EK9999", "inner error of profiling", "profiling failed unexpectedly", "train without npu_params profiling_mode"),
    ErrorCode("EL0001", "device absent or abnormal", "the device does not exist or is abnormal", "check `npu-smi info`"),
    ErrorCode("EL0002", "invalid device ID", "the device has another number",
              "check DEVICE_ID, ASCEND_DEVICE_ID and `npu-smi info`"),
    ErrorCode("EL0003", "invalid argument of the driver", "the driver got an invalid argument",
              "use a driver of the release that CANN requires"),
    ErrorCode("EL0004", "memory allocation failure", "the available memory is insufficient", _SMALLER, MEMORY),
    ErrorCode("EL0005", "resource busy", "another process uses the device", "stop the other process (`npu-smi info`)"),
    ErrorCode("EL0006", "insufficient resources", "a resource of the device is exhausted",
              "use fewer lengths (--npu_params/bucket_frames); stop other processes on the device (`npu-smi info`)"),
    ErrorCode("EL0007", "no permission", "this user must not use the device", "add the user to the group HwHiAiUser"),
    ErrorCode("EL0009", "insufficient streams", "too many streams are in use",
              "use fewer lengths (--npu_params/bucket_frames); stop other processes on the device (`npu-smi info`)"),
    ErrorCode("EL0011", "insufficient models", "too many compiled graphs are loaded",
              "use fewer lengths (--npu_params/bucket_frames)"),
    ErrorCode("EL0014", "operation unsupported", "the driver does not support the operation",
              "use a driver of the release that CANN requires"),
    ErrorCode("EL0015", "invalid device access", "the device cannot be accessed from this container or process",
              "pass the device to the container (scripts/docker_start.sh)"),
    ErrorCode("EL0019", "not enough device memory", "the driver could not allocate device memory", _SMALLER, MEMORY),
    ErrorCode("EL9999", "inner error of the driver", "the driver failed unexpectedly", _REPORT),
    ErrorCode("EZ0501", "unsupported operator", "the operator is not registered", _LIST),
    ErrorCode("EZ3002", "unsupported operator", "the operator does not match the specification in the operator library",
              "the text names operator and reason; " + _LIST),
    ErrorCode("EZ3003", "unsupported operator", "no engine of the device supports the operator", _LIST),
    ErrorCode("EZ9010", "unsupported operator", "the parser does not know the operator", _LIST),
    ErrorCode("EZ9999", "inner error of an operator", "an operator or the engine failed unexpectedly; with \"allocate\" in "
              "the text the memory does not suffice", _REPORT),
    ErrorCode("207001", "memory allocation failure", "the runtime could not allocate memory", _SMALLER, MEMORY),
    ErrorCode("207018", "device out of memory", "the memory of the device is exhausted", _SMALLER, MEMORY),
    ErrorCode("245000", "memory allocation failure", "the graph engine could not allocate memory", _SMALLER, MEMORY),
    ErrorCode("507010", "lost heartbeat", "the device does not answer", "check `npu-smi info`; restart the device or the server"),
    ErrorCode("507011", "model execution failure", "the execution of a graph failed", _REPORT),
    ErrorCode("507014", "AI Core timeout", "an operator on the AI Core took too long", _REPORT),
    ErrorCode("507015", "AI Core exception", "an operator on the AI Core failed, e.g. accessed wrong memory", _REPORT),
    ErrorCode("507017", "AI CPU timeout", "an operator on the AI CPU took too long",
              "compute the CTC loss on the host: --npu_params/ctc_on_host=True. Else " + _REPORT),
    ErrorCode("507018", "AI CPU exception", "an operator on the AI CPU failed",
              "compute the CTC loss on the host: --npu_params/ctc_on_host=True. Else " + _REPORT),
)
CODE_BY_NAME = {code.code: code for code in CODES}

# second character of a code: the module
MODULES = {
    "1": "the graph engine (GE)", "2": "the fusion engine (FE)", "3": "the AI CPU engine",
    "4": "operator compilation (TE Fusion)", "7": "a vector operator's plugin", "8": "a vector operator",
    "B": "operator compilation (TBE)", "C": "tuning", "D": "tuning",
    "E": "the runtime", "F": "graph distribution (LxFusion)", "G": "tuning (AOE)", "H": "ACL", "I": "HCCL", "J": "HCCP",
    "K": "profiling", "L": "the driver", "M": "queue scheduling", "N": "DVPP", "O": "AMCT", "P": "dumps", "Z": "an operator"}

# "EL0004: Failed ...", "Memory_Allocation_Failure(EL0004): ..."
_NAMED = re.compile(r"(?<![0-9A-Za-z_])(E[0-9A-Z][0-9]{4})(?![0-9A-Za-z_])")
# "runtime result = 507033", "error code:507018", "retcode[207001]"
_NUMBERED = re.compile(r"(?:result|ret\w*|code|errNo|error)\W{1,4}([1-5][0-9]{5})(?![0-9])", re.IGNORECASE)
_INNER = re.compile(r"E[0-9A-Z]9[0-9]{3}")
# of device memory, in the text of an inner error; host memory is another matter
_MEMORY_SIGNS = re.compile(r"\ballocat(?:e|ion)|\brtMalloc\b.*fail|\bout of memory", re.IGNORECASE)


def codes_in(text):
    """The codes in an error's text, an iterator of str in the order of the text; those of the engine before bare numbers."""
    for pattern in (_NAMED, _NUMBERED):
        for match in pattern.finditer(text):
            yield match.group(1)


def code_of(text):
    """The :class:`ErrorCode` that explains an error of the engine.

    Memory comes before everything else, because the other codes of the text are consequences; then the first code that a user can
    do something about, or of the runtime; then the first inner error. A code that is not in :data:`CODES` is described by its
    module.

    Args:
      text: the message.

    Returns:
      An ErrorCode, or None if the text has no code.
    """
    known = [CODE_BY_NAME.get(name) or _unknown(name) for name in codes_in(text)]
    known = [code for code in known if code is not None]
    inner = [code for code in known if _INNER.fullmatch(code.code)]
    for code in known:
        if code.kind == MEMORY:
            return code
    if inner and _is_about_memory(text):
        return inner[0]._replace(title="memory allocation failure", meaning="the available memory is insufficient",
                                 advice=_SMALLER, kind=MEMORY)
    return next((code for code in known if code not in inner), inner[0] if inner else None)


def _unknown(name):
    if name[0] != "E":
        return None  # a number that is not a known return code may be anything
    module = MODULES.get(name[1], "an unknown module (%s)" % name[1])
    inner = _INNER.fullmatch(name) is not None
    return ErrorCode(name, "%s of %s" % ("inner error" if inner else "error", module),
                     "%s reported an error that docs/ascend.md does not list" % module,
                     _REPORT if inner else "see the text, and search for the code in the documentation of the CANN release")


def _is_about_memory(text):
    return any(_MEMORY_SIGNS.search(line) and "host" not in line.lower() for line in text.splitlines())
