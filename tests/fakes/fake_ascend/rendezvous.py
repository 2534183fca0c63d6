"""Connects the ranks when the launcher runs no Gloo rendezvous. On a real server HCCL does this alone.

Rank 0 runs the rendezvous in a thread and writes its port to a file that only these ranks share.
"""
import atexit
import hashlib
import os
import tempfile
import time

import tensorflow.compat.v1 as tf

from fake_ascend import settings

_server = []


def _meeting_file():
    """The ranks of one run have the same launcher, rank table and job."""
    facts = [os.environ.get("RANK_TABLE_FILE", ""), os.environ.get("JOB_ID", ""), os.environ.get("RANK_SIZE", "")]
    folder = settings.rendezvous_folder()
    if folder is None:
        folder, facts = tempfile.gettempdir(), facts + [str(os.getppid())]
    return os.path.join(folder, "fake_hccl_%d_%s" % (os.getuid(), hashlib.md5("\n".join(facts).encode()).hexdigest()))


def meet(rank, servers, seconds):
    """Returns the port of the rendezvous: rank 0 opens it, the others wait at most ``seconds`` for it.

    Raises:
      tf.errors.InternalError: rank 0 did not come in time.
    """
    return _open(servers) if rank == 0 else _find(rank, seconds)


def _open(servers):
    from horovod.runner.common.util.hosts import HostInfo, get_host_assignments
    from horovod.runner.http.http_server import RendezvousServer
    names = sorted(set(servers), key=servers.index)
    hosts = [HostInfo("fake-server-%d" % place, servers.count(name)) for place, name in enumerate(names)]
    server = RendezvousServer()
    port = server.start()
    server.init(get_host_assignments(hosts, len(servers)))
    _server.append(server)
    path = _meeting_file()
    with open("%s.%d" % (path, os.getpid()), "w", encoding="utf-8") as file:
        file.write("%d %d" % (port, os.getpid()))
    os.replace(file.name, path)
    atexit.register(_remove, path)
    return port


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        pass


def _find(rank, seconds):
    path = _meeting_file()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open(path, encoding="utf-8") as file:
                port, owner = map(int, file.read().split())
            os.kill(owner, 0)  # ignores the file of a rank 0 that was killed
            return port
        except (OSError, ValueError):
            time.sleep(0.05)
    raise tf.errors.InternalError(
        None, None, "EI0006: Getting socket times out. rank %d waited %g s for rank 0" % (rank, seconds))
