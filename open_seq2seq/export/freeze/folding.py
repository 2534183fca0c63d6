"""Folds a trained encoder and decoder into plain convolutions: NumPy weights in, fewer and simpler NumPy weights out.

Batch norm at inference is an affine map of every channel, y = scale * x + shift. It is folded into the convolution before it:
kernel * scale, and shift as the bias. A sum of 1x1 convolutions of several inputs is one 1x1 convolution of the concatenated
inputs, and a depthwise kernel of one tap scales the inputs, so the residual branches of a block become one matrix. All of this is
computed in float64; the only error is the rounding of the result to float32.
"""
import collections

import numpy as np

from open_seq2seq.encoders.input_transform import SCOPE as INPUT_TRANSFORM
from open_seq2seq.errors import ConfigError

FoldedConvolution = collections.namedtuple(
    "FoldedConvolution", "name depthwise kernel bias stride dilation padding branches residual_kernel opens_block")
FoldedConvolution.__doc__ = """One convolution with everything that was folded into it.

name: its scope, e.g. "conv21". depthwise: float32 [width, Cin, 1], the first half of a separable convolution, or None. kernel:
float32 [width, Cin, Cout] ([1, Cin, Cout] after a depthwise half); None where drop block skips the convolution.
bias: float32 [Cout], including that of the residual branches, or None. stride, dilation, padding: of the convolution. branches:
tuple of int, the block inputs that are added; residual_kernel: float32 [1, sum of their channels, Cout] or None.
opens_block: whether its input is a block input; ``branches`` number these from 0.
"""

FoldedNetwork = collections.namedtuple("FoldedNetwork",
                                       "convolutions activation masked output_kernel output_bias input_transform")
FoldedNetwork.__new__.__defaults__ = (None,)
FoldedNetwork.__doc__ = """convolutions: list of :class:`FoldedConvolution`; activation: function of a tensor, or None;
masked: whether padded frames are set to zero before each convolution but the first; output_kernel: float32 [C, V + 1];
output_bias: float32 [V + 1]; input_transform: (float32 [width, F, F'], float32 [F']), kernel and bias of a convolution before the
first one, without activation; None: none."""

ENCODER, DECODER = "ForwardPass/w2l_encoder/", "ForwardPass/fully_connected_ctc_decoder/fully_connected/"


def decoder_variables(params):
    """The beginning of the names of the output layer's variables; ``params``: checked params of a model with one task."""
    scope, (model, names) = params.get("decoder_scope"), DECODER.split("/", 1)
    return "/".join([model] + [scope] * bool(scope) + [names])


def fold(params, weights):
    """Folds a network.

    Args:
      params: checked params of the model, with those of a ``TDNNEncoder``.
      weights: dict from variable name to float32 array, with all variables of the network.

    Returns:
      A :class:`FoldedNetwork`.

    Raises:
      ConfigError: the normalization depends on the input and cannot be folded.
    """
    encoder_params, decoder = params["encoder_params"], decoder_variables(params)
    normalization = encoder_params["normalization"]
    if normalization not in ("batch_norm", None):
        raise ConfigError('encoder_params["normalization"] is %r, which computes statistics of the input and cannot be folded '
                          "into the convolutions; export with --no_fold" % normalization)
    folder, transform = _Folder(encoder_params, weights), None
    if encoder_params["input_transform"] is not None:
        transform = tuple(weights["%s%s/%s" % (ENCODER, INPUT_TRANSFORM, name)] for name in ("kernel", "bias"))
    return FoldedNetwork(folder.convolutions(), encoder_params["activation_fn"], encoder_params["use_conv_mask"],
                         weights[decoder + "kernel"], weights[decoder + "bias"], transform)


class _Folder:
    def __init__(self, params, weights):
        self._params, self._weights = params, weights
        self._block_inputs = 0  # number of block inputs so far
        self._dense = []        # those that dense blocks add

    def convolutions(self):
        folded = []
        for block, layer in enumerate(self._params["convnet_layers"]):
            branches = self._branches(layer)
            for repeat in range(layer["repeat"]):
                last = repeat == layer["repeat"] - 1
                folded.append(self._convolution(block, repeat, layer, branches if last else (),
                                                opens_block=repeat == 0 and layer["residual"]))
        return folded

    def _branches(self, layer):
        if not layer["residual"]:
            return ()
        own = self._block_inputs
        self._block_inputs += 1
        if not layer["residual_dense"]:
            return (own,)
        self._dense.append(own)
        return tuple(self._dense)

    def _convolution(self, block, repeat, layer, branches, opens_block):
        name = "conv%d%d" % (block + 1, repeat + 1)
        depthwise, kernel = self._kernels(name, layer["type"])
        kernel, bias = self._normalized(kernel, name + "/bn")
        residual_kernel = None
        if branches:
            residual_kernel, residual_bias = self._residual(name, layer, len(branches))
            if self._params["drop_block_prob"] > 0.0 and block == self._params["drop_block_index"]:
                depthwise = kernel = None
                bias = residual_bias
            else:
                bias = bias + residual_bias
        return FoldedConvolution(name, depthwise, _single(kernel), _single(bias), layer["stride"][0], layer["dilation"][0],
                                 layer["padding"], branches, _single(residual_kernel), opens_block)

    def _residual(self, name, layer, count):
        names = ["_%d" % i for i in range(count)] if layer["residual_dense"] else [""]
        kernels, biases = [], []
        for suffix in names:
            depthwise, kernel = self._kernels("%s/res%s" % (name, suffix), layer["type"])
            if depthwise is not None:
                kernel = kernel * depthwise.reshape([1, -1, 1])
            kernel, bias = self._normalized(kernel, "%s/res_bn%s" % (name, suffix))
            kernels.append(kernel)
            biases.append(bias)
        return np.concatenate(kernels, axis=1), sum(biases)

    def _kernels(self, name, kind):
        """(depthwise float32 or None, kernel float64) of a convolution."""
        if kind == "sep_conv1d":
            return self._weights[ENCODER + name + "/depthwise_kernel"], self._double(name + "/pointwise_kernel")
        return None, self._double(name + "/kernel")

    def _normalized(self, kernel, name):
        """(kernel, bias) of a convolution with the batch norm after it folded in."""
        if self._params["normalization"] is None:
            return kernel, None
        scale = self._double(name + "/gamma") / np.sqrt(self._double(name + "/moving_variance") + self._params["bn_epsilon"])
        return kernel * scale, self._double(name + "/beta") - self._double(name + "/moving_mean") * scale

    def _double(self, name):
        return self._weights[ENCODER + name].astype(np.float64)


def _single(array):
    return None if array is None else array.astype(np.float32)
