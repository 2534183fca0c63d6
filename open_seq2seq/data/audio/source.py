"""Bytes of an open file at any place, and parts of a file as files of their own."""
import collections
import io
import os

HEADER_BLOCK = 4096
SEARCH_BLOCK = 1 << 20
MAX_PADDING = 1 << 16              # zeros that fill the last block of a disk, at most

Part = collections.namedtuple("Part", "start end samples prefix patches padding")
Part.__new__.__defaults__ = (None, b"", (), 0)
Part.__doc__ = """A range of a file that libsndfile decodes as one file.

start, end: in bytes. samples: of each channel; libsndfile must find at least as many, and more are not used; None: all that it
finds. prefix: bytes put in front of the range. patches: ((offset in the file, bytes), ...) that replace bytes of a header."""


class ByteSource:
    """Random access to the bytes of an open file, through one cached block.

    Args:
      file: an unbuffered or buffered binary file.
      block: bytes to read at a time.
    """

    def __init__(self, file, block=HEADER_BLOCK):
        self._file, self.block = file, block
        self.size = os.fstat(file.fileno()).st_size
        self._start, self._cached = 0, b""

    def at(self, offset, count):
        """``count`` bytes at ``offset``; fewer at the end of the file."""
        if offset >= self.size:      # also more than a file system knows
            return b""
        begin = offset - self._start
        if begin < 0 or begin + count > len(self._cached):
            self._file.seek(offset)
            self._start, self._cached, begin = offset, self._file.read(max(count, self.block)), 0
        return self._cached[begin:begin + count]

    def find(self, pattern, start, end=None):
        """Offset of the first occurrence of ``pattern`` that lies within ``start`` to ``end``, or -1."""
        end = self.size if end is None else min(end, self.size)
        while start < end:
            piece = self.at(start, min(SEARCH_BLOCK, end - start))
            found = piece.find(pattern)
            if found >= 0:
                return start + found
            if len(piece) < SEARCH_BLOCK:
                return -1
            start += len(piece) - len(pattern) + 1
        return -1


class MemorySource(ByteSource):
    """The same access to bytes in memory.

    Args:
      data: bytes.
    """

    def __init__(self, data):      # without ByteSource's file
        self._data, self.size = data, len(data)

    def at(self, offset, count):
        """``count`` bytes at ``offset``; fewer at the end."""
        return self._data[offset:offset + count]


def behind_padding(source, position, end):
    """The end of the zeros at ``position`` when they are padding: at most :data:`MAX_PADDING`; otherwise ``position``."""
    zeros = source.at(position, min(end - position, MAX_PADDING + 1))
    count = len(zeros) - len(zeros.lstrip(b"\0"))
    return position + count if count <= MAX_PADDING else position


class PartFile(io.RawIOBase):
    """A :class:`Part` of an open file as a read-only file.

    libsndfile calls it through C, where an exception cannot pass: a read error of the disk ends the file instead, and the
    number of samples shows it.
    """

    def __init__(self, file, part):
        super().__init__()
        self._file, self._part, self._position = file, part, 0
        self._size = len(part.prefix) + part.end - part.start + part.padding

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=os.SEEK_SET):
        self._position = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence])
        return self._position

    def tell(self):
        return self._position

    def readinto(self, buffer):
        part, position = self._part, self._position
        count = max(0, min(len(buffer), self._size - position))
        if position < len(part.prefix):
            piece = part.prefix[position:position + count]
        elif position >= self._size - part.padding:
            piece = bytes(count)
        else:
            offset = part.start + position - len(part.prefix)
            try:
                self._file.seek(offset)
                piece = bytearray(self._file.read(min(count, part.end - offset)))
            except (OSError, ValueError):
                return 0
            for place, replacement in part.patches:
                first, end = max(place, offset), min(place + len(replacement), offset + len(piece))
                if first < end:
                    piece[first - offset:end - offset] = replacement[first - place:end - place]
        buffer[:len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def read(self, size=-1):
        wanted = self._size - self._position if size is None or size < 0 else size
        pieces = bytearray()
        while len(pieces) < wanted:
            buffer = bytearray(wanted - len(pieces))
            count = self.readinto(buffer)
            if not count:
                break
            pieces += buffer[:count]
        return bytes(pieces)
