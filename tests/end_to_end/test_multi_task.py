"""Real trainings with several tasks: their figures, each of them evaluated, transcribed and exported by itself."""
import csv
import json

import pytest

from open_seq2seq.transcribe import main as transcribe
from tests.end_to_end.conftest import write_manifest

pytestmark = pytest.mark.slow

TASKS = '''
base_params["tasks"] = {
    "letters": {"data": {}},
    "early": {"data": {"normalization": [{"map": {"w": "v"}}]}, "layer": "conv11", "weight": {"end": 0.5}},
    "speaker": {"data": {"kind": "label", "column": "speaker"}, "adversarial": True, "weight": "uncertainty"},
    "clean": {"data": {"kind": "features"}, "weight": 2.0, "encoder_gradient_scale": 0.5},
}
base_params["best_metric"] = "early.wer"
base_params["ema_decay"] = 0.5
train_params["data_layer_params"]["augmentation"] = {"n_freq_mask": 1, "width_freq_mask": 3}
'''


def add_speakers(corpus):
    for name in ("train", "dev"):
        with open(str(corpus / (name + ".csv")), encoding="utf-8") as file:
            rows = list(csv.reader(file))
        write_manifest(corpus / (name + ".csv"), [row + ["speaker%d" % (number % 3)] for number, row in enumerate(rows[1:])],
                       rows[0] + ["speaker"])


@pytest.fixture
def tasks(corpus):
    """The config with tasks on one data set."""
    add_speakers(corpus)
    with open(str(corpus / "config.py"), "a") as file:
        file.write(TASKS)
    return corpus


def test_a_training_reports_every_task_and_each_of_them_can_be_used_alone(tasks, run_here, capsys):
    trained = run_here("--mode=train_eval", "--diagnostics_utterances=4", "--diagnostics_steps=3", "--metrics_steps=2")
    assert trained.status == 0, trained.err
    for text in ("Losses of the tasks: letters ", "Task early WER: ", "Task speaker accuracy: ", "Task clean loss: ",
                 "dev, speaker subset: loss "):
        assert text in trained.out
    lines = [json.loads(line) for line in (tasks / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [line["tasks"] for line in lines if line["kind"] == "step"]
    assert sorted(steps[-1]) == ["clean", "early", "letters", "speaker"]
    assert steps[-1]["early"]["weight"] > steps[0]["early"]["weight"] and steps[-1]["clean"]["weight"] == 2.0
    last = {line["task"]: line for line in lines if line["kind"] == "task_evaluation"}
    assert sorted(last) == ["clean", "early", "speaker"] and 0.0 <= last["speaker"]["accuracy"] <= 1.0
    manifest = json.loads((tasks / "run" / "model.ckpt-6.json").read_text())
    assert manifest["task_labels"]["speaker"] == ["speaker0", "speaker1", "speaker2"]
    assert json.loads(next((tasks / "run").glob("best_dev-*.json")).read_text())["metric"]["name"] == "early.wer"

    evaluated = run_here("--mode=eval")
    assert evaluated.status == 0, evaluated.err
    assert "Task early WER:  %.4f" % last["early"]["word_error_rate"] in evaluated.out
    assert "Task clean loss: %.4f" % last["clean"]["loss"] in evaluated.out
    assert "task early" in (tasks / "run" / "report" / "early" / "eval.html").read_text()
    assert (tasks / "run" / "report" / "eval.html").exists()
    alone = run_here("--mode=eval", "--task=speaker")
    assert "Validation accuracy:  %.4f" % last["speaker"]["accuracy"] in alone.out

    assert run_here("--mode=infer", "--task=speaker", "--infer_output_file=classes.csv").status == 0
    with open(str(tasks / "classes.csv"), encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 5 and {row["predicted_class"] for row in rows} <= {"speaker0", "speaker1", "speaker2"}
    assert run_here("--mode=infer", "--task=early", "--infer_output_file=early.csv").status == 0
    with open(str(tasks / "early.csv"), encoding="utf-8") as file:
        expected = [row["predicted_transcript"] for row in csv.DictReader(file)]
    exported = run_here("--mode=export", "--task=early", "--export_dir=export", "--frames=dynamic")
    assert exported.status == 0 and "WER %.4f" % last["early"]["word_error_rate"] in exported.out
    assert "other transcripts" not in exported.out
    for words in (["--model", "run", "--task", "early"], ["--model", "export"]):
        capsys.readouterr()
        assert transcribe([str(tasks / "wav" / "dev0.wav")] + words) == 0
        assert capsys.readouterr().out.strip().split("\n")[-1].strip() == expected[0].strip()

    for words, parts in ((["--mode=eval", "--task=nobody"], ["nobody", "speaker"]),
                         (["--mode=export", "--task=speaker", "--export_dir=other"], ["speaker", "transcripts"]),
                         (["--mode=train", "--task=early"], ["--task", "--mode=eval"])):
        refused = run_here(*words)
        assert refused.status == 2 and all(part in refused.err for part in parts)
    combined = run_here("--mode=combine", "--last=2", "--bn_batches=1", "--combine_utterances=4")
    assert combined.status == 0, combined.err
    assert "Task early WER: " in run_here("--mode=eval", "--logdir=run/combined").out


def test_several_data_sets_with_an_output_each(corpus, run_here):
    """Languages: own manifests and vocabularies; and a config that no NPU would refuse."""
    for name, letters in (("first", " abcdefghijklmnopqrstuvwxyz'"), ("second", " einostwx")):
        (corpus / (name + ".txt")).write_text("\n".join(letters) + "\n")
    with open(str(corpus / "config.py"), "a") as file:
        file.write('''
base_params["tasks"] = {name: {"data": {"dataset_files": [files], "eval_files": ["dev.csv"], "vocab_file": name + ".txt"}}
                        for name, files in (("first", "train.csv"), ("second", "dev.csv"))}
base_params["stopping_metric"] = "second.loss"
train_params["data_layer_params"]["sampling_temperature"] = 100.0
''')
    trained = run_here("--mode=train_eval", "--max_steps=4")
    assert trained.status == 0, trained.err
    lines = [json.loads(line) for line in (corpus / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {task: figures["utterances"] for line in lines if line["kind"] == "step" and line["step"] == 1
            for task, figures in line["tasks"].items()} == {"first": 2, "second": 2}
    assert "Task second WER: " in trained.out
    resumed = run_here("--mode=train_eval", "--max_steps=5", "--continue_learning")
    assert resumed.status == 0, resumed.err
    checked = run_here("--mode=npu_check")
    assert checked.status == 0, checked.out + checked.err
