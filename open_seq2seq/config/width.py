"""``width_multiplier``: the channels of every block of a convolutional encoder, more or fewer, for a larger or smaller corpus.

A config keeps the channels of its author; what is built, described and written into the resolved config are the multiplied ones.
"""
from open_seq2seq.config.parameters import child_path

MULTIPLE = 8
"""Channels are rounded to a multiple of it, half upwards, and are at least as many: vector units take no fewer at a time."""


def scaled_channels(num_channels, multiplier):
    """Channels of a block times a multiplier, an int; with a multiplier of 1 they stay as they are."""
    if multiplier == 1.0:
        return num_channels
    return max(MULTIPLE, int(num_channels * multiplier / MULTIPLE + 0.5) * MULTIPLE)


def scale_width(checked, path, report):
    """Multiplies the channels of checked params in place.

    Args:
      checked: params of a mode, those of the encoder included, in which nothing is wrong.
      path: names the params.
      report: receives a problem where the encoder has no convnet_layers.
    """
    multiplier = checked.get("width_multiplier", 1.0)
    if multiplier == 1.0:
        return
    layers = checked["encoder_params"].get("convnet_layers")
    if not isinstance(layers, list):
        report.problem(child_path(path, "width_multiplier"), 'is %g, and the encoder has no "convnet_layers" whose channels '
                                                             "it could multiply; leave it out" % multiplier)
        return
    # an encoder of one's own is not checked
    for layer in (layer for layer in layers if isinstance(layer, dict) and isinstance(layer.get("num_channels"), int)):
        layer["num_channels"] = scaled_channels(layer["num_channels"], multiplier)
