"""Downloads of corpora: only when asked for, continued after an interruption, and used only with the expected checksum."""
import http.client
import os
import re
import urllib.error
import urllib.request

from open_seq2seq.data.importers.importer_command import progress_bar
from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.files import file_digest

BLOCK = 1 << 20
TIMEOUT = 60     # seconds without a byte


def fetch(url, path, md5):
    """Downloads a file, unless ``path`` exists with this checksum.

    What has arrived is kept in ``path.part``, from which the next call continues.

    Args:
      url: http, https or file.
      path: where the file will be.
      md5: hexadecimal.

    Raises:
      DataError: the server does not answer, does not have the file, or sends another one.
      StorageError: the file cannot be written, or another file is already there.
    """
    if os.path.exists(path):
        if file_digest(path, "md5") == md5:
            return
        raise StorageError("%s exists, but its MD5 checksum is not %s; delete it to download it again" % (path, md5))
    part = path + ".part"
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    for _attempt in range(2):
        had_some = os.path.exists(part) and os.path.getsize(part) > 0
        _fetch_rest(url, part)
        found = file_digest(part, "md5")
        if found == md5:
            os.replace(part, path)
            return
        os.remove(part)
        if not had_some:      # else the beginning may have been of another file
            raise DataError("%s: the MD5 checksum of the download is %s, expected %s. The file was deleted; try another mirror "
                            "with --base_url" % (url, found, md5))
    raise DataError("%s: the download has another MD5 checksum than %s. It was deleted" % (url, md5))


def fetch_text(url):
    """The text of a small file, at most 1 MB."""
    with _open(urllib.request.Request(url)) as answer:
        return answer.read(BLOCK).decode("utf-8", "replace")


def checksums_of(text):
    """dict name -> MD5 of a text like ``md5sum``'s output."""
    return {name.strip(): digest.lower() for digest, name in re.findall(r"^([0-9a-fA-F]{32})[ \t]+\*?(?:\./)?(.+)$", text, re.M)}


def _fetch_rest(url, part):
    have = os.path.getsize(part) if os.path.exists(part) else 0
    request = urllib.request.Request(url, headers={"Range": "bytes=%d-" % have} if have else {})
    try:
        answer = _open(request)
    except _RangeNotSatisfiable:      # everything has arrived
        return
    with answer:
        continued = have and getattr(answer, "status", None) == http.client.PARTIAL_CONTENT
        length = answer.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
        try:
            with open(part, "ab" if continued else "wb") as file, progress_bar(
                    "download %s" % os.path.basename(part)[:-5], None if total is None else -(-total // BLOCK)) as advance:
                received = 0
                while True:
                    block = answer.read(BLOCK)
                    if not block:
                        break
                    try:
                        file.write(block)
                    except OSError as error:
                        raise StorageError("cannot write %s: %s" % (part, error.strerror))
                    received += len(block)
                    advance()
        except (OSError, http.client.HTTPException) as error:
            raise DataError("%s: the connection was lost after %d bytes (%s). Run the command again; it continues from there"
                            % (url, os.path.getsize(part), getattr(error, "strerror", None) or error))
    if total is not None and received < total:
        raise DataError("%s: the connection was closed after %d of %d bytes. Run the command again; it continues from there"
                        % (url, received, total))


class _RangeNotSatisfiable(Exception):
    pass


def _open(request):
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _RangeNotSatisfiable()
        raise DataError("%s: the server answered %d %s. Is --base_url correct?" % (request.full_url, error.code, error.reason))
    except (urllib.error.URLError, OSError, ValueError, http.client.HTTPException) as error:
        raise DataError("cannot download %s: %s. Check the network and --base_url, or put the files into --corpus yourself"
                        % (request.full_url, getattr(error, "reason", None) or error))
