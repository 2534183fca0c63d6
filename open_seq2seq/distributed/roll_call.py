"""Whether all processes are there, before Gloo is asked to join them: it ends a process with an abort where one is missing.

Every process leaves a note at the rendezvous server, a key-value store over HTTP, and waits until it finds those of all others.
"""
import http.client
import os
import socket
import time

from open_seq2seq.errors import DeviceError

DEFAULT_SECONDS = 120
"""How long to wait for the others: on a busy machine a process may take a minute to import TensorFlow."""

_SCOPE = "roll_call"


def answer_roll_call(rank, size, environ):
    """Waits until all processes of the run are there.

    Args:
      rank: this process's number.
      size: number of processes.
      environ: mapping of the environment variables. ``HOROVOD_START_TIMEOUT`` (seconds, Horovod's own name for it) says how
        long to wait.

    Raises:
      DeviceError: nobody answers at the rendezvous address, a network interface is missing, the processes do not agree on how
        many they are, two are the same rank, or some did not come in time.
    """
    _check_interfaces(rank, size, environ)
    seconds = float(environ.get("HOROVOD_START_TIMEOUT") or DEFAULT_SECONDS)
    deadline = time.monotonic() + seconds
    own = "%d %s:%d" % (size, socket.gethostname(), os.getpid())
    try:
        _request(environ, "PUT", rank, own, deadline)
        missing = list(range(size))
        while True:
            missing = [other for other in missing if not _has_answered(other, rank, size, own, environ, deadline)]
            # its own again and again: a second process of the same rank may come at any time
            _has_answered(rank, rank, size, own, environ, deadline)
            if not missing:
                return
            if time.monotonic() > deadline:
                raise DeviceError("rank %d of %d: rank %s did not start within %g s. Look at the end of its log for why; "
                                  "HOROVOD_START_TIMEOUT sets how long to wait" % (
                                      rank, size, ", ".join(map(str, missing)), seconds))
            time.sleep(0.05)
    except (OSError, http.client.HTTPException) as error:
        address = ":".join([environ["HOROVOD_GLOO_RENDEZVOUS_ADDR"], environ["HOROVOD_GLOO_RENDEZVOUS_PORT"]])
        raise DeviceError("rank %d of %d: no rendezvous server answers at %s: %s. It belongs to the launcher: expected it to "
                          "run there still, and no firewall between" % (rank, size, address, error))


def leave_roll_call(rank, environ):
    """Takes this process's note away, once all are joined: a later run may use the same server."""
    try:
        _request(environ, "DELETE", rank)
    except (OSError, http.client.HTTPException):
        pass  # a server that is gone holds no notes


def _has_answered(other, rank, size, own, environ, deadline):
    """Whether rank ``other`` has left a note; refuses one that does not fit this process's ``own``."""
    note = _request(environ, "GET", other, deadline=deadline)
    if note is None:
        return False
    other_size, _, place = note.partition(" ")
    if other == rank and note != own:
        raise DeviceError("rank %d of %d: another process, %s, has the same rank. Each needs a HOROVOD_RANK of its own" % (
            rank, size, place))
    if other_size != str(size):
        raise DeviceError("rank %d of %d: HOROVOD_SIZE is %d here but %s on rank %d (%s). All processes have to be started "
                          "with the same number" % (rank, size, size, other_size, other, place))
    return True


def _check_interfaces(rank, size, environ):
    known = [name for _, name in socket.if_nameindex()]
    for name in filter(None, environ.get("HOROVOD_GLOO_IFACE", "").split(",")):
        if name not in known:
            raise DeviceError("rank %d of %d: HOROVOD_GLOO_IFACE names the network interface %s; this machine has %s" % (
                rank, size, name, ", ".join(known)))


def _request(environ, method, rank, text=None, deadline=0.0):
    """The answer's text, None where the server knows no such note.

    On a busy machine the server may be slow to answer: until ``deadline``, a time of the monotonic clock, it is asked again.
    Where nobody listens that is final: the server is there before the ranks are started.
    """
    while True:
        try:
            return _request_once(environ, method, rank, text)
        except ConnectionRefusedError:
            raise
        except (socket.timeout, ConnectionError, http.client.HTTPException):
            if time.monotonic() > deadline:
                raise


def _request_once(environ, method, rank, text):
    connection = http.client.HTTPConnection(environ["HOROVOD_GLOO_RENDEZVOUS_ADDR"],
                                            int(environ["HOROVOD_GLOO_RENDEZVOUS_PORT"]), timeout=10)
    try:
        connection.request(method, "/%s/%d" % (_SCOPE, rank), body=None if text is None else text.encode("ascii"))
        answer = connection.getresponse()
        content = answer.read().decode("ascii")
        return content if answer.status == 200 else None
    finally:
        connection.close()
