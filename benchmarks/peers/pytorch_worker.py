"""Training steps of NVIDIA's Jasper in PyTorch; the worker process of pytorch.py, which runs in an environment of its own.

The layers, the initial weights, the batch and the settings come from a file that ``step_worker.py --export`` writes. The network
is that of "Jasper: An End-to-End Convolutional Neural Acoustic Model" (arXiv:1904.03288) as NVIDIA trains it: convolutions with
masked inputs, batch norm, dense residual connections of 1x1 convolutions with batch norm, ReLU, dropout, CTC, NovoGrad.
"""
import os
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import turns  # noqa: E402
import worker_input  # noqa: E402

ENCODER = "ForwardPass/w2l_encoder/"
DECODER = "ForwardPass/fully_connected_ctc_decoder/fully_connected/"


def masked(inputs, lengths):
    """[B, C, T] with zeros in the frames beyond the lengths [B]."""
    return inputs.masked_fill(torch.arange(inputs.shape[2])[None, None, :] >= lengths[:, None, None], 0.0)


class MaskedConvolution(nn.Module):
    """A convolution without bias of [B, C, T]; padded frames are set to zero before it if lengths [B] are given.

    The padding at both ends is TensorFlow's SAME padding, which differs from PyTorch's in one frame for a stride of 2.
    """

    def __init__(self, channels, outputs, width, stride=1, dilation=1):
        super().__init__()
        self.reach, self.stride = (width - 1) * dilation + 1, stride
        # a stride of 2 needs an odd number of padded frames, which only functional.pad can add
        self.convolution = nn.Conv1d(channels, outputs, width, stride=stride, dilation=dilation, bias=False,
                                     padding=(self.reach - 1) // 2 if stride == 1 else 0)

    def forward(self, inputs, lengths=None):
        frames = inputs.shape[2]
        if lengths is not None:
            inputs = masked(inputs, lengths)
        if self.stride > 1:
            padding = max(((frames - 1) // self.stride) * self.stride + self.reach - frames, 0)
            inputs = functional.pad(inputs, (padding // 2, padding - padding // 2))
        return self.convolution(inputs)


class Normalized(nn.Module):
    """A convolution and its batch norm."""

    def __init__(self, norm, *sizes):
        super().__init__()
        self.convolution = MaskedConvolution(*sizes)
        # OpenSeq2Seq's momentum is the share of the old statistic, PyTorch's that of the new one
        self.norm = nn.BatchNorm1d(sizes[1], eps=norm["bn_epsilon"], momentum=1.0 - norm["bn_momentum"])

    def forward(self, inputs, lengths=None):
        return self.norm(self.convolution(inputs, lengths))


class Block(nn.Module):
    """``repeat`` convolutions; the last one adds the residual branches, one for the input of each block before it."""

    def __init__(self, layer, norm, channels, residual_channels):
        super().__init__()
        outputs, width = layer["num_channels"], layer["kernel_size"][0]
        self.stride, self.keep = layer["stride"][0], layer["dropout_keep_prob"]
        self.main = nn.ModuleList(
            Normalized(norm, outputs if repeat else channels, outputs, width, self.stride, layer["dilation"][0])
            for repeat in range(layer["repeat"]))
        self.residual = nn.ModuleList(Normalized(norm, size, outputs, 1) for size in residual_channels)

    def forward(self, inputs, lengths, residual_inputs):
        outputs = inputs
        for repeat, unit in enumerate(self.main):
            outputs = unit(outputs, lengths)
            lengths = -(-lengths // self.stride)
            if repeat == len(self.main) - 1:
                for branch, branch_inputs in zip(self.residual, residual_inputs):
                    outputs = outputs + branch(branch_inputs)
            outputs = functional.dropout(functional.relu(outputs), 1.0 - self.keep)
        return outputs, lengths


class Jasper(nn.Module):
    """Features [B, T, F] and lengths [B] to logits [B, V + 1, T'], the blank last, and their lengths."""

    def __init__(self, layers, norm, features, outputs):
        super().__init__()
        self.blocks, dense, channels = nn.ModuleList(), [], features
        for layer in layers:
            if layer["residual"]:
                dense = (dense if layer["residual_dense"] else []) + [channels]
            self.blocks.append(Block(layer, norm, channels, dense if layer["residual"] else []))
            channels = layer["num_channels"]
        self.layers, self.decoder = layers, nn.Conv1d(channels, outputs, 1)

    def forward(self, features, lengths):
        activations, dense = features.transpose(1, 2), []
        for block, layer in zip(self.blocks, self.layers):
            if layer["residual"]:
                dense = (dense if layer["residual_dense"] else []) + [activations]
                # masked once for all branches that read it
                dense[-1] = activations = masked(activations, lengths)
            activations, lengths = block(activations, lengths, dense)
        return self.decoder(activations), lengths

    def load(self, values):
        """Sets all weights from a mapping of the names of OpenSeq2Seq's variables to arrays; returns the names that it read."""
        names = []

        def assign(parameter, name, axes=None):
            names.append(name)
            value = values[name] if axes is None else np.transpose(values[name], axes)
            with torch.no_grad():
                parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)).view(parameter.shape))

        def assign_unit(unit, convolution, norm):
            assign(unit.convolution.convolution.weight, ENCODER + convolution + "/kernel", (2, 1, 0))
            assign(unit.norm.weight, ENCODER + norm + "/gamma")
            assign(unit.norm.bias, ENCODER + norm + "/beta")

        for number, (block, layer) in enumerate(zip(self.blocks, self.layers), 1):
            for repeat, unit in enumerate(block.main, 1):
                scope = "conv%d%d" % (number, repeat)
                assign_unit(unit, scope, scope + "/bn")
            for index, unit in enumerate(block.residual):
                suffix = "_%d" % index if layer["residual_dense"] else ""
                assign_unit(unit, scope + "/res" + suffix, scope + "/res_bn" + suffix)
        assign(self.decoder.weight, DECODER + "kernel", (1, 0))
        assign(self.decoder.bias, DECODER + "bias")
        return names


class NovoGrad:
    """NovoGrad (arXiv:1905.11286) as NVIDIA uses it, with multi-tensor operations, which are PyTorch's fastest on a CPU, too."""

    def __init__(self, parameters, learning_rate, beta1, beta2, epsilon, weight_decay, grad_averaging):
        self.parameters, self.learning_rate = list(parameters), learning_rate
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.weight_decay, self.share = weight_decay, 1.0 - beta1 if grad_averaging else 1.0
        self.momentum = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.second_moments = None

    @torch.no_grad()
    def step(self):
        gradients = [parameter.grad for parameter in self.parameters]
        squares = torch.stack(torch._foreach_norm(gradients)) ** 2
        self.second_moments = squares if self.second_moments is None else (
            self.beta2 * self.second_moments + (1.0 - self.beta2) * squares)
        factors = (self.share / (self.second_moments + self.epsilon).sqrt()).unbind()
        torch._foreach_mul_(gradients, list(factors))
        if self.weight_decay:
            torch._foreach_add_(gradients, self.parameters, alpha=self.share * self.weight_decay)
        torch._foreach_mul_(self.momentum, self.beta1)
        torch._foreach_add_(self.momentum, gradients)
        torch._foreach_add_(self.parameters, self.momentum, alpha=-self.learning_rate)
        for parameter in self.parameters:
            parameter.grad = None


def main():
    arguments = worker_input.arguments_of(__doc__)
    output = turns.private_output()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    values, settings = worker_input.read_values(arguments.values)
    features, lengths, labels, label_lengths = (torch.from_numpy(values["batch:" + name]) for name in (
        "features", "feature_lengths", "labels", "label_lengths"))
    network = Jasper(settings["layers"], settings["batch_norm"], features.shape[2], len(values[DECODER + "bias"]))
    names = network.load(values)
    missing = [name for name in values.files if name.startswith("ForwardPass/") and name not in names]
    if missing:
        raise SystemExit("this network has no weights for %s" % ", ".join(missing))
    optimizer = NovoGrad(network.parameters(), arguments.learning_rate, **settings["optimizer"])
    blank = len(values[DECODER + "bias"]) - 1

    def step():
        logits, logit_lengths = network(features, lengths)
        log_probabilities = functional.log_softmax(logits, 1).permute(2, 0, 1)
        loss = functional.ctc_loss(log_probabilities, labels, logit_lengths, label_lengths, blank, reduction="none").mean()
        loss.backward()
        optimizer.step()
        return loss.detach()

    turns.serve(output, step, {"parameters": sum(parameter.numel() for parameter in network.parameters()),
                               "software": "PyTorch " + torch.__version__})


if __name__ == "__main__":
    main()
