"""Every command of docs/troubleshooting.md, on models and data that have the symptom: it shows what the page says."""
import csv
import glob
import os
import re
import runpy
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile

from open_seq2seq.decoding.language_model import is_installed
from open_seq2seq.decoding.options import PYCTCDECODE
from tests.paths import REPOSITORY

PAGE = os.path.join(REPOSITORY, "docs", "troubleshooting.md")
NAMES = ("PY", "CONFIG", "RUN", "TRAIN", "DEV")
RATE = 16000
EVAL = "run.py --config_file=$CONFIG --logdir=$RUN --mode=eval"

# command without $PY: (where it runs, exit status, texts of its output). digits: a trained network; faulty: data with faults;
# diverged: a training that ended with non-finite steps
DATA = {
    "run.py --config_file=$CONFIG --mode=validate_data --headers --output=validation": (
        "faulty", 3, ["character outside the vocabulary", "transcript too long for CTC",
                      "audio also in the data of the evaluation"]),
    "scripts/validate_data.py $TRAIN --against $DEV --headers --output=validation": (
        "faulty", 3, ["audio also in the data of the evaluation"]),
    "scripts/validate_data.py $TRAIN --against $DEV --output=validation": ("faulty", 3, ["differs"]),
    "scripts/validate_data.py $DEV --mode=infer --output=recordings": ("faulty", 3, ["silent audio", "very quiet audio"]),
    "scripts/make_vocab.py $TRAIN": ("faulty", 0, ["U+00FC"]),
    "run.py --config_file=$CONFIG --mode=describe": ("digits", 0, ["Output frames: 50 per second of audio"]),
    EVAL + " --device=gpu": ("digits", 4, ["sees no GPU: "]),
}
MODELS = {
    "run.py --mode=report --logdir=$RUN": ("diverged", 0, ["What the measurements show", "#loss-inf-or-nan", "index.html"]),
    "run.py --config_file=$CONFIG --logdir=$RUN --mode=replay": (
        "diverged", 0, ["The first value that is not finite is an output of layer conv"]),
    EVAL: ("digits", 0, ["substitutions", "deletions", "insertions"]),
    EVAL + " --eval_batch_size_per_gpu=1": ("digits", 0, ["Validation WER:"]),
    EVAL + " --eval_batch_size_per_gpu=16": ("digits", 0, ["Validation WER:"]),
    EVAL + " --eval_batch_size_per_gpu=16 --encoder_params/use_conv_mask=False": ("digits", 0, ["Validation WER:"]),
    EVAL + " --restore_best_checkpoint=True": ("digits", 0, ["best_dev-"]),
    "run.py --config_file=$CONFIG --logdir=$RUN --mode=infer --infer_output_file=hypotheses.csv": ("digits", 0, ["Wrote 40"]),
    "scripts/score.py $DEV hypotheses.csv --ignore_case": ("digits", 0, ["%WER"]),
    "run.py --config_file=$CONFIG --logdir=$RUN --mode=align --test_files $DEV --output=aligned --format=ctm,textgrid": (
        "digits", 0, ["Aligned 40 utterances"]),
    "run.py --config_file=$CONFIG --logdir=$RUN --mode=align --test_files $TRAIN --output=aligned": ("digits", 0, ["Aligned"]),
    "run.py --config_file=$CONFIG --logdir=$RUN --mode=combine --last=2 --bn_batches=20 --output=combined": (
        "digits", 0, ["batch norm measured on 20 batches: loss", "their mean: loss"]),
    "run.py --config_file=$CONFIG --logdir=$RUN --mode=robustness --preparations=unchanged,telephone,room,quiet": (
        "digits", 0, ["telephone", "Mean WER of 4 preparations"]),
    "run.py --config_file=$CONFIG --mode=train --load_model=$RUN --logdir=runs/tuned --max_steps=2 --no_dir_check": (
        "digits", 0, ["restored layers: w2l_encoder/conv11"]),
    "run.py --config_file=$CONFIG --mode=train --logdir=runs/memory --max_steps=2 --no_dir_check": (
        "digits", 0, ["The longest batch, 8 utterances x", "fits into memory"]),
    "run.py --config_file=$CONFIG --mode=train --benchmark --bench_steps=8 --bench_start=4": ("digits", 0, ["Avg time per step"]),
}
BEAM = {
    "scripts/build_lm.py --config_file=$CONFIG --order=2 --output=lm.arpa": ("digits", 0, ["lm.arpa"]),
    "run.py --config_file=$CONFIG --logdir=$RUN --mode=tune_lm --lm_path=lm.arpa --trials=12": ("digits", 0, ["--alpha="]),
    EVAL + " --decoder=beam --hot_words=seven,zero": ("digits", 0, ["Validation WER:"]),
}
FEW = "run.py --config_file=$CONFIG --mode=train_eval --logdir=runs/few"


def commands_of_page():
    """The commands in the blocks of shell code, in the order of the page, each once, without $PY; the first block sets names."""
    with open(PAGE, encoding="utf-8") as file:
        blocks = re.findall(r"^```bash\n(.*?)^```", file.read(), re.M | re.S)
    assert tuple(re.findall(r"^([A-Z]+)=", blocks[0], re.M)) == NAMES
    lines = [" ".join(line.split()) for block in blocks[1:] for line in block.replace("\\\n", " ").splitlines()]
    return list(dict.fromkeys(line[len("$PY "):] if line.startswith("$PY ") else line for line in lines))


def test_all_commands_of_the_page_are_run_here():
    commands = commands_of_page()
    few = [command for command in commands if command.startswith(("head ", FEW))]
    assert len(few) == 2
    assert [command for command in commands if command not in few and command not in {**DATA, **MODELS, **BEAM}] == []
    assert [command for command in {**DATA, **MODELS, **BEAM} if command not in commands] == []


def test_keys_flags_and_checks_that_the_page_names_exist():
    with open(PAGE, encoding="utf-8") as file:
        named = set(re.findall(r"`(?:--)?([a-z]+(?:_[a-z]+)+)[`=/ ]", file.read()))
    sources = "".join(open(path, encoding="utf-8").read() for pattern in ("open_seq2seq/**/*.py", "docs/parameters.md")
                      for path in glob.glob(os.path.join(REPOSITORY, pattern), recursive=True))
    assert len(named) > 30 and {name for name in named if name not in sources} == set()


@pytest.fixture(scope="module")
def digits(trained_digits, tmp_path_factory):
    """A copy of the trained network and its data."""
    folder = tmp_path_factory.mktemp("troubleshooting") / "digits"
    shutil.copytree(str(trained_digits.folder), str(folder))
    return folder


@pytest.fixture(scope="module")
def faulty(digits):
    """Transcripts that do not fit, audio in both sets, other recordings in dev."""
    folder = digits.parent / "faulty"
    folder.mkdir()
    for name in ("config.py", "vocab.txt"):
        shutil.copy(str(digits / name), str(folder / name))
    rows = {}
    for name in ("train", "dev"):
        with open(str(digits / (name + ".csv")), encoding="utf-8", newline="") as file:
            rows[name] = [(str(digits / row["wav_filename"]), row["transcript"]) for row in csv.DictReader(file)][:30]
    train, dev = rows["train"], []
    train[0] = (train[0][0], "fu\u0308nf")
    train[1] = (train[1][0], "one two three " * 40)
    for number, (path, transcript) in enumerate(rows["dev"]):
        samples, _ = soundfile.read(path)
        # another kind of recording: quiet, and nothing above 2 kHz
        spectrum = np.fft.rfft(samples)
        spectrum[len(spectrum) // 4:] = 0.0
        samples = 0.003 * np.fft.irfft(spectrum, len(samples)) if number != 1 else np.zeros(len(samples))
        soundfile.write(str(folder / ("dev%d.wav" % number)), samples, RATE)
        dev.append(("dev%d.wav" % number, transcript))
    dev.append(train[2])
    for name, written in (("train", train), ("dev", dev)):
        with open(str(folder / (name + ".csv")), "w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("wav_filename", "transcript")] + written)
    return folder


@pytest.fixture
def run_command(digits, monkeypatch, capsys):
    """Runs a command of the page in a folder, in this process: exit status and output."""
    monkeypatch.setenv("COLUMNS", "250")

    def call(command, folder):
        monkeypatch.chdir(str(folder))
        names = {"CONFIG": "config.py", "RUN": "diverged" if folder.name == "diverged" else "run", "TRAIN": "train.csv",
                 "DEV": "dev.csv"}
        # the shell makes the words
        words = subprocess.run(["bash", "-c", "printf '%s\\0' " + command], env=dict(os.environ, **names), check=True,
                               stdout=subprocess.PIPE).stdout.decode().split("\0")[:-1]
        monkeypatch.setattr(sys, "argv", words)
        capsys.readouterr()
        status = 0
        try:
            runpy.run_path(os.path.join(REPOSITORY, words[0]), run_name="__main__")
        except SystemExit as end:
            status = end.code or 0
        output = capsys.readouterr()
        return types.SimpleNamespace(status=status, text=output.out + output.err)
    return call


@pytest.fixture(scope="module")
def folders(digits, faulty):
    return {"digits": digits, "faulty": faulty}


def ran(command, case, folders, run_command):
    """(exit status, which of the case's texts are missing in the output, the output)"""
    place, _, texts = case
    done = run_command(command, folders[place])
    # a table wraps its texts
    flat = " ".join(re.sub("[│┃┡━╇┩├─┼┤]", " ", done.text).split())
    return done.status, [text for text in texts if text not in flat], flat


@pytest.mark.parametrize("command", sorted(DATA))
def test_commands_that_look_at_data(command, folders, run_command):
    status, missing, output = ran(command, DATA[command], folders, run_command)
    assert (status, missing) == (DATA[command][1], []), output


@pytest.mark.slow
def test_commands_that_look_at_a_model(folders, run_command):
    folders = dict(folders, diverged=folders["digits"].parent / "diverged")
    shutil.copytree(str(folders["faulty"]), str(folders["diverged"]))
    shutil.copy(str(folders["digits"] / "train.csv"), str(folders["diverged"] / "train.csv"))
    for name in ("train", "dev"):
        (folders["diverged"] / name).symlink_to(folders["digits"] / name)
    training = "run.py --config_file=$CONFIG --mode=train --logdir=$RUN --lr_policy_params/learning_rate=1e20 --max_bad_steps=2"
    assert run_command(training, folders["diverged"]).status == 3
    outputs = {}
    for command in commands_of_page():
        if command in MODELS:
            status, missing, outputs[command] = ran(command, MODELS[command], folders, run_command)
            assert (status, missing) == (MODELS[command][1], []), outputs[command]
    losses = [float(re.search(r"Validation loss: (\S+)", outputs[EVAL + flags]).group(1)) for flags in (
        "", " --eval_batch_size_per_gpu=1", " --eval_batch_size_per_gpu=16",
        " --eval_batch_size_per_gpu=16 --encoder_params/use_conv_mask=False")]
    assert losses[1:3] == pytest.approx(losses[:1] * 2, abs=2e-4)
    assert abs(losses[3] - losses[0]) > 2e-3          # padding takes part


@pytest.mark.slow
def test_commands_of_the_beam_search(folders, run_command):
    if not is_installed(PYCTCDECODE):
        pytest.skip("scripts/setup.sh --decoding installs the packages")
    for command in commands_of_page():
        if command in BEAM:
            status, missing, output = ran(command, BEAM[command], folders, run_command)
            assert (status, missing) == (BEAM[command][1], []), output


@pytest.mark.slow
def test_sixteen_utterances_are_memorized(folders, run_command):
    head, train = (command for command in commands_of_page() if command.startswith(("head ", FEW)))
    subprocess.run(["bash", "-c", head], cwd=str(folders["digits"]), env=dict(os.environ, TRAIN="train.csv"), check=True)
    status, missing, output = ran(train, ("digits", 0, ["Validation WER:"]), folders, run_command)
    assert (status, missing) == (0, []), output
    rates = [float(rate) for rate in re.findall(r"Validation WER: (\S+)", output)]
    assert rates[-1] < 0.2
