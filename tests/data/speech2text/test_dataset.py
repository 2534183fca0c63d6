import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.batch_order import TrainingOrder
from open_seq2seq.data.speech2text.buckets import Bucket
from open_seq2seq.data.speech2text.dataset import Batch, FeaturePipeline, Request, parallel_calls

FEATURES = 3
# utterance i has 10 * (i + 1) samples of value i + 1 and i % 4 labels; a frame is 10 samples
UNUSABLE = 5


def load(index):
    if index == UNUSABLE:
        return np.zeros([0], np.float32), np.zeros([2], np.int32)
    return np.full([10 * (index + 1)], index + 1, np.float32), np.arange(1, index % 4 + 1, dtype=np.int32)


def features_of(waveform, seed):
    """Feature 0: the utterance; 1 and 2: the seed."""
    whole = tf.pad(waveform, [[0, tf.mod(-tf.size(waveform), 10)]])
    frames = tf.reshape(whole, [-1, 10])[:, :1]
    return tf.concat([frames, tf.ones_like(frames) * tf.cast(seed, tf.float32)], 1)


def read(dataset, count=None):
    iterator = tf.data.make_initializable_iterator(dataset)
    element, batches = iterator.get_next(), []
    assert isinstance(element, Batch)
    with tf.Session() as session:
        session.run(iterator.initializer)
        while count is None or len(batches) < count:
            try:
                batches.append(session.run(element))
            except tf.errors.OutOfRangeError:
                break
    return batches


def pipeline(pad_to=0):
    return FeaturePipeline(load, features_of, FEATURES, pad_to, seed=11, num_parallel_calls=2)


def requests_of(order, frames=1):
    """A function number -> Request for the batches of an order."""
    return lambda number: Request(*order.batch(number), frames=np.full([order.batch_size], frames, np.int32))


@pytest.mark.parametrize("pad_to, frames", [(0, 4), (1, 4), (3, 6), (16, 16)])
def test_batches_are_padded_to_a_multiple_and_have_valid_lengths(graph, pad_to, frames):
    batch, = read(pipeline(pad_to).evaluation_dataset([np.array([3, 0, 2])], 8))
    assert batch.features.shape == (3, frames, FEATURES) and batch.features.dtype == np.float32
    assert batch.feature_lengths.tolist() == [4, 1, 3] and batch.feature_lengths.dtype == np.int32
    assert batch.utterance_indices.tolist() == [3, 0, 2] and batch.utterance_indices.dtype == np.int32
    assert batch.label_lengths.tolist() == [3, 0, 2] and batch.label_lengths.dtype == np.int32
    assert batch.labels.tolist() == [[1, 2, 3], [0, 0, 0], [1, 2, 0]] and batch.labels.dtype == np.int32
    for row, (index, length) in enumerate(zip(batch.utterance_indices, batch.feature_lengths)):
        # the random numbers of an evaluation depend neither on the batch nor on the place in the manifest
        assert (batch.features[row, :length] == [index + 1, 11, 0]).all()
        assert (batch.features[row, length:] == 0).all()


def test_evaluation_reads_the_given_batches(graph):
    batches = [np.array([9, 8]), np.array([7]), np.array([6, 4]), np.array([3, 2, 1]), np.array([0])]
    found = read(pipeline().evaluation_dataset(batches, 3))
    assert [batch.utterance_indices.tolist() for batch in found] == [batch.tolist() for batch in batches]


def test_evaluation_skips_unusable_files_and_batches_without_any_other(graph):
    found = read(pipeline().evaluation_dataset([np.array([6, UNUSABLE, 4]), np.array([UNUSABLE]), np.array([1])], 3))
    assert [batch.utterance_indices.tolist() for batch in found] == [[6, 4], [1]]


def test_training_continues_across_epochs_with_full_batches(graph):
    order = TrainingOrder(np.ones(10), 4, seed=2)
    dataset = pipeline(2).training_dataset(requests_of(order), 0, 4)
    shapes = [shape.as_list() for shape in tf.data.get_output_shapes(dataset)]
    assert shapes == [[4, None, FEATURES], [4], [4, None], [4], [4], [4], [4]]
    batches = read(dataset, 12)
    expected = np.concatenate([order.batch(number).indices for number in range(14)])
    positions = np.flatnonzero(expected != UNUSABLE)[:48]
    assert np.concatenate([batch.utterance_indices for batch in batches]).tolist() == expected[positions].tolist()
    # a row keeps its position when it moves up in place of an unusable file
    assert np.concatenate([batch.positions for batch in batches]).tolist() == positions.tolist()
    # the seed is (seed, position in the stream); the skipped utterance has a position, too
    assert np.concatenate([batch.features[:, 0, 1:] for batch in batches]).tolist() == [
        [11, position] for position in positions]


def static_batches(rows, bucket, count=None):
    """Batches with the given indices, -1 for padding rows."""
    def request_of(number):
        indices = np.array(rows[number])
        return Request(indices, np.maximum(indices, 0), 2.0 * (indices >= 0).astype(np.float32), np.zeros(len(indices), np.int32))

    dataset = pipeline(pad_to=16).static_dataset(request_of, (0, len(rows)), len(rows[0]), bucket)
    return tf.data.get_output_shapes(dataset), read(dataset, count)


def test_static_shapes_are_known_in_the_graph(graph):
    shapes, (batch,) = static_batches([[3, 0, 2]], Bucket(7, 5))
    assert [shape.as_list() for shape in shapes] == [[3, 7, FEATURES], [3], [3, 5], [3], [3], [3], [3]]
    assert batch.feature_lengths.tolist() == [4, 1, 3] and batch.label_lengths.tolist() == [3, 0, 2]
    assert batch.labels.tolist() == [[1, 2, 3, 0, 0], [0] * 5, [1, 2, 0, 0, 0]]
    assert batch.weights.tolist() == [2.0] * 3 and batch.weights.dtype == np.float32
    for row, (index, length) in enumerate(zip(batch.utterance_indices, batch.feature_lengths)):
        assert (batch.features[row, :length, 0] == index + 1).all() and (batch.features[row, length:] == 0).all()


def test_padding_rows_and_unusable_files_keep_their_places(graph):
    _, batches = static_batches([[3, UNUSABLE], [UNUSABLE, UNUSABLE], [2, -1]], Bucket(8, 4))
    assert [batch.utterance_indices.tolist() for batch in batches] == [[3, -1], [-1, -1], [2, -1]]
    assert [batch.feature_lengths.tolist() for batch in batches] == [[4, 0], [0, 0], [3, 0]]
    assert [batch.label_lengths.tolist() for batch in batches] == [[3, 0], [0, 0], [2, 0]]
    assert [batch.weights.tolist() for batch in batches] == [[2.0, 0.0], [0.0, 0.0], [2.0, 0.0]]
    for batch in batches:
        empty = batch.utterance_indices < 0
        assert (batch.features[empty] == 0).all() and (batch.labels[empty] == 0).all()


def test_an_utterance_longer_than_its_bucket_is_an_error(graph):
    with pytest.raises(tf.errors.OpError, match="smaller size"):
        static_batches([[9, 0]], Bucket(7, 5))


@pytest.mark.parametrize("frames, length", [(1, 6), (6, 6), (7, 9), (13, 15)])
def test_training_batches_have_at_least_the_requested_frames(graph, frames, length):
    order = TrainingOrder(np.ones(5), 5, shuffle=False)
    batch, = read(pipeline(3).training_dataset(requests_of(order, frames), 0, 5), 1)
    assert batch.features.shape == (5, length, FEATURES)
    assert batch.feature_lengths.tolist() == [1, 2, 3, 4, 5] and batch.weights.tolist() == [1.0] * 5


def test_training_can_keep_the_rows_of_unusable_files(graph):
    order = TrainingOrder(np.ones(10), 4, shuffle=False)
    first, second = read(pipeline().training_dataset(requests_of(order), 0, 4, keep_rows=True), 2)
    assert first.utterance_indices.tolist() == [0, 1, 2, 3]
    assert second.utterance_indices.tolist() == [4, -1, 6, 7]
    assert second.weights.tolist() == [1.0, 0.0, 1.0, 1.0] and second.feature_lengths.tolist() == [5, 0, 7, 8]


def test_batches_before_the_first_are_not_computed(graph):
    loaded = []

    def counted(index):
        loaded.append(int(index))
        return load(index)

    order = TrainingOrder(np.ones(5), 2, seed=0)
    feature_pipeline = FeaturePipeline(counted, features_of, FEATURES, 0, 11, 1)
    batch, = read(feature_pipeline.training_dataset(requests_of(order), 100, 2), 1)
    assert batch.utterance_indices.tolist() == order.batch(100).indices.tolist()
    assert batch.features[:, 0, 2].tolist() == [200, 201]
    assert len(loaded) < 40


def test_an_error_while_loading_is_raised(graph):
    def broken(index):
        raise RuntimeError("disk on fire")

    feature_pipeline = FeaturePipeline(broken, features_of, FEATURES, 0, 0, 1)
    with pytest.raises(tf.errors.OpError, match="disk on fire"):
        read(feature_pipeline.evaluation_dataset([np.array([0])], 1))


def test_cores_are_shared_by_the_workers():
    assert 1 <= parallel_calls(8) <= parallel_calls(1) <= 16
