"""The cache of a data layer: which data it may contain, how it is filled, and how damaged records are replaced.

The shards are in :mod:`open_seq2seq.data.shards`. The order of training, resuming and the shapes of batches do not depend on the
cache: a batch is computed from its number, and its rows are read by record number.
"""
import atexit
import hashlib
import os
import sys
import threading

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.cores import usable_cores
from open_seq2seq.data.rejection import UNREADABLE, WRONG_HEADER, RejectedData
from open_seq2seq.data.shards.shard_file import read_into
from open_seq2seq.data.shards.shard_folder import ShardFolder, Source, source_of
from open_seq2seq.data.speech2text.augmentation import waveform_changes
from open_seq2seq.data.speech2text.shard_building import AUDIO, INT16_SCALE, ShardBuilder, Stopped
from open_seq2seq.errors import ConfigError, JasperError, StorageError
from open_seq2seq.log_lines import log_line

FOLDER = "cache"


def folder_of(params, manifests):
    """The path of the cache of a set of manifests."""
    first = os.path.abspath(manifests[0])
    name = os.path.splitext(os.path.basename(first))[0]
    if len(manifests) > 1:
        name += "-and-%d-others" % (len(manifests) - 1)
    paths = "\n".join(os.path.abspath(path) for path in manifests).encode("utf-8", "surrogateescape")
    parent = params["cache_dir"] or os.path.join(os.path.dirname(first), FOLDER)
    return os.path.join(parent, "%s-%s" % (name, hashlib.sha256(paths).hexdigest()[:8]))


def require_cacheable(params, mode, packs):
    """Raises ConfigError if what is cached would not be what the data layer computes without the cache.

    Args:
      params: checked params of the data layer.
      mode: of the data layer.
      packs: whether utterances are packed.
    """
    if params["cache_content"] == AUDIO:
        return
    reasons = []
    if params["dither"]:
        reasons.append("dither is %g, which adds other noise to an utterance each time it is read; set it to 0"
                       % params["dither"])
    if mode == "train" and params["augmentation"] is not None:
        changes = waveform_changes(params["augmentation"])
        if changes:
            reasons.append("augmentation has %s, which %s the audio before the features are computed; masks can be used"
                           % (", ".join(changes), "change" if len(changes) > 1 else "changes"))
    if packs:
        reasons.append("join_shorter_than packs utterances, and their features are normalized together; set it to 0")
    if reasons:
        raise ConfigError("data_layer_params[\"cache_features\"] cannot be used: %s. Set data_layer_params[\"cache_content\"] to "
                          "\"audio\", which caches the waveforms and can be used with all of these" % "; ".join(reasons))


class FeatureCache:
    """The cached records of a data layer's utterances.

    Args:
      params: checked params of the data layer.
      manifests: list of the manifests' paths.
      utterances: list of Utterance.
      num_workers, worker_id: processes that fill the cache together, and which one this is.

    Attributes:
      content: Content.
      folder: ShardFolder.

    Raises:
      DataError: the cache was built with other parameters.
    """

    def __init__(self, params, manifests, utterances, num_workers=1, worker_id=0):
        self._params, self._utterances = params, utterances
        self._num_workers, self._worker_id = num_workers, worker_id
        self._builder = ShardBuilder(params)
        self.content = self._builder.content
        self._source_numbers = np.array([source_of(utterance.audio_path).number for utterance in utterances], np.uint64)
        self.folder = ShardFolder(folder_of(params, manifests), self.content, self._builder.parameters,
                                  len(np.unique(self._source_numbers)))
        self._has_manifest = self.folder.open(params["cache_regenerate"])
        self._filling, self._lock, self._stop = None, threading.RLock(), threading.Event()
        self._is_part = self._was_filled = False
        self._take_snapshot()

    def _take_snapshot(self):
        # a reader uses the same snapshot from its beginning to its end
        records, shards = self.folder.records()
        self._snapshot = records, shards, self.folder.find(self._source_numbers)
        # with, for each record, the state of its file when its checksum was compared, see read_into
        self._verified_snapshot = self._snapshot + (np.zeros([len(records)], np.int64),)

    # state

    @property
    def is_complete(self):
        """Whether every utterance has a record, or is known to be unusable."""
        return bool((self._snapshot[2] >= 0).all())

    @property
    def is_usable(self):
        """Whether every utterance has a usable record of as many samples as the header of its audio file says."""
        records, _, numbers = self._snapshot
        samples = np.array([utterance.num_samples for utterance in self._utterances])
        return bool((numbers >= 0).all() and (records["rows"][numbers] > 0).all()
                    and (records["samples"][numbers] == samples).all())

    def plan(self):
        """The Sources of each shard: list of lists."""
        return self.folder.plan(Source(os.path.abspath(utterance.audio_path), int(number))
                                for utterance, number in zip(self._utterances, self._source_numbers))

    def refresh(self):
        """Reads the indexes of all shards again."""
        with self._lock:
            self.folder.refresh()
            self._take_snapshot()

    def num_unusable(self):
        """The number of utterances whose audio could not be used when their shard was written."""
        records, _, numbers = self._snapshot
        return int((records["rows"][numbers[numbers >= 0]] == 0).sum())

    def describe(self):
        """A phrase on the state of the cache."""
        numbers = self._snapshot[2]
        return "cache of %s (%s) in %s: %d of %d utterances" % (
            self.content.kind, self.content.dtype, self.folder.path, (numbers >= 0).sum(), len(numbers))

    def for_utterances(self, utterances):
        """A cache of some of the utterances in the same folder, which it does not fill."""
        cache = object.__new__(FeatureCache)
        cache.__dict__.update(self.__dict__)
        known = {utterance.audio_path: number for utterance, number in zip(self._utterances, self._source_numbers)}
        cache._utterances, cache._is_part = utterances, True
        cache._source_numbers = np.array([known[utterance.audio_path] for utterance in utterances], np.uint64)
        cache._take_snapshot()
        return cache

    # reading

    def rows(self):
        """Frames or samples of every utterance whose record is usable, and 0 for the others: int32 array."""
        records, _, numbers = self._snapshot
        return np.where(numbers >= 0, records["rows"][numbers], 0).astype(np.int32) if len(records) else np.zeros(
            [len(numbers)], np.int32)

    def array_of(self, index):
        """(the array of an utterance, its samples). Thread-safe.

        It is read from the cache, or else computed. A damaged record is replaced.

        Returns:
          (features [frames, num_audio_features] in the type of the cache, or int16 [samples]; int).

        Raises:
          RejectedData: the utterance is not in the cache, or its record is damaged, and its file cannot be used.
        """
        records, shards, numbers = self._snapshot
        if numbers[index] >= 0:
            record = records[numbers[index]]
            if record["rows"]:
                array = self.folder.read(record, shards[numbers[index]])
                return (self.repaired(index) if array is None else array), int(record["samples"])
        return self._builder.computed(self._utterances[index].audio_path)

    def read_into(self, index, buffer):
        """Copies an utterance's array into a buffer of bytes that has the size of its record. Thread-safe.

        Raises:
          RejectedData: the record is damaged, and the audio file cannot be used or has another length than before.
        """
        records, shards, numbers, verified = self._verified_snapshot
        number, state = numbers[index], 0
        # while another process writes the shard again, an index can lack the record
        if number >= 0 and records["size"][number] == len(buffer):
            state = read_into(self.folder.shard_path(shards[number]), records[number], buffer, verified[number])
            verified[number] = state
        if not state:
            array = np.ascontiguousarray(self.repaired(index)).reshape(-1).view(np.uint8)
            if len(array) != len(buffer):
                raise RejectedData(WRONG_HEADER, "%d frames at the start of the run, %d now" % (
                    len(buffer) // self.content.row_bytes, len(array) // self.content.row_bytes))
            buffer[:] = array

    def waveform(self, index):
        """float32 [samples] of an utterance from a cache of audio; see :meth:`array_of`."""
        return self.array_of(index)[0].astype(np.float32) / np.float32(INT16_SCALE)

    def repaired(self, index):
        """The array of an utterance whose record was found damaged; the shard is written again."""
        with self._lock:
            shard = self.folder.shard_of(self._utterances[index].audio_path)
            # another process may have written the shard again since its index was read
            self.folder.refresh([shard])
            self._take_snapshot()
            records, shards, numbers = self._snapshot
            if numbers[index] >= 0:
                array = self.folder.read(records[numbers[index]], shards[numbers[index]])
                if array is not None:
                    return array
            utterance, path = self._utterances[index], self.folder.shard_path(shard)
            place = "record %d of %s (%s)" % (self.folder.place_of(self._source_numbers[index], shard), path, utterance.id)
            try:
                array, _ = self._builder.computed(utterance.audio_path)
            except RejectedData as rejected:
                raise RejectedData(UNREADABLE, "%s is damaged: its checksum is wrong, and it cannot be computed again: %s: %s. "
                                   "Restore the audio file, or the shard from a copy" % (place, rejected.reason.name, rejected))
            sys.stderr.write("Warning: %s is damaged: its checksum is wrong. It is computed again from %s\n"
                             % (place, utterance.audio_path))
            try:
                self._build_shard(shard, self.plan()[shard])
            except StorageError as error:
                sys.stderr.write("Warning: the shard stays damaged: %s\n" % error)
            return array

    # writing

    def _build_shard(self, shard, sources, is_stopped=None):
        self._builder.build(self.folder, shard, sources, is_stopped)
        with self._lock:
            self.folder.refresh([shard])
            self._take_snapshot()

    def create(self):
        """Writes the manifest of the folder if it has none with these parameters.

        Raises:
          StorageError: it cannot be written.
        """
        if not self._has_manifest:
            self.folder.create()
            self._has_manifest = True

    def fill(self):
        """Starts a thread that writes this worker's share of the missing shards while the utterances are in use."""
        if self._was_filled or self._is_part:
            return
        self._was_filled = True
        if self._worker_id == 0:
            log_line(self.describe() + ("" if self.is_complete else "; the others are added while they are read"))
        if self.is_complete:
            return
        plan = self.plan()
        missing = {shard: plan[shard] for shard in self.folder.missing(plan) if shard % self._num_workers == self._worker_id}
        if not missing:
            return
        try:
            self.create()
        except StorageError as error:
            _warn_not_filled(error)
            return
        # TensorFlow's first session in a process decides how many threads the operations of all its sessions have; that of the
        # FeatureCalculator has one, with which the training would be slow
        tf.Session(graph=tf.Graph(), config=tf.ConfigProto(device_count={"GPU": 0},
                                                           intra_op_parallelism_threads=usable_cores())).close()
        self._filling = threading.Thread(target=self._fill, args=(missing,), daemon=True)
        self._filling.start()
        # the thread must not be within TensorFlow when the process ends
        atexit.register(_stop, self._stop, self._filling)

    def _fill(self, missing):
        try:
            with self.folder.lock(alone=False):
                for shard, sources in missing.items():
                    self._build_shard(shard, sources, self._stop.is_set)
        except Stopped:
            pass
        except JasperError as error:
            _warn_not_filled(error)

    def wait(self):
        """Waits until :meth:`fill` has finished."""
        if self._filling is not None:
            self._filling.join()


def _warn_not_filled(error):
    # a run does not need the cache
    sys.stderr.write("Warning: the cache is not filled further: %s\n" % error)


def _stop(stop, thread):
    stop.set()
    thread.join()
