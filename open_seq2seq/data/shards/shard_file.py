"""A shard: a TFRecord file of ``tf.train.Example``, and its index: the offset and the CRC of each record's array.

The file is what ``tf.data.TFRecordDataset`` reads. Training reads single arrays with the index, which is a small file of its own:
a line of JSON and an array of :data:`RECORD`. The index is written after the shard, so a shard with an index is complete.
"""
import collections
import contextlib
import json
import os
import uuid
import zlib

import numpy as np
import tensorflow.compat.v1 as tf
from google.protobuf.message import DecodeError

from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.files import sync

FORMAT = 1
INDEX_ENDING = ".index"
TEMPORARY_ENDING = ".tmp"
RECORD = np.dtype([("source", "<u8"), ("offset", "<u8"), ("size", "<u4"), ("crc", "<u4"), ("rows", "<u4"), ("samples", "<u4")])
"""A record in an index.

source: number of the audio file and its state, see Source. offset, size: of the array in the shard, bytes. crc: CRC-32 (zlib) of
the array. rows: frames or samples; 0 if the audio file is unusable: there is no record then. samples: of the waveform."""

_TFRECORD_HEADER, _TFRECORD_FOOTER = 12, 4      # length and its CRC in front of the data, the data's CRC behind

Item = collections.namedtuple("Item", "source name samples array")
Item.__doc__ = """What a record is written from. source: int. name: str, the audio file. samples: int. array: of the type of the
content, [rows] or [rows, width]; None if the audio file is unusable."""


class Content(collections.namedtuple("Content", "kind dtype width")):
    """What the arrays of a shard are. kind: "features" or "audio". dtype: name, e.g. "float16". width: values of each row."""

    __slots__ = ()

    @property
    def little_endian(self):
        """The NumPy type of the values in a file."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def row_bytes(self):
        return self.little_endian.itemsize * self.width


def is_local(path):
    """Whether a path is on a local file system, not on one that only TensorFlow reads, such as gs:// or hdfs://."""
    return "://" not in path


def example_of(item, content):
    """The ``tf.train.Example`` of an Item: bytes ``features`` or ``audio`` (little-endian, row by row), ints ``shape`` and
    ``samples``, bytes ``name`` and ``dtype``."""
    def integers(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def data(value):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    payload = np.ascontiguousarray(item.array, content.little_endian).tobytes()
    return tf.train.Example(features=tf.train.Features(feature={
        content.kind: data(payload), "shape": integers(item.array.shape), "samples": integers([item.samples]),
        "dtype": data(content.dtype.encode("ascii")), "name": data(item.name.encode("utf-8", "surrogateescape"))})), payload


def write_shard(path, identity, content, items):
    """Writes a shard and its index atomically: a process that is killed leaves the old files, or the new ones.

    Args:
      path: of the shard, on any of TensorFlow's file systems.
      identity: str that names everything but the audio files that determines the arrays; see ShardFolder.
      content: Content.
      items: iterable of Item.

    Returns:
      RECORD array, one for each item.

    Raises:
      StorageError: a file cannot be written.
    """
    records, offset = [], 0
    with _replacing(path) as temporary:
        with tf.io.TFRecordWriter(temporary) as writer:
            for item in items:
                if item.array is None:
                    records.append((item.source, 0, 0, 0, 0, 0))
                    continue
                example, payload = example_of(item, content)
                # the fields of a map are sorted by name only on request; equal shards then have equal bytes
                data = example.SerializeToString(deterministic=True)
                writer.write(data)
                place = offset + _TFRECORD_HEADER + data.index(payload)
                records.append((item.source, place, len(payload), zlib.crc32(payload), len(item.array), item.samples))
                offset += _TFRECORD_HEADER + len(data) + _TFRECORD_FOOTER
    records = np.array(records, RECORD)
    header = {"format": FORMAT, "identity": identity, "records": len(records), "shard_bytes": offset,
              "crc": zlib.crc32(records.tobytes())}
    with _replacing(path + INDEX_ENDING) as temporary, tf.io.gfile.GFile(temporary, "wb") as file:
        file.write(json.dumps(header, sort_keys=True).encode("ascii") + b"\n" + records.tobytes())
    return records


def read_index(path, identity):
    """The RECORD array of a shard, or None if the shard does not exist or has another identity.

    Args:
      path: of the shard.
      identity: see :func:`write_shard`.

    Raises:
      DataError: the index or the shard is damaged.
    """
    index_path = path + INDEX_ENDING
    if not tf.io.gfile.exists(index_path):
        return None
    try:
        with tf.io.gfile.GFile(index_path, "rb") as file:
            line, _, body = file.read().partition(b"\n")
        header = json.loads(line.decode("ascii"))
        if header["format"] != FORMAT or header["identity"] != identity:
            return None
        if len(body) != header["records"] * RECORD.itemsize or zlib.crc32(body) != header["crc"]:
            raise ValueError("its checksum is wrong")
        size = tf.io.gfile.stat(path).length if tf.io.gfile.exists(path) else 0
        if size != header["shard_bytes"]:
            raise DataError("%s has %d bytes, expected %d" % (path, size, header["shard_bytes"]))
    except (tf.errors.OpError, OSError, ValueError, KeyError, TypeError) as error:
        reason = "it lacks %s" % error if isinstance(error, KeyError) else getattr(error, "message", None) or error
        raise DataError("the index %s is damaged: %s" % (index_path, reason))
    return np.frombuffer(body, RECORD)


def read_into(path, record, buffer, verified=0):
    """Reads a record's array from a shard into a buffer of its size.

    Args:
      path: of the shard.
      record: element of a RECORD array.
      buffer: writable, contiguous bytes, a memoryview or NumPy array of uint8.
      verified: what an earlier call returned for this record. The checksum is not computed again while the file is the same and
        has not been modified. 0: there was none.

    Returns:
      An int other than 0, which stands for the state of the file, if the bytes are those that were written; 0 if they are not, or
      cannot be read. On file systems other than the local ones always 0 or 1, and 1 does not save computing the checksum.
    """
    size, offset, state = int(record["size"]), int(record["offset"]), 1
    try:
        if is_local(path):
            file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            try:
                found = os.fstat(file)
                # programs that copy over a file can set its modification time, but not the time of its change
                state = hash((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)) | 2
                done = 0
                while done < size:
                    read = os.preadv(file, [buffer[done:size]], offset + done)
                    if not read:
                        return 0
                    done += read
            finally:
                os.close(file)
            if state == verified:
                return state
        else:
            with tf.io.gfile.GFile(path, "rb") as file:
                file.seek(offset)
                data = file.read(size)
            if len(data) != size:
                return 0
            buffer[:size] = np.frombuffer(data, np.uint8)
    except (OSError, tf.errors.OpError):
        return 0
    return state if zlib.crc32(buffer[:size]) == int(record["crc"]) else 0


def damaged_records(path, records):
    """Reads a whole shard and compares it with its checksums: those of the index, and TFRecord's.

    Args:
      path: of the shard.
      records: its RECORD array.

    Returns:
      List of int: the numbers of the damaged records, from 0, or of the first one that TensorFlow's reader rejects.
    """
    records = records[records["rows"] > 0]
    buffer = np.empty([int(records["size"].max()) if len(records) else 0], np.uint8)
    damaged = [number for number, record in enumerate(records) if not read_into(path, record, buffer)]
    if damaged or not len(records):
        return damaged
    count = 0
    try:
        for _ in tf.io.tf_record_iterator(path):
            count += 1
    except tf.errors.OpError:
        return [count]
    return [] if count == len(records) else [count]


def names_in(path):
    """The names of the audio files in a shard, as far as it can be read: a list of str."""
    names = []
    try:
        for data in tf.io.tf_record_iterator(path):
            example = tf.train.Example.FromString(data)
            names.append(example.features.feature["name"].bytes_list.value[0].decode("utf-8", "surrogateescape"))
    except (tf.errors.OpError, DecodeError, IndexError):
        pass
    return names


@contextlib.contextmanager
def _replacing(path):
    """Context with the path of a temporary file that replaces ``path`` if the block ends without an exception."""
    temporary = "%s.%d-%s%s" % (path, os.getpid(), uuid.uuid4().hex[:8], TEMPORARY_ENDING)
    try:
        yield temporary
        if is_local(path):
            sync(temporary)
            os.replace(temporary, path)
            sync(os.path.dirname(path) or ".")
        else:
            tf.io.gfile.rename(temporary, path, overwrite=True)
    except (OSError, tf.errors.OpError) as error:
        raise StorageError("cannot write %s: %s. Free some space, fix the permissions, or choose another cache_dir"
                           % (path, getattr(error, "strerror", None) or getattr(error, "message", None) or error))
    finally:
        with contextlib.suppress(OSError, tf.errors.OpError):
            if tf.io.gfile.exists(temporary):
                tf.io.gfile.remove(temporary)
