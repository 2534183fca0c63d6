"""The parameters of a convolutional encoder's ``convnet_layers``, and the number of frames that such a stack outputs."""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Bool, Choice, Float, Int, List, Parameter, Report, Struct, child_path, shown

# far beyond any network, and small enough that sizes fit in int64 and lengths in int32
MOST_CHANNELS = 2 ** 16
MOST_TAPS, MOST_DILATION = 10 ** 4, 10 ** 5
MOST_REPEATS = 100
LARGEST_TOTAL_STRIDE = 10 ** 4

LAYER_PARAMETERS = (
    Parameter("type", Choice("conv1d", "sep_conv1d"), doc="plain convolution, or depthwise followed by pointwise"),
    Parameter("repeat", Int(minimum=1, maximum=MOST_REPEATS), default=1, doc="number of convolutions in the block"),
    Parameter("kernel_size", List(Int(minimum=1, maximum=MOST_TAPS), length=1), doc="width of the kernel in frames"),
    Parameter("stride", List(Int(minimum=1, maximum=LARGEST_TOTAL_STRIDE), length=1), default=[1],
              doc="step between output frames, in input frames"),
    Parameter("num_channels", Int(minimum=1, maximum=MOST_CHANNELS), doc="output channels"),
    Parameter("padding", Choice("SAME", "VALID", fold_case=True), default="SAME",
              doc="SAME: input frames divided by the stride, rounded up, are output; VALID: only complete windows"),
    Parameter("dilation", List(Int(minimum=1, maximum=MOST_DILATION), length=1), default=[1],
              doc="distance between the kernel's taps, in frames"),
    Parameter("dropout_keep_prob", Float(above=0.0, maximum=1.0), default=None,
              doc="probability of keeping a value in training; None: the encoder's"),
    Parameter("residual", Bool(), default=False,
              doc="add the block's input, after a 1x1 convolution and batch norm, to its output"),
    Parameter("residual_dense", Bool(), default=False, doc="add the inputs of all earlier dense residual blocks, too"),
)


class ConvnetLayers(List):
    """The list of layers, with the rules that join several keys or several layers."""

    def __init__(self):
        super().__init__(Struct(LAYER_PARAMETERS), minimum_length=1)
        self.description = "a list of at least one layer"

    def check(self, value, path, report):
        own = Report()
        layers = super().check(value, path, own)
        report.take(own)
        if own.problems:
            return layers
        self._check_strides(layers, path, report)
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

    @staticmethod
    def _check_strides(layers, path, report):
        total = 1
        for index, layer in enumerate(layers):
            total *= layer["stride"][0] ** layer["repeat"]
            if total > LARGEST_TOTAL_STRIDE:
                report.problem(child_path(path, index), "makes the total stride of the layers up to it %s frames, expected at "
                               "most %d" % (shown(total), LARGEST_TOTAL_STRIDE))
                return


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
    complete_windows = (frames - layer["dilation"][0] * (layer["kernel_size"][0] - 1) - 1) // stride + 1
    return tf.maximum(complete_windows, 0) if tf.is_tensor(frames) else max(complete_windows, 0)
