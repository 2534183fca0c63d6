"""Whole runs with --device npu on the fake adapter: the NPU's path through training, evaluation and several ranks."""
import json
import os
import re
import subprocess
import sys
import types

import pytest
import tensorflow.compat.v1 as tf

from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow
TOGETHER = ("--sync_batch_norm=True", "--print_loss_steps=1", "--print_samples_steps=None", "--max_steps=6",
            "--data_layer_params/dither=0.0", "--loss_scaling=128.0", "--npu_params/bucket_frames=[96, 160]")


def make_rank_table(path, ranks):
    """Writes one with the project's own command; returns its path."""
    subprocess.run([sys.executable, os.path.join(REPOSITORY, "scripts", "make_rank_table.py"), "--from_table",
                    os.path.join(REPOSITORY, "scripts", "8p.json"), "--devices", ",".join(map(str, range(ranks))),
                    "--output", str(path)], check=True, timeout=60)
    return str(path)


@pytest.fixture
def run_on_npus(corpus, npu_server):
    """Runs ``run.py`` with --device npu in the corpus folder, in ``ranks`` processes if that is above 1, through the launcher."""
    def call(*words, ranks=1, **variables):
        command = [sys.executable, os.path.join(REPOSITORY, "run.py"), "--config_file=config.py", "--device=npu"] + list(words)
        if ranks > 1:
            for path in corpus.glob("log_*.txt"):
                path.unlink()
            table = make_rank_table(corpus / "rank_table.json", ranks)
            command = [sys.executable, "-m", "open_seq2seq.launch", "--device", "npu", "--processes", str(ranks),
                       "--rank_table", table, "--log", "log_{rank}.txt", "--"] + command
        process = subprocess.run(command, cwd=str(corpus), capture_output=True, text=True, timeout=300,
                                 env=npu_server.environment(**variables))
        return types.SimpleNamespace(status=process.returncode, out=process.stdout, err=process.stderr)
    return call


def _losses(output):
    return [float(loss) for loss in re.findall(r"Train loss: (\S+)", output)]


def _validation(output):
    return re.findall(r"Validation (\w+): +(\S+)", output)


def test_training_on_an_npu_and_the_same_evaluation_as_on_a_cpu(run_on_npus, run_command, corpus):
    records = corpus / "sessions.jsonl"
    trained = run_on_npus("--mode=train_eval", "--max_steps=8", "--eval_steps=8", "--save_checkpoint_steps=4",
                          "--loss_scaling=128.0", "--try_worst_batch=True", FAKE_ASCEND_RECORD_FILE=str(records),
                          FAKE_ASCEND_OVERFLOW_AT="1,6")
    assert trained.status == 0, trained.err
    assert len(_validation(trained.out)) == 3
    # the first four readings are of the longest batches, whose overflow leaves no trace
    assert len(re.findall("The longest batch, 4 utterances x .* fits into memory", trained.out)) == 4
    assert "'precision_mode'] = 'allow_mix_precision'" in trained.out and "'graph_run_mode'] = 1" in trained.out
    # the count travels with the checkpoint
    assert re.findall(r"Step (\d+) skipped: the NPU reported an overflow", trained.out) == ["3"]
    assert tf.train.load_variable(str(corpus / "run"), "Loss_Optimization/skipped_steps") == 1
    # what the session ran was offloaded, and compiled once for each of at most four shapes
    graphs = json.loads(records.read_text().splitlines()[-1])["graphs"]
    steps = [graph for graph in graphs if graph["offloaded"] > 500]
    assert 1 <= len(steps) <= 4 and all(graph["geops"] == graph["shapes"] == graph["builds"] == 1 for graph in steps)
    figures = []
    for evaluate, words in ((run_on_npus, ()), (run_command, ("--config_file=config.py", "--device=cpu"))):
        evaluated = evaluate("--mode=eval", "--eval_batch_size_per_gpu=2", *words)
        assert evaluated.status == 0, evaluated.err
        figures.append(_validation(evaluated.out))
    assert figures[0] == figures[1]


def _compiled(output):
    """The number of graphs that a run prints."""
    return int(re.search(r"Graphs compiled for the device: (\d+)", output).group(1))


def test_the_graphs_that_are_compiled_are_few_and_as_many_as_npu_check_predicts(run_on_npus, run_command, corpus):
    # all four lengths occur in these data
    of_data = tuple("--%s_params/data_layer_params/dataset_files=['train.csv']" % section for section in ("eval", "infer"))
    lengths = ("--npu_params/bucket_frames=[64, 96, 128, 160]",) + of_data
    words = ("--save_checkpoint_steps=2", "--try_worst_batch=True") + lengths
    checked = run_command("--config_file=config.py", "--mode=npu_check", "--json", *words)
    predicted, of_ranks = (json.loads(checked.out)[key] for key in ("compiled_graphs", "compiled_graphs_of_ranks"))
    evaluated = ("--mode=train_eval", "--eval_steps=2", "--loss_scaling=128.0", "--test_files=train.csv") + words
    runs = {
        # overflows until the loss scale is low enough
        "train": ("--mode=train", "--max_steps=2", "--logdir=without", "--loss_scaling=Backoff") + words,
        "train_eval": ("--max_steps=4",) + evaluated,
        # the test at the end is of the best model, whose variables are set
        "resume": ("--max_steps=6", "--continue_learning", "--reduce_lr_on_plateau=True") + evaluated,
        "eval": ("--mode=eval",) + lengths, "infer": ("--mode=infer", "--infer_output_file=transcripts.csv") + lengths}
    for name, arguments in runs.items():
        records = corpus / (name + ".jsonl")
        # evaluations overflow: no training step after them is skipped for it
        run = run_on_npus(*arguments, FAKE_ASCEND_RECORD_FILE=str(records), FAKE_ASCEND_OVERFLOW_OUTSIDE_STEPS="1")
        assert run.status == 0, run.err
        assert (" skipped: the NPU reported an overflow" in run.out) == (name == "train")
        graphs = [graph for line in records.read_text().splitlines() for graph in json.loads(line)["graphs"]]
        assert _compiled(run.out) == sum(graph["builds"] for graph in graphs) == predicted[name], name
        assert all(graph["geops"] == 1 for graph in graphs if graph["builds"])
    assert max(of_ranks["train"], of_ranks["train_eval"]) <= 14 and of_ranks["resume"] <= 16
    # one for each of the four lengths, and one that sets the variables
    assert predicted["eval"] == predicted["infer"] == 5
    exported = run_on_npus("--mode=export", "--export_dir=exported", FAKE_ASCEND_RECORD_FILE=str(corpus / "export.jsonl"))
    assert exported.status == 0, exported.err
    assert not (corpus / "export.jsonl").exists()


@pytest.mark.parametrize("words, added", [
    # without a trial of the longest batch the variables are set once, for the test of the best model
    (("--npu_params/experimental_accelerate_train_mode=fast|step|0.5", "--npu_params/bucket_frames=[160]", "--iter_size=2",
      "--test_files=dev.csv", "--eval_steps=1", "--save_checkpoint_steps=1"),
     {"experimental_accelerate_train_mode": 4, "iter_size": 1, "test_files": 1}),
    # the loss splits a graph in two; only one of the two lengths occurs in the subset of the evaluation data
    (("--npu_params/mix_compile_mode=True", "--npu_params/bucket_frames=[96, 160]", "--diagnostics_steps=2",
      "--diagnostics_utterances=2", "--eval_steps=2", "--try_worst_batch=True"),
     {"mix_compile_mode": 5, "diagnostics_steps": 6}),
])
def test_options_that_add_compiled_graphs(run_on_npus, run_command, corpus, words, added):
    checked = json.loads(run_command("--config_file=config.py", "--mode=npu_check", "--json", *words).out)
    assert checked["compiled_graphs_by_option"]["train_eval"] == added
    records = corpus / "sessions.jsonl"
    run = run_on_npus("--mode=train_eval", "--max_steps=4", *words, FAKE_ASCEND_RECORD_FILE=str(records))
    assert run.status == 0, run.err
    graphs = [graph for line in records.read_text().splitlines() for graph in json.loads(line)["graphs"]]
    assert _compiled(run.out) == sum(graph["builds"] for graph in graphs) == checked["compiled_graphs"]["train_eval"]
    if "mix_compile_mode" in added:
        for mode in ("eval", "infer"):
            assert _compiled(run_on_npus("--mode=" + mode, *words[:2]).out) == checked["compiled_graphs"][mode]


def test_two_ranks_over_hccl_have_the_losses_of_one(run_on_npus, run_command, needs_horovod):
    runs = [run_on_npus("--mode=train_eval", "--eval_steps=6", "--logdir=run%d" % ranks,
                        "--batch_size_per_gpu=%d" % (4 // ranks), *TOGETHER, ranks=ranks) for ranks in (1, 2)]
    for run in runs:
        assert run.status == 0, run.err
        assert len(_losses(run.out)) == 6
    assert _losses(runs[1].out) == pytest.approx(_losses(runs[0].out), rel=1e-4, abs=1e-4)
    figures = [dict(_validation(run.out)) for run in runs]
    assert float(figures[1]["loss"]) == pytest.approx(float(figures[0]["loss"]), rel=1e-4)
    assert "2 processes, joined by HCCL" in runs[1].out
    checked = json.loads(run_command("--config_file=config.py", "--mode=npu_check", "--json", "--batch_size_per_gpu=2",
                                     *TOGETHER).out)
    assert [_compiled(run.out) for run in runs] == [checked[key]["train_eval"] for key in (
        "compiled_graphs", "compiled_graphs_of_ranks")]


def test_a_run_that_would_silently_use_the_cpu_ends_before_the_first_step(run_on_npus, corpus):
    refused = run_on_npus("--mode=train", ASCEND_OPP_PATH=str(corpus / "nowhere"))
    assert refused.status == 4
    assert "ASCEND_OPP_PATH" in refused.err and not _losses(refused.out)
    assert not (corpus / "run").exists()


def test_a_run_with_convolutions_that_would_silently_be_computed_on_the_host_ends_before_the_first_step(
        run_on_npus, npu_server, corpus):
    path = os.path.join(npu_server.opp_path, "framework", "built-in", "tensorflow", "npu_supported_ops.json")
    with open(path) as file:
        operators = json.load(file)
    del operators["Conv2D"]
    with open(path, "w") as file:
        json.dump(operators, file)
    refused = run_on_npus("--mode=train")
    assert refused.status == 4
    assert "Conv2D in conv11, " in refused.err and not _losses(refused.out)
    assert not (corpus / "run").exists()


def test_use_off_line_false_runs_on_the_host(run_on_npus):
    run = run_on_npus("--mode=train", "--max_steps=2", "--print_loss_steps=1", "--npu_params/use_off_line=False")
    assert run.status == 0, run.err
    assert len(_losses(run.out)) == 2
