"""Horovod's rendezvous server: a key-value store over HTTP from which Gloo gets the addresses of the other processes."""
import errno
import socket
import threading
import time

from open_seq2seq.errors import DeviceError

LOOPBACK = "127.0.0.1"


def import_horovod():
    """Imports the parts of Horovod for starting processes, which do not need TensorFlow.

    Returns:
      (module of hosts and slots, module of the rendezvous server).

    Raises:
      DeviceError: Horovod is not installed.
    """
    try:
        from horovod.runner.common.util import hosts
        from horovod.runner.http import http_server
    except ImportError as error:
        raise DeviceError("several processes on a CPU or GPU need Horovod, which cannot be imported (%s). Build it with "
                          "`bash scripts/setup.sh --distributed`, or start one process" % error)
    return hosts, http_server


class Rendezvous:
    """Horovod's rendezvous server on a single address; by default the loopback, which other machines cannot reach.

    Args:
      address: the IPv4 address or host name to listen on.
      port: int, or None for any free port.

    Attributes:
      address: as given.
      port: int.

    Raises:
      DeviceError: the port is in use, or the address is not this machine's.
    """

    def __init__(self, address=LOOPBACK, port=None):
        http_server = import_horovod()[1]

        class Server(http_server.RendezvousHTTPServer):
            request_queue_size = 128  # all ranks may connect before the server starts to answer
            daemon_threads = True

            def server_bind(self):
                # the library's own method looks up the machine's full name, which is slow where name servers do not answer
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                self.socket.bind(self.server_address)
                self.server_name, self.server_port = self.server_address = self.socket.getsockname()

        try:
            self._server = Server((address, port or 0), http_server.RendezvousHandler, 0)
        except (OSError, OverflowError) as error:
            raise DeviceError(_reason(error, address, port))
        self.address, self.port = address, self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)

    def start(self, slots):
        """Starts to answer; connections made since the constructor have been queued.

        Args:
          slots: list of Horovod's ``SlotInfo``, one for each rank.
        """
        self._server.init(slots)
        self._thread.start()

    def close(self):
        """Stops answering and frees the port."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


def _reason(error, address, port):
    where = "%s:%s" % (address, port or "any port")
    if getattr(error, "errno", None) == errno.EADDRINUSE:
        return ("the rendezvous port %s is in use, perhaps by another run. Choose another with --port, or omit --port to use a "
                "free one (`ss -ltnp` shows which process has it)" % where)
    if isinstance(error, socket.gaierror) or getattr(error, "errno", None) == errno.EADDRNOTAVAIL:
        return ("cannot listen on %s: %s. Expected an address of this machine, the first of --servers, on server 0"
                % (where, error.strerror))
    return "cannot listen on %s: %s. Choose another with --port" % (where, error)


def wait_for_rendezvous(address, port, seconds):
    """Waits until the rendezvous server of another machine listens.

    Raises:
      DeviceError: it does not listen within ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((address, port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise DeviceError("no rendezvous server answers at %s:%d after %d s: %s. Start the launcher of server 0 there "
                                  "with the same --servers and --port, and open the port in the firewall" % (
                                      address, port, seconds, error))
            time.sleep(0.2)


def interface_towards(address):
    """Name of the network interface through which this machine reaches ``address``; "lo" for the loopback.

    Raises:
      DeviceError: there is none.
    """
    import psutil  # comes with Horovod
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))  # sends nothing
            own = probe.getsockname()[0]
    except OSError as error:
        raise DeviceError("no route to %s: %s. The first of --servers has to be an address or name that this machine can resolve"
                          % (address, error))
    for name, addresses in psutil.net_if_addrs().items():
        if any(entry.family == socket.AF_INET and entry.address == own for entry in addresses):
            return name
    raise DeviceError("no network interface has the address %s, from which %s is reached; check `ip address`" % (own, address))
