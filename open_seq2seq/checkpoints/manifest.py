"""The manifest of a checkpoint, ``NAME-STEP.json`` next to its files: their sizes and checksums, and what the model is.

It also has a checksum of its own content. TensorFlow's files contain neither a checksum of a whole file, nor the run they belong
to, nor the evaluation of the model.
"""
import collections
import functools
import glob
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.file_checksums import checksum
from open_seq2seq.files import checksum_of, parsed_json

VERSION = 2
CHECKSUM = "checksum"  # SHA-256 of the other entries; version 1 had none
# what TensorFlow's reader raises, depending on the version
READING_ERRORS = (tf.errors.OpError, ValueError, RuntimeError, IndexError)

Fault = collections.namedtuple("Fault", "reason is_damage")
Fault.__doc__ = """What is wrong with a checkpoint.

reason: a clause. is_damage: whether the files are bad; False if they cannot be read for lack of permission, or another process
has just deleted them.
"""


def manifest_path(checkpoint):
    """Path of the manifest of a checkpoint (path without extension)."""
    return checkpoint + ".json"


def data_files(checkpoint):
    """Paths of TensorFlow's files of a checkpoint: the data first, the index last."""
    data = sorted(glob.glob(glob.escape(checkpoint) + ".data-*-of-*[0-9]"))
    return data + [path for path in [checkpoint + ".index"] if os.path.exists(path)]


def make_manifest(checkpoint, facts):
    """The manifest of the existing files, a dict for JSON.

    Args:
      checkpoint: path without extension.
      facts: dict for JSON of the other entries: step, epoch, metric, state, config, ...
    """
    files = collections.OrderedDict()
    for path in data_files(checkpoint):
        size, crc = checksum(path)
        files[os.path.basename(path)] = {"bytes": size, "crc32": crc}
    manifest = dict(facts, manifest_version=VERSION, files=files)
    return dict(manifest, **{CHECKSUM: checksum_of(manifest)})


def read_manifest(checkpoint):
    """The manifest of a checkpoint as a dict; None if there is none (OpenSeq2Seq wrote none), or if it is damaged or was changed.

    ``files`` is a dict from names to dicts of bytes (int) and crc32 (str); ``vocabulary`` and ``resolved_config``, if present and
    not None, are a list of str and a dict.
    """
    try:
        with open(manifest_path(checkpoint), encoding="utf-8") as file:
            manifest = parsed_json(file.read())
        return manifest if isinstance(manifest, dict) and _is_valid(manifest) and _is_unchanged(manifest) else None
    except (OSError, ValueError):
        return None


def is_damaged_manifest(checkpoint):
    """Whether a checkpoint has a manifest that cannot be used."""
    return os.path.exists(manifest_path(checkpoint)) and read_manifest(checkpoint) is None


def _is_unchanged(manifest):
    if manifest.get("manifest_version", 1) == 1 and CHECKSUM not in manifest:
        return True
    return manifest.get(CHECKSUM) == checksum_of({name: value for name, value in manifest.items() if name != CHECKSUM})


def _is_valid(manifest):
    files, characters = manifest.get("files"), manifest.get("vocabulary")
    if not isinstance(files, dict) or not all(isinstance(entry, dict) for entry in files.values()):
        return False
    if characters is not None and not (isinstance(characters, list) and all(isinstance(one, str) for one in characters)):
        return False
    return isinstance(manifest.get("resolved_config"), (dict, type(None))) and all(
        "\0" not in name and isinstance(entry.get("bytes"), int) and isinstance(entry.get("crc32"), str)
        for name, entry in files.items())


def fault_of(checkpoint):
    """What is wrong with the files of a checkpoint.

    With a valid manifest, sizes and checksums are compared; without one every tensor is read, and TensorFlow checks their
    checksums. The result is cached for unchanged files.

    Args:
      checkpoint: path without extension.

    Returns:
      A :class:`Fault`, or None if nothing is wrong.
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
        # a training may have replaced the files meanwhile
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
        if size != expected["bytes"]:
            return Fault("%s has %d bytes, %d were written" % (name, size, expected["bytes"]), True)
        if crc != expected["crc32"]:
            return Fault("%s has the checksum %s, written was %s" % (name, crc, expected["crc32"]), True)
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
