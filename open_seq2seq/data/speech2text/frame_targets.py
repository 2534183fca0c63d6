"""Frame labels as targets of an encoder's frames."""
import collections

import numpy as np

from open_seq2seq.data.speech2text.dataset import Batch

NO_TARGET = -1

PretrainingBatch = collections.namedtuple("PretrainingBatch", Batch._fields + ("targets", "mask"))
PretrainingBatch.__doc__ = """The input of a pre-training model: the fields of a Batch, whose labels are empty, and

targets: int32 [B, T', label sets], in frames of the encoder's output; -1 for frames without a label.
mask: bool [B, T'], the frames whose input is replaced by the mask embedding."""


def as_batch(element):
    """What a dataset yields, as a Batch or PretrainingBatch; that of a custom data layer may be a plain tuple."""
    return element if hasattr(element, "features") else Batch(*element)


_LARGE = 2 ** 16  # frames; a multiple of every stride


class FrameGeometry:
    """How frames of features, frames of an encoder and labels correspond.

    Args:
      output_frames: function int feature frames -> int encoder frames.
      frame_seconds: float, from one frame of features to the next.

    Attributes:
      output_frames: as given.
      stride: feature frames for one encoder frame.
      offset: feature frames before the first encoder frame; 0 unless convolutions without padding shorten the input.
      frame_rate: float, encoder frames per second.
    """

    def __init__(self, output_frames, frame_seconds):
        self.output_frames = output_frames
        self.stride = int(round(_LARGE / float(output_frames(2 * _LARGE) - output_frames(_LARGE))))
        self.offset = max(0, _LARGE - int(output_frames(_LARGE)) * self.stride) // 2
        self.frame_rate = 1.0 / (frame_seconds * self.stride)

    def labels_per_frame(self, label_rate):
        """Labels for one encoder frame, a float, e.g. 2.0 for 100 labels and 50 frames per second."""
        return round(label_rate / self.frame_rate, 9)


def aligned_targets(labels, labels_per_frame, frames):
    """The label of each encoder frame, as in fairseq: frame t has label floor(t * labels_per_frame).

    Args:
      labels: int [labels].
      labels_per_frame: float r.
      frames: encoder frames of the utterance.

    Returns:
      int array of at most ``frames`` values: frames beyond int(labels / r) have none.
    """
    if labels_per_frame * frames > len(labels):
        frames = int(len(labels) / labels_per_frame)
    return labels[(np.arange(frames) * labels_per_frame).astype(np.int64)]
