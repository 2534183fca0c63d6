"""How many frames a network leaves of its input, worked out from a description instead of a graph."""
from open_seq2seq.encoders.convnet_layers import convolved_frames

KEYS = ("kernel_size", "stride", "dilation", "padding")


def changes_of(convnet_layers):
    """The convolutions of a network that change the number of frames, in order.

    Args:
      convnet_layers: checked list of layers.

    Returns:
      (changes, mask_changes): a list of dicts with the keys ``KEYS``, one a convolution; and how many of them come before
      the frames that the mask input counts, which are those that the first convolution leaves.
    """
    changes, mask_changes = [], 0
    for index, layer in enumerate(convnet_layers):
        for repeat in range(layer["repeat"]):
            if convolved_frames(layer, PROBE_FRAMES) != PROBE_FRAMES:
                changes.append({key: layer[key] for key in KEYS})
                mask_changes += index == repeat == 0
    return changes, mask_changes


PROBE_FRAMES = 1 << 20  # a number of frames that every convolution with a stride or without padding changes


def frames_after(changes, frames):
    """Frames that are left of ``frames`` (an int) after ``changes``, at least 0."""
    for change in changes:
        frames = int(convolved_frames(change, int(frames)))
    return frames


def subsampling_of(changes):
    """Input frames for one output frame: the product of the strides."""
    product = 1
    for change in changes:
        product *= change["stride"][0]
    return product
