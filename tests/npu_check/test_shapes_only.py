import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.buckets import StaticShapes
from open_seq2seq.errors import ConfigError
from open_seq2seq.npu_check.shapes_only import ShapesOnlyDataLayer

PARAMS = {"vocab_file": "open_seq2seq/test_utils/toy_speech_data/vocab.txt", "num_audio_features": 64, "pad_to": 16,
          "batch_frames": 0, "num_buckets": 0}


def layer(lengths, **options):
    return ShapesOnlyDataLayer(PARAMS, "train", 3, output_frames=lambda frames: frames // 2,
                               static_shapes=StaticShapes(lengths), **options)


def test_labels_are_as_many_as_ctc_can_align(graph):
    assert [tuple(bucket) for bucket in layer([160, 400]).buckets] == [(160, 80), (400, 200)]


def test_batches_have_static_shapes_and_say_that_nothing_is_real(graph):
    data = layer([160, 400])
    for dataset in (data.training_dataset(5, bucket=1), data.evaluation_dataset(bucket=1)):
        batch = tf.data.make_one_shot_iterator(dataset).get_next()
        assert batch.features.shape.as_list() == [3, 400, 64] and batch.labels.shape.as_list() == [3, 200]
        assert all(tensor.shape.is_fully_defined() for tensor in batch)
        with tf.Session() as session:
            values = session.run(batch)
        assert not values.features.any() and values.weights.tolist() == [0.0] * 3
        assert values.utterance_indices.tolist() == [-1] * 3 and values.features.dtype == np.float32


@pytest.mark.parametrize("lengths", [[400, 160], [100], [160, 176, 192, 208, 224]])
def test_lengths_that_no_run_would_take_are_refused(graph, lengths):
    with pytest.raises(ConfigError, match="bucket_frames"):
        layer(lengths)
