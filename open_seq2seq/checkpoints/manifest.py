"""The manifest of a checkpoint, ``NAME-STEP.json`` beside its files: what they have to be, and what the model is.

TensorFlow's files carry no checksum of themselves as a whole, and say neither of which run they are nor what was measured of
them.
"""
import collections
import functools
import glob
import json
import os
import zlib

import tensorflow.compat.v1 as tf

VERSION = 1
# what TensorFlow's reader raises, in one version or another
READING_ERRORS = (tf.errors.OpError, ValueError, RuntimeError, IndexError)
# larger blocks are no faster, and this much stays in a processor's cache
_BLOCK_BYTES = 1 << 18

Fault = collections.namedtuple("Fault", "reason is_damage")
Fault.__doc__ = """What is wrong with a checkpoint.

reason: half a sentence. is_damage: whether the files are bad; False where they may not be read, or another process has just
deleted them.
"""


def manifest_path(checkpoint):
    """Path of the manifest of a checkpoint (path without extension)."""
    return checkpoint + ".json"


def data_files(checkpoint):
    """Paths of TensorFlow's files of a checkpoint: the data first, the index last."""
    data = sorted(glob.glob(glob.escape(checkpoint) + ".data-*-of-*[0-9]"))
    return data + [path for path in [checkpoint + ".index"] if os.path.exists(path)]


def checksum(path):
    """(size in bytes, CRC-32 as 8 hexadecimal digits) of a file."""
    block, size, crc = bytearray(_BLOCK_BYTES), 0, 0
    with open(path, "rb", buffering=0) as file:
        while True:
            count = file.readinto(block)
            if not count:
                return size, "%08x" % crc
            size += count
            crc = zlib.crc32(memoryview(block)[:count], crc)


def make_manifest(checkpoint, facts):
    """The manifest of the files that are there, a dict for JSON.

    Args:
      checkpoint: path without extension.
      facts: dict for JSON of what else it is to say: step, epoch, metric, state, config, ...
    """
    files = collections.OrderedDict()
    for path in data_files(checkpoint):
        size, crc = checksum(path)
        files[os.path.basename(path)] = {"bytes": size, "crc32": crc}
    return dict(facts, manifest_version=VERSION, files=files)


def read_manifest(checkpoint):
    """The manifest of a checkpoint as a dict; None where there is none, as beside OpenSeq2Seq's, or where it is no manifest."""
    try:
        with open(manifest_path(checkpoint), encoding="utf-8") as file:
            manifest = json.load(file)
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and isinstance(manifest.get("files"), dict) else None


def fault_of(checkpoint):
    """What is wrong with the files of a checkpoint.

    With a manifest, sizes and checksums are compared; without one every tensor is read, whose checksums TensorFlow checks. A
    process does this once for the same files.

    Args:
      checkpoint: path without extension.

    Returns:
      A :class:`Fault`, or None where nothing is wrong.
    """
    while True:
        before = file_signature(checkpoint)
        try:
            fault = _fault(checkpoint, before)
        except FileNotFoundError as error:
            fault = Fault("%s was deleted" % os.path.basename(error.filename or checkpoint), False)
        except PermissionError as error:
            fault = Fault("%s: %s" % (error.filename, error.strerror), False)
        except OSError as error:
            fault = Fault("%s cannot be read: %s" % (error.filename or checkpoint, error.strerror), True)
        # a training may be replacing what is being read here
        if fault is None or file_signature(checkpoint) == before:
            return fault


def file_signature(checkpoint):
    """Identifies the content of a checkpoint's files: equal as long as none of them is replaced, changed or deleted."""
    found = []
    for path in data_files(checkpoint) + [manifest_path(checkpoint)]:
        try:
            status = os.stat(path)
        except OSError:
            continue
        found.append((os.path.basename(path), status.st_size, status.st_mtime_ns, status.st_ino))
    return tuple(found)


@functools.lru_cache(maxsize=256)
def _fault(checkpoint, signature):
    names = {name for name, _, _, _ in signature}
    base = os.path.basename(checkpoint)
    if base + ".index" not in names:
        return Fault("%s.index is missing" % base, bool(names))
    if not any(name.startswith(base + ".data-") for name in names):
        return Fault("%s.data-* is missing" % base, True)
    manifest = read_manifest(checkpoint)
    return _fault_by_manifest(checkpoint, manifest) if manifest is not None else _fault_by_reading(checkpoint)


def _fault_by_manifest(checkpoint, manifest):
    directory = os.path.dirname(checkpoint)
    for name, expected in manifest["files"].items():
        path = os.path.join(directory, os.path.basename(name))
        if not os.path.exists(path):
            return Fault("%s is missing" % name, True)
        size, crc = checksum(path)
        try:
            if size != expected["bytes"]:
                return Fault("%s has %d bytes, %d were written" % (name, size, expected["bytes"]), True)
            if crc != expected["crc32"]:
                return Fault("%s has the checksum %s, written was %s" % (name, crc, expected["crc32"]), True)
        except (KeyError, TypeError):
            return _fault_by_reading(checkpoint)
    return None


def _fault_by_reading(checkpoint):
    try:
        reader = tf.train.NewCheckpointReader(checkpoint)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except READING_ERRORS as error:
        if isinstance(error, tf.errors.PermissionDeniedError):
            return Fault(error.message.split("\n")[0], False)
        return Fault("TensorFlow cannot read it: %s" % str(error).split("\n")[0], True)
    return None
