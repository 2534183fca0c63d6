"""Labeled feature vectors, for the classification of frames, in TFRecord shards: how they are written and read.

A folder has ``frames-NNNNN-of-NNNNN.tfrecord``, whose records are ``tf.train.Example`` with the int64 ``label`` (an index) and
the float32 ``features``, and ``manifest.json`` with the names of the labels, their counts, and the size and SHA-256 of each
shard. The manifest is written last: a folder with it is complete. ``python -m open_seq2seq.data.importers frame_csv`` makes one.

    dataset = frame_dataset("frames/train", batch_size=256, shuffle_seed=0)
    features, labels = tf.data.make_one_shot_iterator(dataset).get_next()     # float32 [B, n], int64 [B]
"""
import collections
import json
import os

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.files import file_digest, parsed_json, replaced_file

FORMAT = 1
MANIFEST = "manifest.json"
LABEL, FEATURES = "label", "features"
_SHUFFLED_ROWS = 10000  # in memory; the order of the shards is random as well

FrameData = collections.namedtuple("FrameData", "path labels counts num_features shards")
FrameData.__doc__ = """A complete folder. labels: list of str, the name of each index. counts: list of int, examples of each
label. num_features: int, n. shards: list of :class:`Shard`."""

Shard = collections.namedtuple("Shard", "file rows bytes sha256")
Shard.__doc__ = """A file of a folder. file: its name. rows: examples. bytes: its size. sha256: hexadecimal."""


def shard_name(number, count):
    """Name of a shard; ``number`` is counted from 0."""
    return "frames-%05d-of-%05d.tfrecord" % (number, count)


def write_examples(path, labels, features):
    """Writes a shard atomically.

    Args:
      path: of the file.
      labels: int [rows]. features: float32 [rows, n].

    Returns:
      :class:`Shard`.

    Raises:
      StorageError: it cannot be written.
    """
    # an interrupted TFRecordWriter leaves a partial file
    try:
        with replaced_file(path, "wb") as file, tf.io.TFRecordWriter(file.name) as writer:
            for label, values in zip(labels.tolist(), features):
                example = tf.train.Example(features=tf.train.Features(feature={
                    LABEL: tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                    FEATURES: tf.train.Feature(float_list=tf.train.FloatList(value=values))}))
                writer.write(example.SerializeToString(deterministic=True))
    except tf.errors.OpError as error:
        raise StorageError("cannot write %s: %s. Free some space, or choose another --output" % (path, error.message))
    return Shard(os.path.basename(path), len(labels), os.path.getsize(path), file_digest(path))


def write_manifest(data, source):
    """Writes the manifest of a folder whose shards exist.

    Args:
      data: :class:`FrameData`.
      source: dict for JSON, what the folder was made from.
    """
    with replaced_file(os.path.join(data.path, MANIFEST)) as file:
        json.dump({"format": FORMAT, "labels": data.labels, "counts": data.counts, "num_features": data.num_features,
                   "rows": sum(data.counts), "shards": [shard._asdict() for shard in data.shards], "source": source}, file,
                  indent=1, ensure_ascii=False)
        file.write("\n")


def open_frames(path, checksums=False):
    """Reads the manifest of a folder and checks its shards.

    Args:
      path: of the folder.
      checksums: whether the SHA-256 of every shard is compared, too, not only the size.

    Returns:
      :class:`FrameData`.

    Raises:
      DataError: the folder is incomplete or damaged.
    """
    name = os.path.join(path, MANIFEST)
    try:
        with open(name, encoding="utf-8") as file:
            values = parsed_json(file.read())
        if values["format"] != FORMAT:
            raise DataError("%s has version %r of the format, this program reads version %d. Import the CSV again" % (
                name, values["format"], FORMAT))
        data = FrameData(path, list(values["labels"]), list(values["counts"]), int(values["num_features"]),
                         [Shard(**shard) for shard in values["shards"]])
    except FileNotFoundError:
        raise DataError("%s is missing: the folder is not a complete import of labeled frames. Make it with python -m "
                        "open_seq2seq.data.importers frame_csv" % name)
    except OSError as error:
        raise DataError("cannot read %s: %s" % (name, error.strerror))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("%s is damaged (%s: %s). Import the CSV again" % (name, type(error).__name__, error))
    for shard in data.shards:
        file = os.path.join(path, shard.file)
        size = os.path.getsize(file) if os.path.isfile(file) else None
        if size != shard.bytes or checksums and file_digest(file) != shard.sha256:
            raise DataError("%s %s. Run the import again, which writes the shard again" % (
                file, "is missing" if size is None else "is damaged: it has %d bytes, expected %d" % (size, shard.bytes)
                if size != shard.bytes else "is damaged: its SHA-256 is not that of the manifest"))
    return data


def frame_dataset(path, batch_size, shuffle_seed=None, repeat=False):
    """A ``tf.data`` data set of batches of a folder, whose last batch may be smaller.

    Args:
      path: of the folder.
      batch_size: int.
      shuffle_seed: int; the order of the shards, and of the examples within a buffer, differs between repetitions. None:
        the order of the CSV.
      repeat: whether the data set is repeated without end.

    Returns:
      ``tf.data.Dataset`` of (features float32 [B, n], labels int64 [B]).

    Raises:
      DataError: the folder is incomplete or damaged.
    """
    data = open_frames(path)
    files = tf.data.Dataset.from_tensor_slices([os.path.join(path, shard.file) for shard in data.shards])
    if shuffle_seed is not None:
        files = files.shuffle(len(data.shards), shuffle_seed)
    examples = files.interleave(tf.data.TFRecordDataset, cycle_length=1 if shuffle_seed is None else min(8, len(data.shards)))
    if shuffle_seed is not None:
        examples = examples.shuffle(_SHUFFLED_ROWS, shuffle_seed)
    if repeat:
        examples = examples.repeat()
    specification = {LABEL: tf.io.FixedLenFeature([], tf.int64), FEATURES: tf.io.FixedLenFeature([data.num_features], tf.float32)}

    def parsed(batch):
        values = tf.io.parse_example(batch, specification)
        return values[FEATURES], values[LABEL]

    return examples.batch(batch_size).map(parsed, 2).prefetch(2)


def read_frames(path):
    """All examples of a folder, whose checksums are compared.

    Args:
      path: of the folder.

    Returns:
      (features float32 [rows, n], labels int64 [rows]), in the order of the CSV.

    Raises:
      DataError: the folder is incomplete or damaged.
    """
    data = open_frames(path, checksums=True)
    features, labels = np.empty([sum(data.counts), data.num_features], np.float32), np.empty([sum(data.counts)], np.int64)
    row = 0
    for shard in data.shards:
        for serialized in tf.io.tf_record_iterator(os.path.join(path, shard.file)):
            values = tf.train.Example.FromString(serialized).features.feature
            features[row], labels[row] = values[FEATURES].float_list.value, values[LABEL].int64_list.value[0]
            row += 1
    return features, labels
