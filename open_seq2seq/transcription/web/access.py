"""Which requests are accepted: those of the server's own pages, addressed to the server by an accepted name.

Every page that is open in the same browser can send requests to a server on the loopback interface. Two checks refuse them. A
browser states a page's site in ``Origin`` and ``Sec-Fetch-Site``: requests of other sites are refused. A page whose own name
was made to resolve to this machine (DNS rebinding) counts as the same site, but its name is in ``Host``: unknown names are
refused. An IP address cannot be rebound, so every address is accepted; the port is not checked, so that SSH tunnels work.
"""
import ipaddress
import re

from open_seq2seq.transcription.web.http_error import HttpError

_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?", re.ASCII)
_OWN_PAGES = ("same-origin", "none")   # "none": typed, bookmarked

CONTENT_SECURITY_POLICY = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", "media-src 'self'", "connect-src 'self'",
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"))

SECURITY_HEADERS = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "microphone=(self), camera=(), geolocation=()"),
    ("Cache-Control", "no-store"),     # the browser keeps no recordings or transcripts in its cache
)


class Access:
    """Decides which requests are accepted.

    Args:
      names: host names, in addition to ``localhost`` and IP addresses, that the server accepts.
    """

    def __init__(self, names=()):
        self._names = {"localhost"} | {name.lower() for name in names}

    def check(self, method, path, headers):
        """Checks a request.

        Args:
          method: of the request.
          path: of the request, without the query.
          headers: ``werkzeug.datastructures.Headers``; repeated headers are joined by commas.

        Raises:
          HttpError: 400 without a valid ``Host``, 403 for an unknown name and for requests of another site's page.
        """
        host = headers.get("Host", "").strip()
        match = _HOST.fullmatch(host)
        if match is None:
            raise HttpError(400, "The request has no valid Host header.")
        name = match.group("name").lower()
        if name not in self._names and not _is_address(name):
            raise HttpError(403, "This server does not accept the host name %s. Open it by its address or as localhost." % name)
        self._check_origin(method, path, headers, host.lower())

    def _check_origin(self, method, path, headers, host):
        origin = headers.get("Origin")
        if origin is not None and origin.lower() not in ("http://" + host, "https://" + host):
            raise HttpError(403, "Pages of other sites (%s) may not use this server." % ascii(origin))
        site = headers.get("Sec-Fetch-Site", "none")
        arrives_by_link = method == "GET" and path == "/" and headers.get("Sec-Fetch-Mode") == "navigate"
        if site not in _OWN_PAGES and not arrives_by_link:
            raise HttpError(403, "Pages of other sites may not use this server.")


def _is_address(name):
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
