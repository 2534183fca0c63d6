import subprocess
import sys

import pytest

import open_seq2seq
from open_seq2seq.errors import UsageError
from open_seq2seq.experiment.command_line import parse_command_line
from tests.paths import REPOSITORY


def run(*words):
    return subprocess.run((sys.executable, "run.py") + words, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)


def keys(overrides):
    return {"/".join(map(str, override.keys)): override.value for override in overrides}


def test_defaults():
    arguments, overrides = parse_command_line(["--config_file=c.py"])
    assert overrides == []
    assert arguments.config_file == "c.py" and arguments.mode == "train" and arguments.device == "auto"
    assert arguments.infer_output_file == "infer-out.txt"
    assert (arguments.bench_steps, arguments.bench_start, arguments.debug_port) == (20, 10, None)
    assert not any((arguments.continue_learning, arguments.no_dir_check, arguments.enable_logs, arguments.benchmark,
                    arguments.use_xla_jit, arguments.json))


def test_every_flag_in_every_form():
    arguments, overrides = parse_command_line(
        ["--config_file", "c.py", "--mode", "train_eval", "--continue_learning", "--no_dir_check=True", "--enable_logs=false",
         "--infer_output_file=o.csv", "--debug_port", "6007", "--device=npu", "--json", "--use_trt", "--precision=fp16"])
    assert overrides == []
    assert (arguments.config_file, arguments.mode, arguments.device) == ("c.py", "train_eval", "npu")
    assert (arguments.continue_learning, arguments.no_dir_check, arguments.enable_logs) == (True, True, False)
    assert (arguments.infer_output_file, arguments.debug_port, arguments.json) == ("o.csv", 6007, True)


def test_a_tilde_in_a_flag_with_a_path_is_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    arguments, _ = parse_command_line(["--config_file=~/c.py", "--mode=combine", "--infer_output_file", "~/o.csv",
                                       "--checkpoints=~/a,b", "--output=~/out"])
    assert (arguments.config_file, arguments.infer_output_file, arguments.checkpoints, arguments.output) == (
        "/home/somebody/c.py", "/home/somebody/o.csv", ["/home/somebody/a", "b"], "/home/somebody/out")
    assert parse_command_line(["--config_file=c.py", "--mode=export", "--export_dir=~"])[0].export_dir == "/home/somebody"
    with pytest.raises(UsageError, match="--config_file: '~nobody-at-all/c.py' starts with ~nobody-at-all, but there is no such"):
        parse_command_line(["--config_file=~nobody-at-all/c.py"])


@pytest.mark.parametrize("words, formats", [
    ([], ("pb",)), (["--mode=eval"], None), (["--mode=export", "--export_dir=m", "--format=onnx,pb"], ("onnx", "pb")),
    (["--mode=infer"], "csv"), (["--mode=infer", "--infer_output_file=a/B.CTM"], "ctm"),
    (["--mode=infer", "--infer_output_file=b.ctm", "--format=json"], "json"), (["--mode=align"], ("ctm",)),
    (["--mode=align", "--format=csv,textgrid", "--output=d"], ("csv", "textgrid"))])
def test_formats_of_the_modes(words, formats):
    assert parse_command_line(["--config_file=c.py"] + words)[0].format == formats


def test_everything_else_is_an_override_wherever_it_stands():
    arguments, overrides = parse_command_line(
        ["--batch_size_per_gpu=16", "--config_file=c.py", "--optimizer_params/beta1", "0.9", "--mode=eval", "--finetune",
         "--data_layer_params/dataset_files=['a b.csv']", "--lr_policy_params/min_lr", "-1e-5"])
    assert arguments.mode == "eval"
    assert keys(overrides) == {"batch_size_per_gpu": 16, "optimizer_params/beta1": 0.9, "finetune": True,
                               "data_layer_params/dataset_files": ["a b.csv"], "lr_policy_params/min_lr": -1e-5}


def test_a_benchmark_changes_the_config():
    arguments, overrides = parse_command_line(["--config_file=c.py", "--benchmark", "--bench_steps=7", "--bench_start=2",
                                               "--mode=eval", "--use_xla_jit"])
    assert arguments.mode == "train" and arguments.no_dir_check
    assert keys(overrides) == {"use_xla_jit": True, "num_epochs": None, "max_steps": 7, "bench_start": 2, "print_loss_steps": 1,
                               "print_samples_steps": None, "save_summaries_steps": None, "save_checkpoint_steps": None,
                               "early_stop": False, "reduce_lr_on_plateau": False, "max_hours": None,
                               "diagnostics_utterances": 0, "try_worst_batch": False, "parallel_training": None}


@pytest.mark.parametrize("words, message", [
    ([], "--config_file is missing"),
    (["--config=c.py"], r"^--config is unknown \(did you mean --config_file\?\): --config_file is missing"),
    (["config_file=c.py"], r"^config_file is unknown \(did you mean --config_file\?\)"),
    (["--confg_file", "c.py"], r"--confg_file is unknown \(did you mean --config_file\?\)"),
    (["--config_file"], "expected one argument"),
    (["--config_file=c.py", "--mode=trian"], "invalid choice: 'trian'.*train_eval"),
    (["--config_file=c.py", "--mode=interactive_infer"], "invalid choice"),
    (["--config_file=c.py", "--device=tpu"], "invalid choice: 'tpu'"),
    (["--config_file=c.py", "--bench_steps=0"], "'0', expected an integer at least 1"),
    (["--config_file=c.py", "--bench_steps=many"], "'many', expected an integer at least 1"),
    (["--config_file=c.py", "--continue_learning=yes"], "'yes', expected True or False"),
    (["--config_file=c.py", "--continue-learning"], r"--continue-learning is unknown \(did you mean --continue_learning\?\)"),
    (["--confg_file=c.py"], r"--confg_file is unknown \(did you mean --config_file\?\)"),
    (["--config_file=c.py", "-mode=eval"], r"-mode is unknown \(did you mean --mode\?\)"),
    (["--config_file=c.py", "eval"], "'eval' belongs to no flag"),
    (["--config_file=c.py", "--mode=infer", "--format=csv,ctm"], "'csv,ctm'; --mode=infer expects one of csv, json, ctm"),
    (["--config_file=c.py", "--mode=align", "--format=pb"], "'pb'; --mode=align expects one or more"),
    (["--config_file=c.py", "--mode=eval", "--format=ctm"], "--format belongs to"),
    (["--config_file=c.py", "--mode=eval", "--output=d"],
     "--output belongs to --mode=combine, align, validate_data, label_quality or input_transform"),
])
def test_wrong_command_lines(words, message):
    with pytest.raises(UsageError, match=message) as caught:
        parse_command_line(words)
    assert caught.value.exit_status == 2


def test_help_and_version_need_no_tensorflow():
    script = ("import sys; sys.modules['tensorflow'] = None\n"
              "from open_seq2seq.experiment.command_line import parse_command_line\n"
              "parse_command_line(sys.argv[1:])")

    def printed(word):
        return subprocess.check_output([sys.executable, "-c", script, word], cwd=REPOSITORY, universal_newlines=True)

    assert printed("--version") == "open_seq2seq %s\n" % open_seq2seq.__version__
    for word in ("--help", "-h"):
        text = " ".join(printed(word).split())
        assert "--infer_output_file FILE file that --mode=infer writes its transcripts to" in text
        assert "--encoder_params/convnet_layers/3/num_channels=256" in text


@pytest.mark.slow
def test_help_with_a_config_lists_what_its_keys_mean():
    result = run("--help", "--config_file=configs/speech2text/jasper_mini_digits.py")
    assert result.returncode == 0, result.stdout
    assert ("  batch_size_per_gpu: an integer at least 1 and at most 1000000, default required. utterances in a training batch"
            in result.stdout)
    assert "optimizer_params of NovoGrad" in result.stdout and "optimizer_params of Adam\n" not in result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("words, message", [
    (("--config_file=configs/speech2text/jasper_mini_digits.py", "--batch_size=3"),
     "--batch_size belongs to --mode=export, and this is --mode=train (did you mean --batch_size_per_gpu?)"),
    (("--config_file=configs/speech2text/jasper_mini_digits.py", "--batch_sizes=3"), "(did you mean --batch_size?)"),
    (("--config_file=configs/speech2text/jasper_mini_digits.py", "--mode=export"), "--export_dir is missing"),
    (("--config_file=configs/speech2text/jasper_mini_digit.py",),
     "did you mean configs/speech2text/jasper_mini_digits.py?"),
    (("--mode=eval",), "--config_file is missing"),
])
def test_mistakes_exit_with_status_2_and_without_a_traceback(words, message):
    result = run(*words)
    assert result.returncode == 2
    assert message in result.stdout and "Traceback" not in result.stdout
