"""Recordings of single digits become connected-digit utterances; no recording is in two splits."""
import collections
import csv
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.importers import fsdd
from open_seq2seq.data.importers.audio_store import as_pcm16
from open_seq2seq.data.importers.fsdd import Recording
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.errors import DataError
from tests.paths import REPOSITORY


def tone_of(digit, index):
    """A frequency that tells which recording is heard: 400 to 3840 Hz."""
    return 400 + 340 * digit + 20 * index


def make_corpus(recordings, output, train_utterances, seed=1, *more):
    """Runs the importer; returns {split: number of utterances}."""
    fsdd.main(["--recordings", str(recordings), "--output", str(output), "--train_utterances", str(train_utterances),
               "--seed", str(seed), "--workers", "1"] + list(more))
    return {path.stem: len(rows_of(path)) for path in output.glob("*.csv")}


def make_recordings(folder, speakers=("ann", "bob"), indices=(0, 5, 9, 10, 11), rate=8000, seconds=0.3):
    folder.mkdir(exist_ok=True)
    time = np.arange(int(rate * seconds)) / rate
    for speaker in speakers:
        for digit in range(10):
            for index in indices:
                samples = 0.5 * np.sin(2 * np.pi * tone_of(digit, index) * time)
                soundfile.write(str(folder / ("%d_%s_%d.wav" % (digit, speaker, index))), samples, rate)
    return folder


def rows_of(path):
    with open(str(path), newline="") as stream:
        return list(csv.DictReader(stream))


def heard(path, seconds=0.3):
    """(digit, index) of every tone in an utterance, and the length of every pause in seconds."""
    samples, rate = soundfile.read(str(path))
    assert rate == 16000
    envelope = np.convolve(np.abs(samples), np.ones(80) / 80, "same") > 0.1
    edges = np.flatnonzero(np.diff(envelope.astype(int)))
    starts, ends = edges[0::2], edges[1::2]
    found = []
    for start, end in zip(starts, ends):
        spectrum = np.abs(np.fft.rfft(samples[start + 200:end - 200], 32000))
        hertz = spectrum.argmax() / 2 - 400
        found.append((int(hertz + 10) // 340, int(round((hertz % 340) / 20)) % 17))
    boundaries = np.concatenate(([0], edges, [len(samples)]))
    return found, np.diff(boundaries)[0::2] / rate


def test_utterances_match_their_transcripts_and_use_recordings_of_their_split(tmp_path):
    make_recordings(tmp_path / "recordings")
    sizes = make_corpus(tmp_path / "recordings", tmp_path / "corpus", 40)
    assert sizes["train"] == 40
    indices = {"train": {10, 11}, "dev": {5, 9}, "test": {0}}
    for split in sizes:
        uses, rows = collections.Counter(), rows_of(tmp_path / "corpus" / (split + ".csv"))
        for row in rows:
            found, pauses = heard(tmp_path / "corpus" / row["wav_filename"])
            assert " ".join(fsdd.transcript_of([digit]) for digit, _ in found) == row["transcript"]
            assert 1 <= len(found) <= 7 and {index for _, index in found} <= indices[split]
            assert pauses.min() > 0.04 and pauses.max() < 0.26
            speaker = row["wav_filename"].rpartition("_")[2]
            uses.update((speaker,) + pair for pair in found)
        assert len(uses) == 2 * 10 * len(indices[split])
        if split != "train":
            assert set(uses.values()) == {fsdd.EVALUATION_PASSES}


def test_a_speakers_training_recordings_are_used_equally_often():
    recordings = [Recording("%d%s%d" % (d, s, i), d, s, i) for d in range(10) for s in "ab" for i in (10, 11, 12)]
    uses = {"a": collections.Counter(), "b": collections.Counter()}
    for string in fsdd.train_strings(recordings, 200, np.random.RandomState(0)):
        assert len({recording.speaker for recording in string}) == 1
        uses[string[0].speaker].update(string)
    for counts in uses.values():
        assert len(counts) == 30 and max(counts.values()) - min(counts.values()) <= 1


def test_equal_seeds_give_equal_files_and_a_second_run_finds_them(tmp_path, capsys):
    make_recordings(tmp_path / "recordings", speakers=("ann",))
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        make_corpus(tmp_path / "recordings", tmp_path / name, 5, seed)
    contents = [[path.read_bytes() for path in sorted((tmp_path / name).rglob("*.wav"))] for name in ("first", "second", "third")]
    assert contents[0] == contents[1] != contents[2]
    assert "already complete" not in capsys.readouterr().out
    (tmp_path / "recordings").rename(tmp_path / "elsewhere")
    make_corpus(tmp_path / "elsewhere", tmp_path / "first", 5)
    assert "already complete" in capsys.readouterr().out


def test_a_recording_at_another_rate_keeps_its_pitch(tmp_path):
    folder = make_recordings(tmp_path / "recordings", speakers=("ann",), indices=(10,))
    time = np.arange(13230) / 44100
    stereo = np.stack([0.8 * np.sin(2 * np.pi * tone_of(3, 10) * time), np.zeros(len(time))], axis=1)
    soundfile.write(str(folder / "3_ann_10.wav"), stereo, 44100)
    make_corpus(folder, tmp_path / "corpus", 20)
    digits = set()
    for row in rows_of(tmp_path / "corpus" / "train.csv"):
        found, _ = heard(tmp_path / "corpus" / row["wav_filename"])
        assert " ".join(fsdd.transcript_of([digit]) for digit, _ in found) == row["transcript"]
        digits.update(digit for digit, _ in found)
    assert 3 in digits


def test_recordings_are_found_in_a_clone_of_the_data_set(tmp_path):
    make_recordings(tmp_path / "recordings", speakers=("ann",), indices=(10,))
    assert len(fsdd.find_recordings(str(tmp_path), print)) == 10


def test_audio_files_with_other_names_are_reported(tmp_path):
    make_recordings(tmp_path, speakers=("ann",), indices=(10,))
    for name in ("cat.wav", "7_ann_11.M4A", "README.md", ".hidden.wav"):
        (tmp_path / name).write_bytes(b"x")
    notes = []
    assert len(fsdd.find_recordings(str(tmp_path), notes.append)) == 10
    assert notes == [("skipped 2 audio files whose names are not like DIGIT_SPEAKER_INDEX.wav, for example "
                                       "7_jackson_32.wav: 7_ann_11.M4A, cat.wav")]


@pytest.mark.parametrize("prepare,message", [
    (lambda folder: None, "the folder does not exist"),
    (lambda folder: folder.mkdir(), "none of the 0 files in it has a name like DIGIT_SPEAKER_INDEX.wav"),
    (lambda folder: (folder.mkdir(), (folder / "cat.wav").write_bytes(b"")),
     r"none of the 1 files in it has a name like .* \(the first is cat.wav\)"),
    (lambda folder: (folder.mkdir(), open(os.fsencode(str(folder)) + b"/7_j\xf6rg_1.wav", "w").close()),
     r"the file name 7_j\\xf6rg_1.wav is not valid UTF-8"),
    (lambda folder: make_recordings(folder, indices=(0, 5)), "no recording for training: all 40 have an index below 10"),
])
def test_a_folder_without_recordings_is_refused(tmp_path, prepare, message):
    prepare(tmp_path / "recordings")
    with pytest.raises(DataError, match=message):
        make_corpus(tmp_path / "recordings", tmp_path / "corpus", 5)
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("content,message", [
    (b"<html>not found</html>", "not audio"), (None, "empty audio"), (np.array([0.0, np.nan]), "non-finite samples"),
])
def test_utterances_with_an_unreadable_recording_are_skipped(tmp_path, content, message):
    folder = make_recordings(tmp_path / "recordings", speakers=("ann",), indices=(10,))
    if isinstance(content, bytes):
        (folder / "4_ann_10.wav").write_bytes(content)
    else:
        soundfile.write(str(folder / "4_ann_10.wav"), np.zeros(0) if content is None else content, 8000, subtype="FLOAT")
    with pytest.raises(DataError, match="4_ann_10.wav: [^\n]*" + message):
        make_corpus(folder, tmp_path / "corpus", 20)
    assert not (tmp_path / "corpus" / "train.csv").exists()
    used = make_corpus(folder, tmp_path / "corpus", 20, 1, "--max_skipped", "0.9")
    skipped = rows_of(tmp_path / "corpus" / "skipped.csv")
    assert 0 < used["train"] == 20 - len(skipped) < 20
    assert {(row["place"], row["reason"]) for row in skipped} == {("4_ann_10.wav", message)}
    assert all("four" not in row["transcript"] for row in rows_of(tmp_path / "corpus" / "train.csv"))


def test_the_command_writes_a_corpus(tmp_path):
    make_recordings(tmp_path / "recordings", speakers=("ann",), indices=(10,))
    made = subprocess.run([sys.executable, "-m", "open_seq2seq.data.importers.fsdd", "--recordings",
                           str(tmp_path / "recordings"), "--output", str(tmp_path / "corpus"), "--train_utterances", "3"],
                          cwd=REPOSITORY, capture_output=True, text=True)
    assert made.returncode == 0
    assert made.stdout.startswith("%s: 3 utterances, " % (tmp_path / "corpus" / "train.csv"))


def test_errors_of_the_command(tmp_path, capsys):
    make_recordings(tmp_path / "recordings", speakers=("ann",), indices=(10,))
    order = ["--recordings", str(tmp_path / "recordings"), "--output", str(tmp_path / "corpus"), "--train_utterances"]
    assert run_importer(fsdd.main, order + ["3"]) == 0
    assert run_importer(fsdd.main, order + ["3"]) == 0
    assert "already complete" in capsys.readouterr().out
    assert run_importer(fsdd.main, order + ["4"]) == 3
    error = capsys.readouterr().err
    assert "StorageError: " in error and "--overwrite" in error
    assert run_importer(fsdd.main, order + ["4", "--overwrite"]) == 0
    assert len(rows_of(tmp_path / "corpus" / "train.csv")) == 4 == len(os.listdir(str(tmp_path / "corpus" / "train")))
    assert run_importer(fsdd.main, order + ["3", "--overwrite"]) == 0
    assert len(os.listdir(str(tmp_path / "corpus" / "train"))) == 3
    (tmp_path / "corpus" / "train.csv").open("a").write("precious\n")
    assert run_importer(fsdd.main, order + ["5", "--overwrite"]) == 3      # not what an importer wrote
    assert "precious" in (tmp_path / "corpus" / "train.csv").read_text()
    for wrong in (["0"], ["many"], ["3", "--train_utteranc", "3"]):
        assert run_importer(fsdd.main, order + wrong) == 2


@pytest.mark.shared
def test_the_real_recordings_make_dev_and_train(fsdd_recordings, tmp_path):
    sizes = make_corpus(fsdd_recordings, tmp_path / "corpus", 60)
    assert sorted(sizes) == ["dev", "train"] and sizes["train"] == 60 and 200 <= sizes["dev"] <= 240
    words = sum(len(row["transcript"].split()) for row in rows_of(tmp_path / "corpus" / "dev.csv"))
    assert words == 300 * fsdd.EVALUATION_PASSES
    # recorded error rates depend on the strings and, by the sizes of the files, on the pauses
    manifests = (tmp_path / "corpus" / "dev.csv").read_bytes() + (tmp_path / "corpus" / "train.csv").read_bytes()
    assert hashlib.sha256(manifests).hexdigest() == "4eb0765f99056201c7ecc08e82ca653fd0e29e359a574647bc73288fd3939580"


def test_samples_are_rounded_as_soundfile_rounds_them(tmp_path):
    samples = np.concatenate([np.linspace(-1, 1, 9999), np.arange(-50, 50) / 131072, [-1.5, 1.5]])
    for kind in (np.float32, np.float64):
        soundfile.write(str(tmp_path / "a.wav"), samples.astype(kind), 16000, subtype="PCM_16")
        np.testing.assert_array_equal(as_pcm16(samples.astype(kind)), soundfile.read(str(tmp_path / "a.wav"), dtype="int16")[0])
