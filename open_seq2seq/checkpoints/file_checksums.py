"""Checksums of whole files, and their computation while TensorFlow is being imported.

Does not import TensorFlow. A checkpoint is compared with its manifest before it is read. That takes as long as reading the file,
and importing TensorFlow takes a second in which one core is idle, so a command that knows its model begins with the checksums.
"""
import contextlib
import glob
import os
import threading
import zlib

# fits into a processor's cache; larger blocks are not faster
_BLOCK_BYTES = 1 << 18
# of the thread, which waits up to 5 ms for Python's lock after each block
_AHEAD_BLOCK_BYTES = 1 << 25

_ahead = {}  # (path, size, time, inode): (thread, list with the result), see compute_ahead


def checksum(path):
    """(size in bytes, CRC-32 as 8 hexadecimal digits) of a file."""
    thread, result = _ahead.pop(_identity(path), (None, []))
    if thread is not None:
        thread.join()
        # a file that was changed meanwhile, or could not be read, is read here
        if result and result[0] == _identity(path):
            return result[1]
    return _checksum(path, _BLOCK_BYTES)


def compute_ahead(folder):
    """Starts to compute the checksums of the newest checkpoint in a run's folder, in a thread; :func:`checksum` takes them.

    Args:
      folder: the path that the user has given as a model; anything else than a run's folder is no error.
    """
    try:
        data = [path for place in (folder, os.path.join(folder, "logs"))
                for path in glob.glob(os.path.join(glob.escape(place), "model.ckpt-*.data-*-of-*[0-9]"))]
        newest = max(data, key=os.path.getmtime, default=None)
        identity = newest and _identity(newest)
    except (OSError, ValueError):  # deleted meanwhile; not a path
        return
    if not identity:
        return
    result = []

    def compute():
        with contextlib.suppress(OSError, MemoryError):
            found = _checksum(newest, min(_AHEAD_BLOCK_BYTES, os.path.getsize(newest) + 1))
            result.extend([identity, found])

    thread = threading.Thread(target=compute, name="checksum", daemon=True)
    _ahead[identity] = thread, result
    thread.start()


def _identity(path):
    """What changes when a file is replaced or written to."""
    status = os.stat(path)
    return os.path.abspath(path), status.st_size, status.st_mtime_ns, status.st_ino


def _checksum(path, block_bytes):
    block, size, crc = bytearray(block_bytes), 0, 0
    with open(path, "rb", buffering=0) as file:
        while True:
            count = file.readinto(block)
            if not count:
                return size, "%08x" % crc
            size += count
            crc = zlib.crc32(memoryview(block)[:count], crc)
