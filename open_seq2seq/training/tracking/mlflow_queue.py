"""What waits to be sent to MLflow: files in a folder of the run, which survive both processes.

The training appends records, one JSON object a line, to files of about a megabyte. The sender reads them and notes how far it has
come; a file whose records are all sent is removed.
"""
import collections
import contextlib
import json
import os
import re

from open_seq2seq.files import replaced_file

SEGMENT_BYTES = 10 ** 6
POSITION = "position.json"
_SEGMENT = re.compile(r"queue-(\d{6,})\.jsonl$")

Position = collections.namedtuple("Position", "segment offset")
Position.__doc__ = """segment: number of a file. offset: bytes of it that are sent."""


def segments(folder):
    """Sorted numbers of the files of a queue; empty where the folder is missing."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return sorted(int(match.group(1)) for match in map(_SEGMENT.match, names) if match)


def path_of(folder, segment):
    """Path of a file of the queue."""
    return os.path.join(folder, "queue-%06d.jsonl" % segment)


def read_json(path, default):
    """The contents of a JSON file; ``default`` if it is missing or damaged."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, ValueError):
        return default


class QueueWriter:
    """The training's end of the queue.

    Args:
      folder: of the queue; it exists.
      limit: bytes beyond which records that can be left out are.
      segment_bytes: size of a file after which the next one begins.

    Attributes:
      num_left_out: records that were left out.
    """

    def __init__(self, folder, limit, segment_bytes=SEGMENT_BYTES):
        self._folder, self._limit, self._segment_bytes = folder, limit, segment_bytes
        self.num_left_out = 0
        self._segment, self._size, self._earlier_size = 0, 0, 0
        self._next_segment()

    def _next_segment(self):
        # never a file that exists: a process that was killed can have left a line without its end
        existing = segments(self._folder)
        position = read_position(self._folder)
        self._segment, self._size = max(existing + [self._segment, position.segment]) + 1, 0
        self._earlier_size = self._waiting_size(existing)

    def _waiting_size(self, existing):
        size = 0
        for segment in existing:
            with contextlib.suppress(FileNotFoundError):  # the sender has just removed it
                size += os.path.getsize(path_of(self._folder, segment))
        return size

    def append(self, record, can_be_left_out=False):
        """Appends a record, in one write.

        Args:
          record: dict for JSON; numbers may be non-finite.
          can_be_left_out: whether it may be left out where the queue has reached its limit.

        Raises:
          OSError: the file cannot be written.
        """
        data = (json.dumps(record) + "\n").encode("utf-8")
        if can_be_left_out and self._earlier_size + self._size + len(data) > self._limit:
            # the sender may have removed files meanwhile
            self._earlier_size = self._waiting_size([segment for segment in segments(self._folder) if segment < self._segment])
            if self._earlier_size + self._size + len(data) > self._limit:
                self.num_left_out += 1
                return
        descriptor = os.open(path_of(self._folder, self._segment), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
        self._size += written
        if written < len(data) or self._size >= self._segment_bytes:
            self._next_segment()


def read_position(folder):
    """The ``Position`` up to which a queue is sent."""
    stored = read_json(os.path.join(folder, POSITION), {})
    try:
        return Position(int(stored["segment"]), int(stored["offset"]))
    except (KeyError, TypeError, ValueError):
        return Position(0, 0)


def _record(line):
    """The record of a line; None if it is damaged."""
    try:
        record = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("type"), str) else None


class QueueReader:
    """The sender's end of the queue.

    Args:
      folder: of the queue.
    """

    def __init__(self, folder):
        self._folder = folder
        self.position = read_position(folder)

    def read(self, most):
        """Records that follow the committed position.

        Args:
          most: largest number of records.

        Returns:
          (list of (record, ``Position`` after it), ``Position`` after all lines that were read, number of damaged lines).
        """
        found, damaged, position = [], 0, self.position
        for segment in segments(self._folder):
            if segment < position.segment:
                continue
            offset = position.offset if segment == position.segment else 0
            # looked at before the file is read: what is appended to it afterwards is not missed
            is_last = segment == segments(self._folder)[-1]
            with open(path_of(self._folder, segment), "rb") as file:
                file.seek(offset)
                for line in file:
                    if not line.endswith(b"\n"):
                        damaged += not is_last
                        break
                    offset += len(line)
                    record = _record(line)
                    if record is None:
                        damaged += 1
                    else:
                        found.append((record, Position(segment, offset)))
                    if len(found) == most:
                        return found, Position(segment, offset), damaged
            position = Position(segment, offset)
        return found, position, damaged

    def commit(self, position):
        """Notes that everything before a position is sent, and removes files before it."""
        with replaced_file(os.path.join(self._folder, POSITION)) as file:
            json.dump(position._asdict(), file)
        self.position = position
        for segment in segments(self._folder):
            if segment < position.segment:
                os.remove(path_of(self._folder, segment))

    def remove_sent(self):
        """Removes the files of a queue to which nobody appends and of which everything is sent."""
        for segment in segments(self._folder):
            os.remove(path_of(self._folder, segment))

    @property
    def waiting(self):
        """(number of records, bytes) that are not sent."""
        records = size = 0
        for segment in segments(self._folder):
            if segment >= self.position.segment:
                with open(path_of(self._folder, segment), "rb") as file:
                    file.seek(self.position.offset if segment == self.position.segment else 0)
                    data = file.read()
                records, size = records + data.count(b"\n"), size + len(data)
        return records, size
