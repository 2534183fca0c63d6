"""``python -m open_seq2seq.transcribe`` with a network that was trained: from a run's folder and exported."""
import json
import os
import signal
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile
from rapidfuzz.distance import Levenshtein

from tests.end_to_end.conftest import CONFIG, RATE, REPOSITORY, write_manifest
from tests.transcription.conftest import spoken

pytestmark = pytest.mark.slow
STEPS = 800
# after these it reads about 99 of 100 words right
TRAINING = ["--max_steps=%d" % STEPS, "--save_checkpoint_steps=%d" % STEPS, "--print_loss_steps=None",
            "--print_samples_steps=None", "--batch_size_per_gpu=16", "--lr_policy_params/learning_rate=0.05",
            "--lr_policy_params/warmup_steps=20"]
NETWORK = ["--encoder_params/convnet_layers/0/num_channels=32", "--encoder_params/convnet_layers/0/kernel_size=[11]",
           "--encoder_params/convnet_layers/1/num_channels=32"]


def command(folder, *words, **options):
    done = subprocess.run([sys.executable] + [str(word) for word in words], cwd=str(folder), timeout=300,
                          env=dict(os.environ, PYTHONPATH=REPOSITORY), capture_output=True, **options)
    return types.SimpleNamespace(status=done.returncode, out=done.stdout.decode(), err=done.stderr.decode())


def transcribe(folder, *words, model="run", **options):
    return command(folder, "-m", "open_seq2seq.transcribe", "--model=" + model, *words, **options)


def utterance(seed, count):
    """(words, samples, times of the words): every letter is a tone, which a small network learns within a minute."""
    draw = np.random.RandomState(seed)
    words = []
    for _ in range(count):
        letters = [draw.randint(8)]
        for _ in range(draw.randint(1, 5)):
            letters.append((letters[-1] + draw.randint(1, 8)) % 8)
        words.append("".join("abcdefgh"[letter] for letter in letters))
    # the network sees a quarter of a second: it must see the next word from the pause before it, to know of the space
    gaps = np.concatenate([[0.3], draw.uniform(0.08, 0.12, count - 1), [0.3]])
    samples, times = spoken(words, gaps, noise=3e-3, seed=seed)
    return words, samples, times


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a run in ``run`` that hears the words of the tone corpus, its export in ``export``, and recordings."""
    folder = tmp_path_factory.mktemp("transcribe")
    (folder / "wav").mkdir()
    for name, count in (("train", 200), ("dev", 2)):
        rows = []
        for i in range(count):
            words, samples, _ = utterance(i, 1 + i % 4)
            wav = "wav/%s%d.wav" % (name, i)
            soundfile.write(str(folder / wav), samples, RATE, subtype="PCM_16")
            rows.append((wav, os.path.getsize(str(folder / wav)), " ".join(words)))
        write_manifest(folder / (name + ".csv"), rows)
    (folder / "vocab.txt").write_text("\n".join(" abcdefghijklmnopqrstuvwxyz'") + "\n")
    (folder / "config.py").write_text(CONFIG)
    run = os.path.join(REPOSITORY, "run.py")
    done = command(folder, run, "--config_file=config.py", "--mode=train", "--device=cpu", *(TRAINING + NETWORK))
    assert done.status == 0, done.err
    done = command(folder, run, "--config_file=config.py", "--mode=export", "--device=cpu", "--export_dir=export", "--frames=800",
                   *NETWORK)
    assert done.status == 0, done.err
    return folder


@pytest.fixture(scope="module")
def long_recording(trained):
    """(words, their times, path) of two minutes."""
    words, samples, times = utterance(1000, 400)
    assert len(samples) > 120 * RATE
    path = str(trained / "long.flac")
    soundfile.write(path, samples, RATE)
    return words, times, path


def test_a_long_recording_reads_as_if_it_had_not_been_cut(trained, long_recording):
    words, _, path = long_recording
    whole = command(trained, "-c", (
        "from open_seq2seq.transcription.transcriber import Transcriber\n"
        "from open_seq2seq.transcription.segmentation import Segmentation\n"
        "print(Transcriber('run', segmentation=Segmentation(1e4, 1e4, 1.0, False)).transcribe(%r).text)" % path))
    assert whole.status == 0, whole.err
    heard = whole.out.split()
    assert Levenshtein.distance(heard, words) <= 12
    for model in ("run", "export"):
        done = transcribe(trained, path, model=model)
        # features are normalised by window, so a word may be read differently in another window, whether near its end or not;
        # a word lost or doubled at each of the 14 seams would be more
        assert done.status == 0 and Levenshtein.distance(done.out.split(), heard) <= 6, done.err


def test_times_are_those_of_the_words(trained, long_recording):
    words, times, path = long_recording
    done = transcribe(trained, path, "--format=json", "--output=out", model="export/jasper_infer_float32.pb")
    assert done.status == 0, done.err
    with open(str(trained / "out" / "long.flac.json")) as file:
        record = json.load(file)
    assert record["duration"] == pytest.approx(soundfile.info(path).duration, abs=1e-3)
    differences = []
    for block in Levenshtein.opcodes(words, [word["text"] for word in record["words"]]):
        if block.tag == "equal":
            differences += [(word["start"] - start, word["end"] - end) for word, (start, end) in zip(
                record["words"][block.dest_start:block.dest_end], times[block.src_start:block.src_end])]
    assert len(differences) >= 0.95 * len(words)
    assert np.abs(differences).max() < 0.15 and np.abs(np.median(differences, axis=0)).max() < 0.06
    assert all(0 < word["confidence"] <= 1 and word["start"] < word["end"] for word in record["words"])


def test_bad_recordings_are_named_and_the_others_transcribed(trained):
    mixed = trained / "mixed"
    mixed.mkdir()
    words, samples, _ = utterance(3, 4)
    soundfile.write(str(mixed / "good.wav"), np.stack([samples, samples], 1), RATE)
    soundfile.write(str(mixed / "nan.wav"), np.full(RATE, np.nan), RATE, subtype="FLOAT")
    (mixed / "empty.wav").write_bytes(b"")
    (mixed / "paper.wav").write_bytes(b"%PDF-1.4")
    done = transcribe(trained, "mixed", "nix.wav", "--format=text,vtt", "--output=results")
    assert done.status == 3 and done.out == "" and "Traceback" not in done.err
    assert sorted(os.listdir(str(trained / "results"))) == ["good.wav.txt", "good.wav.vtt"]
    assert (trained / "results" / "good.wav.txt").read_text() == " ".join(words) + "\n"
    for said in ("nix.wav does not exist", "nan.wav has a sample that is NaN", "mixed/empty.wav: empty audio",
                 "begins with '%PDF"):
        assert said in done.err


def test_standard_input_and_a_reader_that_goes_away(trained):
    words, samples, _ = utterance(5, 5)
    path = str(trained / "short.wav")
    soundfile.write(path, samples, RATE)
    with open(path, "rb") as file:
        done = transcribe(trained, "-", stdin=file)
    assert (done.status, done.out) == (0, " ".join(words) + "\n")
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "wb") as closed:
        process = subprocess.Popen([sys.executable, "-m", "open_seq2seq.transcribe", path, "--model=run"], cwd=str(trained),
                                   env=dict(os.environ, PYTHONPATH=REPOSITORY), stdout=closed, stderr=subprocess.PIPE, text=True)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 3 and err.endswith("The reader of the output went away; stopped\n") and "Traceback" not in err


@pytest.mark.parametrize("words,status,message", [
    (["short.wav", "--model=nix"], 3, "CheckpointError: "), (["--model=run"], 2, "UsageError: expected recordings"),
    (["nix.wav", "--model=run"], 3, "DataError: nix.wav does not exist"),
    (["a.wav", "b.wav", "--format=srt"], 2, "UsageError: 2 subtitle files"),
    (["--watch=nix", "--model=run"], 3, "DataError: --watch nix is not a folder"),
    (["short.wav", "--model=run", "--device=npu"], 2, "UsageError: --device npu runs an exported .pb, and run is none"),
    (["short.wav", "--model=export", "--device=npu"], 4, "DeviceError: ")])
def test_exit_status(trained, words, status, message):
    for name in ("short.wav", "a.wav", "b.wav"):
        soundfile.write(str(trained / name), utterance(5, 5)[1], RATE)
    done = transcribe(trained, *words)
    assert done.status == status and message in done.err and "Traceback" not in done.err, done.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_watch_ends_when_it_is_told_to(trained, number, tmp_path):
    words, samples, _ = utterance(7, 3)
    soundfile.write(str(tmp_path / "a.wav"), samples, RATE)
    process = subprocess.Popen([sys.executable, "-m", "open_seq2seq.transcribe", "--model=run", "--watch=%s" % tmp_path],
                               cwd=str(trained), env=dict(os.environ, PYTHONPATH=REPOSITORY), stderr=subprocess.PIPE, text=True)
    try:
        # what the watch says tells when the recording is done
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
    assert (tmp_path / "a.wav.txt").read_text() == " ".join(words) + "\n"


@pytest.mark.skipif("sys.version_info[:2] != (3, 7)", reason="npu_bridge is for TensorFlow 1.15")
def test_on_an_npu(trained, npu_server, tmp_path):
    words, samples, _ = utterance(9, 6)
    soundfile.write(str(tmp_path / "a.wav"), samples, RATE)
    done = subprocess.run([sys.executable, "-m", "open_seq2seq.transcribe", "a.wav", "--device=npu",
                           "--model=%s" % (trained / "export")], cwd=str(tmp_path), capture_output=True, text=True, timeout=300,
                          env=npu_server.environment())
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == " ".join(words), done.stderr
