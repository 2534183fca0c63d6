"""Features of utterances by name: shards ``.npz`` of NumPy, and Kaldi's ``.ark`` with its index ``.scp``.

The key of an utterance is its ``wav_filename`` in the manifest, with whitespace as in a URL (Kaldi's keys have none). Next to the
files that ``--mode=features`` writes there is a description ``.json``, as next to shards of fairseq.
"""
import contextlib
import os
import re
import struct
import urllib.parse
import zipfile

import numpy as np

from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.files import remove_interrupted_writes, replaced_file
from open_seq2seq.text.text_file import read_text_file

_INSTALL = "files of Kaldi need the package kaldiio; install it with: pip install kaldiio"
_PLACE = re.compile(r"(.*?)((?::\d+)?(?:\[[^\]]*\])?)$")     # a file, where in it, and a range of rows and columns
_DTYPES = {"<f4", "<f8", "<f2"}


def key_of(wav_filename):
    """The key of an utterance, a str without whitespace."""
    if not any(character.isspace() for character in wav_filename):
        return wav_filename
    return "".join(urllib.parse.quote(character) if character.isspace() else character for character in wav_filename)


def write_npz(path, features):
    """Writes a shard; it gets its name when it is complete.

    Args:
      path: of the ``.npz`` file.
      features: iterable of (key, float32 [frames, size]).

    Raises:
      DataError: a key occurs twice with other features.
      StorageError: the file cannot be written.
    """
    remove_interrupted_writes(path)
    with replaced_file(path, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for key, values in _distinct(features, path):
            with archive.open(key + ".npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(values, np.float32))


def write_kaldi(path, features):
    """Writes a float archive ``.ark`` and its index ``.scp``, sorted by key; the index is written last.

    Args:
      path: of the ``.scp`` file. The index names the archive by its absolute path; readers of this project also find it next to
        the index.
      features: iterable of (key, float32 [frames, size]).

    Raises:
      DataError: a key occurs twice with other features.
      StorageError: a file cannot be written.
      UsageError: kaldiio is not installed.
    """
    kaldiio = _kaldiio()
    archive_path, lines = os.path.splitext(path)[0] + ".ark", []
    for name in (path, archive_path):
        remove_interrupted_writes(name)
    with replaced_file(archive_path, "wb") as file:
        for key, values in _distinct(features, path):
            offset = file.tell() + len(key.encode()) + 1
            kaldiio.save_ark(file, {key: np.ascontiguousarray(values, np.float32)})
            lines.append((key.encode(), "%s %s:%d\n" % (key, os.path.abspath(archive_path), offset)))
    with replaced_file(path) as file:
        file.writelines(line for _, line in sorted(lines))


def _distinct(features, path):
    """The features of each key once."""
    written = {}
    for key, values in features:
        digest = hash(values.tobytes())
        if key not in written:
            written[key] = digest
            yield key, values
        elif written[key] != digest:
            raise DataError("two utterances with different features have the key %r in %s. Give the rows of the manifest "
                            "different wav_filenames, or write fairseq's format, which has no keys: --format=npy" % (key, path))


def _kaldiio():
    try:
        import kaldiio
    except ImportError:
        raise UsageError(_INSTALL)
    return kaldiio


class NpzFeatures:
    """Features in ``.npz`` files; reading is thread-safe.

    Args:
      paths: list of the files.

    Raises:
      DataError: a file cannot be read.
    """

    def __init__(self, paths):
        self._archives, self._places = [], {}
        for path in paths:
            try:
                archive = zipfile.ZipFile(path)
                names = archive.namelist()
            except (OSError, zipfile.BadZipFile) as error:
                raise DataError("cannot read features from %s: %s" % (path, error))
            self._archives.append(archive)
            self._places.update((name[:-len(".npy")], (archive, name)) for name in names if name.endswith(".npy"))

    def __contains__(self, key):
        return key in self._places

    def __iter__(self):
        return iter(self._places)

    def shape(self, key):
        """(frames, size) of an utterance."""
        archive, name = self._places[key]
        with _readable("%s in %s" % (name, archive.filename)), archive.open(name) as member:
            version = np.lib.format.read_magic(member)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(member)
            if len(shape) != 2 or dtype.str not in _DTYPES:
                raise ValueError("shape %s and type %s, expected floats [frames, values]" % (shape, dtype))
            return shape

    def read(self, key):
        """float32 [frames, size]."""
        archive, name = self._places[key]
        with _readable("%s in %s" % (name, archive.filename)), archive.open(name) as member:
            return np.asarray(np.lib.format.read_array(member, allow_pickle=False), np.float32)


class KaldiFeatures:
    """Features in archives of Kaldi that ``.scp`` files name; reading is thread-safe.

    Args:
      paths: list of ``.scp`` files.

    Raises:
      DataError: a file cannot be read, or has a line that names a command.
      UsageError: kaldiio is not installed.
    """

    def __init__(self, paths):
        self._kaldiio, self._places = _kaldiio(), {}
        for path in paths:
            for number, line in enumerate(read_text_file(path, "index of Kaldi's features").splitlines(), 1):
                key, _, place = line.strip().partition(" ")
                place = place.strip()
                # also before a range of rows
                file = _PLACE.match(place).group(1).strip()
                if not file or file.startswith("|") or file.endswith("|"):
                    raise DataError("%s:%d: found %r; expected KEY FILE:OFFSET (commands are not run)" % (
                        path, number, line[:80]))
                self._places[key] = self._found(place, path)

    @staticmethod
    def _found(place, path):
        """The place of a matrix, in a file next to the index if it is not where the index says."""
        file, rest = _PLACE.match(place).groups()
        beside = os.path.join(os.path.dirname(path), os.path.basename(file))
        return beside + rest if not os.path.exists(file) and os.path.exists(beside) else place

    def __contains__(self, key):
        return key in self._places

    def __iter__(self):
        return iter(self._places)

    def shape(self, key):
        """(frames, size) of an utterance: from the header of the matrix where it is one."""
        place = self._places[key]
        with _readable(place):
            shape = None if place.endswith("]") else _matrix_shape(place)
        return self.read(key).shape if shape is None else shape

    def read(self, key):
        """float32 [frames, size]."""
        place = self._places[key]
        with _readable(place):
            values = self._kaldiio.load_mat(place)
            if not isinstance(values, np.ndarray) or values.ndim != 2:
                raise ValueError("it is not a matrix")
            return np.asarray(values, np.float32)


@contextlib.contextmanager
def _readable(place):
    """Turns an error while reading into a DataError that names the place."""
    try:
        yield
    except (OSError, ValueError, KeyError, struct.error, zipfile.BadZipFile, AssertionError, UnicodeDecodeError) as error:
        raise DataError("cannot read features from %s: %s" % (place, error or type(error).__name__))


def _matrix_shape(place):
    """(rows, columns) of a binary matrix of Kaldi, compressed or not; None for other content."""
    file, _, offset = place.rpartition(":")
    if not offset.isdigit():
        return None
    with open(file, "rb") as archive:
        archive.seek(int(offset))
        head = archive.read(32)
    if head[:2] != b"\0B":
        return None
    token, _, rest = head[2:].partition(b" ")
    if token in (b"FM", b"DM"):
        # each number follows a byte with its size
        return (struct.unpack("<i", rest[1:5])[0], struct.unpack("<i", rest[6:10])[0])
    if token in (b"CM", b"CM2", b"CM3"):
        # minimum and range first
        return struct.unpack("<ii", rest[8:16])
    return None
