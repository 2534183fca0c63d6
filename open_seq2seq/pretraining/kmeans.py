"""``--mode=kmeans``: clusters of the features of the training data, by scikit-learn's MiniBatchKMeans as in fairseq's recipe."""
import contextlib
import os
import re
import sys
import time

import numpy as np

from open_seq2seq.data.fairseq_files.feature_shards import FeatureShards
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.files import require_writable
from open_seq2seq.log_lines import log_line
from open_seq2seq.pretraining.clusters import Clusters
from open_seq2seq.progress import ProgressBar

FILE = "clusters.npz"
HELD_OUT_FRAMES = 10 ** 5
# of learn_kmeans.py
SETTINGS = dict(init="k-means++", max_iter=100, batch_size=10000, tol=0.0, max_no_improvement=100, n_init=20,
                reassignment_ratio=0.0, init_size=None, compute_labels=False)
_STEP = re.compile(r"(\d+)/(\d+)")


def learn_clusters(arguments):
    """Computes the clusters, prints their inertia and writes them.

    Args:
      arguments: ``features`` is the folder of shards, ``split`` the split to train on, None for train; ``clusters`` the number
        of clusters, ``percent`` the share of the utterances, -1 for all, ``seed``, and ``clusters_file``, None for clusters.npz
        in the folder.

    Returns:
      The :class:`~open_seq2seq.pretraining.clusters.Clusters`.

    Raises:
      DataError: features are missing, malformed or not finite, or there are fewer frames than clusters.
      UsageError: the file has clusters of another split.
      StorageError: the file cannot be written.
    """
    split = arguments.split or "train"
    path = arguments.clusters_file or os.path.join(arguments.features, FILE)
    shards = FeatureShards(arguments.features, split)
    require_writable(path)
    settings = {"clusters": arguments.clusters, "percent": arguments.percent, "seed": arguments.seed, "split": split}
    description = dict(settings, features=shards.identity, origin=shards.origin)
    done = _existing(path, description)
    if done is not None:
        log_line("%s exists and has these %d clusters; skipped" % (path, len(done)))
        return done
    random = np.random.RandomState(arguments.seed)
    values, held_out = _sample(shards, arguments.percent, random)
    if len(values) < arguments.clusters:
        raise DataError("--clusters is %d, and the features of %s have %d frames%s; expected at least one frame for each cluster"
                        % (arguments.clusters, split, len(values), "" if arguments.percent < 0 else " in the share --percent=%g"
                           % arguments.percent))
    log_line("Computing %d clusters of %d frames with %d values" % (arguments.clusters, len(values), values.shape[1]))
    began = time.monotonic()
    model = fit(values, arguments.clusters, random)
    clusters = Clusters(model.cluster_centers_, description)
    clusters.description["inertia"] = _mean(clusters.distances(block) for block in _blocks(values))
    log_line("Inertia per frame: %.3f on the %d frames of the training (%.0f s)" % (
        clusters.description["inertia"], len(values), time.monotonic() - began))
    used = np.zeros(len(clusters), bool)
    for block in _blocks(values):
        used[clusters.nearest(block)] = True
    if not used.all():
        log_line("Note: %d of %d clusters have no frame; the features may have fewer different values" % (
            (~used).sum(), len(clusters)))
    _report_held_out(clusters, held_out)
    clusters.save(path, model)
    log_line("Wrote %s, and %s.joblib for fairseq" % (path, path))
    return clusters


def _report_held_out(clusters, held_out):
    if not len(held_out):
        log_line("Held-out frames: none, because all utterances were used; --percent=0.9 would leave some")
        return
    clusters.description["held_out_inertia"] = _mean(clusters.distances(block) for block in _blocks(held_out))
    clusters.description["held_out_frames"] = len(held_out)
    log_line("Inertia per frame: %.3f on %d held-out frames" % (clusters.description["held_out_inertia"], len(held_out)))


def _existing(path, description):
    """The clusters of an existing file that was made with the same settings and features; None if there is no file.

    Raises:
      UsageError: the settings or features differ.
    """
    if not os.path.exists(path):
        return None
    clusters = Clusters.read(path)
    different = [name for name in description if clusters.description.get(name) != description[name]]
    if not different:
        return clusters
    if clusters.description.get("split") != description["split"]:
        raise UsageError("%s has the clusters of %s. One set of clusters serves all splits: apply them to %s with --mode=labels. "
                         "Labels of separately computed clusters have different meanings" % (
                             path, clusters.description.get("split", "other data"), description["split"]))
    raise UsageError("%s exists and has different clusters (%s). Delete it, or give another name with --clusters_file" % (
        path, ", ".join("%s %s, expected %s" % (name, str(clusters.description.get(name))[:20], str(description[name])[:20])
                        for name in different)))


def _sample(shards, percent, random):
    """(float32 [frames, D] to train on, float32 [frames, D] held out), drawn by utterances as fairseq does."""
    chosen, held_out, remaining = [], [], HELD_OUT_FRAMES
    for shard, lengths in enumerate(shards.lengths):
        ends = np.cumsum(lengths)
        if percent < 0:
            chosen.append(shards.block(shard, 0, int(lengths.sum())))
            continue
        places = random.choice(len(lengths), int(np.ceil(len(lengths) * percent)), replace=False)
        chosen.extend(shards.block(shard, ends[place] - lengths[place], ends[place]) for place in places)
        for place in sorted(set(range(len(lengths))) - set(places.tolist())):
            if remaining <= 0:
                break
            held_out.append(shards.block(shard, ends[place] - lengths[place], ends[place]))
            remaining -= lengths[place]
    empty = [np.zeros([0, shards.size], np.float32)]
    return np.concatenate(chosen or empty), np.concatenate(held_out or empty)


def fit(values, clusters, random):
    """Computes clusters; the steps that scikit-learn prints advance a progress bar.

    Args:
      values: float32 [frames, D].
      clusters: int.
      random: ``numpy.random.RandomState``.

    Returns:
      scikit-learn's MiniBatchKMeans.
    """
    # takes a second to import
    from sklearn.cluster import MiniBatchKMeans
    model = MiniBatchKMeans(clusters, verbose=1, random_state=random, **SETTINGS)
    with ProgressBar(None, description="k-means") as bar, contextlib.redirect_stdout(_Steps(bar)):
        model.fit(values)
    return model


class _Steps:
    """A stream that reads the number of the step from scikit-learn's lines."""

    def __init__(self, bar):
        self._bar, self._out = bar, sys.stdout

    def write(self, text):
        step = _STEP.search(text)
        if step is not None:
            self._bar.update(int(step.group(1)))

    def flush(self):
        pass


def _blocks(values, size=1 << 16):
    return (values[first:first + size] for first in range(0, len(values), size))


def _mean(blocks):
    blocks = list(blocks)
    return float(sum(block.sum() for block in blocks) / sum(len(block) for block in blocks))
