"""``python -m open_seq2seq.transcribe`` with a trained network: from a run's folder and exported."""
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import types

import numpy as np
import pytest
import soundfile
import soxr
from rapidfuzz.distance import Levenshtein

from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow
RATE = 16000
VOICE = "gmw/en-US+m1"  # a voice of the training data


def command(folder, *arguments, **options):
    done = subprocess.run([sys.executable] + [str(argument) for argument in arguments], cwd=str(folder), timeout=300,
                          env=dict(os.environ, PYTHONPATH=REPOSITORY), capture_output=True, **options)
    return types.SimpleNamespace(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def transcribe(folder, *arguments, model="run", **options):
    return command(folder, "-m", "open_seq2seq.transcribe", "--model=" + model, *arguments, **options)


def speech(groups, seed, pauses=(0.05, 0.12)):
    """Digits spoken in groups with short pauses between them, as in the training data.

    Args:
      groups: their number.
      seed: of the digits, the pauses and the noise.
      pauses: shortest and longest pause in s. A network of few steps may join the words before and after a very short one.

    Returns:
      (list of words, float32 samples, list of (start, end) in s of each word's group)
    """
    from open_seq2seq.data.importers import espeak
    from open_seq2seq.data.importers.digit_strings import DIGIT_WORDS
    draw, words, limits = np.random.RandomState(seed), [], []
    pieces, position = [np.zeros(RATE // 5, np.float32)], RATE // 5
    with espeak.SpeakingProcess() as speaker:
        for _ in range(groups):
            group = [DIGIT_WORDS[digit] for digit in draw.randint(0, 10, draw.randint(2, 6))]
            spoken = speaker.speak(" ".join(group), VOICE, espeak.Manner(160, 50, 50)).astype(np.float32) / 32768
            samples = soxr.resample(spoken, espeak.SAMPLE_RATE, RATE)
            sound = np.flatnonzero(np.abs(samples) > 0.01)
            samples = samples[sound[0]:sound[-1] + 1]
            gap = int(RATE * draw.uniform(*pauses))
            pieces += [samples, np.zeros(gap, np.float32)]
            words += group
            limits += [(position / RATE, (position + len(samples)) / RATE)] * len(group)
            position += len(samples) + gap
    samples = np.concatenate(pieces + [np.zeros(RATE // 5, np.float32)])
    samples *= 0.3 / np.abs(samples).max()
    noise = 10 ** (-25 / 20) * np.sqrt(np.mean(samples ** 2))
    return words, samples + (noise * draw.standard_normal(len(samples))).astype(np.float32), limits


@pytest.fixture(scope="module")
def trained(trained_digits, tmp_path_factory):
    """A folder with the run of the digits model as ``run``, its export in ``export``, and ``short.wav``."""
    from open_seq2seq.export.export_folder import export_model
    from open_seq2seq.export.freeze.frozen_graph import ExportOptions
    from open_seq2seq.export.freeze.model_from_run import trained_model_from_run
    folder = tmp_path_factory.mktemp("transcribe")
    os.symlink(str(trained_digits.run), str(folder / "run"))
    export_model(trained_model_from_run(str(trained_digits.run)), ExportOptions(1, 800), str(folder / "export"))
    soundfile.write(str(folder / "short.wav"), speech(2, 5)[1], RATE)
    return folder


@pytest.fixture(scope="module")
def transcriber(trained):
    """The run's model in this process."""
    from open_seq2seq.transcription import Transcriber
    loaded = Transcriber(trained / "run")
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def text(trained, transcriber):
    """The text of short.wav according to the model; at most one word is wrong."""
    heard = transcriber.transcribe(trained / "short.wav").text
    assert Levenshtein.distance(heard.split(), speech(2, 5)[0]) <= 1 and len(heard.split()) > 4
    return heard


@pytest.fixture
def sigterm():
    """Restores the handler of SIGTERM, which the command sets."""
    handler = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def test_a_split_recording_has_the_text_of_the_whole(trained, transcriber):
    from open_seq2seq.transcription import Transcriber
    from open_seq2seq.transcription.segmentation import Segmentation
    words, samples, limits = speech(80, 1000, (0.1, 0.17))
    path = str(trained / "long.flac")
    soundfile.write(path, samples, RATE)
    assert len(samples) > 90 * RATE and len(words) > 250
    whole = Transcriber(transcriber.model, segmentation=Segmentation(1e4, 1e4, 1.0, False)).transcribe(path).text.split()
    assert Levenshtein.distance(whole, words) <= 0.1 * len(words)
    # at a cut the network sees less context
    assert Levenshtein.distance(transcriber.transcribe(path).text.split(), whole) <= 0.05 * len(whole)
    done = transcribe(trained, path, "--format=json,text", "--output=out", model="export/jasper_infer_float32.pb")
    assert done.status == 0, done.err
    with open(str(trained / "out" / "long.flac.json")) as file:
        record = json.load(file)
    heard = [word["text"] for word in record["words"]]
    # features are normalized by window, so a word may be read differently in another window; a word lost or duplicated at each
    # of the about ten seams would be more
    assert Levenshtein.distance(heard, whole) <= 0.05 * len(whole)
    assert (trained / "out" / "long.flac.txt").read_text() == " ".join(heard) + "\n" == record["text"] + "\n"
    assert record["duration"] == pytest.approx(len(samples) / RATE, abs=1e-3)
    # the words of a group are within its limits, and the first one begins with it
    found, beginnings = 0, []
    for block in Levenshtein.opcodes(words, heard):
        if block.tag == "equal":
            for place, word in zip(range(block.src_start, block.src_end), record["words"][block.dest_start:block.dest_end]):
                assert limits[place][0] - 0.2 < word["start"] < word["end"] < limits[place][1] + 0.3
                found += 1
                if place == 0 or limits[place] != limits[place - 1]:
                    beginnings.append(word["start"] - limits[place][0])
    assert found >= 0.9 * len(words) and abs(np.median(beginnings)) < 0.1
    assert all(0 < word["confidence"] <= 1 for word in record["words"])


def test_a_search_with_a_language_model_gives_the_same_text_with_every_kind_of_model(trained, monkeypatch, capsys, sigterm):
    pytest.importorskip("coqui_stt_ctcdecoder")
    pytest.importorskip("onnxruntime")
    from open_seq2seq.data.importers.digit_strings import DIGIT_WORDS
    from open_seq2seq.export.export_folder import export_model
    from open_seq2seq.export.freeze.frozen_graph import ExportOptions
    from open_seq2seq.export.freeze.model_from_run import trained_model_from_run
    from open_seq2seq.transcribe import main
    monkeypatch.chdir(str(trained))
    export_model(trained_model_from_run("run"), ExportOptions(1, 800), "onnx", ("onnx",))
    grams = "".join("-1.04\t%s\n" % word for word in DIGIT_WORDS)
    (trained / "digits.arpa").write_text("\\data\\\nngram 1=13\n\n\\1-grams:\n-99\t<s>\n-1.2\t</s>\n-3\t<unk>\n%s\n\\end\\\n"
                                         % grams)
    # one section: the exported models of 8 s cut longer recordings at other places than the run's model
    words, samples, _ = speech(4, 77)
    assert len(samples) < 6 * RATE
    # a level at which some words are wrong
    samples = samples + 0.01 * np.random.RandomState(1).standard_normal(len(samples)).astype(np.float32)
    soundfile.write("noisy.wav", samples, RATE)
    texts = []
    for model in ("run", "export", "onnx/jasper_infer_float32.onnx"):
        for flags in ([], ["--lm_path=digits.arpa", "--beam_width=32", "--hot_words=nine:1"]):
            assert main(["noisy.wav", "--model=" + model] + flags) == 0
            texts.append(capsys.readouterr().out.split())
    greedy, searched = texts[::2], texts[1::2]
    assert greedy[0] == greedy[1] == greedy[2] and searched[0] == searched[1] == searched[2]
    assert set(searched[0]) <= set(DIGIT_WORDS) and not set(greedy[0]) <= set(DIGIT_WORDS)
    assert Levenshtein.distance(searched[0], words) < Levenshtein.distance(greedy[0], words)


def test_bad_recordings_are_named_and_the_others_transcribed(trained, text):
    mixed = trained / "mixed"
    mixed.mkdir()
    samples, _ = soundfile.read(str(trained / "short.wav"))
    soundfile.write(str(mixed / "good.wav"), np.stack([samples, samples], 1), RATE)
    soundfile.write(str(mixed / "nan.wav"), np.full(RATE, np.nan), RATE, subtype="FLOAT")
    (mixed / "empty.wav").write_bytes(b"")
    (mixed / "paper.wav").write_bytes(b"%PDF-1.4")
    done = transcribe(trained, "mixed", "nix.wav", "--format=text,vtt", "--output=results")
    assert done.status == 3 and done.out == "" and "Traceback" not in done.err
    assert sorted(os.listdir(str(trained / "results"))) == ["good.wav.txt", "good.wav.vtt"]
    assert (trained / "results" / "good.wav.txt").read_text() == text + "\n"
    for message in ("nix.wav does not exist", "nan.wav: non-finite samples: a sample is NaN", "mixed/empty.wav: empty audio",
                    "It is a PDF"):
        assert message in done.err


def test_standard_input_and_a_broken_pipe(trained, text):
    with open(str(trained / "short.wav"), "rb") as file:
        done = transcribe(trained, "-", stdin=file)
    assert (done.status, done.out) == (0, text + "\n")
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "wb") as closed:
        process = subprocess.Popen([sys.executable, "-m", "open_seq2seq.transcribe", "short.wav", "--model=run"],
                                   cwd=str(trained), env=dict(os.environ, PYTHONPATH=REPOSITORY), stdout=closed,
                                   stderr=subprocess.PIPE, text=True)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 3 and "Traceback" not in err
    assert err.endswith("Broken pipe: the program that read the output has ended\n")


@pytest.mark.parametrize("arguments,status,message", [
    (["short.wav", "--model=nix"], 3, "CheckpointError: "), (["--model=run"], 2, "UsageError: expected exactly one of"),
    (["nix.wav", "--model=run"], 3, "DataError: nix.wav does not exist"),
    (["short.wav", "./short.wav", "--format=srt", "--model=run"], 2, "UsageError: standard output cannot hold 2 subtitle files"),
    (["--watch=nix", "--model=run"], 3, "DataError: --watch nix is not a folder"),
    (["short.wav", "--model=run", "--device=npu"], 2, "UsageError: --device npu runs an exported .pb, and run is not one"),
    (["short.wav", "--model=export", "--device=npu"], 4, "DeviceError: ")])
def test_exit_status(trained, arguments, status, message, monkeypatch, capfd, sigterm):
    from open_seq2seq.transcribe import main
    monkeypatch.chdir(str(trained))
    assert main(arguments) == status
    assert message in capfd.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_watch_stops_on_a_signal(trained, text, number, tmp_path):
    shutil.copy(str(trained / "short.wav"), str(tmp_path / "a.wav"))
    process = subprocess.Popen([sys.executable, "-m", "open_seq2seq.transcribe", "--model=run", "--watch=%s" % tmp_path],
                               cwd=str(trained), env=dict(os.environ, PYTHONPATH=REPOSITORY), stderr=subprocess.PIPE, text=True)
    try:
        # its log reports when the recording is done
        lines = []
        while not any("a.wav" in line for line in lines):
            lines.append(process.stderr.readline())
            assert lines[-1], "".join(lines)
        process.send_signal(number)
        assert process.wait(timeout=120) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    assert sorted(os.listdir(str(tmp_path))) == ["a.wav", "a.wav.txt"]
    assert (tmp_path / "a.wav.txt").read_text() == text + "\n"


def test_on_an_npu(trained, text, npu_server, tmp_path):
    done = subprocess.run([sys.executable, "-m", "open_seq2seq.transcribe", str(trained / "short.wav"), "--device=npu",
                           "--model=%s" % (trained / "export")], cwd=str(tmp_path), capture_output=True, text=True, timeout=300,
                          env=npu_server.environment())
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == text, done.stderr
