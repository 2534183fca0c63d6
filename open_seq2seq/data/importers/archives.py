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

Member = collections.namedtuple("Member", "name parts size read problem")
Member.__doc__ = """A member of an archive. name: as stored. parts: its path's components. size: bytes. read: function that returns
its content. problem: why it must not be used (a link, a device, a path out of the archive), or None."""


def members_of(path):
    """Yields a :class:`Member` for each file of a tar file, compressed or not. ``read`` is to be called before the next one.

    Raises:
      DataError: the archive cannot be read, is damaged or is cut off.
    """
    try:
        with tarfile.open(path, "r:*") as archive:
            for info in archive:
                if not info.isdir():
                    yield _member(archive, info)
            _require_end(archive, path)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError("cannot read the archive %s: %s. Is it complete? Compare its checksum, or fetch it again"
                        % (printable(path), reason))


def _require_end(archive, path):
    """tarfile takes an archive for complete that is cut off between two members or has a damaged header there."""
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("it has no end marker at byte %d" % archive.offset)


def _member(archive, info):
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
        data = archive.extractfile(info).read()
        if len(data) < info.size:
            raise tarfile.ReadError("it ends within %s" % printable(info.name))
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
