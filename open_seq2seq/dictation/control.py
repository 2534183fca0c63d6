"""A running dictation is controlled from other processes through a Unix socket: ``dictate --toggle`` from a desktop's shortcut.

One request per connection, a line; the answer is a line. Only the user's own processes can connect.
"""
import contextlib
import os
import socket
import stat
import tempfile
import threading

from open_seq2seq.errors import DeviceError

REQUESTS = ("toggle", "start", "stop", "status", "quit")
_NAME = "jasper-dictation.sock"
_SECONDS = 5.0


def socket_path(environ=os.environ):
    """Path of the socket: in ``$XDG_RUNTIME_DIR``, which is the user's; else in a folder of the user's in the temporary folder.

    Raises:
      DeviceError: the folder belongs to another user.
    """
    folder = environ.get("XDG_RUNTIME_DIR")
    if folder and os.path.isdir(folder):
        return os.path.join(folder, _NAME)
    folder = os.path.join(tempfile.gettempdir(), "jasper-%d" % os.getuid())
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise DeviceError("%s is not a folder that only you can use; remove it, or set XDG_RUNTIME_DIR" % folder)
    return os.path.join(folder, _NAME)


def ask(request, environ=os.environ):
    """Sends a request to the running dictation.

    Args:
      request: one of :data:`REQUESTS`.

    Returns:
      The state after it, e.g. "listening".

    Raises:
      DeviceError: no dictation is running, or it does not answer.
    """
    path = socket_path(environ)
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(_SECONDS)
        try:
            connection.connect(path)
            connection.sendall(request.encode("ascii") + b"\n")
            answer = _line(connection)
        except (FileNotFoundError, ConnectionRefusedError):
            raise DeviceError("no dictation is running. Start it first: python -m open_seq2seq.dictate --model DIR")
        except OSError as error:
            raise DeviceError("the running dictation does not answer (%s); end it and start it again" % error)
    if not answer:
        raise DeviceError("the running dictation ended without an answer")
    return answer


class ControlSocket:
    """Answers requests until :meth:`close`.

    Args:
      handle: function of a request that returns the answer, called in the socket's thread.
      environ: mapping of the environment variables.

    Raises:
      DeviceError: another dictation of this user is running.
    """

    def __init__(self, handle, environ=os.environ):
        self._handle, self._path = handle, socket_path(environ)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._bind()
        except BaseException:
            self._socket.close()
            raise
        self._inode = os.stat(self._path).st_ino
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._thread.start()

    def close(self):
        """Stops answering and removes the socket."""
        # wakes accept()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(_SECONDS)
        with contextlib.suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)

    def _bind(self):
        before = os.umask(0o177)
        try:
            try:
                self._socket.bind(self._path)
            except OSError:
                if self._is_answered():
                    raise DeviceError("a dictation is already running; end it with python -m open_seq2seq.dictate --quit, or "
                                      "control it with --toggle")
                # left by a process that was killed
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._path)
                self._socket.bind(self._path)
        except OSError as error:
            raise DeviceError("cannot make the socket %s: %s" % (self._path, error))
        finally:
            os.umask(before)
        self._socket.listen(8)

    def _is_answered(self):
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
            probe.settimeout(_SECONDS)
            try:
                probe.connect(self._path)
                return True
            except OSError:
                return False

    def _serve(self):
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with contextlib.closing(connection), contextlib.suppress(OSError):
                connection.settimeout(_SECONDS)
                request = _line(connection)
                if request:
                    connection.sendall(self._handle(request).encode("utf-8") + b"\n")


def _line(connection):
    received = b""
    while b"\n" not in received and len(received) < 4096:
        block = connection.recv(1024)
        if not block:
            break
        received += block
    return received.partition(b"\n")[0].decode("utf-8", "replace").strip()
