"""Notes of the ranks on the rendezvous server, a key-value store over HTTP that every run over Horovod and Gloo has."""
import http.client

ERRORS = (OSError, http.client.HTTPException)
"""What a request raises when the server does not answer, or not with HTTP."""


class RendezvousNotes:
    """One note, a short text, for each rank.

    Args:
      environ: mapping of the environment variables, with the address of the server.
      scope: str, distinguishes notes of different purposes.
      timeout: seconds that a request may take.

    Attributes:
      address: str, HOST:PORT of the server, for messages.
    """

    def __init__(self, environ, scope, timeout):
        self._host, self._port = environ["HOROVOD_GLOO_RENDEZVOUS_ADDR"], environ["HOROVOD_GLOO_RENDEZVOUS_PORT"]
        self.address = "%s:%s" % (self._host, self._port)
        self._scope, self._timeout = scope, timeout

    def put(self, rank, text):
        """Stores or replaces the note of ``rank``. Raises one of :data:`ERRORS`."""
        self._request("PUT", rank, text)

    def get(self, rank):
        """The note of ``rank``, None if it has none. Raises one of :data:`ERRORS`."""
        return self._request("GET", rank)

    def remove(self, rank):
        """Removes the note of ``rank``: a later run may use the same server."""
        try:
            self._request("DELETE", rank)
        except ERRORS:
            pass  # the server has ended, and the notes with it

    def _request(self, method, rank, text=None):
        connection = http.client.HTTPConnection(self._host, int(self._port), timeout=self._timeout)
        try:
            connection.request(method, "/%s/%d" % (self._scope, rank), body=None if text is None else text.encode("utf-8"))
            response = connection.getresponse()
            content = response.read().decode("utf-8", "replace")
            return content if response.status == 200 else None
        finally:
            connection.close()
