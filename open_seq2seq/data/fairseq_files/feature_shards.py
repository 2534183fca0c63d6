"""Feature shards in fairseq's layout: ``{split}_{rank}_{nshard}.npy``, float32 [frames of all, D], and ``.len``, frames a line.

``--mode=features`` also writes ``.json``: what the features are and of which data. The ``.npy`` file is written last, so a shard
that has one is complete.
"""
import collections
import json
import os
import re

import numpy as np

from open_seq2seq.data.fairseq_files.audio_list import lines_of
from open_seq2seq.data.keyed_features import write_kaldi, write_npz
from open_seq2seq.errors import DataError, StorageError, UsageError
from open_seq2seq.files import checksum_of, parsed_json, remove_interrupted_writes, replaced_file
from open_seq2seq.text.text_file import read_text_file

_NAME = re.compile(r"(?P<split>.+)_(?P<rank>\d+)_(?P<nshard>\d+)\.npy$")
_HEADER_BYTES = 128
_BLOCK = 1 << 16  # frames that are examined at a time

FeatureDescription = collections.namedtuple("FeatureDescription", "features frame_rate size data checkpoint")
FeatureDescription.__doc__ = """The description of a shard.

features: str, "mfcc" or "layer conv53 of ...". frame_rate: frames per second. size: values of a frame. data: SHA-256 of the
rows of the manifest and the sample rate. checkpoint: SHA-256 of what the layer's outputs depend on, or None."""


def shard_range(count, nshard, rank):
    """(first, end) of the utterances of a shard, as fairseq divides them."""
    return int(round(count / nshard * rank)), int(round(count / nshard * (rank + 1)))


def shard_path(folder, split, rank, nshard):
    """Path of a shard's ``.npy`` file."""
    return os.path.join(folder, "%s_%d_%d.npy" % (split, rank, nshard))


def _beside(path, extension):
    return os.path.splitext(path)[0] + extension


def is_complete(path, description):
    """Whether the shard was written before.

    Raises:
      UsageError: it was, but with other features or from other data.
    """
    if not os.path.exists(path):
        return False
    found = read_feature_description(path)
    if found != description:
        raise UsageError("%s exists and holds %s, expected %s. Delete the files of that folder, or write to another one with "
                         "--features=FOLDER" % (path, "features of unknown origin" if found is None else _difference(
                             found, description), _difference(description, found)))
    return True


def _difference(one, other):
    """What ``one`` is, in words that tell it from ``other``."""
    if other is None or one.features != other.features:
        return one.features
    if one.data != other.data:
        return "%s of %s" % (one.features, "data " + one.data[:12])
    return "%s of checkpoint %s" % (one.features, (one.checkpoint or "none")[:12])


def read_feature_description(path):
    """The :class:`FeatureDescription` of a shard; None if it has none, as those of fairseq."""
    try:
        with open(_beside(path, ".json"), encoding="utf-8") as file:
            return FeatureDescription(**parsed_json(file.read()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DataError("%s is damaged: %s. Delete the shard and run --mode=features again" % (_beside(path, ".json"), error))


def description_in_folder(folder):
    """The :class:`FeatureDescription` of the first shard in a folder.

    Raises:
      DataError: the folder cannot be read, or has no description.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if _NAME.match(os.path.splitext(name)[0] + ".npy"))
    except OSError as error:
        raise DataError("cannot read the folder of features %s: %s. --mode=features writes one" % (folder, error.strerror))
    description = read_feature_description(os.path.join(folder, names[0])) if names else None
    if description is None:
        raise DataError("%s has no features with a description; --mode=features writes them" % folder)
    return description


def write_shard(path, batches, description):
    """Writes a shard; the ``.npy`` file gets its name last, when it is complete.

    Args:
      path: of the ``.npy`` file.
      batches: iterable of (float32 [frames, D], ints: frames of each utterance), in the order of the utterances.
      description: a FeatureDescription.

    Returns:
      (utterances, frames).

    Raises:
      DataError: a feature is NaN or infinite.
      StorageError: a file cannot be written.
    """
    lengths, frames = [], 0
    remove_interrupted_writes(path)      # of gigabytes
    with replaced_file(path, "wb") as file:
        file.write(b"\0" * _HEADER_BYTES)
        for values, counts in batches:
            bad = np.flatnonzero(~np.isfinite(values).all(1))
            if len(bad):
                line = len(lengths) + int(np.searchsorted(np.cumsum(counts), bad[0], "right")) + 1
                raise DataError("a feature is NaN or infinite: utterance %d of the shard %s, %s. Was the training that wrote "
                                "the checkpoint stable, and is the audio valid?" % (line, path, description.features))
            file.write(np.ascontiguousarray(values, np.float32).tobytes())
            lengths.extend(int(count) for count in counts)
            frames += len(values)
        file.seek(0)
        file.write(_header(frames, description.size))
        with replaced_file(_beside(path, ".len")) as text:
            text.writelines("%d\n" % length for length in lengths)
        with replaced_file(_beside(path, ".json")) as text:
            json.dump(description._asdict(), text, indent=1)
            text.write("\n")
    return len(lengths), frames


def write_keyed_shard(path, features, description):
    """Writes a shard ``.npz`` or ``.scp`` with its archive, which have the features of each utterance under its key.

    Args:
      path: of the ``.npz`` or ``.scp`` file, which gets its name last.
      features: iterable of (key, float32 [frames, D]).
      description: a FeatureDescription.

    Returns:
      (utterances, frames).

    Raises:
      DataError: a feature is NaN or infinite, or two utterances have the same key.
      StorageError, UsageError: see :mod:`open_seq2seq.data.keyed_features`.
    """
    counts = [0, 0]

    def checked():
        for key, values in features:
            if not np.isfinite(values).all():
                raise DataError("a feature is NaN or infinite: %s in the shard %s, %s. Was the training that wrote the "
                                "checkpoint stable, and is the audio valid?" % (key, path, description.features))
            counts[0] += 1
            counts[1] += len(values)
            yield key, values

    with replaced_file(_beside(path, ".json")) as text:
        json.dump(description._asdict(), text, indent=1)
        text.write("\n")
    (write_npz if path.endswith(".npz") else write_kaldi)(path, checked())
    return tuple(counts)


def _header(frames, size):
    """The header of an ``.npy`` file, of a size that does not depend on the number of frames."""
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (frames, size)
    return b"\x93NUMPY\x01\x00" + (_HEADER_BYTES - 10).to_bytes(2, "little") + text.ljust(_HEADER_BYTES - 11).encode() + b"\n"


class FeatureShards:
    """All shards of a split.

    Args:
      folder: of the shards.
      split: e.g. "train".

    Attributes:
      paths: list of the ``.npy`` files. lengths: list of int arrays, frames of each shard's utterances. size: D.
      description: FeatureDescription; None for fairseq's files.

    Raises:
      DataError: a shard is missing or malformed.
    """

    def __init__(self, folder, split):
        self.folder, self.split = folder, split
        self.paths = _paths(folder, split)
        self.lengths = [_lengths(path) for path in self.paths]
        arrays = [self.features(shard) for shard in range(len(self.paths))]
        self.size = arrays[0].shape[1]
        for path, lengths, array in zip(self.paths, self.lengths, arrays):
            if lengths.sum() != len(array):
                raise DataError("%s has %d frames, and the sum of %s is %d; the files are not of the same features" % (
                    path, len(array), _beside(path, ".len"), lengths.sum()))
            if array.shape[1] != self.size:
                raise DataError("%s has %d values a frame, %s has %d; expected shards of the same features" % (
                    path, array.shape[1], self.paths[0], self.size))
        self.description = read_feature_description(self.paths[0])
        for path in self.paths[1:]:
            if read_feature_description(path) != self.description:
                raise DataError("%s and %s hold different features; delete the shards of %s and run --mode=features again" % (
                    self.paths[0], path, split))

    @property
    def frames(self):
        """Number of frames of all shards."""
        return int(sum(lengths.sum() for lengths in self.lengths))

    @property
    def origin(self):
        """What was computed, whatever the data: "mfcc", or the layer and its checkpoint; None for fairseq's files."""
        if self.description is None:
            return None
        checkpoint = self.description.checkpoint
        return self.description.features + (", checkpoint %s" % checkpoint[:16] if checkpoint else "")

    @property
    def identity(self):
        """A digest of what the features are, str; of the files' sizes if that is not known."""
        if self.description is not None:
            return checksum_of(list(self.description))
        return checksum_of([[os.path.basename(path), os.path.getsize(path), os.stat(path).st_mtime_ns] for path in self.paths])

    def features(self, shard):
        """The features of a shard: float32 [frames, D], read from the file when they are used."""
        path = self.paths[shard]
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            if os.path.exists(path) and os.path.getsize(path) == _HEADER_BYTES:
                return np.zeros(_empty_shape(path), np.float32)     # a file without frames cannot be mapped
            raise DataError("%s cannot be read as an array: %s" % (path, error))
        if array.ndim != 2 or array.dtype not in (np.float32, np.float64, np.float16):
            raise DataError("%s has shape %s and type %s; expected floats [frames, values]" % (path, array.shape, array.dtype))
        return array

    def block(self, shard, first, end):
        """Frames ``first`` to ``end`` of a shard in memory, float32.

        Raises:
          DataError: one is NaN or infinite.
        """
        values = np.asarray(self.features(shard)[first:end], np.float32)
        if not np.isfinite(values).all():
            frame = first + int(np.flatnonzero(~np.isfinite(values).all(1))[0])
            raise DataError("%s: frame %d, in utterance %d (line of the .len file), is NaN or infinite" % (
                self.paths[shard], frame, np.searchsorted(np.cumsum(self.lengths[shard]), frame, "right") + 1))
        return values

    def blocks(self, size=_BLOCK):
        """Yields (shard, first, end) of blocks of at most ``size`` frames."""
        for shard, lengths in enumerate(self.lengths):
            for first in range(0, int(lengths.sum()), size):
                yield shard, first, min(first + size, int(lengths.sum()))


def _empty_shape(path):
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        return np.lib.format.read_array_header_1_0(file)[0]


def has_shards(folder, split):
    """Whether a folder has shards of a split, complete or not."""
    return any(match is not None and match.group("split") == split for match in map(_NAME.match, os.listdir(folder)))


def splits_of(folder):
    """Names of the splits that have shards in a folder, sorted.

    Raises:
      DataError: the folder cannot be read or has none.
    """
    try:
        found = sorted({match.group("split") for match in map(_NAME.match, os.listdir(folder)) if match})
    except OSError as error:
        raise DataError("cannot read the folder of features %s: %s. --mode=features writes one" % (folder, error.strerror))
    if not found:
        raise DataError("%s has no features; expected files such as train_0_1.npy, which --mode=features writes" % folder)
    return found


def _paths(folder, split):
    splits = splits_of(folder)
    if split not in splits:
        raise DataError("%s has no features of the split %r; there are %s" % (folder, split, ", ".join(splits)))
    ranks = collections.defaultdict(list)
    for match in map(_NAME.match, os.listdir(folder)):
        if match and match.group("split") == split:
            ranks[int(match.group("nshard"))].append(int(match.group("rank")))
    if len(ranks) > 1:
        raise DataError("%s has features of %s divided into %s shards; delete those of one division" % (
            folder, split, " and ".join(str(count) for count in sorted(ranks))))
    (nshard, found), = ranks.items()
    missing = sorted(set(range(nshard)) - set(found))
    if missing:
        raise DataError("%s has only %d of %d shards of %s; missing: %s. Run --mode=features --nshard=%d again, which computes "
                        "the missing ones" % (folder, len(found), nshard, split, ", ".join(map(str, missing[:8])), nshard))
    return [shard_path(folder, split, rank, nshard) for rank in range(nshard)]


def _lengths(path):
    name = _beside(path, ".len")
    lengths = []
    for number, line in enumerate(lines_of(read_text_file(name, "list of lengths", "fairseq's features have one next to each "
                                                                                  ".npy file")), 1):
        if not line.strip().isdigit():
            raise DataError("%s:%d: found %r; expected the number of frames of an utterance" % (name, number, line[:40]))
        lengths.append(int(line))
    return np.array(lengths, int)


def make_folder(folder, flag):
    """Makes a folder, if it does not exist, for what the flag's command writes.

    Raises:
      StorageError: it cannot be made.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot make the folder %s: %s. Choose another one with %s" % (folder, error.strerror, flag))
