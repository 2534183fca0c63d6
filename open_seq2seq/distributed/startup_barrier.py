"""Waits until all processes of a run have started. Gloo, which connects them afterwards, aborts a process when one is missing.

Every process stores a note on the rendezvous server, a key-value store over HTTP, and waits until it finds those of all others.
"""
import http.client
import math
import os
import socket
import time

from open_seq2seq.distributed.rendezvous_notes import ERRORS, RendezvousNotes
from open_seq2seq.errors import DeviceError

DEFAULT_SECONDS = 120
"""How long to wait for the others: on a busy machine a process may take a minute to import TensorFlow."""

_SCOPE = "startup_barrier"
_REQUEST_SECONDS = 10


def wait_for_all_ranks(rank, size, environ, before=lambda: None):
    """Waits until all processes of the run have started.

    Args:
      rank: this process's number.
      size: number of processes.
      environ: mapping of the environment variables. ``HOROVOD_START_TIMEOUT`` is the time limit in seconds, as for Horovod.
      before: function that sends a request to the same server, before the others can learn that this process has started.

    Returns:
      str, the process of rank 0 (HOST:PID): the same on all ranks, and another one in a later run that uses the same server.

    Raises:
      DeviceError: no server answers at the rendezvous address, a network interface is missing, the processes have different
        numbers of processes, two have the same rank, or some did not start in time.
    """
    _check_interfaces(rank, size, environ)
    seconds = _seconds_to_wait(rank, size, environ)
    deadline = time.monotonic() + seconds
    own = "%d %s:%d" % (size, socket.gethostname(), os.getpid())
    notes = RendezvousNotes(environ, _SCOPE, _REQUEST_SECONDS)
    try:
        _repeat(before, deadline)
        _repeat(lambda: notes.put(rank, own), deadline)
        processes = [None] * size
        while True:
            for other in range(size):
                # its own note every time: a second process of the same rank may start later
                if processes[other] is None or other == rank:
                    processes[other] = _started_process(other, rank, size, own, notes, deadline)
            missing = [other for other in range(size) if processes[other] is None]
            if not missing:
                return processes[0]
            if time.monotonic() > deadline:
                raise DeviceError("rank %d of %d: rank %s did not start within %g s. The reason is at the end of its log; "
                                  "HOROVOD_START_TIMEOUT sets the time limit" % (
                                      rank, size, ", ".join(map(str, missing)), seconds))
            time.sleep(0.05)
    except ERRORS as error:
        raise DeviceError("rank %d of %d: no rendezvous server answers at %s: %s. The server is part of the launcher, which has "
                          "to be running there; check that no firewall blocks the port" % (rank, size, notes.address, error))


def remove_note(rank, environ):
    """Removes this process's note when all are connected: a later run may use the same server."""
    RendezvousNotes(environ, _SCOPE, _REQUEST_SECONDS).remove(rank)


def _seconds_to_wait(rank, size, environ):
    text = environ.get("HOROVOD_START_TIMEOUT") or str(DEFAULT_SECONDS)
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 < seconds < math.inf:
        raise DeviceError("rank %d of %d: HOROVOD_START_TIMEOUT is \"%s\", expected a number of seconds above 0" % (
            rank, size, text[:40]))
    return seconds


def _started_process(other, rank, size, own, notes, deadline):
    """HOST:PID of rank ``other``, None without its note; raises DeviceError for one that contradicts this process's ``own``."""
    note = _repeat(lambda: notes.get(other), deadline)
    if note is None:
        return None
    other_size, _, process = note.partition(" ")
    if other == rank and note != own:
        raise DeviceError("rank %d of %d: another process, %s, has the same rank. Each process needs a different HOROVOD_RANK" % (
            rank, size, process))
    if other_size != str(size):
        raise DeviceError("rank %d of %d: HOROVOD_SIZE is %d here but %s on rank %d (%s). Start all processes with the same "
                          "HOROVOD_SIZE" % (rank, size, size, other_size, other, process))
    return process


def _check_interfaces(rank, size, environ):
    known = [name for _, name in socket.if_nameindex()]
    for name in filter(None, environ.get("HOROVOD_GLOO_IFACE", "").split(",")):
        if name not in known:
            raise DeviceError("rank %d of %d: HOROVOD_GLOO_IFACE names the network interface %s, but this machine has only %s" % (
                rank, size, name, ", ".join(known)))


def _repeat(request, deadline):
    """The result of a request, which is repeated until ``deadline``, a time of the monotonic clock.

    On a busy machine the server may respond slowly. A refused connection is not repeated, because the server listens before the
    ranks are started.
    """
    while True:
        try:
            return request()
        except ConnectionRefusedError:
            raise
        except (socket.timeout, ConnectionError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise
