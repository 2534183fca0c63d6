"""What all importers have in common: manifests, skipped utterances, interruptions, names that nobody should trust."""
import csv
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.importers import SUMMARIES, __main__, load
from open_seq2seq.data.importers.entries import KALDI, LENIENT, NEAREST, Names, Segment, cleaned_transcript, safe_name
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.manifest import read_manifest
from tests.fixtures import corpora
from tests.paths import REPOSITORY

NAMES = ["u%d" % number for number in range(5)]


@pytest.fixture(params=list(corpora.FORMS))
def form(request):
    if request.param == "parquet":
        pytest.importorskip("pyarrow", reason="bash scripts/setup.sh --data installs it")
    return request.param


def make(form, root, items=None):
    """Makes a corpus; returns the command line without --output."""
    function, name = dict(corpora.FORMS, **corpora.GENERATED)[form]
    return [name] + function(root, corpora.utterances(NAMES) if items is None else items)


def run(words, output, *more):
    return run_importer(__main__.main, words + ["--output", str(output), "--workers", "1"] + list(more))


def manifests(output):
    """dict file name -> rows of the data layer's reader, all of whose audio exists."""
    return {path.name: read_manifest(str(path)) for path in sorted(output.glob("*.csv")) if path.name != "skipped.csv"}


def skipped(output):
    with open(str(output / "skipped.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_form_becomes_a_manifest(form, tmp_path, capsys):
    words = make(form, tmp_path)
    assert run(words, tmp_path / "out") == 0
    (rows,) = manifests(tmp_path / "out").values()
    expected = corpora.utterances(NAMES)
    assert [row.transcript.lower() for row in rows] == [item.text.lower() for item in expected]
    lowered = form in ("folder", "librispeech", "librispeech_tar")
    assert all((row.transcript == row.transcript.lower()) is lowered for row in rows)
    for row, item in zip(rows, expected):
        samples, rate = soundfile.read(row.audio_path, dtype="int16")
        assert rate == corpora.RATE
        if form != "synthetic_speech":
            np.testing.assert_array_equal(samples, item.samples)      # parts are exact, too
    assert not (tmp_path / "out" / "skipped.csv").exists()
    assert not [name for name in os.listdir(str(tmp_path / "out" / ".import")) if not name.endswith(".json")]
    capsys.readouterr()
    assert run(words, tmp_path / "out") == 0 and "already complete" in capsys.readouterr().out
    content = corpora.checksums_below(tmp_path / "out")
    assert run(words, tmp_path / "out", "--overwrite") == 0
    assert corpora.checksums_below(tmp_path / "out") == content


def test_a_folder_can_be_converted_within_itself(tmp_path):
    words = make("folder", tmp_path)
    assert run(words, tmp_path / "corpus", "--format", "flac") == 0
    assert run(words, tmp_path / "corpus", "--format", "flac", "--overwrite") == 0
    assert [row.wav_filename for row in manifests(tmp_path / "corpus")["corpus.csv"]] == [
        "audio/%s.flac" % name for name in NAMES]


@pytest.mark.parametrize("form, wanted", [("folder", "flac"), ("librispeech", "wav"), ("webdataset", "wav")])
def test_audio_is_converted_on_request(form, wanted, tmp_path):
    assert run(make(form, tmp_path), tmp_path / "out", "--format", wanted) == 0
    (rows,) = manifests(tmp_path / "out").values()
    for row, item in zip(rows, corpora.utterances(NAMES)):
        assert row.wav_filename.startswith("audio/") and soundfile.info(row.audio_path).format == wanted.upper()
        np.testing.assert_array_equal(soundfile.read(row.audio_path, dtype="int16")[0], item.samples)


def damaged(form, root):
    """A corpus of 5 utterances, of which the second has an empty transcript and the last one damaged audio."""
    items = corpora.utterances(NAMES)
    items[1] = items[1]._replace(text=" ")
    original = corpora.encoded

    def encoded(samples, *arguments):
        content = original(samples, *arguments)
        return content[:60] if len(samples) in (len(items[-1].samples), len(items[-1].samples) + 800) else content

    corpora.encoded = encoded
    try:
        return make(form, root, items)
    finally:
        corpora.encoded = original


@pytest.mark.parametrize("form", [name for name in corpora.FORMS if name != "synthetic_speech"], indirect=True)
def test_bad_utterances_are_skipped_with_a_reason_or_refused(form, tmp_path, capsys):
    words = damaged(form, tmp_path)
    if form == "kaldi":      # all segments are in one recording
        (tmp_path / "corpus" / "train" / "segments").open("a").write("u4 rec 900 901\nu5 rec 900 901\n")
        (tmp_path / "corpus" / "train" / "text").open("a").write("u5 five\n")
    assert run(words, tmp_path / "out") == 3
    error = capsys.readouterr().err
    assert "cannot be imported" in error and "--max_skipped" in error and "skipped.csv" in error and "Traceback" not in error
    assert not manifests(tmp_path / "out")
    reasons = [row["reason"] for row in skipped(tmp_path / "out")]
    assert len(reasons) >= 2 and {"empty transcript", "no transcript"} & set(reasons)
    assert all(row["place"] and row["detail"] for row in skipped(tmp_path / "out"))
    assert run(words, tmp_path / "out", "--max_skipped", "1") == 0
    (rows,) = manifests(tmp_path / "out").values()
    assert [row.transcript.split()[1] for row in rows] == (["0", "2", "3", "4"] if form == "kaldi" else ["0", "2", "3"])
    assert [row["reason"] for row in skipped(tmp_path / "out")] == reasons
    (record,) = [json.loads(text.decode()) for name, text in corpora.files_below(tmp_path / "out").items() if ".import" in name]
    assert sum(record["skipped"].values()) == len(reasons)


def test_what_was_skipped_is_tried_again(tmp_path):
    words = make("nemo", tmp_path)
    path = tmp_path / "corpus" / "u3.wav"
    content = path.read_bytes()
    path.unlink()
    assert run(words, tmp_path / "out") == 3 and [row["reason"] for row in skipped(tmp_path / "out")] == ["missing file"]
    path.write_bytes(content)
    assert run(words, tmp_path / "out") == 0 and len(manifests(tmp_path / "out")["train.csv"]) == 5
    assert not (tmp_path / "out" / "skipped.csv").exists()
    path.unlink()      # a complete import whose audio is gone is not complete
    assert run(words, tmp_path / "out") == 3


class Killer:
    """Kills the process before or after the n-th file has its name."""

    def __init__(self, number, after):
        self._left, self._after, self._replace = number, after, os.replace

    def __call__(self, *arguments):
        self._left -= 1
        if self._left == 0 and not self._after:
            os.kill(os.getpid(), signal.SIGKILL)
        self._replace(*arguments)
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def killed(words, output, number, after):
    """Runs an import in a process that is killed; returns False if it had finished before."""
    child = os.fork()
    if child == 0:
        try:
            os.replace = Killer(number, after)
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, 1)
            os.dup2(devnull, 2)
            run(words, output)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("form", list(corpora.FORMS) + list(corpora.GENERATED), indirect=True)
def test_a_killed_import_gives_the_same_files_when_it_is_started_again(form, tmp_path, monkeypatch):
    monkeypatch.setattr("open_seq2seq.data.importers.frame.CHUNK", 2)
    monkeypatch.setattr("open_seq2seq.data.importers.synthetic_speech.UNIT", 2)
    monkeypatch.setattr("open_seq2seq.data.importers.fsdd.CHUNK", 2)
    monkeypatch.setattr("open_seq2seq.data.importers.synthetic_digits.CHUNK", 2)
    words = make(form, tmp_path)
    assert run(words, tmp_path / "undisturbed") == 0
    expected = corpora.checksums_below(tmp_path / "undisturbed")
    random = np.random.RandomState(sum(form.encode()))
    points = [1] + sorted(random.choice(np.arange(2, 14), size=3, replace=False))
    for number in points:
        output = tmp_path / ("out%d" % number)
        for _ in range(3):      # the second and third kill happen while the import continues
            if not killed(words, output, number, bool(random.randint(2))):
                break
        assert run(words, output) == 0
        assert corpora.checksums_below(output) == expected


@pytest.mark.slow
def test_workers_end_with_a_killed_importer_and_leave_no_lock(tmp_path):
    words = make("folder", tmp_path, corpora.utterances(["u%04d" % number for number in range(800)]))
    command = [sys.executable, "-m", "open_seq2seq.data.importers"] + words + ["--format", "flac", "--workers", "2", "--output"]
    process = subprocess.Popen(command + [str(tmp_path / "out")], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    while not list((tmp_path / "out").glob(".import/*/unit-*.json")) and process.poll() is None:
        time.sleep(0.01)
    children = [int(pid) for pid in subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], stdout=subprocess.PIPE,
                                                  text=True).stdout.split()]
    process.kill()
    process.wait()
    assert len(children) >= 2
    while any(os.path.exists("/proc/%d" % pid) and open("/proc/%d/stat" % pid).read().split(")")[1].split()[0] != "Z"
              for pid in children):
        time.sleep(0.01)
    assert subprocess.run(command + [str(tmp_path / "out")], cwd=REPOSITORY).returncode == 0
    assert subprocess.run(command + [str(tmp_path / "alone")], cwd=REPOSITORY).returncode == 0
    assert corpora.checksums_below(tmp_path / "out") == corpora.checksums_below(tmp_path / "alone")


def mutate(path, random):
    """Damages a file at a few places."""
    content = bytearray(path.read_bytes())
    pieces = (b"\0", b"\n", b"\t", b'"', b"{", b"\xff", b",", b"-1", b"1e999", b"null", b"[]", b"|")
    for _ in range(random.choice([1, 2, 5])):
        place, kind = random.randint(len(content) + 1), random.randint(4)
        if kind == 0:
            content[place:place] = pieces[random.randint(len(pieces))]
        elif kind == 1:
            del content[place:place + random.choice([1, 50])]
        elif kind == 2 and random.randint(3) == 0:
            del content[place:]
        elif place < len(content):
            content[place] ^= 1 << random.randint(8)
    path.write_bytes(bytes(content))


def test_damaged_corpora_are_imported_or_refused_with_a_message(form, tmp_path, capsys):
    random = np.random.RandomState(100 + sorted(corpora.FORMS).index(form))
    for number in range(8):
        root = tmp_path / str(number)
        words = make(form, root, corpora.utterances(NAMES[:3]))
        files = sorted(path for path in (root / "corpus").rglob("*") if path.is_file())
        texts = [path for path in files if path.suffix not in (".wav", ".flac", ".mp3")]
        chosen = texts if random.randint(3) else files
        mutate(chosen[random.randint(len(chosen))], random)
        status = run(words, root / "out", "--max_skipped", "1")      # a traceback would be raised here
        output = capsys.readouterr()
        assert status in (0, 2, 3) and bool(manifests(root / "out")) is (status == 0)
        assert status == 0 or "Error: " in output.err
        assert sorted(os.listdir(str(root))) in (["corpus", "out"], ["corpus"])


def test_names_are_not_trusted(form, tmp_path):
    names = [name for name in corpora.HOSTILE_NAMES if form not in ("folder", "audiofolder") or name != ".."]
    words = make(form, tmp_path / "in", corpora.utterances(names))
    before = corpora.checksums_below(tmp_path / "in")
    assert run(words, tmp_path / "out", "--max_skipped", "0.5", "--format", "flac") == 0
    assert corpora.checksums_below(tmp_path / "in") == before and sorted(os.listdir(str(tmp_path))) == ["in", "out"]
    (rows,) = manifests(tmp_path / "out").values()
    assert len(rows) >= len(names) - 1
    paths = [os.path.realpath(row.audio_path) for row in rows]
    assert len({path.lower() for path in paths}) == len(rows)
    for path in paths:
        assert path.startswith(str(tmp_path / "out" / "audio") + os.sep)
        assert not os.path.basename(path).startswith(("-", ".")) and soundfile.info(path).frames


def test_a_name_with_a_line_end_is_skipped_where_the_file_stays(tmp_path):
    words = make("folder", tmp_path, corpora.utterances(["good", "new\nline", "return\r", "tab\there"]))
    assert run(words, tmp_path / "out", "--max_skipped", "1") == 0
    assert [row["reason"] for row in skipped(tmp_path / "out")] == ["unusable file name"] * 3
    assert [row.transcript for row in manifests(tmp_path / "out")["corpus.csv"]] == ["text 0 of the corpus"]


@pytest.mark.parametrize("text, cleaned", [("  e\u0301 \u2028 b\t", "\u00e9 b"), ("", None), ("a\0b", None), ("\ud800", None)])
def test_transcripts_are_composed_and_on_one_line(text, cleaned):
    if cleaned is None:
        with pytest.raises(RejectedData):
            cleaned_transcript(text)
    else:
        assert cleaned_transcript(text) == cleaned


def test_names_are_unique_also_without_case_and_accents():
    names = Names()
    given = [names.unique("x", name) for name in ("A", "a", "\u00e9", "e\u0301", "a/b", "a_b", "", "\ud800")]
    assert len({name.casefold() for name in given}) == len(given) and given[0] == "x/A"
    assert all(name.count("/") == 1 for name in given)
    assert len(safe_name("\u4e00" * 5000).encode()) < 255


@pytest.mark.parametrize("segment, samples", [
    (Segment(0.1, 0.2503, None, KALDI), (1600, 4005)), (Segment(0.2, None, None, KALDI), (3200, 16000)),
    (Segment(0.89, 1.4999, None, KALDI), (14240, 16000)), (Segment(0.85, 1.5, None, KALDI), (13600, 16000)),
    (Segment(0.85, 1.50001, None, KALDI), "segment outside"), (Segment(1.0, 1.2, None, KALDI), "segment outside"),
    # differences of these times are less or more than 0.1
    (Segment(0.0, 0.1, None, KALDI), (0, 1600)), (Segment(0.5, 0.6, None, KALDI), (8000, 9600)),
    (Segment(0.7, 0.8, None, KALDI), (11200, 12800)), (Segment(0.9, 1.4, None, KALDI), (14400, 16000)),
    (Segment(0.9, None, None, KALDI), (14400, 16000)), (Segment(0.5, 0.59999, None, KALDI), "segment shorter than 0.1 s"),
    (Segment(0.90001, 1.4, None, KALDI), "segment shorter than 0.1 s"),
    (Segment(0.99999, None, None, KALDI), "segment shorter than 0.1 s"),
    (Segment(-0.1, 0.2), "segment outside"),
    (Segment(float("nan"), 0.2), "segment outside"), (Segment(0.5, 0.5), "segment outside"),
    (Segment(0.00003125, 0.5), (1, 8001)), (Segment(0.0, 0.99, None, NEAREST), (0, 15840)),
    (Segment(0.0, 0.99, None, LENIENT), (0, 16000)), (Segment(0.0, 1.2, None, LENIENT), "segment outside")])
def test_segments_become_samples(segment, samples):
    if isinstance(samples, str):
        with pytest.raises(RejectedData) as raised:
            segment.samples(16000, 16000)
        assert raised.value.reason.name.startswith(samples)
    else:
        assert segment.samples(16000, 16000) == samples


def test_the_end_of_a_long_recording_is_rounded_as_in_kaldi():
    """Its length is a float32 number of seconds: 7 h and 1 sample at 16 kHz are 25200.0 s."""
    assert Segment(25199.0, None, None, KALDI).samples(16000, 25200 * 16000 + 1) == (25199 * 16000, 25200 * 16000)
    assert Segment(25199.0, 25200.1, None, KALDI).samples(16000, 25200 * 16000 + 1) == (25199 * 16000, 25200 * 16000)


def test_the_command_lists_importers_and_suggests_names(tmp_path, capsys):
    assert run_importer(__main__.main, []) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in SUMMARIES)
    assert run_importer(__main__.main, ["libri-speech"]) == 2
    assert "librispeech" in capsys.readouterr().err
    for name in SUMMARIES:
        with pytest.raises(SystemExit) as stop:
            run_importer(__main__.main, [name.replace("_", "-"), "--help"])
        assert stop.value.code == 0 and "--output" in capsys.readouterr().out
        assert load(name).name == name


def test_two_imports_into_one_folder_and_one_csv_for_two_manifests(tmp_path, capsys):
    words = make("nemo", tmp_path)
    assert run(words, tmp_path / "m" / "my.csv") == 0
    assert sorted(os.listdir(str(tmp_path / "m"))) == ["my.csv"]
    second = tmp_path / "corpus" / "dev.json"
    second.write_bytes((tmp_path / "corpus" / "train.json").read_bytes())
    assert run(words + [str(second)], tmp_path / "m" / "my.csv") == 2
    assert "2 manifests" in capsys.readouterr().err
    (tmp_path / "corpus" / "train.json").open("a").write("{}\n")
    second.open("a").write("[]\n")
    words += ["--max_skipped", "0.5"]
    assert run(words, tmp_path / "both") == 0
    assert run(["nemo", "--max_skipped", "0.5", "--corpus", str(second)], tmp_path / "both") == 0
    assert sorted(manifests(tmp_path / "both")) == ["dev.csv", "train.csv"]
    assert [(row["manifest"], row["place"]) for row in skipped(tmp_path / "both")] == [
        ("train", "train.json:6"), ("dev", "dev.json:6")]
    assert run(words, tmp_path / "both") == 0 and "already complete" in capsys.readouterr().out


def test_characters_outside_a_vocabulary_are_counted(tmp_path, capsys):
    (tmp_path / "vocab.txt").write_text("\n".join([" "] + list("etxofhcrpus1")) + "\n")
    assert run(make("nemo", tmp_path), tmp_path / "out", "--lower_case", "--vocab", str(tmp_path / "vocab.txt")) == 0
    error = capsys.readouterr().err
    assert "4 of 5 transcripts have characters that are not in the vocabulary" in error and "'0' (DIGIT ZERO) 1" in error
