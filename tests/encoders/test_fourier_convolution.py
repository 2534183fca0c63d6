"""Convolutions by Fourier transforms against the direct sum, and the choice between them."""
import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.encoders.convolution import conv1d
from open_seq2seq.encoders.fast_convolutions import FastConvolutions
from open_seq2seq.encoders.fourier_convolution import products_of, transforms
from open_seq2seq.experiment import assembly


@pytest.mark.parametrize("block, width", [(4, 2), (6, 3), (10, 5), (16, 5), (22, 11), (64, 25)])
def test_the_bilinear_algorithm_is_a_correlation(block, width):
    of_inputs, of_kernel, of_outputs = transforms(block, width)
    assert len(of_inputs) == len(of_kernel) == of_outputs.shape[1] == products_of(block)
    generator = np.random.RandomState(0)
    frames, taps = generator.randn(block), generator.randn(width)
    np.testing.assert_allclose(of_outputs @ ((of_kernel @ taps) * (of_inputs @ frames)), np.correlate(frames, taps, "valid"),
                               rtol=0, atol=1e-12)


@pytest.mark.parametrize("known", [True, False], ids=["known shapes", "unknown shapes"])
@pytest.mark.parametrize("width, block, dilation", [
    (2, 4, 1), (3, 6, 1), (4, 16, 1), (5, 10, 2), (5, 18, 3), (11, 14, 1), (11, 28, 2)])
def test_outputs_and_gradients_equal_the_direct_sum(graph, known, width, block, dilation):
    generator = np.random.RandomState(width)
    for frames in (1, 2, 7, 24, 61):
        values, weights = (generator.randn(3, frames, channels).astype(np.float32) for channels in (5, 4))
        inputs = tf.constant(values) if known else tf.placeholder(tf.float32, [None, None, 5])
        kernel = tf.constant(generator.randn(width, 5, 4).astype(np.float32))
        fetches = []
        for outputs in (conv1d(inputs, kernel, dilation=dilation, block=block), conv1d(inputs, kernel, dilation=dilation)):
            assert outputs.shape.as_list() == ([3, frames, 4] if known else [None, None, 4])
            fetches.append([outputs] + tf.gradients(tf.reduce_sum(tf.square(outputs) * weights), [inputs, kernel]))
        with tf.Session() as session:
            fast, direct = session.run(fetches, {} if known else {inputs: values})
        for ours, theirs in zip(fast, direct):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=3e-6 * np.abs(theirs).max())


def test_nothing_but_inputs_and_kernel_is_kept_for_the_gradients(graph):
    inputs, kernel = (tf.Variable(tf.ones(shape), use_resource=False) for shape in ([2, 40, 8], [5, 8, 8]))
    outputs = conv1d(tf.identity(inputs), tf.identity(kernel), block=16)
    forward = set(graph.get_operations())
    tf.gradients(outputs, [inputs, kernel])
    products = {tensor.name for operation in set(graph.get_operations()) - forward for tensor in operation.inputs
                if tensor.op in forward and "MatMul" in tensor.op.type}
    assert not products


@pytest.mark.parametrize("options", [dict(stride=2), dict(padding="VALID"), dict(fast_gradients=False)])
def test_a_block_needs_stride_1_and_same_padding(graph, options):
    with pytest.raises(ValueError, match="block"):
        conv1d(tf.ones([1, 20, 2]), tf.ones([3, 2, 2]), block=8, **options)


WIDE = (25, 768, 768)


def test_the_choice_depends_on_the_sizes():
    choose = FastConvolutions(feature_frames=800).block
    assert choose("wide", WIDE, 16, 400, 1) > WIDE[0]
    assert choose("dilated", (29, 896, 896), 16, 400, 2) is not None
    assert choose("few channels", (11, 16, 16), 16, 400, 1) is None
    assert choose("few frames", WIDE, 1, 100, 1) is None
    assert choose("one tap", (1, 768, 768), 16, 400, 1) is None
    assert choose("unknown frames", WIDE, 16, None, 1) is None
    assert FastConvolutions(enabled=False).block("off", WIDE, 16, 400, 1) is None


def test_a_convolution_that_is_too_large_for_the_memory_uses_the_direct_sum_and_says_so():
    small = FastConvolutions(total_memory=2 ** 30)
    assert small.block("conv51", WIDE, 16, 400, 1) is None
    assert small.block("conv11", (11, 256, 256), 4, 400, 1) is not None
    line, = [line for line in small.notes() if "conv51" in line]
    assert "direct sum" in line and "GiB" in line and "smaller batch" in line
    assert FastConvolutions(total_memory=2 ** 36).block("conv51", WIDE, 16, 400, 1) is not None


def test_the_processes_of_a_machine_share_its_memory(monkeypatch):
    monkeypatch.setattr(assembly, "total_bytes", lambda: 2 ** 33)
    params = dict(dtype=tf.float32, sync_batch_norm=False, random_seed=0, fast_convolutions=True, recompute=None,
                  data_layer_params={})
    found = []
    for processes in (1, 8):
        group = types.SimpleNamespace(size=processes, local_size=processes, average=None)
        convolutions = assembly.execution_of(params, "train", Cpu(), group).fast_convolutions
        found.append(convolutions.block("conv51", WIDE, 16, 400, 1))
    assert found[0] is not None and found[1] is None
