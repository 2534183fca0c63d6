"""A folder of shards: its manifest, which utterance belongs to which shard, and the records of all shards in memory.

An audio file belongs to the shard that a hash of its path selects, so added or removed files change few shards. A record is found
by its source number, a hash of the file's path, size and modification time: the record of a changed file is not found.
"""
import collections
import contextlib
import fcntl
import hashlib
import json
import os
import sys
import time

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.shards.shard_file import (
    FORMAT,
    INDEX_ENDING,
    RECORD,
    TEMPORARY_ENDING,
    Content,
    is_local,
    read_index,
    read_into,
)
from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.files import checksum_of, parsed_json, replaced_file

MANIFEST = "manifest.json"
PER_SHARD = 256          # audio files
_ATTEMPTS = 20           # to share the folder's lock
_IN_USE = "another process is writing the cache %s; wait until it has finished"

Source = collections.namedtuple("Source", "path number")
Source.__doc__ = """An audio file. path: str. number: int, which depends on the path, the size and the modification time; 0 if the
file does not exist."""


def source_of(path):
    """The Source of an audio file."""
    path = os.path.abspath(path)
    try:
        status = os.stat(path)
    except OSError:
        return Source(path, 0)
    return Source(path, _number("%s\0%d\0%d" % (path, status.st_size, status.st_mtime_ns)))


def _number(text):
    digest = hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


class ShardFolder:
    """See the module. One folder has one content and one set of parameters.

    Args:
      path: of the folder, on any of TensorFlow's file systems.
      content: Content.
      parameters: dict that JSON can store: everything but the audio files that determines the arrays.
      num_files: audio files of the data set; a new folder is divided into shards accordingly.

    Attributes: ``path``, ``content``, ``parameters``, and
      identity: str, hash of the content and the parameters.
      num_shards: int.
    """

    def __init__(self, path, content, parameters, num_files):
        self.path, self.content, self.parameters = path, content, parameters
        self.identity = checksum_of({"format": FORMAT, "content": content._asdict(), "parameters": parameters})
        self.num_shards = max(1, -(-num_files // PER_SHARD))
        self._records, self._shards = np.zeros([0], RECORD), np.zeros([0], np.int64)
        self._shard_records = {}

    def open(self, regenerate=False):
        """Compares the folder with the content and the parameters, and reads the indexes of its shards.

        Args:
          regenerate: whether a folder of other content or parameters is to be replaced.

        Returns:
          Whether the folder has a manifest that applies.

        Raises:
          DataError: the folder was made with other parameters, which the message names, or its manifest is damaged.
        """
        manifest = self._read_manifest(regenerate)
        differences = [] if manifest is None else self._differences(manifest)
        if differences and not regenerate:
            raise DataError("the cache %s was built with other parameters: %s. Restore them, choose another "
                            'data_layer_params["cache_dir"], or set data_layer_params["cache_regenerate"] to True to build it '
                            "again" % (self.path, "; ".join(differences)))
        applies = manifest is not None and not differences
        if applies:
            self.num_shards = manifest["shards"]
            self.refresh()
        return applies

    def create(self):
        """Writes the manifest, before the first shard. Several processes may do it at the same time.

        Raises:
          StorageError: it cannot be written.
        """
        text = json.dumps({"format": FORMAT, "content": self.content._asdict(), "parameters": self.parameters,
                           "identity": self.identity, "shards": self.num_shards}, indent=1, sort_keys=True) + "\n"
        path = os.path.join(self.path, MANIFEST)
        try:
            tf.io.gfile.makedirs(self.path)
            if is_local(path):
                with replaced_file(path) as file:
                    file.write(text)
            else:
                with tf.io.gfile.GFile(path, "w") as file:
                    file.write(text)
        except (OSError, tf.errors.OpError) as error:
            raise StorageError('cannot write %s: %s. Fix the permissions, or choose another place with '
                               'data_layer_params["cache_dir"]' % (path, getattr(error, "message", None) or error))

    def _read_manifest(self, regenerate):
        path = os.path.join(self.path, MANIFEST)
        if not tf.io.gfile.exists(path):
            return None
        try:
            with tf.io.gfile.GFile(path, "rb") as file:
                manifest = parsed_json(file.read().decode("utf-8"))
            content = Content(**manifest["content"])
            expected = checksum_of({"format": manifest["format"], "content": content._asdict(),
                                    "parameters": manifest["parameters"]})
            if manifest["identity"] != expected or not isinstance(manifest["shards"], int) or manifest["shards"] < 1:
                raise ValueError("its checksum is wrong")
        except (ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
            if regenerate:
                return None
            raise DataError('the manifest of the cache, %s, is damaged: %s. Set data_layer_params["cache_regenerate"] to True to '
                            'build the cache again' % (path, error))
        return manifest

    def _differences(self, manifest):
        """List of phrases."""
        if manifest["format"] != FORMAT:
            return ["its format is version %s, this program has version %d" % (manifest["format"], FORMAT)]
        here = dict({"cache " + key: value for key, value in self.content._asdict().items()}, **self.parameters)
        there = dict({"cache " + key: value for key, value in manifest["content"].items()}, **manifest["parameters"])
        return ["%s was %s and is %s" % (name, json.dumps(there.get(name)), json.dumps(here.get(name)))
                for name in sorted(set(here) | set(there)) if here.get(name) != there.get(name)]

    # shards

    def shard_path(self, shard):
        return os.path.join(self.path, "shard-%05d-of-%05d.tfrecord" % (shard, self.num_shards))

    def plan(self, sources):
        """The sources of each shard: list of lists of Source, sorted by path, each file once."""
        shards = [[] for _ in range(self.num_shards)]
        for source in sorted(set(sources)):
            shards[self.shard_of(source.path)].append(source)
        return shards

    def shard_of(self, path):
        """The number of the shard to which an audio file belongs."""
        return _number(os.path.abspath(path)) % self.num_shards

    def refresh(self, shards=None):
        """Reads the indexes of shards again; None: of all."""
        for shard in range(self.num_shards) if shards is None else shards:
            try:
                records = read_index(self.shard_path(shard), self.identity)
            except DataError as error:
                sys.stderr.write("Warning: a shard of the cache is not used: %s\n" % error)
                records = None
            if records is None:
                self._shard_records.pop(shard, None)
            else:
                self._shard_records[shard] = records
        self._arrange()

    def _arrange(self):
        numbers = sorted(self._shard_records)
        parts = [self._shard_records[shard] for shard in numbers]
        records = np.concatenate(parts) if parts else np.zeros([0], RECORD)
        shards = np.repeat(np.array(numbers, np.int64), [len(part) for part in parts]) if parts else np.zeros([0], np.int64)
        order = np.argsort(records["source"], kind="stable")
        self._shards, self._records = shards[order], records[order]

    def find(self, numbers):
        """Numbers of the records of sources, for :meth:`record`: int64 array, -1 for those that are not in the folder.

        Args:
          numbers: array of the sources' numbers.
        """
        numbers = np.asarray(numbers, np.uint64)
        known = self._records["source"]
        if not len(known):
            return np.full([len(numbers)], -1, np.int64)
        places = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        return np.where((known[places] == numbers) & (numbers != 0), places, -1)

    def missing(self, plan):
        """Numbers of the shards of a :meth:`plan`, or of a dict with parts of one, that lack a record of one of their sources."""
        return [shard for shard, sources in (plan.items() if isinstance(plan, dict) else enumerate(plan))
                if sources and (self.find([source.number for source in sources]) < 0).any()]

    def records(self):
        """(RECORD array of all records, int64 array of the numbers of their shards), which :meth:`find` numbers. :meth:`refresh`
        makes new arrays and does not change these."""
        return self._records, self._shards

    def records_of(self, shard):
        """RECORD array of one shard; empty if it is missing."""
        return self._shard_records.get(shard, np.zeros([0], RECORD))

    def place_of(self, number, shard):
        """The place of a source's record within its shard, from 0; -1 if it has none."""
        records = self.records_of(shard)
        found = np.flatnonzero(records["source"] == np.uint64(number))
        # unusable audio files have an entry in the index, but no record
        return int((records["rows"][:found[0]] > 0).sum()) if len(found) else -1

    def read(self, record, shard):
        """The array of a record: [rows] or [rows, width]; None if it is damaged or cannot be read."""
        buffer = np.empty([int(record["size"])], np.uint8)
        if not read_into(self.shard_path(shard), record, buffer):
            return None
        array = buffer.view(self.content.little_endian)
        return array if self.content.width == 1 else array.reshape(-1, self.content.width)

    def total_bytes(self):
        """Bytes of all files of the folder."""
        paths = [os.path.join(self.path, name) for name in tf.io.gfile.listdir(self.path)]
        return sum(tf.io.gfile.stat(path).length for path in paths)

    @contextlib.contextmanager
    def lock(self, alone):
        """Context that holds the lock of the folder, ``alone`` or shared with other processes that add shards.

        Temporary files of interrupted processes are removed if no other process holds the lock.

        Raises:
          StorageError: another process holds the lock, and it or this one needs it alone.
        """
        if not is_local(self.path):
            yield
            return
        os.makedirs(self.path, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._remove_temporary()
            except BlockingIOError:
                if alone:
                    raise StorageError(_IN_USE % self.path)
            if not alone:
                self._share(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _share(self, descriptor):
        for attempt in range(_ATTEMPTS):
            # a process that shares the lock first holds it alone for a moment
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if attempt == _ATTEMPTS - 1:
                    raise StorageError(_IN_USE % self.path)
                time.sleep(0.1)

    def _remove_temporary(self):
        for name in os.listdir(self.path):
            if name.endswith(TEMPORARY_ENDING):
                with contextlib.suppress(OSError):
                    os.remove(os.path.join(self.path, name))

    def remove_others(self):
        """Removes shards of an earlier division, which had another number of shards."""
        names = {os.path.basename(self.shard_path(shard)) for shard in range(self.num_shards)}
        for name in tf.io.gfile.listdir(self.path):
            shard = name[:-len(INDEX_ENDING)] if name.endswith(INDEX_ENDING) else name
            if shard.startswith("shard-") and shard.endswith(".tfrecord") and shard not in names:
                tf.io.gfile.remove(os.path.join(self.path, name))
