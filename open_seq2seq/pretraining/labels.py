"""``--mode=labels``: the cluster of each frame, as fairseq's ``train.km`` and ``dict.km.txt``."""
import concurrent.futures
import contextlib
import os
import time

import numpy as np

from open_seq2seq.cores import usable_cores
from open_seq2seq.data.fairseq_files.dictionary import LabelDictionary
from open_seq2seq.data.fairseq_files.feature_shards import FeatureShards, make_folder, splits_of
from open_seq2seq.data.fairseq_files.frame_labels import (
    LabelDescription,
    description_path,
    label_lines,
    read_description,
    write_description,
)
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.files import remove_interrupted_writes, replaced_file
from open_seq2seq.log_lines import log_line
from open_seq2seq.pretraining.clusters import Clusters
from open_seq2seq.pretraining.kmeans import FILE
from open_seq2seq.progress import ProgressBar

_BLOCK = 1 << 12  # frames of a matrix product, whose distances to 100 clusters fit into a core's cache


def write_labels(arguments):
    """Labels the frames of each split and writes the dictionary.

    Args:
      arguments: ``features`` is the folder of shards, ``split`` the splits separated by commas, None for all; ``clusters_file``,
        None for clusters.npz in the folder; ``labels`` the folder to write to, None for that of the features; ``label_name`` the
        extension of the files; ``label_rate``, None for the rate of the features.

    Returns:
      List of the paths of the labels.

    Raises:
      DataError: features or clusters are missing or malformed, or not of the same size.
      UsageError: the folder has labels of other clusters, or the rate is not known or contradicts the features.
      StorageError: a file cannot be written.
    """
    clusters = Clusters.read(arguments.clusters_file or os.path.join(arguments.features, FILE))
    splits = arguments.split.split(",") if arguments.split else splits_of(arguments.features)
    folder = arguments.labels or arguments.features
    work = []
    for split in splits:
        shards = FeatureShards(arguments.features, split)
        _require_size(clusters, shards)
        path = os.path.join(folder, "%s.%s" % (split, arguments.label_name))
        description = LabelDescription(_label_rate(shards, arguments.label_rate), clusters.digest, len(clusters), shards.origin,
                                       shards.identity)
        work.append((shards, path, description))
    make_folder(folder, "--labels")
    _refuse_other_clusters(folder, arguments.label_name, work)
    for shards, path, description in work:
        if os.path.exists(path) and read_description(path) == description:
            log_line("%s exists and has these labels; skipped" % path)
            continue
        began = time.monotonic()
        if os.path.exists(description_path(path)):
            os.remove(description_path(path))     # an interrupted run must not leave it next to other labels
        utterances, frames, used = _write(shards, path, clusters)
        write_description(path, description)
        log_line("Wrote %d labels of %d utterances to %s, %g per second; %d of %d clusters occur (%.1f s)" % (
            frames, utterances, path, description.label_rate, used, len(clusters), time.monotonic() - began))
    dictionary = os.path.join(folder, "dict.%s.txt" % arguments.label_name)
    LabelDictionary.of_clusters(len(clusters)).write(dictionary)
    log_line("Wrote %s with %d labels" % (dictionary, len(clusters)))
    return [path for _, path, _ in work]


def _require_size(clusters, shards):
    if clusters.size != shards.size:
        raise DataError("the clusters have %d values, the features of %s in %s have %d; expected clusters of the same features. "
                        "Learn them with --mode=kmeans --features=%s" % (clusters.size, shards.split, shards.folder, shards.size,
                                                                        shards.folder))
    origin = clusters.description.get("origin")
    if origin is not None and shards.origin is not None and origin != shards.origin:
        raise DataError("the clusters are of %s, the features of %s in %s are %s; expected clusters of the same features" % (
            origin, shards.split, shards.folder, shards.origin))


def _label_rate(shards, label_rate):
    if shards.description is None:
        if label_rate is None:
            raise UsageError("%s does not say how many frames per second it has; give --label_rate (100 for MFCC of 10 ms, 50 "
                             "for layers of HuBERT)" % shards.paths[0])
        return label_rate
    if label_rate is not None and abs(label_rate - shards.description.frame_rate) > 1e-6:
        raise UsageError("--label_rate is %g, and the features in %s have %g frames per second; omit the flag" % (
            label_rate, shards.folder, shards.description.frame_rate))
    return shards.description.frame_rate


def _refuse_other_clusters(folder, name, work):
    """UsageError if a file of labels that stays in the folder, e.g. of train when valid is written, has other clusters."""
    written, clusters = {path for _, path, _ in work}, work[0][2].clusters
    for file in sorted(os.listdir(folder)):
        path = os.path.join(folder, file)
        known = read_description(path) if file.endswith("." + name) else None
        if known is not None and known.clusters != clusters:
            raise UsageError("%s has labels of other clusters (%s..., now %s...). One set of clusters serves all splits: use the "
                             "clusters of that file, delete it, or write to another folder with --labels%s" % (
                                 path, known.clusters[:12], clusters[:12],
                                 "" if path not in written else " or under another name with --label_name"))


def _write(shards, path, clusters):
    """(utterances, frames, clusters that occur)."""
    used = np.zeros(len(clusters), bool)
    remove_interrupted_writes(path)
    with replaced_file(path, "wb") as file, ProgressBar(shards.frames, description="labels of %s" % shards.split) as bar:
        done = 0
        for shard, lengths in enumerate(shards.lengths):
            labels = labels_of_shard(shards, shard, clusters)
            used[labels] = True
            file.write(label_lines(labels, lengths))
            done += len(labels)
            bar.update(done)
    return sum(map(len, shards.lengths)), done, int(used.sum())


def single_threaded_products():
    """Context in which a matrix product uses one thread, because several threads compute products at the same time."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:     # it is installed with scikit-learn; without it the result is the same, but slower
        return contextlib.ExitStack()
    return threadpool_limits(1, "blas")


def labels_of_shard(shards, shard, clusters):
    """The nearest cluster of each frame of a shard, int32 [frames]: one matrix product for a block of frames, on all cores."""
    frames = int(shards.lengths[shard].sum())
    labels, features = np.empty(frames, np.int32), shards.features(shard)

    def label(first):
        block = features[first:first + _BLOCK]
        # the product of a NaN is NaN; a sum finds it faster than a test of each value
        if not np.isfinite(block.sum(dtype=np.float32)):
            block = shards.block(shard, first, min(first + _BLOCK, frames))
        labels[first:first + _BLOCK] = clusters.nearest(block)

    with single_threaded_products(), concurrent.futures.ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(label, range(0, frames, _BLOCK)):
            pass
    return labels
