"""What is special about each form of corpora."""
import base64
import csv
import hashlib
import http.server
import json
import os
import sys
import tarfile
import threading

import numpy as np
import pytest

from tests.fixtures import corpora
from tests.fixtures.corpora import columns, encoded, samples_of, utterances, write
from tests.paths import REPOSITORY

GOLDENS = os.path.join(REPOSITORY, os.pardir, "shared", "goldens", "kaldi")


# LibriSpeech

def test_librispeech_from_a_hostile_tar(tmp_path, imported):
    items = corpora.librispeech_names(utterances("abcd"))
    members = corpora.librispeech_members(items)
    link = tarfile.TarInfo("LibriSpeech/dev-clean/84/12/84-12-0003.flac")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device = tarfile.TarInfo("84-12-0007.flac")
    device.type = tarfile.CHRTYPE
    audio = encoded(items[0].samples)
    members = [link, device, ("/tmp/84-12-0004.flac", audio), ("../../84-12-0005.flac", audio),
               ("LibriSpeech/dev-clean/84/12/84-12-0006.flac", audio), ("../escaped.txt", b"x")] + [
        member for member in members if not member[0].endswith("84-12-0003.flac")] + [members[1]]
    write(tmp_path / "corpus" / "dev-clean.tar", corpora.tar_bytes(members))
    found, skips = imported("librispeech", "--corpus", tmp_path / "corpus")
    (rows,) = found.values()
    assert list(found) == ["librivox-dev-clean"]
    assert [row.transcript for row in rows] == ["text %d of the corpus" % number for number in range(3)]
    assert columns(rows[0]) == {"speaker": "84", "gender": "female", "chapter": "12"}
    assert rows[0].wav_filename == "audio/dev-clean/84/12/84-12-0000.flac"
    assert sorted(skips) == [("84-12-0000", "duplicate id"), ("84-12-0003", "missing file"),
                             ("84-12-0003", "unsafe archive member"), ("84-12-0004", "unsafe archive member"),
                             ("84-12-0005", "unsafe archive member"),
                             ("84-12-0006", "no transcript"), ("84-12-0007", "unsafe archive member")]
    assert sorted(os.listdir(str(tmp_path))) == ["corpus", "out"]


@pytest.mark.parametrize("suffix, mode", [("tar", "w"), ("tar.gz", "w:gz")])
def test_an_archive_that_is_cut_off_is_refused_wherever_that_is(tmp_path, imported, capsys, suffix, mode):
    path = tmp_path / "corpus" / ("dev-clean." + suffix)
    complete = corpora.tar_bytes(corpora.librispeech_members(corpora.librispeech_names(utterances("abc"))), mode)
    ends = (512, 1024, 1536, 5632, 6000, len(complete) - 10240) if mode == "w" else (20, len(complete) // 2, len(complete) - 9)
    for end in ends:
        write(path, complete[:end])
        assert imported("librispeech", "--corpus", tmp_path / "corpus", status=3) == ({}, [])
        assert "cannot read the archive" in capsys.readouterr().err


class _Server(http.server.SimpleHTTPRequestHandler):
    """Serves ``files``, ranges included; breaks off ``broken`` answers after 1000 bytes."""

    files, broken, log = {}, 0, []

    def do_GET(self):
        content = self.files.get(self.path)
        self.log.append((self.path, self.headers.get("Range")))
        if content is None:
            self.send_error(404)
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        if type(self).broken and self.path.endswith("gz"):
            type(self).broken -= 1
            rest = rest[:1000]
        self.wfile.write(rest)

    def log_message(self, *words):
        pass


def test_downloads_continue_and_are_checked(tmp_path, imported, capsys):
    archive = corpora.tar_bytes(corpora.librispeech_members(corpora.librispeech_names(utterances("abc"))), "w:gz")
    _Server.files = {"/12/dev-clean.tar.gz": archive, "/12/md5sum.txt": b"%s  dev-clean.tar.gz\n" % hashlib.md5(
        archive).hexdigest().encode()}
    _Server.broken, _Server.log[:] = 1, []
    with http.server.HTTPServer(("127.0.0.1", 0), _Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        words = ["librispeech", "--corpus", tmp_path / "corpus", "--subsets", "dev-clean", "--download", "--base_url",
                 "http://127.0.0.1:%d/12" % server.server_port]
        imported(*words, status=3)
        assert "closed after 1000 of %d bytes" % len(archive) in capsys.readouterr().err
        found, _ = imported(*words)
        assert len(found["librivox-dev-clean"]) == 3 and _Server.log[-1] == ("/12/dev-clean.tar.gz", "bytes=1000-")
        (tmp_path / "corpus" / "dev-clean.tar.gz").unlink()
        _Server.files["/12/dev-clean.tar.gz"] = b"x" + archive[1:]
        imported(*words, status=3)
        assert "MD5 checksum" in capsys.readouterr().err and not os.listdir(str(tmp_path / "corpus"))
        imported(*(words[:4] + ["test-clean"] + words[5:]), status=3)
        assert "no checksum of test-clean is known" in capsys.readouterr().err
        server.shutdown()


# Common Voice

def _common_voice(root, sets):
    """A corpus with ``sets``: name -> list of (client, clip, sentence)."""
    for name, rows in sets.items():
        lines = ["client_id\tpath\tsentence\tage\tgender\taccents\tlocale"]
        for client, clip, sentence in rows:
            lines.append("\t".join(("%0128x" % client, clip, sentence, "twenties", "male", 'a "b", c', "ky")))
            if os.path.basename(clip) == clip and clip:
                write(root / "clips" / clip, encoded(utterances("x", seed=client)[0].samples))
        write(root / (name + ".tsv"), "\n".join(lines) + "\n")


def test_common_voice_is_read_without_quoting_and_clients_are_kept_apart(tmp_path, imported):
    _common_voice(tmp_path / "ky", {
        "train": [(1, "a.mp3", '"Open quote'), (2, "b.mp3", "line\u2028separator"), (3, "c.mp3", "of the test client"),
                  (1, "../x.mp3", "outside"), (1, "a.mp3", "again"), (1, "", "nothing")],
        "dev": [(4, "d.mp3", "cafe\u0301"), (3, "e.mp3", "also of the test client")],
        "test": [(3, "f.mp3", "\u041e\u0440\u0443\u0441")],
        "other": [(4, "g.mp3", "dev client"), (5, "h.mp3", "new client")]})
    with (tmp_path / "ky" / "train.tsv").open("a") as file:
        file.write("only\ttwo\n")
    found, skips = imported("common_voice", "--corpus", tmp_path / "ky")
    assert {name: [row.transcript for row in rows] for name, rows in found.items()} == {
        "train": ['"Open quote', "line separator"], "dev": ["caf\u00e9"], "test": ["\u041e\u0440\u0443\u0441"]}
    row = found["train"][0]
    assert row.wav_filename == "../ky/clips/a.mp3" and columns(row) == {
        "speaker": columns(row)["speaker"], "age": "twenties", "gender": "male", "accents": 'a "b", c', "locale": "ky"}
    speakers = {columns(row)["speaker"] for rows in found.values() for row in rows}
    assert len(speakers) == 4      # a beginning of 12 digits would be equal for all
    assert sorted(skips) == [("", "malformed row"), ("", "unusable file name"), ("../x.mp3", "unusable file name"),
                             ("a.mp3", "duplicate id"), ("c.mp3", "client is in the dev or test set"),
                             ("e.mp3", "client is in the dev or test set")]
    # the dev set counts although it is not imported
    found, more = imported("common_voice", "--corpus", tmp_path / "ky", "--sets", "other")
    assert [row.transcript for row in found["other"]] == ["new client"]
    assert more == skips + [("g.mp3", "client is in the dev or test set")]


def test_common_voice_can_be_divided_by_client(tmp_path, imported):
    rows = [(client, "%d-%d.mp3" % (client, number), "s") for client in range(1, 21) for number in range(1 + client % 3)]
    _common_voice(tmp_path / "ky", {"validated": rows})
    found, _ = imported("common_voice", "--corpus", tmp_path / "ky", "--split_by_client", "0.2", "0.1", "--seed", "3")
    sizes = {name: len(own) / float(len(rows)) for name, own in found.items()}
    assert sum(sizes.values()) == pytest.approx(1) and 0.1 < sizes["dev"] <= 0.2 and 0.02 < sizes["test"] <= 0.1
    clients = [{columns(row)["speaker"] for row in own} for own in found.values()]
    assert sum(map(len, clients)) == len(set().union(*clients)) == 20


# JSON and text

def test_nemo_offsets_columns_and_bad_lines(tmp_path, imported, capsys):
    item = utterances("a", shortest=16000)[0]
    write(tmp_path / "nemo" / "wavs" / "a.wav", encoded(item.samples, "WAV"))
    path = str(tmp_path / "nemo" / "wavs" / "a.wav")
    lines = [{"audio_filepath": "wavs/a.wav", "duration": 0.99, "text": "whole", "speaker": 7, "wav_filesize": 1},
             {"audio_filepath": path, "offset": 0.25, "duration": 0.5, "text": "part"},
             {"audio_filepath": path, "offset": 0.25, "text": "rest"},
             {"audio_filepath": path, "offset": 0.5, "duration": 2, "text": "too long"}, {"audio_filepath": path, "duration": 1},
             {"audio_filepath": path, "duration": "1", "text": "x"}, {"duration": 1, "text": "x"}, [1]]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"text": 1, "text": 2}\n{"a": NaN}\n{\n'
    write(tmp_path / "nemo" / "train.json", text)
    found, skips = imported("nemo", "--corpus", tmp_path / "nemo" / "train.json")
    rows = found["train"]
    assert [row.transcript for row in rows] == ["whole", "part", "rest"]
    assert rows[0].wav_filename == "../nemo/wavs/a.wav" and columns(rows[0]) == {"speaker": "7", "source_wav_filesize": "1"}
    np.testing.assert_array_equal(samples_of(rows[1]), item.samples[4000:12000])
    np.testing.assert_array_equal(samples_of(rows[2]), item.samples[4000:])
    assert sorted(reason for _, reason in skips) == ["malformed row"] * 6 + ["no transcript", "segment outside the recording"]
    assert "audio_filepath is absent" in (tmp_path / "out" / "skipped.csv").read_text(encoding="utf-8")
    write(tmp_path / "other.tar", b"\0" * 1024)
    imported("librispeech", "--corpus", tmp_path / "other.tar", status=3)
    assert "librispeech --help" in capsys.readouterr().err


def test_lhotse_supervisions_channels_and_what_exists_only_in_lhotse(tmp_path, imported):
    items = utterances("ab", shortest=16000)
    stereo = np.stack([np.concatenate([np.zeros(800, np.int16), item.samples[:16000]]) for item in items], axis=1)
    write(tmp_path / "cuts" / "r.wav", encoded(stereo, "WAV"))
    cut = corpora.lhotse_cut(items[0]._replace(samples=items[0].samples[:16000]), "r.wav")
    cut["recording"]["sources"][0]["channels"] = [0, 1]
    supervision = cut["supervisions"][0]
    several = dict(cut, channel=1, supervisions=[
        dict(supervision, id="s%d" % number, start=start, duration=duration, channel=1, custom={"snr": 3, "list": [1]})
        for number, (start, duration) in enumerate(((-0.1, 0.3), (0.1, 0.30003), (0.9, 5.0)))])
    cuts = [cut, several, dict(cut, id="mixed", type="MixedCut"), dict(cut, id="silent", supervisions=[]),
            dict(cut, id="fast", recording=dict(cut["recording"], transforms=[{"name": "Speed"}])),
            dict(cut, id="pipe", supervisions=[dict(supervision, id="pipe")], recording=dict(
                cut["recording"], sources=[{"type": "command", "channels": [0], "source": "touch evil"}])),
            dict(cut, id="late", supervisions=[dict(supervision, id="late", start=2.0)]), {"id": "bare"},
            dict(cut["recording"], id="recording"), dict(supervision, id="supervision")]
    write(tmp_path / "cuts" / "cuts.jsonl", "\n".join(map(json.dumps, cuts)))
    found, skips = imported("lhotse", "--corpus", tmp_path / "cuts" / "cuts.jsonl")
    rows = found["cuts"]
    one, two = stereo.T
    for row, expected in zip(rows, (one[800:], two[800:4000], two[2400:7200], two[15200:])):
        np.testing.assert_array_equal(samples_of(row), expected)
    assert columns(rows[1]) == {"speaker": "s1", "gender": "f", "snr": "3"}
    unsupported = dict.fromkeys(["mixed", "fast", "pipe", "bare", "recording", "supervision"], "unsupported source of audio")
    assert dict(skips) == dict(unsupported, silent="no transcript", late="segment outside the recording")
    with open(str(tmp_path / "out" / "skipped.csv"), encoding="utf-8") as file:
        details = {row["name"]: row["detail"] for row in csv.DictReader(file)}
    for form in ("recording", "supervision"):
        assert "it is a %s, not a cut; lhotse cut simple" % form in details[form]


def test_fairseq_rows_must_have_as_many_labels(tmp_path, imported, capsys):
    words = corpora.fairseq(tmp_path, utterances("abc"))
    write(tmp_path / "corpus" / "train.wrd", "one\ntwo\n")
    imported("fairseq", *words, status=3)
    assert "3 rows" in capsys.readouterr().err
    assert [row.transcript for row in imported("fairseq", *words, "--labels", "ltr")[0]["train"]] == [
        "text %d of the Corpus" % number for number in range(3)]


# Hugging Face and WebDataset

HALF_PRECISION = (      # text, h (float16), audio; one row, written by pyarrow 26.0.1
    "UEFSMRUEFQoVCkwVAhUAEgAAAQAAAGEVABUSFRIsFQIVEBUGFQYcAAAAAgAAAAIBAQIAFQQVBBUETBUCFQASAAAAPBUAFRIVEiwVAhUQFQYVBhwAAAACAA",
    "AAAgEBAgAVBBUKFQpMFQIVABIAAAEAAAB4FQAVEhUSLBUCFRAVBhUGHAAAAAIAAAACAgECABUEFQoVCkwVAhUAEgAAAQAAAHAVABUSFRIsFQIVEBUGFQYc",
    "AAAAAgAAAAICAQIAFQQZbDUAGAZzY2hlbWEVBgAVDCUCGAR0ZXh0JQBMHAAAABUOFQQVAhgBaGz8AAAANQIYBWF1ZGlvFQQAFQwlAhgFYnl0ZXMAFQwlAh",
    "gEcGF0aCUATBwAAAAWAhkcGUwmABwVDBk1AAYQGRgEdGV4dBUAFgIWXhZeJi4mCCksFQQVABUCABUAFRAVAgA8FgIZBhkmAAIAAAAmABwVDhk1AAYQGRgB",
    "aBUAFgIWWBZYJoYBJmYpLBUEFQAVAgAVABUQFQIAPCkGGSYAAgAAACYAHBUMGTUABhAZKAVhdWRpbwVieXRlcxUAFgIWXhZeJuQBJr4BKSwVBBUAFQIAFQ",
    "AVEBUCADwWAhkGGTYAAAIAAAAmABwVDBk1AAYQGSgFYXVkaW8EcGF0aBUAFgIWXhZeJsICJpwCKSwVBBUAFQIAFQAVEBUCADwWAhkGGTYAAAIAAAAW8gIW",
    "AiYIFvICACggcGFycXVldC1jcHAtYXJyb3cgdmVyc2lvbiAyNi4wLjEZTBwAABwAABwAABwAAACOAQAAUEFSMQ==",
)


def test_a_parquet_file_with_a_half_precision_column(tmp_path, imported, capsys):
    pyarrow = pytest.importorskip("pyarrow", reason="bash scripts/setup.sh --data installs it")
    write(tmp_path / "hf" / "train.parquet", base64.b64decode("".join(HALF_PRECISION)))
    if int(pyarrow.__version__.split(".")[0]) > 14:      # reads the file, whose audio is not audio
        assert imported("huggingface", "--corpus", tmp_path / "hf", status=3) == ({}, [("p", "not audio")])
    else:
        imported("huggingface", "--corpus", tmp_path / "hf", status=3)
        assert "half-precision column" in capsys.readouterr().err


def test_parquet_and_arrow_splits_columns_and_empty_audio(tmp_path, imported, capsys):
    pyarrow = pytest.importorskip("pyarrow", reason="bash scripts/setup.sh --data installs it")
    parquet = pytest.importorskip("pyarrow.parquet")
    item = utterances("a")[0]
    table = pyarrow.table({"audio": [{"bytes": encoded(item.samples), "path": "a.flac"}, {"bytes": None, "path": "/x/b.flac"},
                                     {"bytes": encoded(item.samples), "path": "a.flac"},
                                     {"bytes": encoded(item.samples), "path": None}],
                           "words": ["one", "two", None, "four"], "label": [1, 2, 3, 4], "tokens": [[1], [2], [3], [4]]})
    (tmp_path / "hf" / "test").mkdir(parents=True)
    parquet.write_table(table, str(tmp_path / "hf" / "validation-00000-of-00001.parquet"))
    imported("huggingface", "--corpus", tmp_path / "hf", status=3)
    assert "no column of the transcript; choose one with --text_key: audio, words, label, tokens" in capsys.readouterr().err
    found, skips = imported("huggingface", "--corpus", tmp_path / "hf", "--text_key", "words")
    assert [(row.transcript, columns(row)) for row in found["validation"]] == [("one", {"label": "1"}), ("four", {"label": "4"})]
    assert skips == [("b", "missing file"), ("a", "no transcript")]
    (tmp_path / "hf" / "validation-00000-of-00001.parquet").unlink()
    for folder, new in (("test", pyarrow.ipc.new_stream), ("train", pyarrow.ipc.new_file)):
        (tmp_path / "hf" / folder).mkdir(exist_ok=True)
        with new(str(tmp_path / "hf" / folder / "data-00000-of-00001.arrow"), table.schema) as writer:
            writer.write_table(table)
    found, _ = imported("huggingface", "--corpus", tmp_path / "hf", "--text_key", "words")
    assert {name: len(rows) for name, rows in found.items()} == {"test": 2, "train": 2, "validation": 2}
    np.testing.assert_array_equal(samples_of(found["test"][0]), item.samples)


def test_without_pyarrow_the_message_says_what_installs_it(tmp_path, imported, capsys, monkeypatch):
    write(tmp_path / "hf" / "train.parquet", b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    imported("huggingface", "--corpus", tmp_path / "hf", status=2)
    assert "scripts/setup.sh --data" in capsys.readouterr().err


def test_audiofolder_with_a_csv(tmp_path, imported):
    for name in ("a.wav", "sub/b.wav"):
        write(tmp_path / "af" / name, encoded(utterances("a")[0].samples, "WAV"))
    write(tmp_path / "af" / "metadata.csv", 'file_name,transcription,speaker\na.wav,"one, two",s1\nsub/b.wav,three,s2\n'
                                            "../c.wav,out,s3\nd.wav,gone,s4\n,x,y\nshort\n")
    found, skips = imported("huggingface", "--corpus", tmp_path / "af")
    assert [(row.transcript, columns(row)["speaker"]) for row in found["train"]] == [("one, two", "s1"), ("three", "s2")]
    assert sorted(reason for _, reason in skips) == ["malformed row", "malformed row", "missing file", "unusable file name"]


def test_webdataset_samples_and_hostile_members(tmp_path, imported):
    items = utterances("abcdef")
    audio = {item.name: encoded(item.samples) for item in items}
    link = tarfile.TarInfo("e.flac")
    link.type, link.linkname = tarfile.LNKTYPE, "a.seg1.flac"
    members = [("a.flac", audio["a"]), ("a.TXT", b"caps"), ("a.json", b'{"text": "other", "speaker": "s1", "x": {}}'),
               ("d/b.seg.flac", audio["b"]), ("d/b.json", b'{"transcript": "keyed"}'), ("c.flac", audio["c"]), link,
               ("e.txt", b"linked"), ("../d.flac", audio["d"]), ("f.flac", audio["f"]), ("f.txt", b"caf\xe9"), ("g.cls", b"3")]
    write(tmp_path / "wds" / "s0.tar.gz", corpora.tar_bytes(members, "w:gz"))
    write(tmp_path / "wds" / "s1.tar", corpora.tar_bytes([("a.flac", audio["a"]), ("a.txt", b"second shard")]))
    found, skips = imported("webdataset", "--corpus", tmp_path / "wds" / "s0.tar.gz", tmp_path / "wds" / "s1.tar", "--name",
                            "dev")
    assert [row.transcript for row in found["dev"]] == ["caps", "keyed", "second shard"]
    assert columns(found["dev"][0]) == {"speaker": "s1", "text": "other"}
    assert sorted(skips) == [("", "unsafe archive member"), ("", "unsafe archive member"), ("c", "no transcript"),
                             ("e", "missing file"), ("f", "malformed row")]


# All forms

def test_a_wrong_path_is_named_with_what_may_be_meant(tmp_path, imported, capsys, monkeypatch):
    for form, inside in (("nemo", "train.json"), ("lhotse", "cuts_train.jsonl.gz"), ("fairseq", "train.tsv"), ("kaldi", "train"),
                         ("webdataset", "train-000000.tar")):
        corpora.FORMS[form][0](tmp_path / form, utterances("a"))
        imported(form, "--corpus", tmp_path / form / "corpus", status=3)
        assert str(tmp_path / form / "corpus" / inside) in capsys.readouterr().err
        imported(form, "--corpus", tmp_path / form / "gone", status=3)
        assert "does not exist" in capsys.readouterr().err
    # a root relative to the working directory, and one subset
    (tmp_path / "fairseq" / "corpus" / "train.tsv").write_text("fairseq/corpus/wavs\na.wav\t1600\n")
    monkeypatch.chdir(str(tmp_path))
    assert len(imported("fairseq", "--corpus", "fairseq/corpus/train.tsv")[0]["train"]) == 1
    corpora.librispeech(tmp_path / "l", utterances("ab"))
    found, _ = imported("librispeech", "--corpus", "l/corpus/LibriSpeech/dev-clean/")
    assert [columns(row)["gender"] for row in found["librivox-dev-clean"]] == ["female"] * 2
    imported("librispeech", "--corpus", "l/nowhere", status=3)
    assert "does not exist" in capsys.readouterr().err


def test_webdataset_names_with_dots_and_repeated_members(tmp_path, imported):
    wav = [encoded(item.samples, "WAV") for item in utterances("abcdef")]
    members = [("spk.1.wav", wav[0]), ("spk.1.txt", b"one"), ("spk.2.wav", wav[1]), ("spk.txt", b"both"),
               ("a.noisy.wav", wav[2]), ("a.wav", wav[3]), ("a.txt", b"clean"),
               ("b.wav", wav[4]), ("b.txt", b"first"), ("b.wav", wav[5]), ("b.txt", b"second")]
    write(tmp_path / "t.tar", corpora.tar_bytes(members))
    found, skips = imported("webdataset", "--corpus", tmp_path / "t.tar")
    assert [row.transcript for row in found["train"]] == ["clean", "first"]
    np.testing.assert_array_equal(samples_of(found["train"][0]), utterances("abcdef")[3].samples)
    assert skips == [("spk", "malformed row"), ("b", "duplicate id"), ("b", "duplicate id")]
