"""The time-delay neural network encoder: Wav2Letter+, Jasper (arXiv:1904.03288) and QuartzNet (arXiv:1910.10261)."""
import copy

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Bool, Callable, Choice, Either, Float, Int, Parameter, child_path, require_rules
from open_seq2seq.encoders import blocks
from open_seq2seq.encoders.convnet_layers import ConvnetLayers, convolved_frames
from open_seq2seq.encoders.input_transform import InputTransform, transformed
from open_seq2seq.encoders.interface import ALONE, EncoderOutput
from open_seq2seq.encoders.normalization import instance_norm, layer_norm
from open_seq2seq.encoders.random_draws import RandomDraws
from open_seq2seq.encoders.recomputation import recomputed
from open_seq2seq.encoders.shapes import check_tensor, dimension
from open_seq2seq.encoders.variables import VARIABLE_PARAMETERS, make_initializer, make_regularizer

MODES = ("train", "eval", "infer")


class _DataFormat(Choice):
    """The layout does not change results, so "channels_first" is accepted, with a note that it has no effect."""

    def check(self, value, path, report):
        value = super().check(value, path, report)
        if value == "channels_first":
            report.note(path, 'is "channels_first", which has no effect: activations are "channels_last"')
        return value


class TDNNEncoder:
    """A stack of one-dimensional convolution blocks with plain or dense residual connections.

    Block k has ``repeat`` convolutions named ``conv{k}{i}``, both counted from 1; each is followed by normalization,
    activation and dropout. In a residual block the branches join before the last activation.

    Args:
      params: checked dict of :attr:`PARAMETERS`.
      mode: "train" (dropout, batch statistics), "eval" or "infer" (moving statistics).
      name: variable scope.
      execution: an :class:`~open_seq2seq.encoders.interface.Execution`.

    Raises:
      ConfigError: residual layers without batch norm, or an initializer or regularizer that does not take its params.
    """

    PARAMETERS = (
        Parameter("convnet_layers", ConvnetLayers(), doc="the blocks, first to last"),
        Parameter("dropout_keep_prob", Float(above=0.0, maximum=1.0),
                  doc="probability of keeping a value in training, for layers without their own"),
        Parameter("activation_fn", Either(Callable(), Choice(None)), doc="function of a tensor, e.g. tf.nn.relu, or None"),
        Parameter("data_format", _DataFormat("channels_last", "channels_first"), default="channels_last",
                  doc="layout of OpenSeq2Seq's activations; accepted for compatibility"),
        Parameter("normalization", Choice("batch_norm", "layer_norm", "instance_norm", None), default="batch_norm",
                  doc="normalization after each convolution"),
        Parameter("bn_momentum", Float(minimum=0.0, maximum=1.0), default=0.90,
                  doc="share of the old moving statistic that a step keeps"),
        Parameter("bn_epsilon", Float(above=0.0), default=1e-3, doc="added to the variance in batch norm"),
        Parameter("mask_batch_norm", Bool(), default=False,
                  doc="True: batch statistics over valid frames only; False: over padding too, as in OpenSeq2Seq"),
        Parameter("use_conv_mask", Bool(), default=False, doc="set padded frames to zero before every convolution"),
        Parameter("input_transform", InputTransform(), default=None,
                  doc="file of a fixed linear layer over spliced frames before the first block, which --mode=input_transform "
                      "writes (docs/kaldi_training.md); None: none"),
        Parameter("drop_block_prob", Float(minimum=0.0, maximum=1.0), default=0.0,
                  doc="probability of skipping a residual block's convolutions in a training step"),
        Parameter("drop_block_index", Int(minimum=-1), default=-1,
                  doc="index from 0 of a residual block skipped in eval and infer if drop_block_prob > 0; -1: none"),
    ) + VARIABLE_PARAMETERS

    def __init__(self, params, mode, name="w2l_encoder", execution=ALONE):
        if mode not in MODES:
            raise ValueError("mode is %r, expected one of %s" % (mode, ", ".join(MODES)))
        require_rules(self.check_rules, params, "encoder_params")
        self._params = params
        self._training = mode == "train"
        self._name = name
        self._initializer = make_initializer(params)
        self._settings = blocks.EncoderSettings(
            self._training, params["bn_momentum"], params["bn_epsilon"], make_regularizer(params), execution)

    @staticmethod
    def check_rules(params, path, report):
        """Reports invalid combinations of checked params.

        Args:
          params: checked dict of :attr:`PARAMETERS`.
          path: names it in messages.
          report: receives the problems.
        """
        if params["normalization"] != "batch_norm" and any(layer["residual"] for layer in params["convnet_layers"]):
            report.problem(child_path(path, "normalization"), 'is %r, but residual layers need "batch_norm"; remove "residual" '
                           'from the layers or set "normalization" to "batch_norm"' % (params["normalization"],))

    @staticmethod
    def output_frames(params, frames):
        """Encoder output frames for a number of feature frames.

        Args:
          params: checked dict of :attr:`PARAMETERS`.
          frames: int, or an integer tensor of any shape.

        Returns:
          An int or a tensor like ``frames``.
        """
        for layer in params["convnet_layers"]:
            for _ in range(layer["repeat"]):
                frames = convolved_frames(layer, frames)
        return frames

    @staticmethod
    def layer_names(params):
        """Names of the blocks' outputs, first to last: those of the blocks' last convolutions, e.g. "conv42".

        Args:
          params: checked dict of :attr:`PARAMETERS`.
        """
        return [_name(block, layer["repeat"] - 1) for block, layer in enumerate(params["convnet_layers"])]

    @classmethod
    def params_up_to(cls, params, layer):
        """``params`` of an encoder whose last layer is ``layer``, one of :meth:`layer_names`; the variables' names are equal."""
        blocks_of_layer = cls.layer_names(params).index(layer) + 1
        return dict(params, convnet_layers=params["convnet_layers"][:blocks_of_layer])

    @staticmethod
    def depends_on_padding(params, pad_to):
        """Whether the outputs of an utterance change with the number of padded frames after it (in eval and infer).

        They change without masks, and if normalization computes statistics over padding. In addition, TensorFlow's SAME padding
        of a strided convolution starts at a frame that depends on the remainder of T by the stride.

        Args:
          params: checked dict of :attr:`PARAMETERS`.
          pad_to: int of which T is always a multiple; 0 for none.

        Returns:
          A bool.
        """
        if not params["use_conv_mask"] or params["normalization"] in ("layer_norm", "instance_norm"):
            return True
        total_stride, shortened = 1, False
        for layer in params["convnet_layers"]:
            shortened = shortened or layer["padding"] == "VALID" and layer["kernel_size"][0] > 1
            if layer["stride"][0] > 1:
                total_stride *= layer["stride"][0] ** layer["repeat"]
                if layer["padding"] == "SAME" and (shortened or pad_to <= 0 or pad_to % total_stride):
                    return True
        return False

    def __call__(self, features, feature_lengths, positions=None):
        """Connects the encoder to its inputs.

        Args:
          features: float32 [B, T, F], zero-padded, F known.
          feature_lengths: int32 or int64 [B], valid lengths in frames.
          positions: int64 [B], positions of the rows in the stream of training, which determine the random numbers of dropout;
            None: the graph's seed determines them.

        Returns:
          EncoderOutput(outputs [B, T', C] of the execution's dtype, not masked; output_lengths [B]; layers: of each block).

        Raises:
          IncompatibleShapeError, IncompatibleDtypeError: an input is not as described.
        """
        check_tensor(features, "TDNNEncoder: features", 3, (tf.float32,), known_last_dimension=True)
        check_tensor(feature_lengths, "TDNNEncoder: feature_lengths", 1, (tf.int32, tf.int64))
        if self._params["input_transform"] is not None:
            with tf.variable_scope(self._name, use_resource=False):
                features = transformed(features, self._params["input_transform"], self._training)
        activations = tf.cast(features, self._settings.execution.dtype)
        draws = RandomDraws(self._settings.execution.random_seed, positions, late=self._settings.execution.recompute)
        fast_convolutions = self._settings.execution.fast_convolutions
        stream = _Stream(activations, feature_lengths, self._params["use_conv_mask"], self._params["mask_batch_norm"], draws,
                         None if fast_convolutions is None else fast_convolutions.feature_frames)
        dense_inputs, layers = [], {}
        norm_count = 0
        with tf.variable_scope(self._name, initializer=self._initializer, use_resource=False):
            for block_index, layer in enumerate(self._params["convnet_layers"]):
                stream.mask_activations()
                residual_inputs = []
                if layer["residual"] and layer["residual_dense"]:
                    dense_inputs.append(stream.activations)
                    residual_inputs = list(dense_inputs)
                elif layer["residual"]:
                    residual_inputs = [stream.activations]
                self._block(stream, layer, block_index, residual_inputs, norm_count)
                norm_count += layer["repeat"]
                layers[_name(block_index, layer["repeat"] - 1)] = stream.activations, stream.lengths
        return EncoderOutput(stream.activations, stream.lengths, layers)

    def _block(self, stream, layer, block_index, residual_inputs, norm_count):
        """Applies a block to ``stream``, whose activations are the last of the residual inputs if there are any."""
        if not (self._training and self._settings.execution.recompute):
            self._convolutions(stream, layer, block_index, residual_inputs, norm_count)
            return

        def build(tensors):
            branch = copy.copy(start)
            branch.activations = tensors[-1]
            self._convolutions(branch, layer, block_index, tensors if residual_inputs else [], norm_count)
            branches.append(branch)
            return branch.activations

        start, branches = copy.copy(stream), []
        outputs = recomputed(build, residual_inputs or [stream.activations])
        stream.follow(branches[0], outputs)

    def _convolutions(self, stream, layer, block_index, residual_inputs, norm_count):
        """Applies the convolutions of a block, each with normalization, activation and dropout."""
        for repeat_index in range(layer["repeat"]):
            if repeat_index > 0:
                stream.mask_activations()
            last = repeat_index == layer["repeat"] - 1
            name = _name(block_index, repeat_index)
            self._convolution(stream, name, layer, block_index, residual_inputs if last else [], norm_count + repeat_index)
            if self._training:
                keep = layer["dropout_keep_prob"]
                stream.drop_out(self._params["dropout_keep_prob"] if keep is None else keep,
                                name, final=last and layer is self._params["convnet_layers"][-1])

    def _convolution(self, stream, name, layer, block_index, residual_inputs, norm_count):
        """Applies one convolution, its normalization, residual sum and activation to ``stream``."""
        residual = None
        if residual_inputs:
            # TensorFlow starts what has its inputs: it would compute the branches of all later blocks now, and keep them
            if self._training and self._settings.execution.recompute:
                with tf.control_dependencies([stream.activations]):
                    residual_inputs = [tf.identity(inputs) for inputs in residual_inputs]
            residual = self._residual(stream, name, layer, residual_inputs)
        with tf.variable_scope(name):
            convolution = blocks.ConvolutionSettings(
                layer["type"] == "sep_conv1d", layer["kernel_size"][0], layer["num_channels"],
                layer["stride"][0], layer["dilation"][0], layer["padding"])
            images = blocks.convolve(stream.activations, convolution, self._settings, self._settings.regularizer,
                                     stream.typical_frames)
            if stream.typical_frames is not None:
                stream.typical_frames = convolved_frames(layer, stream.typical_frames)
            stream.set_lengths(convolved_frames(layer, stream.lengths), dimension(images, 2))
            if self._params["normalization"] == "batch_norm":
                with tf.variable_scope("bn"):
                    images = blocks.normalize(images, self._settings, stream.batch_norm_mask)
            outputs = tf.squeeze(images, 1)
        if self._params["normalization"] in ("layer_norm", "instance_norm"):
            outputs = self._contrib_norm(outputs, norm_count)
        if residual is not None:
            outputs = self._join(outputs, residual, block_index, stream.draws)
        if self._params["activation_fn"] is not None:
            outputs = self._params["activation_fn"](outputs)
            if self._settings.execution.observer is not None:
                self._settings.execution.observer.activation("%s/%s" % (tf.get_variable_scope().name, name), outputs,
                                                             stream.lengths)
        stream.set(outputs)

    def _residual(self, stream, name, layer, residual_inputs):
        if layer["residual_dense"]:
            names = [("res_%d" % i, "res_bn_%d" % i) for i in range(len(residual_inputs))]
        else:
            names = [("res", "res_bn")]
        with tf.variable_scope(name):
            return blocks.residual_sum(
                residual_inputs, layer["type"] == "sep_conv1d", layer["num_channels"], names, self._settings,
                stream.batch_norm_mask)

    def _contrib_norm(self, outputs, norm_count):
        """Layer or instance norm in the scopes that tf.contrib.layers uses: LayerNorm, LayerNorm_1, ..."""
        function, scope = {"layer_norm": (layer_norm, "LayerNorm"),
                           "instance_norm": (instance_norm, "InstanceNorm")}[self._params["normalization"]]
        with tf.variable_scope(scope if norm_count == 0 else "%s_%d" % (scope, norm_count)):
            return function(outputs)

    def _join(self, outputs, residual, block_index, draws):
        """The block's convolutions plus its residual branches; drop block skips the convolutions."""
        probability = self._params["drop_block_prob"]
        if probability > 0.0 and self._training:
            kept = draws.of_batch("drop block %d" % (block_index + 1)) >= probability
            return residual + outputs * tf.cast(kept, outputs.dtype)
        if probability > 0.0 and block_index == self._params["drop_block_index"]:
            return residual
        return outputs + residual


def _name(block_index, repeat_index):
    """Name of a convolution: both numbers from 1, e.g. "conv42"."""
    return "conv%d%d" % (block_index + 1, repeat_index + 1)


class _Stream:
    """The activations between two layers, with their lengths and the masks that these determine.

    ``typical_frames`` is the expected number of frames, an int, or None if nothing is known.
    """

    def __init__(self, activations, lengths, mask_convolutions, mask_batch_norm, draws, typical_frames=None):
        self.activations, self.lengths, self.draws, self.typical_frames = activations, lengths, draws, typical_frames
        self._mask_convolutions, self._mask_batch_norm = mask_convolutions, mask_batch_norm
        self._masked = False
        self._build_mask(dimension(activations, 1))

    def _build_mask(self, frames):
        self._mask, self._batch_norm_mask = None, None
        if self._mask_convolutions or self._mask_batch_norm:
            mask = tf.expand_dims(tf.sequence_mask(self.lengths, frames, dtype=tf.float32), 2)
            self._mask = tf.cast(mask, self.activations.dtype)
            # float32, because float16 can count frames only up to 2048
            self._batch_norm_mask = mask if self._mask_batch_norm else None

    def follow(self, other, activations):
        """Takes everything from a copy of itself, but ``activations`` for its activations."""
        self.__dict__.update(other.__dict__, activations=activations)

    @property
    def batch_norm_mask(self):
        """float32 [B, T, 1], 1 in valid frames; None if batch norm includes padding."""
        return self._batch_norm_mask

    def set(self, activations):
        """Replaces the activations by a layer's outputs."""
        self.activations, self._masked = activations, False

    def set_lengths(self, lengths, frames):
        """Sets the valid lengths and the padded length of a convolution's outputs; rebuilds the mask if they changed."""
        if lengths is not self.lengths:
            self.lengths = lengths
            self._build_mask(frames)

    def mask_activations(self):
        """Sets padded frames to zero if convolutions are masked."""
        if self._mask_convolutions and not self._masked:
            self.activations, self._masked = self.activations * self._mask, True

    def drop_out(self, keep_probability, name, final):
        """Dropout, together with the mask of the next convolution; ``final`` activations are not masked."""
        if keep_probability < 1.0:
            self._masked = self._mask_convolutions and not final
            self.activations = blocks.dropout(self.activations, keep_probability, self.draws.like(self.activations, name),
                                              self._mask if self._masked else None)
