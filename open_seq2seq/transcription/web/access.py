"""Who may talk to the server: pages that it served itself, under a name that is its own.

A server on the loopback is open to every page in the same browser. Two things keep those out. A page of another site names
itself in ``Origin`` and ``Sec-Fetch-Site``, so it cannot make the server do anything. A page whose own name was made to point
here (DNS rebinding) counts as the same site, but brings its name in ``Host``, so names that are not ours are refused. An
address cannot be rebound, so any is good; nor does the port tell anything, which keeps SSH tunnels usable.
"""
import ipaddress
import re

from open_seq2seq.transcription.web.refusal import Refusal

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
    ("Cache-Control", "no-store"),     # recordings and transcripts do not stay in the browser's cache
)


class Access:
    """Decides which requests are heard.

    Args:
      names: host names, beside ``localhost`` and any IP address, under which the server may be asked.
    """

    def __init__(self, names=()):
        self._names = {"localhost"} | {name.lower() for name in names}

    def check(self, method, path, headers):
        """Lets a request pass.

        Args:
          method: of the request.
          path: of the request, without the query.
          headers: ``email.message.Message``.

        Raises:
          Refusal: 400 without a proper ``Host``, 403 for another's name, and for requests that another site's page made.
        """
        hosts = headers.get_all("Host") or []
        match = _HOST.fullmatch(hosts[0].strip()) if len(hosts) == 1 else None
        if match is None:
            raise Refusal(400, "The request has no proper Host header.")
        name = match.group("name").lower()
        if name not in self._names and not _is_address(name):
            raise Refusal(403, "This server does not answer to the name %s. Open it by its address or as localhost." % name)
        self._check_origin(method, path, headers, hosts[0].strip().lower())

    def _check_origin(self, method, path, headers, host):
        origin = headers.get("Origin")
        if origin is not None and origin.lower() not in ("http://" + host, "https://" + host):
            raise Refusal(403, "A page of another site (%s) may not use this server." % ascii(origin))
        site = headers.get("Sec-Fetch-Site", "none")
        arrives_by_link = method == "GET" and path == "/" and headers.get("Sec-Fetch-Mode") == "navigate"
        if site not in _OWN_PAGES and not arrives_by_link:
            raise Refusal(403, "A page of another site may not use this server.")


def _is_address(name):
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
