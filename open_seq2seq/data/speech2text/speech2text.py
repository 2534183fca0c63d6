"""The data layer: from the params of a config to batches of features and labels."""
import copy
import sys
import threading

import numpy as np

from open_seq2seq.config.parameters import child_path
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.data.speech2text.augmentation import Augmentation
from open_seq2seq.data.speech2text.batch_order import TrainingOrder, evaluation_batches
from open_seq2seq.data.speech2text.bucket_order import BucketedOrder, bucketed_evaluation_batches
from open_seq2seq.data.speech2text.buckets import make_buckets
from open_seq2seq.data.speech2text.dataset import FeaturePipeline, Request, parallel_calls
from open_seq2seq.data.speech2text.feature_graph import make_feature_function
from open_seq2seq.data.speech2text.features import check_rules as check_feature_rules
from open_seq2seq.data.speech2text.joining import joined_rows, single_rows
from open_seq2seq.data.speech2text.layer_parameters import PARAMETERS
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.data.speech2text.rejection import WRONG_HEADER, RejectedData, Rejections
from open_seq2seq.data.speech2text.selection import frames_to_align, select_utterances
from open_seq2seq.log_lines import log_line
from open_seq2seq.text.vocabulary import Vocabulary

MODES = ("train", "eval", "infer")


class Speech2TextDataLayer:
    """Utterances of a set of manifests as batches of features and labels.

    Args:
      params: checked dict of ``PARAMETERS``.
      mode: "train", "eval" or "infer".
      batch_size: utterances in a batch of one worker.
      seed: decides the order and the augmentation of training, and the dither of evaluation.
      num_workers, worker_id: how many processes share the data, and which one this is.
      rejected_file: path of the CSV that lists the rows left out; written only when there are any. None: not written.
      output_frames: function int feature frames -> int encoder output frames, to refuse in training what CTC cannot
        align. None: not checked.
      static_shapes: StaticShapes: every batch is of one of a few static shapes. None: every batch is as long as it must be.
      same_frames_on_all_workers: every worker pads a batch of training to the longest utterance of all workers' (as long as
        speed perturbation could make it), so that what counts the padding, too, is the same as in one process. Static shapes
        are the same on all workers anyway.

    Attributes:
      vocabulary: Vocabulary.
      utterances: the accepted rows, list of Utterance.
      buckets: list of Bucket in order of length, the static shapes; None without ``static_shapes``.
      manifests: list of the manifests' paths.
      rejections: Rejections, all rows left out.
      run_time_rejections: list of the Utterances whose files turned bad after the start; they are among the rejections.

    Raises:
      DataError: a vocabulary or manifest cannot be read, too many rows are faulty, or none is left.
      ConfigError: parameters that contradict each other.
      StorageError: ``rejected_file`` cannot be written.
    """

    PARAMETERS = PARAMETERS

    def __init__(self, params, mode, batch_size, seed=0, num_workers=1, worker_id=0, rejected_file=None, output_frames=None,
                 static_shapes=None, same_frames_on_all_workers=False):
        if mode not in MODES:
            raise ValueError("mode is %r, expected one of %s" % (mode, ", ".join(MODES)))
        self._params, self.mode, self.batch_size, self._seed = params, mode, batch_size, seed
        self.num_workers, self.worker_id = num_workers, worker_id
        self.vocabulary = Vocabulary.from_file(params["vocab_file"])
        self._features = make_feature_function(params)
        self._augmentation = None
        if mode == "train" and params["augmentation"] is not None:
            self._augmentation = Augmentation(params["augmentation"], params["sample_freq"])
        self._same_length_batches, self._batches = params["same_length_batches"], None
        self._lock, self.run_time_rejections = threading.Lock(), []
        files = params["dataset_files"]
        self.manifests = files = [files] if isinstance(files, str) else files
        rows = [row for path in files for row in read_manifest(path, transcripts=mode != "infer")]
        # the workers find the same rows; the first one speaks for all
        self.rejections = Rejections(len(rows), params["max_rejected_fraction"], rejected_file if worker_id == 0 else None,
                                     manifests=files)
        self.utterances = select_utterances(rows, params, mode, self.vocabulary, self._features.num_frames, output_frames,
                                            self.rejections, show_progress=worker_id == 0)
        self.rejections.write()
        self.raise_if_too_many_rejected()
        self.rejections.raise_if_nothing_left(len(self.utterances))
        if worker_id == 0 and self.rejections.items:
            log_line("%s data: %s" % (mode, self.rejections.summary()))
        self._same_frames = same_frames_on_all_workers and mode == "train"
        self._static_shapes = static_shapes
        self._arrange(output_frames)

    def subset(self, count, seed):
        """A data layer of mode "eval" on some of this one's utterances, which it shares among the same workers.

        Args:
          count: how many utterances; all, if there are no more.
          seed: int, decides which ones. The same on all workers.

        Returns:
          A data layer. Files of it that turn bad stop nothing.
        """
        chosen = np.sort(np.random.RandomState(seed).permutation(len(self.utterances))[:count])
        layer = copy.copy(self)
        layer.mode, layer._augmentation, layer._same_frames, layer._batches = "eval", None, False, None
        layer.utterances = [self.utterances[old]._replace(index=new) for new, old in enumerate(chosen)]
        layer.rejections = Rejections(len(chosen), 1.0, manifests=self.manifests)
        layer._lock, layer.run_time_rejections = threading.Lock(), []
        layer._arrange(None)
        return layer

    def _arrange(self, output_frames):
        """Puts the utterances into rows, and the rows into static shapes where the device wants them."""
        params, static_shapes, mode = self._params, self._static_shapes, self.mode
        self.buckets = self._bucket_of_row = self._schedule = None
        self._rows = single_rows(self.utterances)
        if static_shapes is not None and mode == "train" and params["join_shorter_than"]:
            self._rows = self._joined_rows(output_frames)
        self._most_frames = np.array([self._most_frames_of(row.num_samples) for row in self._rows])
        limits = [None] * len(self._rows)
        if static_shapes is not None:
            self._make_buckets(static_shapes)
            limits = [self.buckets[bucket].frames for bucket in self._bucket_of_row]
        elif self._same_frames:
            limits = self._padded(self._most_frames)
        self._row_of_first = {row.indices[0]: (row, limit) for row, limit in zip(self._rows, limits)}

    def _joined_rows(self, output_frames):
        def is_alignable(labels, num_samples):
            return output_frames is None or output_frames(self._features.num_frames(num_samples)) >= frames_to_align(labels)

        return joined_rows(self.utterances, self._params["join_shorter_than"] * self._params["sample_freq"], self._separator,
                           is_alignable)

    @property
    def _separator(self):
        """Labels between those of joined utterances."""
        return tuple(self.vocabulary.encode(" ")) if " " in self.vocabulary.characters else ()

    def _make_buckets(self, static_shapes):
        training = self.mode == "train"
        # in an evaluation the shapes, and with them the result of a model that sees its padding, are those of any batch size
        self.buckets, self._bucket_of_row = make_buckets(
            self._most_frames, [len(row.labels) for row in self._rows], static_shapes, self._params["pad_to"],
            self.batch_size * self.num_workers if training else 1, lambda row: self.utterances[self._rows[row].indices[0]].id)
        if training:
            self._schedule = self._bucketed_order()
        if self.worker_id == 0:
            joined = len(self.utterances) - sum(len(row.indices) == 1 for row in self._rows)
            log_line("%s data: %d static shapes (frames x labels): %s%s%s" % (
                self.mode, len(self.buckets), ", ".join("%d x %d" % bucket for bucket in self.buckets),
                "; %d utterances are joined to %d rows" % (joined, len(self._rows) - len(self.utterances) + joined)
                if joined else "", "; length_pool is without effect" if training and self._params["length_pool"] else ""))

    @staticmethod
    def check_rules(params, path, report):
        """Reports what checked params are wrong in together; ``path`` names them."""
        check_feature_rules(params, path, report)
        if params["augmentation"] is not None:
            Augmentation.check_rules(params["augmentation"], child_path(path, "augmentation"), report,
                                     params["num_audio_features"])

    @property
    def num_audio_features(self):
        return self._params["num_audio_features"]

    @property
    def total_duration(self):
        """Seconds of accepted audio, all workers'."""
        return sum(utterance.duration for utterance in self.utterances)

    @property
    def batches_per_epoch(self):
        """Batches of this worker: in training those that an epoch fills (at least 1), else those of an evaluation.

        In training with static shapes every bucket's last batch is filled up, so it is the batches that hold an epoch.
        """
        if self.mode != "train":
            return len(self._evaluation_batches()) if self.buckets is None else sum(map(len, self._evaluation_batches()))
        if self.buckets is not None:
            return self._schedule.batches_per_epoch
        return max(1, len(self.utterances) // self.batch_size // self.num_workers)

    def raise_if_too_many_rejected(self, elsewhere=0):
        """Raises DataError when more rows than ``max_rejected_fraction`` allows have turned out faulty.

        A training pipeline that comes to this point fails with a ``tf.errors.OpError``; who runs the session then calls
        this for the error that says why. An evaluation comes to its end and calls this to know whether it counts.

        Args:
          elsewhere: how many files have turned bad that only other workers have seen.
        """
        self.rejections.raise_if_too_many(elsewhere)

    def utterances_of_row(self, index):
        """List of the Utterances in the row of a batch whose ``utterance_indices`` say ``index``, the first of those joined."""
        return [self.utterances[place] for place in self._row_of_first[index][0].indices]

    def bucket_of_batch(self, number):
        """With static shapes: the number of the bucket that batch ``number`` of training comes from, on all workers."""
        return self._schedule.bucket_of_batch(number)

    def training_dataset(self, first_batch=0, bucket=None):
        """An endless ``tf.data.Dataset`` of Batch with static B.

        Args:
          first_batch: number of the first batch; those before are skipped, not computed. What comes then is the same
            as after reading them (unless files turn bad on the way).
          bucket: with static shapes, the number of the bucket whose batches are wanted; all others are left out, and all
            dimensions are static.
        """
        self._check_bucket(bucket)
        if bucket is not None:
            order, first_utterances = self._bucketed_order(), np.array([row.indices[0] for row in self._rows])

            def request_of(count):
                batch = order.batch(order.number_of_batch(bucket, count))
                return Request(first_utterances[batch.indices], batch.positions, batch.weights,
                               np.zeros([self.batch_size], np.int32))

            return self._pipeline().static_dataset(request_of, (order.batches_before(bucket, first_batch), None),
                                                   self.batch_size, self.buckets[bucket])
        order = TrainingOrder([utterance.num_samples for utterance in self.utterances], self.batch_size,
                              self._params["shuffle"], self._seed, self.num_workers, self.worker_id,
                              self._params["length_pool"])

        def request_of(number):
            frames = self._most_frames[order.global_batch(number)].max() if self._same_frames else 1
            return Request(*order.batch(number), frames=np.full([self.batch_size], frames, np.int32))

        return self._pipeline().training_dataset(request_of, first_batch, self.batch_size, keep_rows=self._same_frames)

    def longest_dataset(self, count, bucket=None):
        """A ``tf.data.Dataset`` of ``count`` times the Batch of training that takes the most memory.

        It holds the longest utterances, among them the one with the most labels, and is as long as speed perturbation could make
        it.

        Args:
          count: int.
          bucket: as of :meth:`training_dataset`.
        """
        self._check_bucket(bucket)
        rows = np.arange(len(self._rows)) if bucket is None else np.flatnonzero(self._bucket_of_row == bucket)
        by_length = rows[np.argsort(-self._most_frames[rows], kind="stable")]
        own = np.resize(by_length, self.batch_size * self.num_workers)[self.worker_id::self.num_workers].copy()
        own[-1] = rows[np.argmax([len(self._rows[row].labels) for row in rows])]
        indices = np.array([self._rows[row].indices[0] for row in own])
        frames = np.full([self.batch_size], 0 if bucket is not None else self._padded(self._most_frames.max()), np.int32)
        request = Request(indices, np.arange(self.batch_size), np.ones([self.batch_size], np.float32), frames)
        if bucket is not None:
            return self._pipeline().static_dataset(lambda number: request, (0, count), self.batch_size, self.buckets[bucket])
        return self._pipeline().training_dataset(lambda number: request, 0, self.batch_size, keep_rows=True, end=count)

    def longest_shape(self, bucket=None):
        """(frames, labels) to which :meth:`longest_dataset` is padded."""
        if bucket is not None:
            return self.buckets[bucket]
        return int(self._padded(self._most_frames.max())), max(len(row.labels) for row in self._rows)

    def evaluation_dataset(self, same_length_batches=None, bucket=None):
        """A finite ``tf.data.Dataset`` of Batch: every utterance of this worker's share once, the longest first.

        Args:
          same_length_batches: whether a batch holds only utterances of equal padded length, which makes the result of a
            model without masks independent of the batch size; None: as the parameter says. ``batches_per_epoch`` follows.
            With static shapes it is so anyway.
          bucket: with static shapes, the number of the bucket whose utterances are wanted. All dimensions are static then;
            rows that fill up the last batch have index -1, length, labels and weight 0.
        """
        self._check_bucket(bucket)
        if bucket is not None:
            batches = self._evaluation_batches()[bucket]

            def request_of(number):
                indices = batches[number]
                return Request(indices, np.maximum(indices, 0), (indices >= 0).astype(np.float32),
                               np.zeros([self.batch_size], np.int32))

            return self._pipeline().static_dataset(request_of, (0, len(batches)), self.batch_size, self.buckets[bucket])
        if same_length_batches is not None and same_length_batches != self._same_length_batches:
            self._same_length_batches, self._batches = same_length_batches, None
        return self._pipeline().evaluation_dataset(self._evaluation_batches(), self.batch_size)

    def _check_bucket(self, bucket):
        if (bucket is None) != (self.buckets is None) or bucket is not None and not 0 <= bucket < len(self.buckets):
            raise ValueError("bucket is %r, expected %s" % (bucket, "None, as there are no static shapes" if self.buckets is None
                                                            else "0 to %d" % (len(self.buckets) - 1)))

    def _bucketed_order(self):
        return BucketedOrder(self._bucket_of_row, self.batch_size, self._params["shuffle"], self._seed,
                             self.num_workers, self.worker_id, [len(row.indices) for row in self._rows])

    def _evaluation_batches(self):
        """List of arrays of indices; with static shapes, for each bucket an array [batches, batch_size]."""
        if self._batches is None:
            if self.buckets is not None:
                self._batches = bucketed_evaluation_batches(self._most_frames, self._bucket_of_row, len(self.buckets),
                                                            self.batch_size, self.num_workers, self.worker_id)
            else:
                self._batches = evaluation_batches(self._most_frames, self.batch_size, self._same_length_batches,
                                                   self._params["pad_to"], self.num_workers, self.worker_id)
        return self._batches

    def _most_frames_of(self, num_samples):
        """The most frames that a waveform of ``num_samples`` can have, whatever is drawn for it."""
        if self._augmentation is not None:
            num_samples = self._augmentation.most_samples(num_samples)
        return self._features.num_frames(num_samples)

    def _padded(self, frames):
        pad_to = max(self._params["pad_to"], 1)
        return -(-frames // pad_to) * pad_to

    def _pipeline(self):
        return FeaturePipeline(self._load, self._features_of, self.num_audio_features, self._params["pad_to"], self._seed,
                               parallel_calls(self.num_workers))

    def _features_of(self, waveform, seed):
        if self._augmentation is None:
            return self._features(waveform, seed)
        features = self._features(self._augmentation.waveform(waveform, seed), seed)
        return self._augmentation.features(features, seed)

    def _load(self, index):
        """(float32 [samples], int32 [labels]) of the row that begins with an utterance; without those utterances whose files
        have turned bad, and so perhaps without samples. Thread-safe."""
        row, most_frames = self._row_of_first[index]
        waveforms, separator = [], self._separator if len(row.indices) > 1 else ()
        labels, num_samples = (), row.num_samples
        for utterance in [self.utterances[index] for index in row.indices]:
            try:
                waveform = read_audio(utterance.audio_path, self._params["sample_freq"])
                longer = len(waveform) - utterance.num_samples
                if most_frames is not None and self._most_frames_of(num_samples + longer) > most_frames:
                    raise RejectedData(WRONG_HEADER, "%d samples at the start of the run, %d now"
                                       % (utterance.num_samples, len(waveform)))
            except RejectedData as rejected:
                self._reject_at_run_time(utterance, rejected)
                continue
            labels += (separator if waveforms else ()) + utterance.labels
            waveforms.append(waveform)
            num_samples += longer
        if not waveforms:
            return np.zeros([0], np.float32), np.zeros([0], np.int32)
        return np.concatenate(waveforms) if len(waveforms) > 1 else waveforms[0], np.asarray(labels, np.int32)

    def _reject_at_run_time(self, utterance, rejected):
        with self._lock:
            if utterance not in self.run_time_rejections:
                self.run_time_rejections.append(utterance)
                self.rejections.add(utterance, rejected.reason, str(rejected))
                sys.stderr.write("left out utterance %s: %s: %s\n" % (utterance.id, rejected.reason.name, rejected))
                self.rejections.write()
            if self.mode == "train":
                # an endless stream must end here, or it would look for a good utterance for ever
                self.raise_if_too_many_rejected()
                self.rejections.raise_if_nothing_left(len(self.utterances) - len(self.run_time_rejections))
