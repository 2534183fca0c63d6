"""Reading tar files whose content is not trusted: nothing is extracted, members are read one after the other."""
import collections
import lzma
import os
import tarfile
import zlib

from open_seq2seq.data.importers.entries import UNSAFE_MEMBER
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.errors import DataError
from open_seq2seq.files import printable

EXTENSIONS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
LARGEST_MEMBER = 1 << 30
_ERRORS = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError)

Member = collections.namedtuple("Member", "name parts size read problem")
Member.__doc__ = """A member of an archive. name: as stored. parts: its path's components. size: bytes. read: function that
returns its content. problem: why it must not be used (a link, a device, a path out of the archive), or None."""


def members_of(path):
    """Yields a :class:`Member` for each file of a tar file, compressed or not. ``read`` is to be called before the next one.

    Raises:
      DataError: the archive cannot be read, is damaged or is cut off.
    """
    try:
        with tarfile.open(path, "r:*") as archive:
            for info in archive:
                if not info.isdir():
                    yield _member(archive, info, path)
            _require_end(archive)
    except _ERRORS as error:
        raise _damaged(path, error)


def _damaged(path, error):
    return DataError("cannot read the archive %s: %s. Is it complete? Compare its checksum, or fetch it again"
                     % (printable(path), getattr(error, "strerror", None) or error))


def _require_end(archive):
    """tarfile takes an archive for complete that is cut off between two members or has a damaged header there."""
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it has no end marker at byte %d" % archive.offset)
    while archive.fileobj.read(1 << 20):      # a compressed file's checksum is at its end
        pass


def _member(archive, info, path):
    problem = None
    parts = [part for part in info.name.split("/") if part not in ("", ".")]
    if not info.isfile():
        problem = "it is a link, a device or a pipe, not a file"
    elif info.name.startswith("/") or ".." in parts or "\0" in info.name or not parts:
        problem = "its path leads out of the archive"
    elif info.size > LARGEST_MEMBER:
        problem = "it has %d bytes; at most %d are read" % (info.size, LARGEST_MEMBER)

    def read():
        if problem is not None:
            raise RejectedData(UNSAFE_MEMBER, "%s: %s" % (printable(info.name), problem))
        try:
            data = archive.extractfile(info).read()
        except _ERRORS as error:
            raise _damaged(path, error)
        if len(data) < info.size:
            raise _damaged(path, "it ends within %s" % printable(info.name))
        return data

    return Member(info.name, parts, info.size, read, problem)


def stem_of(path):
    """The file name without folders and without the extension of an archive."""
    name = os.path.basename(path)
    extension = max((e for e in EXTENSIONS if name.lower().endswith(e)), key=len, default="")
    return name[:len(name) - len(extension)]


def fingerprint(path):
    """(path, size, time of the last change in ns) of a file of the corpus."""
    status = os.stat(path)
    return path, status.st_size, status.st_mtime_ns
