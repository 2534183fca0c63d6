"""A training with a lower precision at its beginning, on the fake adapter, which reads the progress from the environment."""
import re

import pytest

from tests.end_to_end.test_npu import run_on_npus  # noqa: F401

pytestmark = pytest.mark.slow


def precisions(run):
    """{number of a graph: [(precision, STEP_NOW or LOSS_NOW when it was compiled)]}"""
    found = {}
    for graph, precision, now in re.findall(r"\[GEOP\] graph (\d+): change PRECISION_MODE to: (\S+) at (\S+)", run.err):
        found.setdefault(int(graph), []).append((precision, float(now)))
    return found


def test_a_training_tells_the_adapter_its_steps_and_the_precision_changes(run_on_npus):  # noqa: F811
    words = ("--mode=train", "--max_steps=6", "--print_loss_steps=1", "--npu_params/bucket_frames=[160]",
             "--print_samples_steps=None")
    by_step = run_on_npus(*words, "--npu_params/experimental_accelerate_train_mode=fast|step|0.5",
                          "--npu_params/precision_mode=must_keep_origin_dtype", "--logdir=by_step", TF_CPP_MIN_LOG_LEVEL=0)
    assert by_step.status == 0, by_step.err
    # float16 in a part of the training
    assert "loss scaling: Backoff with the NPU's overflow check" in by_step.out
    assert "precision_mode must_keep_origin_dtype, at the beginning of the training with a lower precision" in by_step.out
    assert [("allow_mix_precision_fp16", 0.0), ("must_keep_origin_dtype", 3.0)] in precisions(by_step).values()

    by_loss = run_on_npus(*words, "--npu_params/experimental_accelerate_train_mode=fast1|loss", "--logdir=by_loss",
                          "--npu_params/precision_mode=must_keep_origin_dtype", TARGET_LOSS="9999", TF_CPP_MIN_LOG_LEVEL=0)
    assert by_loss.status == 0, by_loss.err
    assert "loss scaling: none (nothing is computed in float16)" in by_loss.out
    first_loss = float(re.findall(r"Train loss: (\S+)", by_loss.out)[0])
    changed = [graph for graph in precisions(by_loss).values() if len(graph) == 2]
    assert [("allow_mix_precision_bf16", 0.0), ("must_keep_origin_dtype", pytest.approx(first_loss, abs=0.01))] in changed
