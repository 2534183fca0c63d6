"""The graph of a folded network with fast convolutions, for CPUs: those that Fourier transforms make faster.

On a CPU a product of large matrices is limited by arithmetic, so fewer multiplications take less time. On an NPU the matrix unit
is limited by memory, and fast convolutions save nothing.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.fast_convolutions import inference_block
from open_seq2seq.encoders.fourier_convolution import convolve_with_transformed, transformed_kernel
from open_seq2seq.export.freeze.inference_graph import InferenceGraph


class FastInferenceGraph(InferenceGraph):
    """An ``InferenceGraph`` in float32; the kernels of fast convolutions are constants in the transformed form.

    Args:
      network: a ``FoldedNetwork``.
    """

    def _main(self, layer, images, bias):
        block = None
        if layer.depthwise is None and layer.stride == 1 and layer.padding == "SAME":
            block = inference_block(layer.kernel.shape)
        if block is None:
            return super()._main(layer, images, bias)
        kernel = self._constant("transformed_kernel", transformed_kernel(layer.kernel, block))
        outputs = convolve_with_transformed(tf.squeeze(images, [1]), kernel, len(layer.kernel), block, layer.dilation)
        outputs = tf.expand_dims(outputs, 1)
        return outputs if bias is None else tf.nn.bias_add(outputs, self._constant("bias", bias))
