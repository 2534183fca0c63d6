"""The data layer of pre-training: audio without transcripts, the frame labels of clusters, and masks."""
import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Bool, Either, FilePath, Float, Int, List, Parameter, String, child_path
from open_seq2seq.data.fairseq_files.frame_labels import require_same_clusters
from open_seq2seq.data.speech2text.feature_graph import make_feature_function
from open_seq2seq.data.speech2text.frame_targets import NO_TARGET, FrameGeometry, PretrainingBatch, aligned_targets
from open_seq2seq.data.speech2text.layer_parameters import PARAMETERS
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.data.speech2text.span_masks import SpanMasks
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
from open_seq2seq.data.speech2text.utterance_labels import UtteranceLabels
from open_seq2seq.data.speech2text.utterance_set import UtteranceSet, manifests_of
from open_seq2seq.errors import DataError
from open_seq2seq.log_lines import log_line

_COMPLETED = 2  # batches that wait with targets and masks

PRETRAINING_PARAMETERS = (
    Parameter("label_sets", List(String(), minimum_length=1), default=["km"],
              doc="names of the label sets, the endings of their files: train.csv has the labels train.km, their dictionary is "
                  "dict.km.txt"),
    Parameter("auxiliary_sets", List(String()), default=[],
              doc="names of further label sets, e.g. pitch and speaker, that the heads of loss_params auxiliary_weights predict"),
    Parameter("label_dir", FilePath(), default=None, doc="directory of the labels and dictionaries; None: that of each manifest"),
    Parameter("label_rate", Either(Float(above=0.0), Int(minimum=1)), default=None,
              doc="labels per second; None: from the description that --mode=labels wrote"),
    Parameter("mask_prob", Float(minimum=0.0, maximum=1.0), default=0.8,
              doc="share of the frames that the masked spans would cover if they did not overlap; 0.8 masks 57 %"),
    Parameter("mask_length", Int(minimum=1, maximum=1000), default=10, doc="encoder frames of a masked span"),
    Parameter("min_masks", Int(minimum=0, maximum=1000), default=2, doc="the fewest masked spans in an utterance"),
    Parameter("require_same_masks", Bool(), default=False,
              doc="True: fairseq's masks, where all utterances of a batch have equally many masked frames; the masks then "
                  "depend on the batch (docs/pretraining.md)"),
    Parameter("normalize_visible", Bool(), default=False,
              doc="normalize the features again, to mean 0 and variance 1 of the frames that are not masked"),
)


class ClusterLabels:
    """The label sets of pre-training and the number of classes of each, in place of a vocabulary.

    Args:
      sets: list of UtteranceLabels, the auxiliary ones last.
      auxiliary: number of the auxiliary ones.

    Attributes:
      sets, auxiliary: as given. size: tuple of ints, the classes of each set, fairseq's four special symbols included.
      characters: None.
    """

    characters = None

    def __init__(self, sets, auxiliary=0):
        self.sets, self.auxiliary = sets, auxiliary
        self.size = tuple(len(labels.dictionary) for labels in sets)

    def require_same(self, other):
        """Raises DataError if the labels of another data set do not come from the same clusters."""
        for labels, others in zip(self.sets, other.sets):
            require_same_clusters(labels.paths + [path for path in others.paths if path not in labels.paths])
            if labels.dictionary.symbols != others.dictionary.symbols:
                raise DataError("the dictionaries %s and %s differ; training and validation need labels of the same clusters "
                                "and one dictionary" % (labels.dictionary.path, others.dictionary.path))


class PretrainingDataLayer(Speech2TextDataLayer):
    """Utterances of manifests or TSV lists as batches of features, frame targets and masks.

    Transcripts and the vocabulary are not read. See :class:`Speech2TextDataLayer` for the arguments and attributes;
    ``vocabulary`` is a :class:`ClusterLabels`, and the datasets consist of ``PretrainingBatch``.

    Raises:
      DataError: also if labels are missing, or do not fit the audio.
    """

    PARAMETERS = tuple(parameter for parameter in PARAMETERS if parameter.name != "vocab_file") + PRETRAINING_PARAMETERS + (
        Parameter("vocab_file", FilePath(), ignored="pre-training has no transcripts"),)

    def __init__(self, params, mode, batch_size, seed=0, num_workers=1, worker_id=0, rejected_file=None, output_frames=None,
                 static_shapes=None, same_frames_on_all_workers=False, utterance_set=None, preparation=None):
        if utterance_set is None:
            utterance_set = _read_utterances(params, mode, rejected_file, is_first_worker=worker_id == 0)
        self._output_frames = output_frames or (lambda frames: frames)
        self._geometry = FrameGeometry(self._output_frames, params["window_stride"])
        self._masks = SpanMasks(seed, params["mask_prob"], params["mask_length"], params["min_masks"],
                                params["require_same_masks"])
        super().__init__(params, mode, batch_size, seed, num_workers, worker_id, rejected_file, self._output_frames,
                         static_shapes, same_frames_on_all_workers, utterance_set, preparation)
        self._ratios = [self._geometry.labels_per_frame(labels.label_rate) for labels in self.vocabulary.sets]
        if worker_id == 0:
            log_line("%s data: %s; %.4g encoder frames per second" % (mode, ", ".join(
                "%s: %d classes, %g labels per second" % (name, classes, labels.label_rate) for name, classes, labels in zip(
                    params["label_sets"] + params["auxiliary_sets"], self.vocabulary.size, self.vocabulary.sets)),
                self._geometry.frame_rate))

    @staticmethod
    def check_rules(params, path, report):
        """Reports contradictions between checked params; ``path`` names them."""
        Speech2TextDataLayer.check_rules(params, path, report)
        if params["join_shorter_than"]:
            report.problem(child_path(path, "join_shorter_than"), "is %g; packed utterances have no frame labels. Set it to 0"
                           % params["join_shorter_than"])
        if params["frame_shifts"] > 1:
            report.problem(child_path(path, "frame_shifts"), "is %d; the frame labels would no longer fit the shifted features. "
                           "Set it to 1 for pre-training" % params["frame_shifts"])
        augmentation = params["augmentation"] or {}
        for key in ("speed_perturbation_ratio", "tempo", "pauses", "recipe"):
            if augmentation.get(key):
                report.problem(child_path(child_path(path, "augmentation"), key), "changes the length of the audio, whose frame "
                               "labels would no longer fit; remove it for pre-training")

    def subset(self, count, seed):
        """See :meth:`Speech2TextDataLayer.subset`."""
        return type(self)(self._params, "eval", self.batch_size, self._seed, self.num_workers, self.worker_id,
                          output_frames=self._output_frames, static_shapes=self._static_shapes,
                          utterance_set=self._set.subset(count, seed))

    def training_dataset(self, first_batch=0, bucket=None, end=None):
        """See :meth:`Speech2TextDataLayer.training_dataset`."""
        return self._completed(super().training_dataset(first_batch, bucket, end))

    def longest_dataset(self, count, bucket=None):
        """See :meth:`Speech2TextDataLayer.longest_dataset`."""
        return self._completed(super().longest_dataset(count, bucket))

    def evaluation_dataset(self, same_length_batches=None, bucket=None):
        """See :meth:`Speech2TextDataLayer.evaluation_dataset`."""
        return self._completed(super().evaluation_dataset(same_length_batches, bucket))

    def _completed(self, dataset):
        """A Dataset of Batch -> a Dataset of PretrainingBatch."""
        sets = len(self._ratios)

        def complete(batch):
            rows, frames, _ = batch.features.shape.as_list()
            # one call for each batch: a call into Python takes as long as decoding a short utterance
            inputs = [batch.feature_lengths, batch.utterance_indices, batch.positions, tf.shape(batch.features)[1]]
            targets, mask = tf.numpy_function(self._targets_and_masks, inputs, [tf.int32, tf.bool])
            outputs = None if frames is None else int(self._output_frames(frames))
            targets.set_shape([rows, outputs, sets])
            mask.set_shape([rows, outputs])
            return PretrainingBatch(*batch, targets=targets, mask=mask)

        return dataset.map(tf.autograph.experimental.do_not_convert(complete), num_parallel_calls=1).prefetch(_COMPLETED)

    def _targets_and_masks(self, feature_lengths, indices, positions, frames):
        """(int32 [B, T', label sets], bool [B, T']) of a batch."""
        lengths = np.where(indices >= 0, [self._output_frames(int(length)) for length in feature_lengths], 0)
        frames = int(self._output_frames(int(frames)))
        targets = np.full([len(indices), frames, len(self._ratios)], NO_TARGET, np.int32)
        for row, (index, length) in enumerate(zip(indices, lengths)):
            if length:
                for number, (labels, ratio) in enumerate(zip(self.vocabulary.sets, self._ratios)):
                    found = aligned_targets(labels.labels_of(self.utterances[index]), ratio, int(length))
                    targets[row, :len(found), number] = found
        return targets, self._masks.of_batch(lengths, indices, positions, frames)


def _read_utterances(params, mode, rejected_file, is_first_worker):
    """The UtteranceSet of the manifests, without transcripts, whose labels have been compared with the audio."""
    def note(text):
        if is_first_worker:
            log_line("Note: " + text)

    manifests = manifests_of(params)
    rows = [row for path in manifests for row in read_manifest(path, False, None, note)]
    found = UtteranceSet.from_rows(rows, params, "infer", None, make_feature_function(params).num_frames,
                                   rejected_file=rejected_file, is_first_worker=is_first_worker, name=mode)
    sets = [UtteranceLabels(manifests, name, params["label_dir"], params["label_rate"])
            for name in params["label_sets"] + params["auxiliary_sets"]]
    for labels in sets:
        labels.check(found.utterances)
    found.vocabulary = ClusterLabels(sets, len(params["auxiliary_sets"]))
    return found
