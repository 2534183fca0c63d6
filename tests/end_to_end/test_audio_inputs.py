"""Audio that streams, is joined, cut or damaged, through the commands: transcription and evaluation give the same answer."""
import csv
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow


def command(folder, *arguments, **options):
    done = subprocess.run([sys.executable] + list(arguments), cwd=str(folder), timeout=300, capture_output=True,
                          env=dict(os.environ, PYTHONPATH=REPOSITORY), **options)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture(scope="module")
def inputs(failing_inputs_script, trained_digits, tmp_path_factory):
    """(folder with the failing inputs, transcripts of the two recordings that they are made of)"""
    folder = tmp_path_factory.mktemp("inputs")
    with open(os.path.join(trained_digits.folder, "dev.csv"), encoding="utf-8") as file:
        names = [os.path.join(trained_digits.folder, row["wav_filename"]) for row in csv.DictReader(file)][:2]
    subprocess.run([sys.executable, failing_inputs_script, str(folder)] + names, check=True)
    return folder, names


def transcribe(inputs, trained_digits, *arguments, **options):
    return command(inputs, "-m", "open_seq2seq.transcribe", "--model=%s" % trained_digits.run, *arguments, **options)


WHOLE = ("reference.wav", "stream_size0.wav", "stream_size0_24bit.wav", "stream_placeholder_2e9.wav", "list_odd_unpadded.wav",
         "stream_unknown_length.flac")
JOINED = ("chained.ogg", "chained.opus", "chained.mp3", "two_wavs_concatenated.wav")
REFUSED = {"antiphase.wav": "channels cancel each other", "hole.mp3": "declares", "cut.mp3": "declares",
           "cut.ogg": "has no last page", "memo.m4a": "It is an MP4 (M4A) file, which cannot be read here. Convert it to WAV",
           "radio.amr": "It is an AMR file, which cannot be read here. Convert it to WAV",
           "rate_of_1_hz.wav": "a sample rate of 1 Hz"}


def test_transcription(inputs, trained_digits):
    folder, names = inputs
    status, out, err = transcribe(folder, trained_digits, *(WHOLE + JOINED + tuple(REFUSED) + tuple(names)))
    texts = dict(line.split("\t") for line in out.splitlines())
    assert status == 3 and set(texts) == set(WHOLE + JOINED + tuple(names))
    first, second = texts[names[0]], texts[names[1]]
    assert len(first.split()) >= 2 and {texts[name] for name in WHOLE} == {first}
    # the same of lossy copies is not certain, so the numbers of words are compared
    for name in JOINED:
        assert abs(len(texts[name].split()) - len((first + " " + second if name[0] == "c" else first + " " + first).split())) <= 2
    for name, sentence in REFUSED.items():
        assert [line for line in err.splitlines() if name in line and sentence in line], (name, err)
    assert "Traceback" not in err


def test_standard_input_gives_the_same(inputs, trained_digits):
    folder, _ = inputs
    reference = transcribe(folder, trained_digits, "reference.wav")[1]
    for name in ("stream_size0_24bit.wav", "stream_unknown_length.flac"):
        status, out, err = transcribe(folder, trained_digits, "-", input=(folder / name).read_bytes())
        assert (status, out) == (0, reference) and "warning:" not in err
    status, out, err = transcribe(folder, trained_digits, "-", input=(folder / "cut.ogg").read_bytes())
    assert (status, out) == (3, "") and "has no last page" in err


def test_evaluation_agrees(inputs, trained_digits, tmp_path):
    """The scan and the reader of a manifest accept and refuse the same files as the transcription."""
    folder, _ = inputs
    work = tmp_path / "work"
    shutil.copytree(str(trained_digits.folder), str(work))
    soundfile.write(str(folder / "silence.wav"), np.zeros(16000), 16000)
    soundfile.write(str(folder / "nearly.wav"), 0.1 * np.random.RandomState(0).randn(32000), 16000)
    os.truncate(str(folder / "nearly.wav"), 44 + 64000 - 320)
    accepted, refused = WHOLE + JOINED + ("nearly.wav",), tuple(REFUSED) + ("silence.wav",)
    with open(str(work / "dev.csv"), "w") as file:
        file.write("wav_filename,wav_filesize,transcript\n")
        file.writelines("%s,0,one two\n" % (folder / name) for name in accepted + refused)
    status, out, err = command(work, os.path.join(REPOSITORY, "run.py"), "--config_file=config.py", "--mode=eval",
                               "--data_layer_params/max_rejected_fraction=0.5")
    assert status == 0, err[-2000:]
    assert "1 of %d utterances are used with a warning" % len(accepted + refused) in out and "nearly.wav" in out
    rejected_file, = work.rglob("rejected.csv")
    with open(str(rejected_file), encoding="utf-8") as file:
        listed = {os.path.basename(row["wav_filename"]): row["reason"] for row in csv.DictReader(file)}
    assert set(listed) == set(refused)
    assert listed["silence.wav"] == "silent audio with a transcript"
    assert listed["antiphase.wav"] == "channels cancel each other" and listed["rate_of_1_hz.wav"] == "impossible sample rate"
