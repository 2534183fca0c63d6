"""Shared fixtures: the reference numbers, a fresh graph for each test; the environment without the user's settings."""
import collections
import contextlib
import faulthandler
import importlib.util
import os
import random
import subprocess
import sys
import time

import hypothesis
import pytest

from tests.fixtures.chromium import browser  # noqa: F401
from tests.fixtures.configs import write_config  # noqa: F401
from tests.fixtures.digits import trained_digits  # noqa: F401
from tests.fixtures.processes import rendezvous, run_in_processes, run_ranks  # noqa: F401
from tests.paths import REPOSITORY

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# a busy machine is not a failure
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

# what launchers, clusters, the Ascend toolkit and users set for the project's commands; tests set what they need themselves
SETTINGS = ("JASPER_", "RANK_", "DEVICE_", "ASCEND_", "HCCL_", "HOROVOD_", "OMPI_", "PMI_", "SLURM", "XDL_", "POD_", "CM_",
            "AOE_", "JOB_ID", "COLUMNS", "LINES", "PYTHONWARNINGS", "TF_CONFIG", "CUDA_VISIBLE_DEVICES", "BATCH_")
SETTINGS_OF_TESTS = ("JASPER_SHARED", "JASPER_WITHOUT_CHROMIUM")

# seconds that a test has, after its time limit, to stop its processes
GRACE = 60
_stderr = os.fdopen(os.dup(2), "w")  # pytest replaces descriptor 2 while a test runs

SHARED = os.environ.get("JASPER_SHARED", os.path.join(os.path.dirname(REPOSITORY), "shared"))


def pytest_addoption(parser):
    parser.addoption("--shuffle", type=int, metavar="SEED",
                     help="run the test files, and the tests of each file, in a random order")
    parser.addoption("--slow-until", type=float, metavar="TIME",
                     help="skip the slow tests that have not begun at this time, in seconds since 1970")


def pytest_configure():
    for name in list(os.environ):
        if name.startswith(SETTINGS) and name not in SETTINGS_OF_TESTS:
            del os.environ[name]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Ends the process when its test waits in C code, e.g. in TensorFlow, where the signal of pytest-timeout is not handled.

    The test is then a failure for pytest-xdist, which continues with another process. Without pytest-xdist somebody is watching,
    perhaps in a debugger.
    """
    limit = float(item.config.getini("timeout") or 0)
    if limit and "PYTEST_XDIST_WORKER" in os.environ:
        faulthandler.dump_traceback_later(limit + GRACE, exit=True, file=_stderr)
    yield
    faulthandler.cancel_dump_traceback_later()


def pytest_runtest_setup(item):
    until = item.config.getoption("--slow-until")
    if until is not None and time.time() > until and item.get_closest_marker("slow"):
        pytest.skip("the time for slow tests is over: this machine is several times slower than a quiet one")


def _shuffled(items, seed):
    """The tests in a random order; those of a file stay together, as its fixtures are made once for all of them."""
    files = collections.OrderedDict()
    for item in items:
        files.setdefault(str(item.fspath), []).append(item)
    generator = random.Random(seed)
    order = list(files)
    generator.shuffle(order)
    for tests in files.values():
        generator.shuffle(tests)
    return [item for path in order for item in files[path]]


def pytest_collection_modifyitems(config, items):
    if config.getoption("--shuffle") is not None:
        items[:] = _shuffled(items, config.getoption("--shuffle"))
    if any("needs_horovod" in getattr(item, "fixturenames", ()) for item in items):
        # its library crashes a process that has loaded onnxruntime's before; tests run in any order, and in several processes.
        # sqlite3 first: see import_horovod
        for name in ("sqlite3", "horovod.tensorflow"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def _shared(*parts):
    path = os.path.join(SHARED, *parts)
    if not os.path.exists(path):
        message = "%s is absent: this test compares with reference numbers that are not part of the project" % (
            os.path.join("../shared", *parts))
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def goldens():
    """Directory of the numbers that the original OpenSeq2Seq computes."""
    return _shared("goldens")


@pytest.fixture(scope="session")
def fsdd_recordings():
    """Directory of the Free Spoken Digit Dataset's recordings, indices 5 to 49."""
    return _shared("data", "fsdd", "recordings")


@pytest.fixture(scope="session")
def failing_inputs_script():
    """The script that makes inputs that once failed: make_inputs.py OUT FIRST.wav SECOND.wav."""
    return _shared("failing_inputs", "make_inputs.py")


@pytest.fixture(scope="session")
def adapter_facts():
    """Directory of what is known about the Ascend adapter: its operator list, its options."""
    return _shared("npu")


def _fake_environment():
    # tests/fakes is on nobody's sys.path: with it, every process would seem to have the Ascend adapter
    specification = importlib.util.spec_from_file_location(
        "fake_npu_environment", os.path.join(REPOSITORY, "tests", "fakes", "environment.py"))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def npu_server(tmp_path):
    """A pretended server with Ascend NPUs: ``environment(...)`` for processes to start on it, see tests/fakes/environment.py."""
    return _fake_environment().NpuServer(tmp_path / "npu_server")


@pytest.fixture
def fake_adapter(npu_server, tmp_path, monkeypatch):
    """The fake Ascend adapter in this process and in a working folder of its own; yields the ``npu_server``."""
    monkeypatch.chdir(str(tmp_path))
    with npu_server.adapter_here():
        yield npu_server
        # what the test has set goes first: undone later, it would bring variables of the fake back
        monkeypatch.undo()


@pytest.fixture(scope="session")
def needs_horovod():
    """For tests that start several processes: skipped where Horovod was not built, but never in CI."""
    # in a separate process: its library and onnxruntime's crash each other in some orders of loading
    asked = subprocess.run([sys.executable, "-c", "import horovod.tensorflow"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if asked.returncode != 0:
        import tensorflow.compat.v1 as tf
        message = "horovod cannot be imported (%s); `bash scripts/setup.sh --distributed` builds it" % (
            asked.stderr.decode("utf-8", "replace").strip().split("\n")[-1])
        # CI builds it for the reference version only
        if os.environ.get("CI") and tf.__version__.startswith("1."):
            pytest.fail(message)
        pytest.skip(message)


@pytest.fixture
def graph():
    """A fresh default graph, so that no test sees another's variables."""
    import tensorflow.compat.v1 as tf
    with tf.Graph().as_default() as fresh:
        yield fresh
