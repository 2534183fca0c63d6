"""Failures of the graph engine in whole runs with --device npu on the fake adapter: one message, exit status 4, no traceback."""
import re

import pytest

from tests.end_to_end.test_npu import run_on_npus  # noqa: F401

pytestmark = pytest.mark.slow


def failed(run, *parts):
    assert run.status == 4, run.err
    assert "Traceback" not in run.err
    [message] = re.findall(r"^DeviceError: .*(?:\n  .*)*", run.err, re.MULTILINE)
    for part in parts:
        assert part in message, message
    return message


def test_too_little_memory_names_a_batch_size(run_on_npus):  # noqa: F811
    words = ("--mode=train", "--max_steps=4", "--npu_params/bucket_frames=[96, 160]")
    # the trial of the longest batch; its fetches contain the gradient's norm
    failed(run_on_npus(*words, "--try_worst_batch=True", FAKE_ASCEND_FAIL="bucket_160/Loss_Optimization/:EL0004"),
           "the longest batch (4 utterances x 160 frames", "EL0004, memory allocation failure",
           "batch_size_per_gpu=2 may fit; by an estimate of ", "static_memory_policy=2", "A larger iter_size")
    # the graph that reads the variables before the trial has no batch
    message = failed(run_on_npus(*words, "--try_worst_batch=True", FAKE_ASCEND_FAIL="2:EL0004"),
                     "out of memory in reading all variables", "EL0004", "npu-smi info")
    assert "batch_size_per_gpu" not in message and "ower the batch size" not in message
    # a limit that the estimate exceeds
    message = failed(run_on_npus(*words, "--try_worst_batch=False", "--npu_params/graph_memory_max_size=180000",
                                 FAKE_ASCEND_FAIL="bucket_160/Loss_Optimization/@2:EZ9999 allocate"),
                     "out of memory at step ", "EZ9999, memory allocation failure", "would fit, by an estimate of ")
    assert re.search(r"batch_size_per_gpu=[123] would fit|Not even one utterance would fit", message)
    failed(run_on_npus("--mode=train_eval", "--max_steps=2", "--eval_steps=2", "--npu_params/bucket_frames=[160]",
                       "--logdir=other", FAKE_ASCEND_FAIL="frame_entropies:207001"),
           "out of memory in evaluation, 160 frames with a batch of ", "eval_batch_size_per_gpu=")


@pytest.mark.parametrize("graph, code, name", [
    ("MatMul:0", "EE9999", "initialization and checks of the device "),
    ("Loss_Optimization/@2", "507015", "training, 160 frames ")])
def test_other_failures_name_the_graph_and_what_to_do(run_on_npus, graph, code, name):  # noqa: F811
    run = run_on_npus("--mode=train_eval", "--max_steps=3", "--eval_steps=2", "--npu_params/bucket_frames=[160]",
                      FAKE_ASCEND_FAIL="%s:%s" % (graph, code))
    message = failed(run, "Meaning: ", "What to do: ")
    assert "the NPU's graph engine failed in " + name in message and code in message


def test_evaluation_and_inference(run_on_npus):  # noqa: F811
    assert run_on_npus("--mode=train", "--max_steps=2").status == 0
    message = failed(run_on_npus("--mode=eval", FAKE_ASCEND_FAIL="1:EL0004"),
                     "out of memory in setting the variables and checks of the device", "EL0004")
    assert "CTC" not in message and "ctc_on_host" not in message and "ower the batch size" not in message
    for mode, name in (("eval", "evaluation, "), ("infer", "inference, ")):
        failed(run_on_npus("--mode=" + mode, FAKE_ASCEND_FAIL="best_path:EZ3002"), "graph engine failed in " + name, "EZ3002",
               "Optype [CTCLoss]", "--mode=npu_check")
