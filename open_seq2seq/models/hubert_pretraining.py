"""Pre-training without transcripts: an encoder predicts the cluster labels of masked frames (HuBERT, arXiv:2106.07447)."""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import child_path
from open_seq2seq.data.speech2text.frame_targets import FrameGeometry
from open_seq2seq.decoders.auxiliary_head import AuxiliaryHead
from open_seq2seq.encoders.interface import ALONE, connected
from open_seq2seq.encoders.shapes import dimension
from open_seq2seq.errors import ConfigError
from open_seq2seq.models.base_params import BASE_PARAMETERS
from open_seq2seq.models.parts import accepted, with_defaults_of
from open_seq2seq.models.speech2text import SCOPE


class PretrainingOutput(collections.namedtuple("PretrainingOutput", "cluster_output loss encoder_output")):
    """The output of :class:`HubertPretraining`.

    cluster_output: ClusterOutput. loss: MaskedPredictionOutput, None in infer mode. encoder_output: EncoderOutput.
    """

    __slots__ = ()

    @property
    def logits(self):
        """float32 [B, T', classes], of the first label set."""
        return self.cluster_output.logits[0]


MASK_SCOPE = "mask"
_SMALLEST_VARIANCE = 1e-5


class HubertPretraining:
    """Masks spans of the features and predicts the cluster labels of their frames.

    The masked frames of the features are replaced by a trained vector before the first layer, so nothing that a layer computes,
    the statistics of batch norm included, depends on what they contained. The data layer's normalization of an utterance uses all
    of its frames; with ``normalize_visible`` the features are normalized again by the frames that are not masked.

    Args:
      params: checked dict of :attr:`PARAMETERS`, including checked encoder_params, decoder_params and loss_params.
      mode: "train" and "eval" mask the features; "infer" does not.
      num_classes: tuple of the numbers of classes of the label sets, or an int for one set.
      execution: an :class:`~open_seq2seq.encoders.interface.Execution`.

    Raises:
      ConfigError: train or eval without a loss, or params that a part does not accept.
    """

    PARAMETERS = BASE_PARAMETERS
    is_pretraining = True

    def __init__(self, params, mode, num_classes, execution=ALONE):
        sizes = (num_classes,) if isinstance(num_classes, int) else tuple(num_classes)
        self._encoder = params["encoder"](with_defaults_of(params, params["encoder_params"]), mode, execution=execution)
        self._auxiliary_sets = list(params["data_layer_params"].get("auxiliary_sets") or ()) if mode != "infer" else []
        of_clusters = sizes[:len(sizes) - len(self._auxiliary_sets)]
        self._decoder = params["decoder"](with_defaults_of(params, params["decoder_params"]), of_clusters, mode)
        self._heads = [
            AuxiliaryHead(name, classes, weight < 0.0, params["loss_params"]["adversarial_steps"] or params["max_steps"])
            for name, classes, weight in zip(self._auxiliary_sets, sizes[len(of_clusters):],
                                             [params["loss_params"]["auxiliary_weights"][name] for name in self._auxiliary_sets])]
        self._geometry = FrameGeometry(lambda frames: params["encoder"].output_frames(params["encoder_params"], frames), 1.0)
        self._normalizes = bool(params["data_layer_params"].get("normalize_visible"))
        self._mean_over_ranks = execution.mean_over_ranks
        self._loss, self._masks = None, mode != "infer"
        if self._masks:
            if params["loss"] is None:
                raise ConfigError('base_params["loss"] is missing: mode %s needs a loss, e.g. MaskedPredictionLoss' % mode)
            self._loss = params["loss"](params["loss_params"])

    @staticmethod
    def check_rules(params, mode, path, report):
        """Reports keys of checked params that pre-training does not have."""
        if params.get("tasks"):
            report.problem(child_path(path, "tasks"), "is given, and pre-training has its own targets; remove it")
        for key in ("best_metric", "stopping_metric"):
            if params.get(key) == "wer":
                report.problem(child_path(path, key), 'is "wer", but pre-training has no transcripts; set it to "loss"')
        data, loss = params.get("data_layer_params"), params.get("loss_params")
        if isinstance(data, dict) and isinstance(loss, dict) and isinstance(loss.get("auxiliary_weights"), dict):
            sets, weights = data.get("auxiliary_sets") or [], loss["auxiliary_weights"]
            where = child_path(child_path(path, "loss_params"), "auxiliary_weights")
            if set(sets) != set(weights):
                report.problem(where, "has %s, and data_layer_params auxiliary_sets %s; expected a weight for each set" % (
                    ", ".join(sorted(map(str, weights))) or "none", ", ".join(sets) or "none"))
            wrong = [name for name, weight in weights.items() if type(weight) not in (int, float) or weight == 0]
            if wrong:
                report.problem(where, "has the weight %r for %s; expected a number above 0, or one below 0 for an "
                               "adversarial head" % (weights[wrong[0]], wrong[0]))
            elif mode == "train" and any(weight < 0 for weight in weights.values()) and not (
                    loss.get("adversarial_steps") or params.get("max_steps")):
                report.problem(child_path(child_path(path, "loss_params"), "adversarial_steps"), "is missing: a training of "
                               "num_epochs does not say in how many steps the strength of the gradient reversal is to rise")
        if params.get("print_samples_steps") is not None:
            report.note(child_path(path, "print_samples_steps"), "has no effect: pre-training has no transcripts")

    def __call__(self, batch):
        """Builds the forward pass. A second call in the same graph shares the variables.

        Args:
          batch: PretrainingBatch (data/speech2text/frame_targets.py); mode infer uses only features and feature_lengths.

        Returns:
          PretrainingOutput.

        Raises:
          IncompatibleShapeError, IncompatibleDtypeError: a tensor has an unsupported shape or dtype.
        """
        # reference variables, not resources, for the Ascend adapter and the checkpoints of OpenSeq2Seq
        with tf.variable_scope(SCOPE, reuse=tf.AUTO_REUSE, use_resource=False):
            features = batch.features
            with tf.variable_scope(MASK_SCOPE):
                embedding = tf.get_variable("embedding", [features.shape.as_list()[-1]],
                                            initializer=tf.random_uniform_initializer(0.0, 1.0))
            if self._masks:
                features = self._masked(features, batch.feature_lengths, batch.mask, embedding)
            positions = getattr(batch, "positions", None)
            encoder_output = connected(self._encoder, features, batch.feature_lengths, **(
                {} if positions is None else accepted(self._encoder, positions=positions)))
            cluster_output = self._decoder(encoder_output)
            if self._heads:
                cluster_output = cluster_output._replace(
                    logits=cluster_output.logits + [head(encoder_output.outputs) for head in self._heads],
                    duplicates=cluster_output.duplicates + [None] * len(self._heads))
            loss = None
            if self._loss is not None:
                loss = self._loss(cluster_output, batch.targets, batch.mask, batch.weights, encoder_output, self._mean_over_ranks,
                                  self._auxiliary_sets)
        return PretrainingOutput(cluster_output, loss, encoder_output)

    def _masked(self, features, lengths, mask, embedding):
        """float32 [B, T, F]: the features with the embedding in place of masked frames."""
        frames = dimension(features, 1)
        with tf.name_scope("masked_features"):
            valid = tf.sequence_mask(lengths, frames)
            hidden = tf.cast(tf.logical_and(self._of_features(mask, frames), valid), tf.float32)[:, :, tf.newaxis]
            visible = tf.cast(valid, tf.float32)[:, :, tf.newaxis] - hidden
            features = features * visible
            if self._normalizes:
                count = tf.maximum(tf.reduce_sum(visible, 1, keepdims=True), 1.0)
                mean = tf.reduce_sum(features, 1, keepdims=True) / count
                centered = (features - mean) * visible
                variance = tf.reduce_sum(tf.square(centered), 1, keepdims=True) / count
                features = centered / tf.sqrt(variance + _SMALLEST_VARIANCE)
            # as a matrix product, whose gradient by the embedding is one, too
            rows, size = dimension(features, 0), features.shape.as_list()[-1]
            replaced = tf.matmul(tf.reshape(hidden, [-1, 1]), embedding[tf.newaxis])
            return features + tf.reshape(replaced, [rows, frames, size])

    def _of_features(self, mask, frames):
        """bool [B, T] from the mask of encoder frames [B, T']."""
        geometry = self._geometry
        rows, outputs = dimension(mask, 0), dimension(mask, 1)
        repeated = tf.reshape(tf.tile(tf.cast(mask, tf.int32)[:, :, tf.newaxis], [1, 1, geometry.stride]),
                              [rows, outputs * geometry.stride])
        repeated = tf.pad(repeated, [[0, 0], [geometry.offset, geometry.offset + geometry.stride]])
        return repeated[:, :frames] > 0
