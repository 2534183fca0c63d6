"""Greedy decoding: repeats are merged, blanks are removed, frames beyond the length are ignored."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.decoding.greedy import GreedyDecoder, PathReader, Run, best_path, collapse
from open_seq2seq.text.vocabulary import Vocabulary


@pytest.mark.parametrize("path, length, expected", [
    ([0, 0, 3, 0, 1, 1], 6, [0, 0, 1]),
    ([0, 0, 3, 0, 1, 1], 4, [0, 0]),
    ([0, 0, 3, 0, 1, 1], 3, [0]),
    ([3, 3, 3, 3, 3, 3], 6, []),
    ([2, 2, 2, 2, 2, 2], 6, [2]),
    ([2, 1, 2, 1, 2, 1], 6, [2, 1, 2, 1, 2, 1]),
    ([2, 1, 2, 1, 2, 1], 0, []),
])
def test_by_hand(path, length, expected):
    assert collapse(np.array([path], np.int32), np.array([length]), blank=3) == [expected]


@pytest.mark.parametrize("seed", range(20))
def test_equals_tensorflows_greedy_decoder(seed):
    random = np.random.RandomState(seed)
    batch_size, frames, outputs = random.randint(1, 6), random.randint(1, 40), random.randint(2, 6)
    logits = random.randn(batch_size, frames, outputs).astype(np.float32)
    lengths = random.randint(0, frames + 1, batch_size).astype(np.int32)
    with tf.Graph().as_default(), tf.Session() as session:
        sparse = tf.nn.ctc_greedy_decoder(tf.constant(logits.transpose(1, 0, 2)), tf.constant(lengths))[0][0]
        indices, values = session.run([sparse.indices, sparse.values])
    expected = [values[indices[:, 0] == row].tolist() for row in range(batch_size)]
    assert collapse(best_path(logits), lengths, blank=outputs - 1) == expected


def test_empty_batch_and_no_frames():
    assert collapse(np.zeros([0, 4], np.int32), np.zeros([0], np.int32), blank=2) == []
    assert collapse(np.zeros([2, 0], np.int32), np.zeros([2], np.int32), blank=2) == [[], []]


def test_mismatched_shapes_are_refused():
    with pytest.raises(ValueError, match="expected"):
        collapse(np.zeros([3, 4], np.int32), np.zeros([2], np.int32), blank=2)
    with pytest.raises(ValueError, match="expected"):
        collapse(np.zeros([3], np.int32), np.zeros([3], np.int32), blank=2)


def test_runs_of_a_path_in_two_pieces_by_hand():
    reader = PathReader(blank=3)
    assert reader.read(np.array([0, 0, 3, 0])) == [Run(0, 0, 2, True), Run(3, 2, 3, False), Run(0, 3, 4, True)]
    assert reader.read(np.array([], int)) == []
    assert reader.read(np.array([0, 0, 1])) == [Run(0, 0, 2, False), Run(1, 2, 3, True)]


def test_after_a_restart_an_equal_label_is_a_new_one():
    reader = PathReader(blank=3)
    reader.read(np.array([3, 1]))
    reader.restart()
    assert reader.read(np.array([1, 1])) == [Run(1, 0, 2, True)]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_a_path_read_in_pieces_equals_the_complete_path(path, splits):
    reader, labels = PathReader(blank=3), np.array(path, int)
    borders = [0] + sorted(min(split, len(path)) for split in splits) + [len(path)]
    pieces = [(first, reader.read(labels[first:end])) for first, end in zip(borders, borders[1:])]
    runs = [run for _, piece in pieces for run in piece]
    assert [run.label for run in runs if run.starts] == collapse(labels[np.newaxis], [len(path)], blank=3)[0]
    # the runs cover every frame once, in order
    frames = [(first + frame, run.label) for first, piece in pieces for run in piece for frame in range(run.first, run.end)]
    assert frames == list(enumerate(path))


def test_transcripts_of_best_paths_and_of_logits():
    decoder = GreedyDecoder(Vocabulary(" ab"))
    paths = np.array([[1, 1, 3, 1, 0, 2], [2, 3, 3, 0, 0, 1]], np.int32)
    logits = np.eye(4, dtype=np.float32)[paths]
    np.testing.assert_array_equal(best_path(logits), paths)
    assert decoder.decode_best_path(paths, [6, 3]) == ["aa b", "b"]
    assert decoder.decode_logits(logits, [6, 3]) == ["aa b", "b"]


def test_logits_of_another_vocabulary_are_refused():
    decoder = GreedyDecoder(Vocabulary(" ab"))
    with pytest.raises(ValueError, match=r"shape \(1, 2, 5\), expected \[B, T', 4\]"):
        decoder.decode_logits(np.zeros([1, 2, 5], np.float32), [2])
    with pytest.raises(ValueError, match="expected"):
        decoder.decode_logits(np.zeros([2, 4], np.float32), [2])


def test_tags_of_languages_are_not_decoded():
    decoder = GreedyDecoder(Vocabulary(["a", "b", "<ky>"]))
    logits = np.log(np.array([[[0.1, 0.1, 0.7, 0.1], [0.6, 0.2, 0.1, 0.1], [0.4, 0.1, 0.3, 0.2], [0.6, 0.2, 0.1, 0.1]]]))
    assert decoder.decode_best_path(np.array([[2, 0, 2, 0]]), [4]) == ["aa"]
    folded, = decoder.log_probabilities(logits, [4])
    np.testing.assert_allclose(np.exp(folded), [[0.1, 0.1, 0, 0.8], [0.6, 0.2, 0, 0.2], [0.4, 0.1, 0, 0.5], [0.6, 0.2, 0, 0.2]],
                               atol=1e-6)
    hypothesis, = decoder.hypotheses(logits, [4])
    assert hypothesis.text == "aa" and [character.text for character in hypothesis.characters] == ["a", "a"]
