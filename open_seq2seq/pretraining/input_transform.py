"""``--mode=input_transform``: estimates the fixed first layer ``encoder_params["input_transform"]`` from labels of frames.

The classes of the frames are clusters (``train.km`` of ``--mode=labels``) or the characters or words of an alignment
(``--mode=align --format=csv``). The features are those of the config, without augmentation.
"""
import collections
import concurrent.futures
import os
import time

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.cores import usable_cores
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.data.speech2text.feature_graph import make_feature_function
from open_seq2seq.data.speech2text.frame_targets import aligned_targets
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.data.speech2text.selection import LIMITS
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
from open_seq2seq.data.speech2text.stored_features import input_width
from open_seq2seq.data.speech2text.utterance_labels import UtteranceLabels, label_path
from open_seq2seq.data.speech2text.utterance_set import UtteranceSet
from open_seq2seq.encoders.input_transform import Transform, features_of, write_transform
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.files import require_writable
from open_seq2seq.log_lines import log_line
from open_seq2seq.pretraining.feature_transform import TransformStatistics, estimate_transform, splice
from open_seq2seq.pretraining.label_quality import SILENCE, frame_references, read_segments
from open_seq2seq.pretraining.labels import single_threaded_products
from open_seq2seq.progress import ProgressBar

FILE = "input_transform.npz"
_LARGEST = 8192   # values of a spliced frame: matrices of that size are decomposed
_WITHOUT_CHANGES = dict(dict.fromkeys(LIMITS), augmentation=None, cache_features=False, join_shorter_than=0)


class _Clusters:
    """The classes of frames that files of labels give."""

    def __init__(self, manifests, arguments):
        self._labels = UtteranceLabels(manifests, arguments.label_name, arguments.labels, arguments.label_rate)
        self.count, self.source = len(self._labels.dictionary), ", ".join(self._labels.paths)

    def check(self, utterances):
        self._labels.check(utterances)

    def of(self, utterance, frames, frame_rate):
        """int [at most frames]; None without labels."""
        labels = self._labels.labels_of(utterance)
        return aligned_targets(labels, round(self._labels.label_rate / frame_rate, 9), frames) if len(labels) else None


class _AlignedTexts:
    """The classes of frames of an alignment: each character or word is one, and silence."""

    def __init__(self, path):
        self._segments, self.source = read_segments(path), path
        names = {text for segments in self._segments.values() for _, _, text in segments} | {SILENCE}
        self._numbers = {name: number for number, name in enumerate(sorted(names))}
        self.count = len(self._numbers)

    def check(self, utterances):
        if not any(utterance.wav_filename in self._segments for utterance in utterances):
            raise DataError("%s has no times of the %d utterances of the manifests, e.g. %s; expected an alignment of these "
                            "manifests" % (self.source, len(utterances), utterances[0].wav_filename))

    def of(self, utterance, frames, frame_rate):
        segments = self._segments.get(utterance.wav_filename)
        if segments is None:
            return None
        return np.array([self._numbers[name] for name in frame_references(segments, frames, frame_rate)], np.int64)


def classes_of(manifests, arguments):
    """The classes of the frames of manifests, see the module.

    Raises:
      UsageError: there are neither labels nor an alignment.
      DataError: they are malformed or do not belong to the manifests.
    """
    if arguments.alignment is not None:
        return _AlignedTexts(arguments.alignment)
    path = label_path(manifests[0], arguments.label_name, arguments.labels)
    if not os.path.exists(path):
        raise UsageError("--mode=input_transform needs the class of each frame, and %s does not exist. Give the folder of "
                         "cluster labels with --labels=FOLDER (--mode=labels writes them), or the times of characters with "
                         "--alignment=characters.csv (--mode=align --format=csv writes it)" % path)
    return _Clusters(manifests, arguments)


def estimate_input_transform(params, manifests, arguments):
    """Estimates the transform and writes its file.

    Args:
      params: the checked config of a mode.
      manifests: list of CSV or TSV files.
      arguments: ``context`` is (left, right) in frames, ``transform_dim`` the size of the output, None for that of the spliced
        frames; ``within_class_factor``, ``max_singular_value``: see :func:`estimate_transform`; ``output`` is the file, None for
        input_transform.npz next to the first manifest; for the labels see :func:`classes_of`.

    Returns:
      Path of the file.

    Raises:
      DataError: a manifest, the audio or the labels cannot be used, or are too few.
      UsageError: flags contradict each other.
      StorageError: the file cannot be written.
    """
    began = time.monotonic()
    path = arguments.output or os.path.join(os.path.dirname(manifests[0]), FILE)
    left, right = arguments.context
    num_features = input_width(params["data_layer_params"])
    size = (left + 1 + right) * num_features
    if size > _LARGEST:
        raise UsageError("--context=%d,%d gives frames of %d values, expected at most %d" % (left, right, size, _LARGEST))
    if arguments.transform_dim is not None and arguments.transform_dim > size:
        raise UsageError("--transform_dim is %d, expected at most %d: %d spliced frames of %d features" % (
            arguments.transform_dim, size, left + 1 + right, num_features))
    require_writable(path)
    classes = classes_of(manifests, arguments)
    layer = _data_layer(params, manifests)
    classes.check(layer.utterances)
    statistics, found = _Statistics(params, layer, classes, left, right).collect()
    _require_enough(statistics, classes, found, size)
    try:
        estimate = estimate_transform(statistics, arguments.transform_dim, arguments.within_class_factor,
                                      arguments.max_singular_value)
    except ValueError as error:
        raise DataError("the features of %s cannot be transformed: %s" % (", ".join(manifests), error))
    occurring = int(np.count_nonzero(statistics.counts))
    write_transform(path, Transform(estimate.transform, left, right, features_of(params["data_layer_params"]), {
        "labels": classes.source, "manifests": list(manifests), "frames": int(statistics.count), "classes": occurring,
        "within_class_factor": arguments.within_class_factor, "max_singular_value": arguments.max_singular_value}))
    _report(path, estimate, statistics, occurring, found, arguments.max_singular_value, time.monotonic() - began)
    return path


def _data_layer(params, manifests):
    data = dict(params["data_layer_params"], dataset_files=list(manifests), **_WITHOUT_CHANGES)
    batch_size = params["eval_batch_size_per_gpu"] or params["batch_size_per_gpu"]
    rows = [row for manifest in manifests for row in read_manifest(manifest, transcripts=False)]
    found = UtteranceSet.from_rows(rows, data, "infer", None, make_feature_function(data).num_frames, name="input transform")
    return Speech2TextDataLayer(data, "infer", batch_size, seed=params["random_seed"], utterance_set=found)


class _Statistics:
    """Reads the features of all utterances and sums up their statistics on all cores."""

    _Found = collections.namedtuple("_Found", "utterances unlabelled_utterances unlabelled_frames")

    def __init__(self, params, layer, classes, left, right):
        self._layer, self._classes, self._left, self._right = layer, classes, left, right
        self._frame_rate = 1.0 / params["data_layer_params"]["window_stride"]

    def collect(self):
        """(TransformStatistics, _Found)."""
        layer, total, found = self._layer, None, np.zeros([3], int)
        with tf.Graph().as_default(), tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
            iterator = tf.data.make_initializable_iterator(layer.evaluation_dataset())
            batch = Batch(*iterator.get_next())
            fetches = (batch.features, batch.feature_lengths, batch.utterance_indices)
            session.run(iterator.initializer)
            # the products use all cores together with the pipeline of the features
            with single_threaded_products(), concurrent.futures.ThreadPoolExecutor(usable_cores()) as pool, ProgressBar(
                    layer.batches_per_epoch, description="statistics of features") as bar:
                waiting, done = collections.deque(), 0
                while True:
                    try:
                        waiting.append(pool.submit(self._of_batch, *session.run(fetches)))
                    except tf.errors.OutOfRangeError:
                        break
                    while len(waiting) > 2 * usable_cores():
                        total, found = self._added(total, found, waiting.popleft().result())
                        done += 1
                        bar.update(done)
                while waiting:
                    total, found = self._added(total, found, waiting.popleft().result())
        layer.raise_if_too_many_rejected()
        return total, self._Found(*found.tolist())

    @staticmethod
    def _added(total, found, of_batch):
        statistics, counts = of_batch
        if total is None:
            total = statistics
        else:
            total.add(statistics)
        return total, found + counts

    def _of_batch(self, features, lengths, indices):
        """(TransformStatistics, the numbers of :class:`_Found`) of a batch."""
        size = (self._left + 1 + self._right) * features.shape[2]
        statistics, found = TransformStatistics(self._classes.count, size), np.zeros([3], int)
        frames, labels = [], []
        for row, length, index in zip(features, lengths, indices):
            own = self._classes.of(self._layer.utterances[index], int(length), self._frame_rate)
            found += [1, own is None, length - (0 if own is None else len(own))]
            if own is not None:
                frames.append(splice(row[:length], self._left, self._right)[:len(own)])
                labels.append(own)
        if frames:
            statistics.accumulate(np.concatenate(frames), np.concatenate(labels).astype(np.int64))
        return statistics, found


def _require_enough(statistics, classes, found, size):
    """DataError if no transform can be estimated."""
    frames, occurring = (0, 0) if statistics is None else (int(statistics.count), int(np.count_nonzero(statistics.counts)))
    if frames <= size:
        raise DataError("only %d frames have a label, and the spliced frames have %d values; expected more frames than values. "
                        "Use more utterances, or a smaller --context" % (frames, size))
    if occurring < 2:
        raise DataError("all %d frames have the same label in %s; expected at least two classes" % (frames, classes.source))
    if not np.isfinite(statistics.second_moment).all():
        raise DataError("features are NaN or infinite in some of the %d utterances; run --mode=validate_data" % found.utterances)


def _report(path, estimate, statistics, occurring, found, limit, seconds):
    if estimate.singular:
        log_line("Note: some directions of the features do not vary within the classes, e.g. because a feature is a copy of "
                 "another; the within-class covariance was smoothed")
    if found.unlabelled_frames:
        log_line("Note: %d frames have no label and were not used (%d of %d utterances have no labels)" % (
            found.unlabelled_frames, found.unlabelled_utterances, found.utterances))
    ratios = estimate.between_singular_values
    log_line("Ratios of the variances between and within %d classes: %s%s; sum %.6g" % (
        occurring, " ".join("%.4g" % ratio for ratio in ratios[:8]), " ..." if len(ratios) > 8 else "", ratios.sum()))
    limited = int((estimate.singular_values > limit).sum())
    if limited:
        log_line("%d of %d singular values of the transform were limited to %g, the largest was %.4g" % (
            limited, len(estimate.singular_values), limit, estimate.singular_values.max()))
    log_line('Wrote %s: %d values from %d, estimated from %d frames of %d utterances (%.1f s). Use it with '
             "--encoder_params/input_transform=%s" % (
                 path, len(estimate.transform), estimate.transform.shape[1] - 1, int(statistics.count), found.utterances, seconds,
                 path))
