"""Kaldi's data directories: segments, archives, and commands in wav.scp."""
import os

import numpy as np
import pytest

from open_seq2seq.data.importers.kaldi_commands import parse_source
from open_seq2seq.data.rejection import RejectedData
from tests.fixtures import corpora
from tests.fixtures.corpora import columns, encoded, samples_of, utterances, write
from tests.paths import REPOSITORY

GOLDENS = os.path.join(REPOSITORY, os.pardir, "shared", "goldens", "kaldi")


@pytest.mark.shared
def test_kaldi_golden_directory(tmp_path, imported):
    golden = np.load(os.path.join(GOLDENS, "io_decoded.npz"))
    wave = golden["wave/rec1"][0].astype(np.int16)
    found, skips = imported("kaldi", "--corpus", os.path.join(GOLDENS, "io"), "--keep_empty")
    (rows,) = found.values()
    assert [row.transcript for row in rows] == ["seven", "se ven", ""] and not skips
    assert [columns(row)["speaker"] for row in rows] == ["spk1", "spk1", "spk2"]
    # Kaldi rounds: 0.1 to 0.2503 s are 2405 samples; kaldiio reads 2404
    for row, (first, end) in zip(rows, ((0, 1600), (1600, 4005), (3200, None))):
        np.testing.assert_array_equal(samples_of(row), wave[first:end])
    np.testing.assert_array_equal(samples_of(rows[1])[:-1], golden["kaldiio_segment/spk1-u2"].ravel())
    # the recordings themselves: a file, one with two channels, and a command
    base = tmp_path / "whole"
    with open(os.path.join(GOLDENS, "io", "wav.scp")) as file:
        write(base / "wav.scp", file.read())
    write(base / "text", "rec1 one\nrec2 two\nrec3 three\n")
    found, _ = imported("kaldi", "--corpus", base, "--root", os.path.join(GOLDENS, "io"), "--format", "flac")
    for row, name in zip(found["whole"], ("rec1", "rec2", "rec3")):
        np.testing.assert_array_equal(samples_of(row), np.rint(golden["wave/" + name].mean(axis=0)))


def test_kaldi_without_segments_reads_archives_and_commands(tmp_path, imported):
    base = tmp_path / "data" / "train"
    items = utterances(["plain", "ark1", "ark2", "cat", "flac", "sph", "sox", "ffmpeg", "blank"])
    by_name = {item.name: item for item in items}
    wav = {item.name: encoded(item.samples, "WAV") for item in items}
    ark = b"ark1 " + wav["ark1"] + b"ark2 " + wav["ark2"]
    offsets = ark.index(b"RIFF"), ark.rindex(b"RIFF")
    write(base / "audio.ark", ark)
    for name in ("plain", "cat", "sox", "ffmpeg"):
        write(base / (name + ".wav"), wav[name])
    write(base / "a b.wav", wav["blank"])
    write(base / "flac.flac", encoded(by_name["flac"].samples))
    other = by_name["plain"].samples[:1600]
    stereo = np.stack([other, by_name["sph"].samples[:1600]], axis=1)
    write(base / "stereo.sph", encoded(stereo, "NIST"))
    write(base / "wav.scp", "\n".join((
        "plain plain.wav", "ark1 audio.ark:%d" % offsets[0], "ark2 %s/audio.ark:%d" % (base, offsets[1]), "cat cat cat.wav |",
        "flac flac -c -d -s flac.flac |", "sph sph2pipe -f wav -p -c 2 stereo.sph|",
        "sox /usr/bin/sox -t wav sox.wav -r 16000 -t wav - |", "ffmpeg ffmpeg -v 8 -i ffmpeg.wav -f wav -ar 16000 - |",
        "blank a b.wav", "evil touch %s/evil |" % tmp_path, "shell cat cat.wav; touch %s/evil |" % tmp_path, "feats feats.ark:5",
        "cut audio.ark:%d" % (offsets[1] + 4), "lost lost.wav")))
    write(base / "feats.ark", b"key \0BFM \4\1\0\0\0\4\1\0\0\0" + bytes(4))
    keys = [item.name for item in items] + ["evil", "shell", "feats", "cut", "lost", "textonly"]
    write(base / "text", "".join("%s text of %s\n" % (key, key) for key in keys))
    write(base / "utt2spk", "".join("%s spk\n" % key for key in keys))
    write(base / "spk2gender", "spk f\n")
    found, skips = imported("kaldi", "--corpus", base)
    rows = {row.transcript[8:]: row for row in found["train"]}
    assert list(rows) == [item.name for item in items] and columns(rows["cat"]) == {"speaker": "spk", "gender": "female"}
    for name, row in rows.items():
        expected = by_name[name].samples[:1600] if name == "sph" else by_name[name].samples
        np.testing.assert_array_equal(samples_of(row), expected)
    assert rows["plain"].wav_filename == "../data/train/plain.wav" and rows["sox"].wav_filename.endswith("train/sox.wav")
    assert sorted(skips) == [("cut", "unsupported source of audio"), ("evil", "unsupported source of audio"),
                             ("feats", "unsupported source of audio"), ("lost", "missing file"),
                             ("shell", "unsupported source of audio"), ("textonly", "missing file")]
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("source, expected", [
    ("a.wav", ("a.wav", None, None)), ("x/a.ark:12", ("x/a.ark", 12, None)), ("sox a.mp3 -t wav - remix 2 |", ("a.mp3", None, 1)),
    ("sox -t mp3 a.mp3 -b 16 -c 1 -t wav - |", ("a.mp3", None, None)), ("flac -cds 'a b.flac' |", ("a b.flac", None, None)),
    ("ffmpeg -nostdin -i a.m4a -ac 1 -acodec pcm_s16le -f wav pipe:1 |", ("a.m4a", None, None)),
    ("sph2pipe -f wav -c 1 a.sph |", ("a.sph", None, 0)), ("sox a.wav -t wav - speed 1.1 |", "effect speed"),
    ("sox -v 0.5 a.wav -t wav - |", "option -v"), ("sox --combine mix a.wav b.wav -t wav - |", "--combine"),
    ("ffmpeg -i a.wav -af volume=2 -f wav - |", "-af"), ("flac -c a.wav |", "encodes"),
    ("flac -d --skip=3 a.flac |", "other options"), ("cat a.wav b.wav |", "2 files"), ("cat $HOME/a.wav |", "shell"),
    ("cat a.wav | sox - -t wav - |", "shell"), ("|", "written"),
    ("rm -rf / |", "program rm"), ("cat 'a.wav |", "quotation"), ("sph2pipe -t 1:2 -f wav a.sph |", "option -t"),
    ("cat `id` |", "shell")])
def test_commands_of_kaldi_are_recognized_or_refused(source, expected):
    if isinstance(expected, str):
        with pytest.raises(RejectedData, match=expected):
            parse_source(source)
    else:
        assert parse_source(source) == expected


def test_kaldi_segments_that_cannot_be_cut(tmp_path, imported):
    words = corpora.kaldi(tmp_path, utterances("ab", shortest=16000))
    base = tmp_path / "corpus" / "train"
    length = sum(len(item.samples) for item in utterances("ab", shortest=16000)) / 16000.0
    bad = {"short": (0, 0.0999), "beyond": (1, length + 0.6), "behind": (length, -1), "over": (1.5, length + 0.4),
           "rest": (1.5, -1), "turned": (0.5, 0.2), "nan": (0.5, float("nan"))}
    with (base / "segments").open("a") as file:
        file.write("".join("%s rec %s %s\n" % (key, start, end) for key, (start, end) in bad.items()))
        file.write("a rec 0 1\nfew rec 1\nnorec lost 0 1\n")
    with (base / "text").open("a") as file:
        file.write("".join("%s x\n" % key for key in list(bad) + ["norec"]))
    found, skips = imported("kaldi", *words)
    assert len(found["train"]) == 4
    np.testing.assert_array_equal(samples_of(found["train"][2]), samples_of(found["train"][3]))
    assert dict(skips) == {"short": "segment shorter than 0.1 s", "beyond": "segment outside the recording", "a": "duplicate id",
                           "behind": "segment outside the recording", "turned": "segment outside the recording",
                           "nan": "segment outside the recording", "few": "malformed row", "norec": "missing file"}
