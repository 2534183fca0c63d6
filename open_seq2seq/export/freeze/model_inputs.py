"""The inputs of an exported graph: features and their mask, or audio."""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.feature_graph import FeatureGraph
from open_seq2seq.encoders.convnet_layers import convolved_frames
from open_seq2seq.export.description import AUDIO_INPUT, AUDIO_LENGTHS_INPUT, FEATURES_INPUT, MASK_INPUT, Tensor, frames_after

ModelInputs = collections.namedtuple("ModelInputs", "images mask tensors")
ModelInputs.__doc__ = """images: float32 [B, 1, T, F]; mask: float32 [B, M]; tensors: tuple of Tensor, the
placeholders."""


def feature_inputs(batch_size, frames, num_features, mask_changes):
    """Placeholders for features and mask.

    Args:
      batch_size, frames: int, or None for any.
      num_features: features of a frame.
      mask_changes: the convolutions before the frames that the mask counts, see ``description.changes_of``.

    Returns:
      :class:`ModelInputs`.
    """
    mask_frames = None if frames is None else frames_after(mask_changes, frames)
    images = tf.placeholder(tf.float32, [batch_size, 1, frames, num_features], FEATURES_INPUT)
    mask = tf.placeholder(tf.float32, [batch_size, mask_frames], MASK_INPUT)
    return ModelInputs(images, mask, (Tensor(FEATURES_INPUT, (batch_size, 1, frames, num_features), "float32"),
                                      Tensor(MASK_INPUT, (batch_size, mask_frames), "float32")))


def audio_inputs(batch_size, frames, feature_params, mask_changes, pad_to):
    """Placeholders for audio, and the graph that computes features and mask from it, without dither.

    Args:
      batch_size, frames: int, or None for any.
      feature_params: checked dict of the features' PARAMETERS.
      mask_changes: see :func:`feature_inputs`.
      pad_to: the features are padded to a multiple of this where ``frames`` is None.

    Returns:
      :class:`ModelInputs`.
    """
    features_of = FeatureGraph(feature_params)
    num_features = feature_params["num_audio_features"]
    samples = None if frames is None else most_samples(features_of, frames)
    audio = tf.placeholder(tf.float32, [batch_size, samples], AUDIO_INPUT)
    lengths = tf.placeholder(tf.int32, [batch_size], AUDIO_LENGTHS_INPUT)
    # a padding row of the batch has length 0, but features need a sample
    some = tf.maximum(lengths, 1)
    feature_lengths = features_of.num_frames(some) * tf.minimum(lengths, 1)
    padded = tf.reduce_max(feature_lengths) if frames is None else frames
    if frames is None:
        padded += tf.mod(-padded, pad_to)

    def of_row(row):
        waveform, length, feature_length = row
        features = features_of(waveform[:length])[:feature_length]
        features = tf.pad(features, [[0, padded - tf.shape(features)[0]], [0, 0]])
        features.set_shape([frames, num_features])
        return features

    rows = (audio, some, feature_lengths)
    if batch_size is None:
        features = tf.map_fn(of_row, rows, dtype=tf.float32)
    else:
        features = tf.stack([of_row([tensor[row] for tensor in rows]) for row in range(batch_size)])
    images = tf.expand_dims(features, 1)
    mask_lengths, mask_frames = feature_lengths, padded
    for change in mask_changes:
        mask_lengths, mask_frames = convolved_frames(change, mask_lengths), convolved_frames(change, mask_frames)
    mask = tf.sequence_mask(mask_lengths, mask_frames, dtype=tf.float32)
    return ModelInputs(images, mask, (Tensor(AUDIO_INPUT, (batch_size, samples), "float32"),
                                      Tensor(AUDIO_LENGTHS_INPUT, (batch_size,), "int32")))


def most_samples(features_of, frames):
    """The longest waveform, in samples, whose features have no more than ``frames`` frames."""
    longest = 1
    while features_of.num_frames(2 * longest) <= frames:
        longest *= 2
    step = longest
    while step:
        if features_of.num_frames(longest + step) <= frames:
            longest += step
        else:
            step //= 2
    return longest
