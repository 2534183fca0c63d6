"""CTCLoss against enumeration of all alignments, finite differences, and its edge cases."""
import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.encoders.shapes import IncompatibleDtypeError, IncompatibleShapeError
from open_seq2seq.losses import CTCLoss
from open_seq2seq.losses.ctc_loss import required_frames


def ctc_by_enumeration(logits, labels):
    """Minus the log of the summed probability of every path of len(logits) frames that collapses to ``labels``."""
    logits = logits.astype(np.float64)
    log_probabilities = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    blank = logits.shape[1] - 1
    total = 0.0
    for path in itertools.product(range(blank + 1), repeat=len(logits)):
        if [label for label, _ in itertools.groupby(path) if label != blank] == list(labels):
            total += np.exp(sum(log_probabilities[frame, label] for frame, label in enumerate(path)))
    return -np.log(total) if total else np.inf


def run(logits, logit_lengths, labels, label_lengths, mask_nan=True, weights=None):
    """Returns (loss, per_utterance, counted, gradient of the loss by the logits), the same for known and unknown shapes."""
    static, dynamic = (_run(unknown, logits, logit_lengths, labels, label_lengths, mask_nan, weights)
                       for unknown in (False, True))
    for first, second in zip(static, dynamic):
        np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-6)
    return static


def _run(unknown_shapes, logits, logit_lengths, labels, label_lengths, mask_nan, weights):
    with tf.Graph().as_default(), tf.Session() as session:
        logits, labels = tf.constant(np.asarray(logits, np.float32)), tf.constant(labels, tf.int32)
        if unknown_shapes:
            logits = tf.placeholder_with_default(logits, [None, None, logits.shape.as_list()[-1]])
            labels = tf.placeholder_with_default(labels, [None, None])
        output = CTCLoss({"mask_nan": mask_nan})(
            logits, tf.constant(logit_lengths, tf.int32), labels, tf.constant(label_lengths, tf.int32),
            None if weights is None else tf.constant(weights, tf.float32))
        return session.run([output.loss, output.per_utterance, output.counted, tf.gradients(output.loss, logits)[0]])


def random_logits(*shape):
    return np.random.RandomState(1).randn(*shape).astype(np.float32)


LABELS = [[0, 1, 0], [1, 1, 0], [2, 0, 0], [0, 0, 0]]
LABEL_LENGTHS = [3, 2, 1, 0]
LOGIT_LENGTHS = [5, 5, 3, 4]


def test_equals_enumeration():
    logits = random_logits(4, 5, 4)
    loss, per_utterance, counted, _ = run(logits, LOGIT_LENGTHS, LABELS, LABEL_LENGTHS)
    expected = [ctc_by_enumeration(logits[row, :LOGIT_LENGTHS[row]], LABELS[row][:LABEL_LENGTHS[row]]) for row in range(4)]
    np.testing.assert_allclose(per_utterance, expected, rtol=1e-5)
    np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-5)
    assert counted.tolist() == [True] * 4


def test_gradient_equals_finite_differences():
    logits = random_logits(4, 5, 4).astype(np.float64)
    gradient = run(logits, LOGIT_LENGTHS, LABELS, LABEL_LENGTHS)[3]
    expected = np.zeros_like(logits)
    for row, frame, output in itertools.product(range(4), range(5), range(4)):
        sides = []
        for step in (1e-4, -1e-4):
            moved = logits[row].copy()
            moved[frame, output] += step
            sides.append(ctc_by_enumeration(moved[:LOGIT_LENGTHS[row]], LABELS[row][:LABEL_LENGTHS[row]]))
        expected[row, frame, output] = (sides[0] - sides[1]) / 2e-4 / 4
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


@pytest.mark.parametrize("mask_nan", [True, False])
def test_utterances_without_a_finite_loss_are_not_counted(mask_nan):
    """More labels than frames; too few frames because of a repeat; NaN; infinity; no frames; one good utterance."""
    logits = random_logits(6, 4, 3)
    logits[2, 1, 0] = np.nan
    logits[3, 1, 0] = np.inf
    labels = [[0, 1, 0, 1, 0], [0, 0, 1, 1, 0], [0] * 5, [0] * 5, [0] * 5, [1, 0, 0, 0, 0]]
    lengths = [4, 4, 4, 4, 0, 4]
    label_lengths = [5, 4, 1, 1, 1, 2]
    loss, per_utterance, counted, gradient = run(logits, lengths, labels, label_lengths, mask_nan)
    assert counted.tolist() == [False] * 5 + [True]
    good = ctc_by_enumeration(logits[5], [1, 0])
    np.testing.assert_allclose(per_utterance[5], good, rtol=1e-5)
    if mask_nan:
        assert per_utterance[:5].tolist() == [0.0] * 5
        np.testing.assert_allclose(loss, good / 6, rtol=1e-5)
    else:
        np.testing.assert_array_equal(per_utterance[:5], [np.inf, np.inf, np.nan, np.nan, np.inf])
        assert np.isnan(loss)
    np.testing.assert_array_equal(gradient[:5], np.zeros([5, 4, 3]))
    np.testing.assert_allclose(gradient[5], run(logits[5:], [4], [labels[5]], [2])[3][0] / 6, rtol=1e-6)


def test_an_underflow_of_the_probability_is_not_counted():
    """Logits so far apart that the labels' probability is 0 in float32: the op's loss is infinite."""
    logits = np.zeros([1, 2, 3], np.float32)
    logits[0, :, 0] = 500.0
    loss, _, counted, gradient = run(logits, [2], [[1]], [1])
    assert loss == 0.0 and not counted[0] and (gradient == 0.0).all()


def test_just_enough_frames_counts():
    logits = random_logits(1, 5, 3)
    _, per_utterance, counted, _ = run(logits, [5], [[0, 0, 1, 0]], [4])
    assert counted[0]
    np.testing.assert_allclose(per_utterance[0], ctc_by_enumeration(logits[0], [0, 0, 1, 0]), rtol=1e-5)


def test_batch_of_empty_transcripts_only():
    logits = random_logits(2, 3, 3)
    _, per_utterance, counted, _ = run(logits, [3, 1], np.zeros([2, 0]), [0, 0])
    np.testing.assert_allclose(
        per_utterance, [ctc_by_enumeration(logits[0], []), ctc_by_enumeration(logits[1, :1], [])], rtol=1e-5)
    assert counted.all()


def test_padding_does_not_matter():
    logits, labels = random_logits(2, 6, 4), np.array([[0, 2, 3], [1, 1, 1]])
    clean = run(logits, [4, 3], labels, [2, 1])
    logits[0, 4:], logits[1, 3:] = np.nan, 1e9
    labels[0, 2], labels[1, 1:] = 0, 2
    dirty = run(logits, [4, 3], labels, [2, 1])
    for first, second in zip(clean, dirty):
        np.testing.assert_array_equal(first, second)
    assert (clean[3][0, 4:] == 0.0).all() and (clean[3][1, 3:] == 0.0).all()


def test_more_labels_than_frames():
    """As in a length bucket: its labels' dimension is that of another utterance, with which the op would leave out this one."""
    logits, labels = random_logits(3, 4, 4), np.array([[0, 1, 2], [1, 1, 0], [2, 0, 0]])
    narrow = run(logits, [4, 4, 2], labels, [3, 2, 1])
    wide = run(logits, [4, 4, 2], np.pad(labels, [[0, 0], [0, 17]], mode="constant"), [3, 2, 1])
    for first, second in zip(narrow, wide):
        np.testing.assert_allclose(first, second, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(wide[1][1], ctc_by_enumeration(logits[1], [1, 1]), rtol=1e-5)


def test_labels_are_not_aligned_to_the_added_blank_frames():
    """A label that is nearly impossible in every valid frame must not be aligned to frames after them."""
    logits = np.zeros([1, 3, 3], np.float32)
    logits[0, :, 1] = -80.0
    _, per_utterance, counted, _ = run(logits, [3], [[1] + [0] * 9], [1])
    assert counted[0]
    np.testing.assert_allclose(per_utterance[0], ctc_by_enumeration(logits[0], [1]), rtol=1e-5)
    assert per_utterance[0] > 79.0


def test_weights_scale_the_utterances_of_the_mean():
    logits, weights = random_logits(4, 5, 4), [2.0, 0.0, 0.5, 1.0]
    loss, per_utterance, counted, gradient = run(logits, LOGIT_LENGTHS, LABELS, LABEL_LENGTHS, weights=weights)
    plain = run(logits, LOGIT_LENGTHS, LABELS, LABEL_LENGTHS)
    np.testing.assert_array_equal(per_utterance, plain[1])
    assert counted.all()
    np.testing.assert_allclose(loss, np.dot(weights, per_utterance) / 4, rtol=1e-6)
    np.testing.assert_allclose(gradient, plain[3] * np.reshape(weights, [4, 1, 1]), rtol=1e-5, atol=1e-7)
    assert (gradient[1] == 0.0).all()


@pytest.mark.parametrize("mask_nan", [True, False])
def test_padding_rows_of_a_batch_do_not_change_the_loss(mask_nan):
    """No frames, no labels, weight 0: neither the infinite loss of such a row nor a NaN in it reaches the mean."""
    logits = random_logits(3, 4, 3)
    logits[2] = np.nan
    loss, _, _, gradient = run(logits, [4, 0, 3], [[1, 0], [0, 0], [1, 0]], [2, 0, 1], mask_nan, weights=[3.0, 0.0, 0.0])
    alone = run(logits[:1], [4], [[1, 0]], [2])
    np.testing.assert_allclose(loss, alone[0], rtol=1e-6)
    np.testing.assert_allclose(gradient[0], alone[3][0], rtol=1e-5, atol=1e-7)
    assert (gradient[1:] == 0.0).all()


def test_no_shape_depends_on_values_where_the_inputs_are_static(graph):
    """Gradient included; and no 64-bit numbers but the constants that the op asks for."""
    logits = tf.placeholder(tf.float32, [3, 8, 4])
    lengths = tf.placeholder(tf.int32, [3])
    output = CTCLoss({"mask_nan": True})(logits, lengths, tf.placeholder(tf.int32, [3, 5]), lengths,
                                         tf.placeholder(tf.float32, [3]))
    assert tf.gradients(output.loss, logits)[0].shape.as_list() == [3, 8, 4]
    operations = graph.get_operations()
    assert [op.type for op in operations if op.type == "CTCLoss"] == ["CTCLoss"]
    unknown = [op.name for op in operations for tensor in op.outputs if not tensor.shape.is_fully_defined()]
    assert unknown == []
    wide = {op.type for op in operations for tensor in op.outputs if tensor.dtype in (tf.int64, tf.float64)}
    assert wide == {"Const"}


@pytest.mark.parametrize("static", [True, False])
def test_the_op_and_its_labels_are_built_in_the_host_scope(graph, static):
    shape = [2, 6, 4] if static else [None, None, 4]
    loss = CTCLoss({"mask_nan": True}, host_scope=lambda: tf.device("/device:CPU:7"))
    lengths = tf.placeholder(tf.int32, [2])
    loss(tf.placeholder(tf.float32, shape), lengths, tf.placeholder(tf.int32, shape[:2]), lengths)
    inside = {op.type for op in graph.get_operations() if op.device.endswith("CPU:7")}
    assert "CTCLoss" in inside and ("Where" in inside) != static
    assert not inside & {"IsFinite", "LogSoftmax", "Mean", "Placeholder"}
    op, = [op for op in graph.get_operations() if op.type == "CTCLoss"]
    # the operations that make the labels are in the scope as well
    assert {tensor.op.device.split(":")[-1] for tensor in op.inputs[1:3]} == {"7"}


def test_required_frames(graph):
    labels = tf.constant([[1, 1, 1, 2], [1, 2, 1, 2], [1, 1, 0, 0], [0, 0, 0, 0]])
    with tf.Session() as session:
        assert session.run(required_frames(labels, tf.constant([4, 4, 1, 0]))).tolist() == [6, 4, 1, 0]


def test_float16_logits_are_computed_in_float32(graph):
    output = CTCLoss({"mask_nan": True})(tf.zeros([1, 4, 3], tf.float16), tf.constant([4]), tf.constant([[0]]), tf.constant([1]))
    assert output.loss.dtype == tf.float32


def test_wrong_inputs_are_refused(graph):
    loss = CTCLoss({"mask_nan": True})
    lengths = tf.constant([4])
    with pytest.raises(IncompatibleShapeError, match="logits"):
        loss(tf.zeros([4, 3]), lengths, tf.constant([[0]]), tf.constant([1]))
    with pytest.raises(IncompatibleShapeError, match="labels"):
        loss(tf.zeros([1, 4, 3]), lengths, tf.constant([0]), tf.constant([1]))
    with pytest.raises(IncompatibleDtypeError, match="weights"):
        loss(tf.zeros([1, 4, 3]), lengths, tf.constant([[0]]), tf.constant([1]), tf.constant([1]))
    with pytest.raises(IncompatibleDtypeError, match="label_lengths"):
        loss(tf.zeros([1, 4, 3]), lengths, tf.constant([[0]]), tf.constant([1.0]))
