"""A convolutional network that receives its features piece by piece and computes every frame of each layer once.

Each convolution keeps the last frames of its input that later outputs need. It computes as many frames as its input allows, so
the logits lag behind the features by the right half of the receptive field. The logits of the frames in between are computed
as if the features ended there, with zeros after them as at the end of a recording; only these are computed again with the next
piece.

The arithmetic is NumPy's, on weights with batch norm folded in, so one implementation serves checkpoints, frozen graphs and ONNX
files: a piece has few frames, for which a product of matrices takes less time than a run of a session.
"""
import numpy as np


class IncrementalNetwork:
    """A network on a stream of features.

    Args:
      network: a ``FoldedNetwork``, whose ``activation`` is a function of a float32 array, or None.
      pad_to: the frames of a recording are padded to a multiple of this; networks without masks see that padding.
    """

    def __init__(self, network, pad_to):
        self._masked, self._pad_to, self._activation = network.masked, max(pad_to, 1), network.activation
        self._layers = [_Layer(convolution) for convolution in network.convolutions]
        self._transform = None
        if network.input_transform is not None:
            kernel, bias = network.input_transform
            self._transform = _Convolution(kernel, bias)
        self._output_kernel, self._output_bias = network.output_kernel, network.output_bias
        first = network.convolutions[0]
        self._num_features = (network.input_transform[0] if self._transform else
                              first.kernel if first.depthwise is None else first.depthwise).shape[1]
        self.start()

    def start(self):
        """Begins a segment: zeros precede its first frame."""
        self._state = [layer.initial_state() for layer in [self._transform] * bool(self._transform) + self._layers]
        self._received = 0
        # exact logits that were not taken; the number of the first of them; the number of the next ones
        self._exact, self._first, self._next = np.zeros([0, len(self._output_bias)], np.float32), 0, 0

    def add(self, features):
        """Takes normalized features, float32 [frames, F]."""
        self._received += len(features)
        logits, self._state = self._run(self._state, features, ended=False)
        self._next += len(logits)
        # frames that were taken before they were exact are not needed any more
        kept = max(self._next - self._first, 0)
        exact = np.concatenate([self._exact, logits])
        self._exact = exact[len(exact) - kept:]

    def logits(self):
        """Logits float32 [frames, V + 1] of all frames that were not taken, as if the features ended with those received."""
        padding = 0 if self._masked else -self._received % self._pad_to
        provisional, _ = self._run(self._state, np.zeros([padding, self._num_features], np.float32), ended=True)
        provisional = provisional[max(self._first - self._next, 0):]
        return np.concatenate([self._exact, provisional])[:self._output_frames() - self._first]

    def take(self, frames):
        """Removes the first ``frames`` frames of the logits."""
        self._first += frames
        self._exact = self._exact[frames:]

    def _output_frames(self):
        frames = self._received
        for layer in self._layers:
            frames = layer.main.output_frames(frames) if layer.main else frames
        return frames

    def _run(self, states, features, ended):
        """(logits, states after it) of features that follow those of ``states``."""
        states, after = list(states), []
        activations, block_inputs = features, []
        if self._transform is not None:
            activations, state = self._transform(states.pop(0), activations, ended)
            after.append(state)
        for layer, state in zip(self._layers, states):
            if layer.opens_block:
                block_inputs.append(activations)
            activations, state = layer(state, activations, block_inputs, ended)
            if self._activation is not None:
                activations = self._activation(activations)
            after.append(state)
        return activations @ self._output_kernel.reshape(-1, len(self._output_bias)) + self._output_bias, after


class _Layer:
    """A convolution with the residual branches that are added to it; ``convolution``: a ``FoldedConvolution``."""

    def __init__(self, convolution):
        self.opens_block, self._branches = convolution.opens_block, convolution.branches
        self.main, self._bias = None, convolution.bias
        if convolution.kernel is not None:
            self.main = _Convolution(convolution.kernel, None, convolution.stride, convolution.dilation, convolution.padding,
                                     convolution.depthwise)
        self._residual = None if convolution.residual_kernel is None else convolution.residual_kernel[0]

    def initial_state(self):
        """(state of the convolution, frames of each branch that wait for it)."""
        return (self.main.initial_state() if self.main else None), [None] * len(self._branches)

    def __call__(self, state, inputs, block_inputs, ended):
        state, waiting = state
        waiting = [block_inputs[branch] if kept is None else np.concatenate([kept, block_inputs[branch]])
                   for kept, branch in zip(waiting, self._branches)]
        if self.main is None:
            outputs, frames = None, min(map(len, waiting))
        else:
            outputs, state = self.main(state, inputs, ended)
            frames = len(outputs)
        if self._branches:
            branches = np.concatenate([branch[:frames] for branch in waiting], axis=1) @ self._residual
            outputs = branches if outputs is None else outputs + branches
        if self._bias is not None:
            outputs = outputs + self._bias
        return outputs, (state, [branch[frames:] for branch in waiting])


class _Convolution:
    """A convolution over time.

    Args:
      kernel: float32 [width, Cin, Cout]. bias: float32 [Cout], or None. stride, dilation, padding: as in TensorFlow.
      depthwise: float32 [width, Cin, 1], the first half of a separable convolution, to which the former belong; or None.
    """

    def __init__(self, kernel, bias, stride=1, dilation=1, padding="SAME", depthwise=None):
        taps = kernel if depthwise is None else depthwise
        self._width, self._channels = taps.shape[:2]
        self._stride, self._dilation, self._same = stride, dilation, padding == "SAME"
        self._window = (self._width - 1) * dilation + 1
        # of an odd number of zeros the larger half comes last, as in TensorFlow, whose numbers are those of whole strides
        self._left = max(self._window - stride, 0) // 2 if self._same else 0
        self._kernel = np.ascontiguousarray(kernel.reshape(-1, kernel.shape[2]))
        self._depthwise = None if depthwise is None else np.ascontiguousarray(depthwise[:, :, 0])
        self._bias = bias

    def initial_state(self):
        """(the kept frames, the first of which begins the next output's window; frames received; frames returned)."""
        return np.zeros([self._left, self._channels], np.float32), 0, 0

    def output_frames(self, frames):
        """Frames of the output for ``frames`` of the input."""
        if self._same:
            return -(-frames // self._stride)
        return max(frames - self._window, -1) // self._stride + 1

    def __call__(self, state, inputs, ended):
        """(outputs float32 [frames, Cout], state after it) of the frames that follow those of ``state``."""
        kept, received, returned = state
        received += len(inputs)
        pieces = [kept, inputs]
        if ended and self._same:
            pieces.append(np.zeros([self._window, self._channels], np.float32))
        kept = np.concatenate(pieces)
        frames = max((len(kept) - self._window) // self._stride + 1, 0)
        if ended:
            frames = min(frames, self.output_frames(received) - returned)
        outputs = self._outputs(kept, frames)
        return outputs, (kept[frames * self._stride:], received, returned + frames)

    def _outputs(self, kept, frames):
        if self._width == 1:
            windows = kept[:frames * self._stride:self._stride][:, np.newaxis]
        else:
            row, value = kept.strides
            windows = np.lib.stride_tricks.as_strided(kept, (frames, self._width, self._channels), (
                row * self._stride, row * self._dilation, value), writeable=False)
        if self._depthwise is not None:
            windows = np.einsum("fwc,wc->fc", windows, self._depthwise)
        # a copy: NumPy multiplies a matrix whose rows overlap in memory without BLAS, which takes 100 times as long
        outputs = np.ascontiguousarray(windows.reshape(frames, len(self._kernel))) @ self._kernel
        return outputs if self._bias is None else outputs + self._bias
