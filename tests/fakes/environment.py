"""A simulated machine with Ascend NPUs: the environment for processes that tests start, and the fake in this process.

Use it through the fixtures ``npu_server`` and ``fake_adapter`` of tests/conftest.py, which loads this file.
"""
import contextlib
import importlib.util
import json
import os
import sys

FAKES = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(FAKES))
OPERATORS = os.path.join(REPOSITORY, "open_seq2seq", "graph_analysis", "npu_operators.txt")
# an adapter and a CANN of the same release have these; the list of the ModelZoo port is older and lacks the V2 operators
STATUS_OPERATORS = ("NpuAllocFloatStatus", "NpuGetFloatStatusV2", "NpuClearFloatStatusV2")
VARIABLES = ("ASCEND_DEVICE_ID", "DEVICE_ID", "DEVICE_INDEX", "JOB_ID", "RANK_ID", "RANK_SIZE", "RANK_TABLE_FILE", "POD_NAME",
             "CM_CHIEF_IP", "CM_CHIEF_PORT", "CM_CHIEF_DEVICE", "CM_WORKER_IP", "CM_WORKER_SIZE", "TF_CONFIG", "AOE_MODE")
PREFIXES = ("HOROVOD_", "HCCL_", "FAKE_ASCEND_", "ASCEND_")
PACKAGES = ("npu_bridge", "npu_device", "fake_ascend", "hccl")


def write_operator_list(folder, status_operators=True, without=()):
    """Writes npu_supported_ops.json to its place below an ASCEND_OPP_PATH and returns that path.

    Args:
      folder: where to write it; created if missing.
      status_operators: whether the list contains the operators for the status register (V2), as in a current CANN.
      without: operator types to leave out.
    """
    operators = {}
    with open(OPERATORS, encoding="utf-8") as file:
        for line in file:
            words = line.split("#")[0].split()
            if words:
                operators[words[0]] = {"isGray": "gray" in words[1:], "isHeavy": False}
    if status_operators:
        operators.update((name, {"isGray": False, "isHeavy": False}) for name in STATUS_OPERATORS)
    for name in without:
        del operators[name]
    path = os.path.join(str(folder), "framework", "built-in", "tensorflow")
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, "npu_supported_ops.json"), "w", encoding="utf-8") as file:
        json.dump(operators, file)
    return str(folder)


def adapter_folder(folder):
    """Folder with the adapter for this TensorFlow, for PYTHONPATH: that of npu_bridge, or a new npu_device in ``folder``."""
    import tensorflow.compat.v1 as tf
    if tf.__version__.startswith("1."):
        return os.path.join(FAKES, "tensorflow_1")
    # by its path: the tests import nothing from here by name
    specification = importlib.util.spec_from_file_location("build_npu_device", os.path.join(FAKES, "tensorflow_2", "build.py"))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.build(os.path.join(folder, "adapter"))


def write_rank_table(path, size):
    """Writes a rank table of ``size`` devices on one server and returns its path."""
    devices = [{"device_id": str(rank), "device_ip": "192.168.100.%d" % (101 + rank), "rank_id": str(rank)}
               for rank in range(size)]
    with open(str(path), "w", encoding="utf-8") as file:
        json.dump({"version": "1.0", "status": "completed", "server_count": "1",
                   "server_list": [{"server_id": "10.0.0.1", "device": devices}]}, file)
    return str(path)


def _restore_version_2(tf):
    """Undoes ``npu_device.compat.enable_v1()`` for the other tests of the process."""
    with contextlib.suppress(AssertionError):  # a test is inside a graph of its own
        tf.reset_default_graph()
    tf.enable_v2_behavior()


class NpuServer:
    """Everything a test needs to start processes on a simulated server.

    Args:
      folder: an empty folder for the operator list, rank tables and the rendezvous of the ranks.
    """

    def __init__(self, folder):
        self.folder = str(folder)
        self.opp_path = write_operator_list(os.path.join(self.folder, "opp"))
        self.adapter_path = adapter_folder(self.folder)

    def environment(self, rank=None, size=1, **variables):
        """The environment for a process: the current one without variables of HCCL and Horovod, and with the fake adapter.

        Args:
          rank: number of the process among ``size``, for which a rank table is written; None for a single process, or for a
            launcher that sets the ranks' variables.
          size: number of ranks.
          variables: further variables; None removes one.
        """
        environment = {name: value for name, value in os.environ.items()
                       if name not in VARIABLES and not name.startswith(PREFIXES)}
        paths = [self.adapter_path, FAKES, REPOSITORY] + [path for path in [environment.get("PYTHONPATH")] if path]
        environment.update(PYTHONPATH=os.pathsep.join(paths), ASCEND_OPP_PATH=self.opp_path, FAKE_ASCEND_DEVICES="8",
                           FAKE_ASCEND_RENDEZVOUS_FOLDER=self.folder, CUDA_VISIBLE_DEVICES="")
        if rank is not None:
            table = write_rank_table(os.path.join(self.folder, "%d.json.%d" % (size, rank)), size)
            os.replace(table, os.path.join(self.folder, "%d.json" % size))
            environment.update(RANK_ID=str(rank), RANK_SIZE=str(size), JOB_ID="10086", DEVICE_ID=str(rank),
                               ASCEND_DEVICE_ID=str(rank), RANK_TABLE_FILE=os.path.join(self.folder, "%d.json" % size))
        for name, value in variables.items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = str(value)
        return environment

    @contextlib.contextmanager
    def adapter_here(self):
        """Context in which the fake adapter can be imported, davinci devices exist and the environment is that of one device."""
        before, inside, path = dict(os.environ), self.environment(DEVICE_ID="0"), list(sys.path)
        modules = {name for name in sys.modules if name.split(".")[0] in PACKAGES}
        assert not modules, "an adapter is imported already: %s" % sorted(modules)
        os.environ.clear()
        os.environ.update(inside)
        sys.path[:0] = [self.adapter_path, FAKES]
        import tensorflow.compat.v1 as tf
        initialisers = tf.Session.__init__, tf.InteractiveSession.__init__
        from fake_ascend import device_files, sessions
        device_files.install()
        try:
            yield
        finally:
            sessions.uninstall()
            device_files.uninstall()
            tf.Session.__init__, tf.InteractiveSession.__init__ = initialisers
            for name in [name for name in sys.modules if name.split(".")[0] in PACKAGES]:
                del sys.modules[name]
            sys.path[:] = path
            os.environ.clear()
            os.environ.update(before)
            if not tf.__version__.startswith("1."):
                _restore_version_2(tf)
