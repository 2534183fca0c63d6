"""The data layer: from the params of a config to batches of features and labels."""
import numpy as np

from open_seq2seq.config.parameters import child_path
from open_seq2seq.data.effects.preparations import prepared
from open_seq2seq.data.rejection import WRONG_HEADER, RejectedData
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.data.speech2text.audio_profile import measure_profile
from open_seq2seq.data.speech2text.augmentation import Augmentation
from open_seq2seq.data.speech2text.data_sets import data_sets_of
from open_seq2seq.data.speech2text.dataset import ENDLESS, FeaturePipeline, parallel_calls
from open_seq2seq.data.speech2text.denoising import applied_augmentation
from open_seq2seq.data.speech2text.evaluation_batches import EvaluationBatches
from open_seq2seq.data.speech2text.feature_cache import FeatureCache, require_cacheable
from open_seq2seq.data.speech2text.feature_graph import make_feature_function
from open_seq2seq.data.speech2text.features import check_rules as check_feature_rules
from open_seq2seq.data.speech2text.frame_shift import FrameShifts
from open_seq2seq.data.speech2text.layer_parameters import PARAMETERS
from open_seq2seq.data.speech2text.layer_tasks import LayerTasks
from open_seq2seq.data.speech2text.packing import pack, single_rows
from open_seq2seq.data.speech2text.row_batches import CachedRows, ComputedRows, RowPipeline
from open_seq2seq.data.speech2text.row_layout import RowLayout
from open_seq2seq.data.speech2text.selection import frames_to_align
from open_seq2seq.data.speech2text.shard_building import FEATURES
from open_seq2seq.data.speech2text.stored_features import StoredFeatures
from open_seq2seq.data.speech2text.stored_features import check_rules as check_stored_rules
from open_seq2seq.data.speech2text.task_utterances import read_task_utterances
from open_seq2seq.data.speech2text.training_batches import TrainingBatches, batch_sizes, bucket_limits, described
from open_seq2seq.data.speech2text.training_batches import check_rules as check_batch_rules
from open_seq2seq.data.speech2text.utterance_set import UtteranceSet
from open_seq2seq.log_lines import log_line
from open_seq2seq.text.vocabulary import MODEL

MODES = ("train", "eval", "infer")


class Speech2TextDataLayer:
    """Utterances of a set of manifests as batches of features and labels.

    Args:
      params: checked dict of ``PARAMETERS``.
      mode: "train", "eval" or "infer".
      batch_size: utterances in a batch of one worker; with ``batch_frames`` the most in one of training.
      seed: decides the order and the augmentation of training, and the dither of evaluation.
      num_workers, worker_id: how many processes share the data, and which one this is.
      rejected_file: path of the CSV that lists the rejected rows; written only when there are any. None: not written.
      output_frames: function int feature frames -> int encoder output frames, to reject in training what CTC cannot
        align. None: not checked.
      static_shapes: StaticShapes: every batch has one of a few static shapes. None: every batch is padded to its longest
        utterance.
      same_frames_on_all_workers: in training, every worker pads a batch to the longest utterance of all workers' batches (as long
        as speed perturbation could make it). Statistics that include the padding are then the same as in one process. Static
        shapes are the same on all workers anyway.
      utterance_set: UtteranceSet to use. None: read from the manifests and the vocabulary that ``params`` name.
      preparation: a :class:`~open_seq2seq.data.effects.preparations.Preparation` that changes every waveform; None: none.
      cache: FeatureCache of the utterances. None: opened if ``params`` ask for one. A preparation uses none.
      tasks: list of TaskData; the batches then are TaskBatches. None: no tasks.

    Attributes:
      vocabulary: Vocabulary.
      utterances: the accepted rows, list of Utterance.
      buckets: list of Bucket in order of length, the static shapes; None without ``static_shapes``.
      manifests: list of the manifests' paths.
      rejections: Rejections, all rejected rows.
      run_time_rejections: list of the Utterances whose files became unusable after the start; they are among the rejections.
      cache: FeatureCache, or None.
      tasks: LayerTasks, or None without tasks.
      task_outputs, task_vocabularies: dicts from the names of the tasks to the sizes of their outputs, and to a Vocabulary,
        ClassNames (kind "label") or None (kind "features"); empty without tasks.

    Raises:
      DataError: a vocabulary or manifest cannot be read, too many rows are faulty, or none is left.
      ConfigError: parameters that contradict each other.
      StorageError: ``rejected_file`` cannot be written.
    """

    PARAMETERS = PARAMETERS

    def __init__(self, params, mode, batch_size, seed=0, num_workers=1, worker_id=0, rejected_file=None, output_frames=None,
                 static_shapes=None, same_frames_on_all_workers=False, utterance_set=None, preparation=None,
                 cache=None, tasks=None):
        if mode not in MODES:
            raise ValueError("mode is %r, expected one of %s" % (mode, ", ".join(MODES)))
        self._params, self.mode, self.batch_size, self._seed = params, mode, batch_size, seed
        self.num_workers, self.worker_id = num_workers, worker_id
        self._features, self._augmentation, self._preparation = make_feature_function(params), None, preparation
        if utterance_set is None and tasks:
            utterance_set = read_task_utterances(tasks, params, mode, self._features.num_frames, rejected_file, worker_id == 0)
        elif utterance_set is None:
            utterance_set = UtteranceSet.from_manifests(params, mode, self._features.num_frames, output_frames, rejected_file,
                                                        is_first_worker=worker_id == 0)
        self._set, self.cache = utterance_set, cache
        if params["cache_features"] and cache is None and preparation is None:
            packs = mode == "train" and static_shapes is not None and params["join_shorter_than"]
            require_cacheable(params, mode, packs)
            self.cache = FeatureCache(params, utterance_set.manifests, utterance_set.utterances, num_workers, worker_id)
        self._caches_features = self.cache is not None and self.cache.content.kind == FEATURES
        augmentation = applied_augmentation(params, mode, getattr(utterance_set, "tasks", None))
        if augmentation is not None:
            voices = len(utterance_set.utterances), lambda index: self._read(utterance_set.utterances[index])
            self._augmentation = Augmentation(augmentation, params["sample_freq"], seed, voices)
        self.vocabulary, self.utterances = utterance_set.vocabulary, utterance_set.utterances
        self.manifests, self.rejections = utterance_set.manifests, utterance_set.rejections
        self.run_time_rejections = utterance_set.run_time_rejections
        self._stored = StoredFeatures.of(params, mode, seed, utterance_set, self._features.num_frames, preparation)
        self._static_shapes, self._same_frames = static_shapes, same_frames_on_all_workers and mode == "train"
        sizes = batch_sizes(params, mode, batch_size, num_workers)
        data_sets = data_sets_of(utterance_set, params) if mode == "train" else None
        self._layout = self._make_layout(output_frames, sizes, data_sets is not None)
        self.tasks, self._clean, self.task_outputs, self.task_vocabularies = None, None, {}, {}
        if getattr(utterance_set, "tasks", None):
            self.tasks = LayerTasks(utterance_set, params, mode, seed, self._features, self._layout)
            self._clean, self.task_outputs, self.task_vocabularies = self.tasks.clean, self.tasks.outputs, self.tasks.vocabularies
        self.buckets = self._layout.buckets if self._layout.is_static else None
        self.training_batches = self._schedule = self._padding_share = self._shifts = None
        if mode == "train":
            self.training_batches = TrainingBatches(self._layout, params, sizes, seed, worker_id, self._same_frames, data_sets)
            self._schedule = self.training_batches.order()
            if params["frame_shifts"] > 1:
                self._shifts = FrameShifts(params["frame_shifts"], self.training_batches.order().epoch_of, self._layout.row_of,
                                           output_frames, getattr(utterance_set, "labels_of", None))
            # one rank reports it
            self._padding_share = self.training_batches.padding_share() if worker_id == 0 else None
        if worker_id == 0:
            for line in described(self._layout, params, mode, self.training_batches, self._padding_share):
                log_line("%s data: %s" % (mode, line))
        self._evaluation_batches = EvaluationBatches(self._layout, params, batch_size, num_workers, worker_id, preparation)

    def subset(self, count, seed):
        """A data layer of mode "eval" on some of this one's utterances, which it shares among the same workers.

        Args:
          count: how many utterances; all, if there are fewer.
          seed: int, decides which ones. The same on all workers.

        Returns:
          A data layer. Files that become unusable never end its evaluation.
        """
        chosen = self._set.subset(count, seed)
        return type(self)(self._params, "eval", self.batch_size, self._seed, self.num_workers, self.worker_id,
                          static_shapes=self._static_shapes, utterance_set=chosen,
                          cache=None if self.cache is None else self.cache.for_utterances(chosen.utterances))

    def prepared(self, preparation):
        """A data layer of mode "eval" on the same utterances whose audio is prepared in another way.

        Args:
          preparation: a :class:`~open_seq2seq.data.effects.preparations.Preparation`.

        Returns:
          A data layer, without static shapes. Files that become unusable never end its evaluation.
        """
        return type(self)(self._params, "eval", self.batch_size, self._seed, self.num_workers, self.worker_id,
                          utterance_set=self._set.subset(len(self.utterances), self._seed), preparation=preparation)

    def _make_layout(self, output_frames, sizes, has_data_sets):
        rows, training = single_rows(self.utterances), self.mode == "train"
        if self._static_shapes is not None and training and self._params["join_shorter_than"]:
            def is_alignable(labels, num_samples):
                return output_frames is None or output_frames(self._features.num_frames(num_samples)) >= frames_to_align(labels)

            rows = pack(self.utterances, self._params["join_shorter_than"] * self._params["sample_freq"], self._separator,
                        is_alignable)
        # in an evaluation the shapes, and with them the result of a model that sees its padding, are those of any batch size
        limits = bucket_limits(self._params, self.mode, self._static_shapes, has_data_sets)
        return RowLayout(rows, self._most_frames_of, self._params["pad_to"], limits, sizes.of_all if training else 1,
                         lambda row: " + ".join(self.utterances[index].id for index in row.indices),
                         self._static_shapes is not None, self._features.num_frames, getattr(self._set, "labels_of", None))

    @property
    def _separator(self):
        """Labels between those of packed utterances."""
        return tuple(self.vocabulary.encode(" ")) if " " in self.vocabulary.characters else ()

    @staticmethod
    def check_rules(params, path, report):
        """Reports contradictions between checked params; ``path`` names them."""
        check_feature_rules(params, path, report)
        if params["bpe"] and not params["vocab_file"].endswith(MODEL):
            report.problem(child_path(path, "bpe"), "is True, and vocab_file is %s, expected a SentencePiece model *.model; "
                           "scripts/make_vocab.py --subwords makes one" % params["vocab_file"])
        check_batch_rules(params, path, report)
        check_stored_rules(params, path, report)
        if params["augmentation"] is not None:
            Augmentation.check_rules(params["augmentation"], child_path(path, "augmentation"), report,
                                     params["num_audio_features"])

    @property
    def num_audio_features(self):
        """Values of a frame of the batches' features, stored ones included."""
        width = self._params["num_audio_features"]
        return width if self._stored is None else self._stored.width_with(width)

    @property
    def total_duration(self):
        """Seconds of accepted audio, all workers'."""
        return sum(utterance.duration for utterance in self.utterances)

    def audio_profile(self):
        """The AudioProfile of the accepted utterances, or None if none of those measured can be read."""
        return measure_profile(self.utterances, self._params["sample_freq"], self._params["max_missing_fraction"])

    @property
    def batches_per_epoch(self):
        """Batches of this worker: in training the full batches of an epoch (at least 1), else those of an evaluation.

        In training with length buckets the last batch of every bucket is completed with padding rows, so it is the number of
        batches that contain an epoch.
        """
        if self.mode != "train":
            return len(self._evaluation_batches)
        return self.training_batches.batches_per_epoch

    @property
    def utterances_per_batch(self):
        """The mean number of utterances in a training batch of this worker: ``batch_size``, or less with ``batch_frames``."""
        return self.training_batches.utterances_per_batch

    @property
    def padding_share(self):
        """The share of padding in all frames of a training epoch; see ``TrainingBatches.padding_share``. None on other ranks."""
        return self._padding_share

    def raise_if_too_many_rejected(self, elsewhere=0):
        """Raises DataError when more rows than ``max_rejected_fraction`` allows have turned out to be faulty.

        A training pipeline in which that happens fails with a ``tf.errors.OpError``; the caller that runs the session then calls
        this for the error with the reason. An evaluation reads to its end and calls this to decide whether its result is valid.

        Args:
          elsewhere: the number of files that only other workers have found unusable.
        """
        self.rejections.raise_if_too_many(elsewhere)

    def utterances_of_row(self, index):
        """The Utterances in one row of a batch.

        Args:
          index: the row's value in ``utterance_indices``: the index of its first utterance, or -1 for a padding row.

        Returns:
          List of Utterance, in the order in which they were packed; empty for a padding row.
        """
        return [self.utterances[place] for place in self._layout.row_of(index).indices] if index >= 0 else []

    def bucket_of_batch(self, number):
        """With static shapes: the number of the bucket from which batch ``number`` of training comes, on all workers."""
        return self._schedule.bucket_of_batch(number)

    def training_dataset(self, first_batch=0, bucket=None, end=None):
        """An endless ``tf.data.Dataset`` of Batch, with static B unless the batches have different sizes.

        Args:
          first_batch: number of the first batch; those before are skipped, not computed. The batches that follow are the same
            as after reading the skipped ones (unless files become unusable in between).
          end: number after the last batch; None: the dataset is endless. With it, both may be int64 scalars of the graph.
          bucket: with static shapes, the number of the bucket whose batches to read; all others are skipped, and all
            dimensions are static.
        """
        self._check_bucket(bucket)
        batches, pipeline = self.training_batches, self._pipeline()
        if bucket is not None:
            request_of, numbers = batches.requests_of_bucket(bucket, first_batch, end)
            return self._shifted(pipeline.static_dataset(request_of, numbers, batches.rows_of(bucket), self.buckets[bucket]))
        # rows that move up would leave their bucket
        keep_rows = self._same_frames or self._layout.buckets is not None
        return self._shifted(pipeline.training_dataset(batches.requests(), first_batch, batches.static_rows, keep_rows,
                                                       ENDLESS if end is None else end))

    def _shifted(self, dataset):
        return dataset if self._shifts is None else self._shifts.applied(dataset)

    def longest_dataset(self, count, bucket=None):
        """A ``tf.data.Dataset`` that repeats ``count`` times the training Batch that takes the most memory.

        The batch holds the longest utterances, among them the one with the most labels, and has as many frames as speed
        perturbation could produce.

        Args:
          count: int.
          bucket: see :meth:`training_dataset`.
        """
        self._check_bucket(bucket)
        request, rows = self.training_batches.longest_request(bucket), self.training_batches.rows_of(bucket)
        if bucket is not None:
            return self._pipeline().static_dataset(lambda number: request, (0, count), rows, self.buckets[bucket])
        return self._pipeline().training_dataset(lambda number: request, 0, self.training_batches.static_rows, keep_rows=True,
                                                 end=count)

    def longest_shape(self, bucket=None):
        """(rows, frames, labels) of the batches of :meth:`longest_dataset`, padding included."""
        return self.training_batches.longest_shape(bucket)

    def evaluation_dataset(self, same_length_batches=None, bucket=None):
        """A finite ``tf.data.Dataset`` of Batch: every utterance of this worker's share once, the longest first.

        Args:
          same_length_batches: whether a batch holds only utterances of equal padded length, which makes the result of a
            model without masks independent of the batch size; None: the parameter's value. ``batches_per_epoch`` follows.
            With static shapes this is always the case.
          bucket: with static shapes, the number of the bucket whose utterances to read. All dimensions are static then;
            the padding rows of the last batch have index -1, length, labels and weight 0.
        """
        self._check_bucket(bucket)
        if bucket is not None:
            request_of, count = self._evaluation_batches.requests_of_bucket(bucket)
            return self._pipeline().static_dataset(request_of, (0, count), self.batch_size, self.buckets[bucket])
        return self._pipeline().evaluation_dataset(self._evaluation_batches.batches(same_length_batches), self.batch_size)

    def _check_bucket(self, bucket):
        if (bucket is None) != (self.buckets is None) or bucket is not None and not 0 <= bucket < len(self.buckets):
            raise ValueError("bucket is %r, expected %s" % (bucket, "None, because there are no static shapes"
                                                            if self.buckets is None else "0 to %d" % (len(self.buckets) - 1)))

    def _most_frames_of(self, num_samples):
        """The most frames that a waveform of ``num_samples`` can have, whatever speed is drawn for it."""
        if self._augmentation is not None:
            num_samples = self._augmentation.most_samples(num_samples)
        if self._preparation is not None:
            num_samples = self._preparation.longest(num_samples, self._params["sample_freq"])
        return self._features.num_frames(num_samples)

    def _pipeline(self):
        pipeline = self._feature_pipeline()
        pipeline = pipeline if self.tasks is None else self.tasks.pipeline(pipeline)
        return pipeline if self._stored is None else self._stored.pipeline(pipeline)

    def _feature_pipeline(self):
        if self.cache is not None:
            self.cache.fill()
        pad_to, calls, width = self._params["pad_to"], parallel_calls(self.num_workers), self._params["num_audio_features"]
        rows = None
        if self._caches_features and self.cache.is_usable:
            rows = CachedRows(self.cache, self.utterances, pad_to, self._reject)
        elif self._caches_features:
            rows = ComputedRows(self._load, lambda values, seed: values.reshape(-1, width), width, pad_to, self._seed)
        elif hasattr(self._features, "of_waveform") and (
                self._augmentation is None or not self._augmentation.changes_waveforms):
            rows = ComputedRows(self._load, self._features.of_waveform, width, pad_to, self._seed)
        if rows is None:
            return FeaturePipeline(self._load, self._features_of, width * (1 if self._clean is None else 2), pad_to, self._seed,
                                   calls)
        masks = None if self._augmentation is None else self._augmentation.batch_features
        masks = masks if self._clean is None else self._clean.appended_to(masks)
        return RowPipeline(rows, masks, self._seed, calls)

    def _features_of(self, values, seed):
        """Features of what :meth:`_load` returns."""
        seed = seed if self._clean is None else self._clean.seed_of(seed, values)
        if self._augmentation is None:
            features = self._features(values, seed)
        else:
            features = self._features(self._augmentation.waveform(values, seed), seed)
        masked = features if self._augmentation is None else self._augmentation.features(features, seed)
        return masked if self._clean is None else self._clean.appended(masked, features, values, seed)

    def _read(self, utterance):
        if self.cache is not None and not self._caches_features:
            return self.cache.waveform(utterance.index)
        return read_audio(utterance.audio_path, self._params["sample_freq"], self._params["max_missing_fraction"])

    def _reject(self, index, rejected):
        self._set.reject_at_run_time(self.utterances[index], rejected, must_go_on=self.mode == "train")

    def _load(self, index):
        """(float32 [samples], int32 [labels]) of the row that begins with an utterance. Thread-safe.

        With a cache of features, the features replace the samples, frame by frame. Utterances whose files have become unusable
        are skipped; if all have, there are no samples.
        """
        row = self._layout.row_of(index)
        frame_limit = None if self.buckets is None and not self._same_frames else self._layout.frame_limit(index)
        waveforms, separator = [], self._separator if len(row.indices) > 1 else ()
        labels, num_samples = (), row.num_samples
        for utterance in [self.utterances[place] for place in row.indices]:
            try:
                if self._caches_features:
                    features, read_samples = self.cache.array_of(utterance.index)
                    waveform = features.astype(np.float32).reshape(-1)
                else:
                    waveform = self._read(utterance)
                    read_samples = len(waveform)
                longer = read_samples - utterance.num_samples
                if frame_limit is not None and self._most_frames_of(num_samples + longer) > frame_limit:
                    raise RejectedData(WRONG_HEADER, "%d samples at the start of the run, %d now"
                                       % (utterance.num_samples, read_samples))
            except RejectedData as rejected:
                self._reject(utterance.index, rejected)
                continue
            if self._preparation is not None:
                waveform = prepared(self._preparation, waveform, self._params["sample_freq"], utterance.index)
            labels += (separator if waveforms else ()) + utterance.labels
            waveforms.append(waveform)
            num_samples += longer
        if not waveforms:
            return np.zeros([0], np.float32), np.zeros([0], np.int32)
        return np.concatenate(waveforms) if len(waveforms) > 1 else waveforms[0], np.asarray(labels, np.int32)
