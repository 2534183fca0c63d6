import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.devices import npu_session_check
from open_seq2seq.devices.npu_session_check import check_ctc, check_offloading, reference_ctc
from open_seq2seq.errors import DeviceError


def test_the_reference_agrees_with_counting_by_hand():
    # two frames, one label, uniform over label and blank: of 4 paths all but blank-blank spell it
    losses, gradient = reference_ctc(np.zeros([1, 2, 2]), [2], np.array([[0]]), [1])
    assert losses[0] == pytest.approx(-np.log(0.75))
    # each frame: probability 1/2 minus that of the label among the three paths, 2/3
    assert gradient[0] == pytest.approx(np.array([[-1.0 / 6.0, 1.0 / 6.0]] * 2), abs=1e-8)


def test_a_repeated_label_needs_a_blank_between():
    losses, _ = reference_ctc(np.zeros([1, 3, 2]), [3], np.array([[0, 0]]), [2])
    assert losses[0] == pytest.approx(np.log(8.0))


def test_frames_and_labels_after_the_lengths_are_ignored():
    logits = np.random.RandomState(1).normal(size=[1, 6, 4])
    longer = np.concatenate([logits, np.ones([1, 2, 4])], 1)
    short = reference_ctc(logits, [6], np.array([[0, 1]]), [2])
    padded = reference_ctc(longer, [6], np.array([[0, 1, 2, 2]]), [2])
    assert padded[0] == pytest.approx(short[0])
    assert padded[1][0, 6:].tolist() == [[0.0] * 4] * 2


def test_the_check_passes_on_the_host_and_adds_nothing_else(graph):
    with tf.Session() as session:
        check_ctc(session, graph)
    assert all(operation.name.startswith("npu_check") for operation in graph.get_operations())
    assert tf.global_variables() == []


def test_a_small_error_of_the_loss_passes_and_a_larger_one_does_not(graph, monkeypatch):
    right = npu_session_check.CTCLoss

    def scaled(factor):
        def loss(params):
            return lambda *tensors: right(params)(*tensors)._replace(
                per_utterance=right(params)(*tensors).per_utterance * factor)
        return loss

    with tf.Session() as session:
        monkeypatch.setattr(npu_session_check, "CTCLoss", scaled(1.005))
        check_ctc(session, graph)
        monkeypatch.setattr(npu_session_check, "CTCLoss", scaled(1.05))
        with pytest.raises(DeviceError, match="a wrong CTC loss: .*, expected .9.7675, 4.8546, 8.3056."):
            check_ctc(session, graph)


def test_a_wrong_gradient_is_detected(graph, monkeypatch):
    right = npu_session_check.CTCLoss

    def without_gradient(params):
        return lambda *tensors: right(params)(*tensors)._replace(per_utterance=tf.stop_gradient(
            right(params)(*tensors).per_utterance) + 0.0 * right(params)(*tensors).per_utterance)

    monkeypatch.setattr(npu_session_check, "CTCLoss", without_gradient)
    with tf.Session() as session, pytest.raises(DeviceError, match="a wrong gradient of the CTC loss"):
        check_ctc(session, graph)


def test_a_device_without_the_operator_is_an_error(graph, monkeypatch):
    right = npu_session_check.CTCLoss

    def failing(params):
        def loss(logits, *others):
            with tf.control_dependencies([tf.Assert(False, ["E80000 CTCLoss not supported"])]):
                return right(params)(tf.identity(logits), *others)
        return loss

    monkeypatch.setattr(npu_session_check, "CTCLoss", failing)
    with tf.Session() as session:
        with pytest.raises(DeviceError, match="cannot compute the CTC loss: (.|\n)*E80000(.|\n)*ctc_on_host=True"):
            check_ctc(session, graph)


def test_a_session_on_the_host_is_detected_with_all_causes(graph, tmp_path):
    with tf.Session() as session, pytest.raises(DeviceError) as refused:
        check_offloading(session, graph, "npu_bridge", {"ASCEND_OPP_PATH": str(tmp_path)})
    causes = str(refused.value).splitlines()[1:]
    assert [cause.split(":")[0].strip() for cause in causes] == ["applies", "applies", "does not apply", "applies"]
