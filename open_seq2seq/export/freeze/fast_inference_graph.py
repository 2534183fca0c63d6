"""The graph of a folded network with fast convolutions, for CPUs: those that Fourier transforms make faster.

On a CPU a product of large matrices is limited by arithmetic, so fewer multiplications take less time. On an NPU the matrix unit
is limited by memory, and fast convolutions save nothing.
"""
import re

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.fast_convolutions import inference_block
from open_seq2seq.encoders.fourier_convolution import (
    convolve_with_transformed,
    kernel_of_transformed,
    products_of,
    transformed_kernel,
)
from open_seq2seq.export.freeze.inference_graph import InferenceGraph

_SCOPE, _INPUTS, _KERNEL = "fast", "inputs", "transformed_kernel_of_%d_taps_with_dilation_%d"
_KERNEL_NAME = re.compile(r"(?P<layer>.+)/%s/%s" % (_SCOPE, _KERNEL.replace("%d", r"(\d+)")))


class FastInferenceGraph(InferenceGraph):
    """An ``InferenceGraph`` in float32; the kernels of fast convolutions are constants in the transformed form.

    Args:
      network: a ``FoldedNetwork``.
      largest: bytes that all constants may have together; convolutions whose transformed kernel would exceed it, stay plain.
        None: no limit.

    Attributes:
      fast: list of the names of the fast convolutions.
      too_large: list of the names of those that stay plain because of ``largest``.
    """

    def __init__(self, network, largest=None):
        super().__init__(network)
        self._blocks, self.too_large = {}, []
        size = sum(map(_constant_bytes, network.convolutions)) + _constant_bytes(
            [network.output_kernel, network.output_bias] + list(network.input_transform or ()))
        for layer in network.convolutions:
            if layer.kernel is None or layer.depthwise is not None or layer.stride > 1 or layer.padding != "SAME":
                continue
            block = inference_block(layer.kernel.shape)
            if block is None:
                continue
            larger = size + _transformed_bytes(layer.kernel, block) - layer.kernel.nbytes
            if largest is not None and larger > largest:
                self.too_large.append(layer.name)
            else:
                self._blocks[layer.name], size = block, larger
        self.fast = list(self._blocks)

    def _main(self, layer, images, bias):
        block = self._blocks.get(layer.name)
        if block is None:
            return super()._main(layer, images, bias)
        width = len(layer.kernel)
        # from these names streams recognize the convolution, see plain_form
        with tf.name_scope(_SCOPE):
            kernel = self._constant(_KERNEL % (width, layer.dilation), transformed_kernel(layer.kernel, block))
            inputs = tf.squeeze(images, [1], name=_INPUTS)
            outputs = tf.expand_dims(convolve_with_transformed(inputs, kernel, width, block, layer.dilation), 1)
        return outputs if bias is None else tf.nn.bias_add(outputs, self._constant("bias", bias))


def _constant_bytes(values):
    """Bytes of the arrays among ``values``."""
    return sum(value.nbytes for value in values if isinstance(value, np.ndarray))


def _transformed_bytes(kernel, block):
    """Bytes of a transformed kernel and of the transforms of inputs and outputs, in float32."""
    width, input_channels, output_channels = kernel.shape
    return 4 * products_of(block) * (input_channels * output_channels + block + block - width + 1)


def plain_form(nodes, constants):
    """The operations of a graph with plain convolutions in place of the fast ones, and the constants with their kernels.

    Args:
      nodes: list of ``runtime.folded_graphs.GraphNode``.
      constants: dict from name to array.

    Returns:
      (nodes, constants), copies; those of a graph without fast convolutions unchanged.

    Raises:
      ValueError: the constants are not those of :class:`FastInferenceGraph`.
    """
    found = {}
    for name in constants:
        match = _KERNEL_NAME.fullmatch(name)
        if match:
            found[match.group("layer") + "/" + _SCOPE + "/"] = (name,) + tuple(map(int, match.groups()[1:]))
    if not found:
        return nodes, constants
    constants = {name: array for name, array in constants.items()
                 if not name.startswith(tuple(found)) or _KERNEL_NAME.fullmatch(name)}
    plain = []
    for node in nodes:
        scope = next((scope for scope in found if node.name.startswith(scope)), None)
        if scope is None:
            plain.append(node)
        elif node.name == scope + _INPUTS:
            transformed, width, dilation = found[scope]
            layer = scope[:-len(_SCOPE) - 1]
            constants[layer + "kernel"] = kernel_of_transformed(constants.pop(transformed), width)
            plain.append(node._replace(op="Conv2D", name=layer + "Conv2D", inputs=[node.inputs[0], layer + "kernel"], stride=1,
                                       dilation=dilation, padding="SAME"))
    return plain, constants
