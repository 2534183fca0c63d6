"""What a convolutional encoder's ``convnet_layers`` may say, and how many frames such a stack leaves."""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Bool, Choice, Float, Int, List, Parameter, Struct, child_path

LAYER_PARAMETERS = (
    Parameter("type", Choice("conv1d", "sep_conv1d"), doc="plain convolution, or depthwise followed by pointwise"),
    Parameter("repeat", Int(minimum=1), default=1, doc="how many convolutions of this kind make the block"),
    Parameter("kernel_size", List(Int(minimum=1), length=1), doc="width of the kernel in frames"),
    Parameter("stride", List(Int(minimum=1), length=1), default=[1], doc="step between output frames, in input frames"),
    Parameter("num_channels", Int(minimum=1), doc="output channels"),
    Parameter("padding", Choice("SAME", "VALID", fold_case=True), default="SAME",
              doc="SAME: as many output frames as input frames divided by the stride; VALID: only whole windows"),
    Parameter("dilation", List(Int(minimum=1), length=1), default=[1], doc="distance between the kernel's taps, in frames"),
    Parameter("dropout_keep_prob", Float(above=0.0, maximum=1.0), default=None,
              doc="probability of keeping a value in training; None: the encoder's"),
    Parameter("residual", Bool(), default=False, doc="add the block's input (1x1 convolution, batch norm) to its output"),
    Parameter("residual_dense", Bool(), default=False, doc="add the inputs of all dense residual blocks before it, too"),
)


class ConvnetLayers(List):
    """The list of layers, with the rules that join several keys or several layers."""

    def __init__(self):
        super().__init__(Struct(LAYER_PARAMETERS), minimum_length=1)
        self.description = "a list of at least one layer"

    def check(self, value, path, report):
        before = len(report.problems)
        layers = super().check(value, path, report)
        if len(report.problems) > before:
            return layers
        dense_from = None
        for index, layer in enumerate(layers):
            where = child_path(path, index)
            if layer["stride"][0] > 1 and layer["dilation"][0] > 1:
                report.problem(where, "has stride %d and dilation %d, expected one of them to be 1" % (
                    layer["stride"][0], layer["dilation"][0]))
            if not layer["residual"]:
                if layer["residual_dense"]:
                    report.note(where, 'has "residual_dense" without "residual", which has no effect')
                continue
            first = index
            if layer["residual_dense"]:
                dense_from = first = index if dense_from is None else dense_from
            for between in range(first, index + 1):
                if _changes_frames(layers[between]):
                    report.problem(where, "is residual and adds the input of layer %d, but layer %d changes the number of "
                                          "frames (stride %d, padding %s); expected stride 1 and padding SAME" % (
                                              first, between, layers[between]["stride"][0], layers[between]["padding"]))
        return layers


def _changes_frames(layer):
    return layer["stride"][0] > 1 or (layer["padding"] == "VALID" and layer["kernel_size"][0] > 1)


def convolved_frames(layer, frames):
    """Frames after one convolution of ``layer``.

    Args:
      layer: a checked layer.
      frames: int, or an integer tensor of any shape.

    Returns:
      An int or a tensor like ``frames``, at least 0.
    """
    if not _changes_frames(layer):
        return frames
    stride = layer["stride"][0]
    if layer["padding"] == "SAME":
        return (frames + stride - 1) // stride
    whole_windows = (frames - layer["dilation"][0] * (layer["kernel_size"][0] - 1) - 1) // stride + 1
    return tf.maximum(whole_windows, 0) if tf.is_tensor(frames) else max(whole_windows, 0)
