"""run.py as a user runs it: train, resume, evaluate, infer."""
import csv
import json
import os
import pickle
import re
import subprocess

import numpy as np
import pytest
import soundfile

pytestmark = pytest.mark.slow


def names(directory):
    return sorted(os.listdir(str(directory)))


def wer(text):
    return re.findall(r"^\*\*\*     Validation WER:  (\d+\.\d{4})$", text, re.MULTILINE)


def test_train_eval_then_eval_then_infer_then_resume(run_command, corpus):
    trained = run_command("--config_file=config.py", "--mode=train_eval", "--enable_logs", "--device=cpu",
                          "--try_worst_batch=True", "--diagnostics_utterances=None")
    assert trained.status == 0, trained.err
    for line in (r"^\*\*\* Global step 1: \*\*\*     Train loss: \d+\.\d{4} $", r"^time per step = \d+:\d\d:\d+\.\d{3}$",
                 r"^\*\*\*     Sample WER: \d+\.\d{4}$", r"^\*\*\*     Sample target:     [a-z ]+$",
                 r"^\*\*\*     Sample prediction: [a-z ']*$", r"^\*\*\* Running evaluation on a validation set:$",
                 r"^\*\*\*     Validation loss: \d+\.\d{4} $", r"^\*\*\* Finished training$",
                 r"^\*\*\* Total trainable parameters: \d+$", r"^\*\*\* Not enough steps for benchmarking$"):
        assert re.search(line, trained.out, re.MULTILINE), line
    assert len(wer(trained.out)) == 2  # at steps 3 and 6, and not once more at the end
    run = names(corpus / "run")
    for prefix in ("config_", "cmd-args_", "git-info_", "stdout_", "stderr_", "resolved_config_"):
        assert any(name.startswith(prefix) for name in run), (prefix, run)
    resolved = json.loads((corpus / "run" / next(name for name in run if name.startswith("resolved_config_"))).read_text())
    assert "max_steps" in json.dumps(resolved)
    logs = names(corpus / "run" / "logs")
    assert "model.ckpt-3.index" in logs and "model.ckpt-6.index" in logs
    assert [name for name in logs if re.match(r"best_dev-[36]\.index$", name)] and "best_dev_checkpoint" in logs
    stdout_log = next(name for name in run if name.startswith("stdout_"))
    assert "*** Finished training" in (corpus / "run" / stdout_log).read_text()

    evaluated = run_command("--config_file=config.py", "--mode=eval", "--device=cpu")
    assert evaluated.status == 0, evaluated.err
    # the same weights and the same data: the same number as at the end of training
    assert wer(evaluated.out) == wer(trained.out)[-1:]
    # in the order of OpenSeq2Seq
    assert re.search(r"^\*\*\* Processed 1/2 batches\n(?s:.*)^\*\*\* Avg time per step: \d+\.\d{3}s\n"
                     r"\*\*\* Avg objects per second: \d+\.\d{3}\n(?s:.*)^\*\*\*     Validation WER: (?s:.*)"
                     r"^\*\*\* Finished evaluation$", evaluated.out, re.MULTILINE), evaluated.out

    inferred = run_command("--config_file=config.py", "--mode=infer", "--infer_output_file=out.csv", "--device=cpu")
    assert re.search(r"^\*\*\* Avg time per step: \d+\.\d{3}s\n\*\*\* Avg objects per second: \d+\.\d{3}\n"
                     r"\*\*\* Wrote \d+ transcripts to out\.csv\n", inferred.out, re.MULTILINE), inferred.out
    assert inferred.status == 0, inferred.err
    with open(str(corpus / "out.csv")) as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["wav_filename", "predicted_transcript"]
    assert [row[0] for row in rows[1:]] == ["wav/dev%d.wav" % i for i in range(5)]

    logits = run_command("--config_file=config.py", "--mode=infer", "--infer_output_file=out.pickle", "--device=cpu",
                         "--decoder_params/infer_logits_to_pickle=True")
    assert logits.status == 0, logits.err
    with open(str(corpus / "out.pickle"), "rb") as file:
        dump = pickle.load(file)
    assert sorted(dump["logits"]) == ["wav/dev%d.wav" % i for i in range(5)]
    assert dump["step_size"] == pytest.approx(0.02) and dump["vocab"][1] == "a" and len(dump["vocab"]) == 28
    # the transcripts come from these logits
    for row in rows[1:]:
        path = dump["logits"][row[0]].argmax(1)
        labels = [label for i, label in enumerate(path) if label != 28 and (i == 0 or label != path[i - 1])]
        assert "".join(dump["vocab"][label] for label in labels) == row[1]

    refused = run_command("--config_file=config.py", "--mode=train", "--device=cpu")
    assert refused.status == 2 and "is not empty" in refused.err and "--continue_learning" in refused.err
    resumed = run_command("--config_file=config.py", "--mode=train", "--continue_learning", "--enable_logs", "--max_steps=8",
                          "--device=cpu")
    assert resumed.status == 0, resumed.err
    assert "model.ckpt-6" in resumed.out
    assert "model.ckpt-8.index" in names(corpus / "run" / "logs")


def losses(text):
    return [float(value) for value in re.findall(r"Train loss: (\d+\.\d{4})", text)]


def test_resumed_training_continues_with_the_next_batch(run_here, corpus):
    options = ["--mode=train", "--print_loss_steps=1", "--print_samples_steps=None",
               "--lr_policy_params/decay_steps=8", "--data_layer_params/dither=0.0"]
    uninterrupted = run_here("--logdir=uninterrupted", "--max_steps=8", *options)
    assert uninterrupted.status == 0, uninterrupted.err
    first = run_here("--logdir=parts", "--max_steps=4", *options)
    second = run_here("--logdir=parts", "--max_steps=8", "--continue_learning", *options)
    assert first.status == 0 and second.status == 0, first.err + second.err
    assert len(losses(uninterrupted.out)) == 8
    assert losses(first.out) + losses(second.out) == pytest.approx(losses(uninterrupted.out), rel=2e-4)


def test_evaluation_does_not_depend_on_the_batch_size(run_here):
    assert run_here("--mode=train", "--max_steps=12").status == 0
    results = []
    for batch_size in (1, 2, 5, 32):
        evaluated = run_here("--mode=eval", "--batch_size_per_gpu=%d" % batch_size)
        assert evaluated.status == 0, evaluated.err
        assert "5 utterances" in evaluated.out
        results.append([line for line in evaluated.out.splitlines() if "Validation" in line])
    assert len(results[0]) == 3 and all(result == results[0] for result in results)


@pytest.mark.parametrize("options", [
    ("--encoder_params/use_conv_mask=False",),
    # TensorFlow's SAME padding of a strided convolution depends on the parity of the padded length
    ("--data_layer_params/pad_to=0",),
    ("--encoder_params/normalization=instance_norm", "--encoder_params/convnet_layers/1/residual=False",
     "--encoder_params/convnet_layers/1/residual_dense=False")])
def test_evaluation_that_padding_could_change_does_not_depend_on_the_batch_size(run_here, options):
    assert run_here("--mode=train", "--max_steps=12", *options).status == 0
    results = []
    for batch_size in (1, 5):
        evaluated = run_here("--mode=eval", "--batch_size_per_gpu=%d" % batch_size, *options)
        results.append([line for line in evaluated.out.splitlines() if "Validation" in line])
    assert len(results[0]) == 3 and results[0] == results[1]


def test_an_utterance_shorter_than_a_valid_kernel_is_scored(run_here, corpus):
    soundfile.write(str(corpus / "wav" / "short.wav"), 0.1 * np.random.RandomState(0).randn(1600), 16000, subtype="PCM_16")
    (corpus / "dev.csv").write_text("wav_filename,transcript\nwav/short.wav,one\nwav/dev1.wav,two\n")
    options = ("--encoder_params/convnet_layers/0/padding=VALID", "--encoder_params/convnet_layers/0/kernel_size=[41]")
    assert run_here("--mode=train", "--max_steps=1", *options).status == 0
    for batch_size in (1, 2):
        evaluated = run_here("--mode=eval", "--batch_size_per_gpu=%d" % batch_size, *options)
        assert evaluated.status == 0 and "2 utterances, 2 words" in evaluated.out, evaluated.err


def test_the_best_score_is_remembered_on_resume(run_here, corpus):
    options = ("--mode=train_eval", "--print_loss_steps=None", "--print_samples_steps=None", "--eval_steps=12")
    assert run_here("--max_steps=12", *options).status == 0

    def best():
        manifests = [name for name in names(corpus / "run") if re.match(r"best_dev-\d+\.json$", name)]
        return manifests, json.loads((corpus / "run" / manifests[0]).read_text())["metric"]
    before = best()
    assert before[0] == ["best_dev-12.json"] and before[1]["name"] == "loss"
    # a learning rate so large that the network diverges
    resumed = run_here("--max_steps=24", "--continue_learning", "--lr_policy_params/learning_rate=2", *options)
    assert resumed.status == 0, resumed.err
    after = float(re.search(r"Validation loss: +([0-9.]+)", resumed.out).group(1))
    assert after > before[1]["value"]
    assert best() == before


def test_gradient_accumulation_counts_updates_and_takes_all_batches(run_here, corpus):
    trained = run_here("--mode=train", "--iter_size=2", "--max_steps=4", "--print_loss_steps=1")
    assert trained.status == 0, trained.err
    assert len(losses(trained.out)) == 4 and "model.ckpt-4.index" in names(corpus / "run")


def test_a_benchmark_measures_and_leaves_nothing(run_here, corpus):
    before = names(corpus)
    measured = run_here("--benchmark", "--bench_steps=6", "--bench_start=2")
    assert measured.status == 0, measured.err
    assert re.search(r"^\*\*\* Avg time per step: \d+\.\d{3}s$", measured.out, re.MULTILINE)
    assert re.search(r"^\*\*\* Avg objects per second: \d+\.\d{3}$", measured.out, re.MULTILINE)
    assert names(corpus) == before


# what the performance scripts of the ModelZoo port read from a log, see its test/train_performance_1p.sh and train_full_1p.sh
MODELZOO_FIGURES = r"""
fps=$(grep 'global_step:' log | awk -F 'FPS:' '{ last = $2 } END { print last + 0 }')
loss=$(grep 'global_step:' log | awk -F 'loss:' '{ print $2 }' | tr -d ',' | awk '{ last = $1 } END { print last }')
accuracy=$(grep -a -H Validation log | awk '{ print $4 }')
milliseconds=$(awk "BEGIN { printf \"%.2f\", 4 * 1000 / $fps }")
printf '%s\n' "$fps" "$loss" "$accuracy" "$milliseconds"
"""


def test_the_scripts_of_the_modelzoo_port_find_their_figures_in_a_log(run_here, corpus):
    trained = run_here("--mode=train", "--log_format=modelzoo", "--enable_logs", "--try_worst_batch=True")
    assert trained.status == 0, trained.err
    evaluated = run_here("--mode=eval", "--log_format=modelzoo", "--enable_logs")
    assert evaluated.status == 0, evaluated.err
    (corpus / "log").write_text(trained.out + trained.err + evaluated.out + evaluated.err)
    printed = subprocess.run(["bash", "-euo", "pipefail", "-c", MODELZOO_FIGURES], cwd=str(corpus), capture_output=True,
                             text=True)
    assert printed.returncode == 0, printed.stderr
    fps, loss, accuracy, milliseconds = printed.stdout.split()
    steps = re.findall(r"^\*\*\* global_step: +(\d+), loss: +(\S+), mean_loss: +(\S+),  FPS: +(\S+)$", trained.out, re.MULTILINE)
    assert [int(step) for step, _, _, _ in steps] == [0, 1, 2, 3, 4, 5]
    assert (loss, float(fps)) == (steps[-1][1], float(steps[-1][3])) and float(fps) > 0 and float(milliseconds) > 0
    assert float(steps[-1][2]) == pytest.approx(sum(float(step[1]) for step in steps) / 6, abs=2e-3)
    recorded = json.loads((corpus / "run" / "logs" / "evaluations.jsonl").read_text())
    assert float(accuracy) == pytest.approx(recorded["wer"], abs=1e-4)
    # the format is that of one run
    assert "global_step:" not in run_here("--mode=train", "--max_steps=1", "--logdir=other").out


def test_training_starts_from_the_weights_of_another_model(run_here):
    assert run_here("--mode=train", "--logdir=first", "--max_steps=3").status == 0
    second = run_here("--mode=train", "--logdir=second", "--max_steps=1", "--load_model=first")
    assert second.status == 0, second.err
    assert re.search(r"^\*\*\* Restored (\d+) of \1 variables of the network from first/model\.ckpt-3$", second.out, re.MULTILINE)


def test_num_epochs_counts_complete_passes(run_here, corpus):
    trained = run_here("--mode=train", "--max_steps=None", "--num_epochs=3", "--print_loss_steps=1")
    assert trained.status == 0, trained.err
    assert len(losses(trained.out)) == 12  # 16 utterances, batch 4
    assert "*** Epoch 0, global step 1:" in trained.out


def test_mixed_precision_on_a_cpu_prints_a_note(run_here):
    trained = run_here("--mode=train", "--dtype=mixed", "--loss_scaling=Backoff", "--max_steps=2")
    assert trained.status == 0 and "a CPU computes in float32" in trained.out, trained.err


def test_describe_prints_one_json_object(run_command):
    described = run_command("--config_file=config.py", "--mode=describe", "--json")
    assert described.status == 0, described.err
    description = json.loads(described.out)
    shapes = {name: shape for name, shape in description["variables"].items()}
    assert shapes["ForwardPass/w2l_encoder/conv11/kernel"] == [5, 16, 16]
    # three convolutions, one dense-residual 1x1, four batch norms (gamma, beta), the output layer
    assert description["trainable_parameters"] == 3 * 5 * 16 * 16 + 16 * 16 + 4 * 2 * 16 + 16 * 29 + 29
