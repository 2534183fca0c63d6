"""Starting ranks: several real processes that run one Python snippet and meet over Horovod and Gloo on the loopback."""
import collections
import os
import signal
import subprocess
import sys
import time

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAUNCHER_VARIABLES = ("HOROVOD_", "OMPI_", "PMI_", "SLURM_", "RANK_", "WORLD_SIZE", "HCCL_")

Outcome = collections.namedtuple("Outcome", "rank status out err")


def clean_environment(**variables):
    """This process's environment without what a launcher may have put into it, for a child that imports the project."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHER_VARIABLES)}
    paths = [REPOSITORY] + list(filter(None, [environment.get("PYTHONPATH")]))
    environment.update(PYTHONPATH=os.pathsep.join(paths), TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="")
    environment.update(variables)
    return environment


def horovod_environment(rank, size, port):
    """What a launcher tells rank ``rank`` of ``size`` processes on this machine."""
    return {"HOROVOD_RANK": str(rank), "HOROVOD_SIZE": str(size), "HOROVOD_LOCAL_RANK": str(rank),
            "HOROVOD_LOCAL_SIZE": str(size), "HOROVOD_CROSS_RANK": "0", "HOROVOD_CROSS_SIZE": "1",
            "HOROVOD_HOSTNAME": "localhost", "HOROVOD_CONTROLLER": "gloo", "HOROVOD_CPU_OPERATIONS": "gloo",
            "HOROVOD_GLOO_IFACE": "lo", "HOROVOD_GLOO_RENDEZVOUS_ADDR": "127.0.0.1", "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port)}


def run_processes(snippet, environments, folder, timeout):
    """Runs ``snippet`` once for each environment, at the same time.

    Args:
      snippet: Python source.
      environments: list of dicts, one for each rank.
      folder: directory for the snippet and the output.
      timeout: seconds for all together.

    Returns:
      List of :class:`Outcome`; status is negative for a signal. None of the processes, nor what they started, is left.
    """
    script = folder / "rank.py"
    script.write_text(snippet)
    processes = []
    try:
        for rank, environment in enumerate(environments):
            with open(str(folder / ("out%d" % rank)), "w") as out, open(str(folder / ("err%d" % rank)), "w") as err:
                processes.append(subprocess.Popen([sys.executable, str(script)], cwd=str(folder), env=environment, stdout=out,
                                                  stderr=err, stdin=subprocess.DEVNULL, start_new_session=True))
        deadline = time.monotonic() + timeout
        for rank, process in enumerate(processes):
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                pytest.fail("rank %d did not end within %d s:\n%s" % (
                    rank, timeout, (folder / ("err%d" % rank)).read_text()[-3000:]))
    finally:
        for process in processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
    return [Outcome(rank, process.returncode, (folder / ("out%d" % rank)).read_text(), (folder / ("err%d" % rank)).read_text())
            for rank, process in enumerate(processes)]


@pytest.fixture
def run_in_processes(tmp_path):
    """:func:`run_processes` in the test's own folder."""
    def call(snippet, environments, timeout=240):
        return run_processes(snippet, environments, tmp_path, timeout)
    return call


@pytest.fixture
def rendezvous(needs_horovod):
    """Starts a rendezvous server for ``size`` ranks on this machine and returns its port; stops them all at the end."""
    from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
    from horovod.runner.http.http_server import RendezvousServer
    servers = []

    def start(size):
        servers.append(RendezvousServer())
        port = servers[-1].start()
        servers[-1].init(get_host_assignments(parse_hosts("localhost:%d" % size), size))
        return port
    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def run_ranks(rendezvous, run_in_processes):
    """Runs a Python snippet in ``size`` ranks, see :func:`run_processes`; ``started`` leaves out some of them."""
    def call(snippet, size=2, started=None, timeout=240, expect_success=True, **variables):
        port = rendezvous(size)
        environments = [dict(clean_environment(), **dict(horovod_environment(rank, size, port), **variables))
                        for rank in (range(size) if started is None else started)]
        outcomes = run_in_processes(snippet, environments, timeout)
        if expect_success:
            for outcome in outcomes:
                assert outcome.status == 0, "rank %d ended with %d:\n%s" % (outcome.rank, outcome.status, outcome.err[-3000:])
        return outcomes
    return call
