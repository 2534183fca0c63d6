"""The ``Range`` header: browsers ask for parts of a sound to jump in it."""
import re


def byte_range(header, size):
    """Which bytes are asked for.

    Args:
      header: value of ``Range``, or None.
      size: of the file, bytes.

    Returns:
      (first, one past the last) byte; None when the whole file is to be sent: without a header, or with one that may be
      ignored (several ranges, other units, malformed).

    Raises:
      ValueError: nothing of the file lies in the range.
    """
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", (header or "").strip(), re.ASCII)
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise ValueError("bytes %d to %d of a file of %d" % (start, end, size))
    return start, end
