"""scripts/build_lm.py: the model of a text, of a config's transcripts, and what is refused."""
import gzip
import importlib.util
import os
import stat

import pytest

from open_seq2seq.decoding.kenlm_files import inspect
from tests.paths import REPOSITORY

kenlm = pytest.importorskip("kenlm")

VOCABULARY = os.path.join(REPOSITORY, "open_seq2seq", "test_utils", "toy_speech_data", "vocab.txt")
TEXT = "The cat sat.\nThe dog \u2014 it\u2019s old \u2014 ran!\n\nroom 12\na cat ran\n"


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Function (flags) -> exit status of build_lm.py in a folder with text.txt."""
    specification = importlib.util.spec_from_file_location("build_lm", os.path.join(REPOSITORY, "scripts", "build_lm.py"))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.chdir(str(tmp_path))
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    return lambda *flags: module.main(list(flags))


def vocabulary_and(*flags):
    return ("--vocab_file", VOCABULARY) + flags


def test_a_model_of_text_from_files_of_all_kinds(build, tmp_path, capsys, monkeypatch):
    assert build(*vocabulary_and("--text", "text.txt", "--output", "lm.arpa", "--dev", "text.txt")) == 0
    output = capsys.readouterr().out
    for text in ("1 with characters outside", "text.txt:4: 'room 12'", "'1' (DIGIT ONE)", "3 sentences, 11 words", "Perplexity"):
        assert text in output
    model = kenlm.Model("lm.arpa")
    assert "it's" in model and "room" not in model and model.order == 3
    assert sorted(inspect("lm.arpa").words) == ["a", "cat", "dog", "it's", "old", "ran", "sat", "the"]

    with gzip.open("text.txt.gz", "wb") as file:
        file.write(TEXT.encode("utf-8"))
    with open("text.txt", "rb") as stdin:
        monkeypatch.setattr("sys.stdin", type("Stdin", (), {"buffer": stdin}))
        assert build(*vocabulary_and("--text", "-", "--output", "stdin.arpa")) == 0
    assert build(*vocabulary_and("--text", "text.txt.gz", "--output", "again.arpa.gz")) == 0
    with open("lm.arpa", "rb") as one, open("stdin.arpa", "rb") as other, gzip.open("again.arpa.gz") as third:
        assert one.read() == other.read() == third.read()
    assert sorted(os.listdir(".")) == ["again.arpa.gz", "lm.arpa", "stdin.arpa", "text.txt", "text.txt.gz"]


def test_a_config_gives_vocabulary_training_text_and_dev(build, tmp_path, write_config, capsys):
    header = "wav_filename,wav_filesize,transcript\n"
    # training rejects capitals in transcripts, and so does this
    (tmp_path / "train.csv").write_text(header + "a.wav,1,one two\nb.wav,1,two one two\nc.wav,1,One\n")
    (tmp_path / "dev.csv").write_text(header + "d.wav,1,one two three\n")
    config = write_config('base_params["data_layer_params"]["vocab_file"] = %r\n'
                          'train_params["data_layer_params"]["dataset_files"] = ["train.csv"]\n'
                          'eval_params = {"data_layer_params": {"dataset_files": ["dev.csv"]}}\n' % VOCABULARY)
    assert build("--config_file", config, "--output", "lm.arpa", "--order", "2") == 0
    output = capsys.readouterr().out
    for text in ("2 sentences, 5 words", "train.csv:4: 'One'", "1 of them unknown (33.33 %)"):
        assert text in output


def test_the_steps_of_the_config_apply_to_transcripts_and_text(build, tmp_path, write_config, capsys):
    pytest.importorskip("num2words")
    header = "wav_filename,wav_filesize,transcript\n"
    (tmp_path / "train.csv").write_text(header + "a.wav,1,One 2\nb.wav,1,the 1st\nc.wav,1,caf\u00e9\n", encoding="utf-8")
    (tmp_path / "dev.csv").write_text(header + "d.wav,1,ONE two\n")
    config = write_config('base_params["data_layer_params"].update(vocab_file=%r, unknown_characters={"\u00e9": "e"},\n'
                          '    normalization=[{"numbers": "en"}, "lower"])\n'
                          'train_params["data_layer_params"]["dataset_files"] = ["train.csv"]\n'
                          'eval_params = {"data_layer_params": {"dataset_files": ["dev.csv"]}}\n' % VOCABULARY)
    assert build("--config_file", config, "--manifest", "train.csv", "--text", "text.txt", "--output", "lm.arpa") == 0
    assert sorted(inspect("lm.arpa").words) == sorted("one two cafe the cat sat dog it's old ran room twelve a".split())
    assert "train.csv:3: 'the 1st'" in capsys.readouterr().out


def test_a_vocabulary_without_space_has_a_model_of_characters(build, tmp_path):
    (tmp_path / "vocab.txt").write_text("\u4f60\n\u597d\n\u5417\n", encoding="utf-8")
    (tmp_path / "text.txt").write_text("\u4f60\u597d\n\u4f60\u597d\uff0c \u5417\uff1f\n", encoding="utf-8")
    assert build("--vocab_file", "vocab.txt", "--text", "text.txt", "--output", "lm.arpa") == 0
    assert sorted(inspect("lm.arpa").words) == sorted("\u4f60\u597d\u5417")
    assert kenlm.Model("lm.arpa").score("\u4f60 \u597d \u5417") > kenlm.Model("lm.arpa").score("\u5417 \u597d \u4f60")


def test_binary_and_quantized_models_give_the_scores_of_the_text_file(build):
    if not os.path.exists(os.path.join(os.path.dirname(os.sys.executable), "build_binary")):
        pytest.skip("build_binary is not installed")
    for flags in (["lm.arpa"], ["lm.bin"], ["small.bin", "--quantize", "8"]):
        assert build(*vocabulary_and("--text", "text.txt", "--output", *flags)) == 0
    scores = [kenlm.Model(name).score("the cat ran") for name in ("lm.arpa", "lm.bin", "small.bin")]
    assert scores[1] == pytest.approx(scores[0], abs=1e-5) and scores[2] == pytest.approx(scores[0], abs=0.1)
    assert inspect("lm.bin").kind == "binary" and inspect("lm.bin").words


@pytest.mark.parametrize("files, flags, status, told", [
    ({"text.txt": b""}, [], 3, ["text.txt", "empty"]),
    ({"text.txt": b"123\n456\n"}, [], 3, ["text.txt", "all 2 were dropped"]),
    ({"text.txt": b"abc\nh\xe9llo\n"}, [], 3, ["text.txt:2", "UTF-8", "0xe9", "iconv"]),
    ({"text.txt": "abc".encode("utf-16")}, [], 3, ["text.txt:1", "UTF-16", "iconv -f utf-16"]),
    ({"text.txt.gz": gzip.compress(b"abc\n" * 1000)[:40]}, ["--text", "text.txt.gz"], 3, ["text.txt.gz", "not a complete gzip"]),
    ({"text.txt.gz": b"abc\n"}, ["--text", "text.txt.gz"], 3, ["text.txt.gz", "gzip"]),
    ({"text.txt": b"wav_filename,wav_filesize,transcript\na.wav,1,one\n"}, [], 3, ["text.txt:1", "manifest", "--manifest"]),
    ({}, ["--text", "missing.txt"], 3, ["missing.txt", "No such file"]),
    ({"dev.csv": b"wav_filename,wav_filesize\na.wav,1\n"}, ["--dev", "dev.csv"], 3, ["dev.csv", "transcript"]),
    ({"dev.csv": b"wav_filename,wav_filesize,transcript\na.wav,1,\n"}, ["--dev", "dev.csv"], 3, ["dev.csv", "no sentence"]),
    ({}, ["--dev", "missing.txt"], 3, ["missing.txt", "No such file"]),
    ({}, ["--order", "0"], 2, ["--order", "0"]),
    ({}, ["--order", "7"], 2, ["--order", "7", "6"]),
    ({}, ["--order", "three"], 2, ["--order", "three"]),
    ({}, ["--prune", "2", "1"], 2, ["--prune 2 1", "0 0 1"]),
    ({}, ["--prune", "0", "0", "1", "1"], 2, ["--prune", "4 counts", "--order is 3"]),
    ({}, ["--prune_entropy", "2"], 2, ["--prune_entropy", "1e-8"]),
    ({}, ["--quantize", "8"], 2, ["--quantize", "binary"]),
    ({}, ["--output", "lm.txt"], 2, ["lm.txt", ".arpa"]),
    ({}, ["--output", os.path.join("missing", "lm.arpa")], 3, ["missing", "No such file"]),
    ({}, ["--estimator", "lmplz", "--most_words", "5"], 2, ["lmplz", "--most_words"]),
    ({}, ["--odrer", "3"], 2, ["--odrer", "unknown"]),
])
def test_bad_input_is_refused_and_leaves_no_model(build, tmp_path, capsys, files, flags, status, told):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    before = sorted(os.listdir("."))
    assert build(*vocabulary_and("--text", "text.txt", "--output", "lm.arpa", *flags)) == status
    message = capsys.readouterr().err
    assert all(text in message for text in told), message
    assert sorted(os.listdir(".")) == before


def test_a_failure_of_lmplz_is_told_with_what_works_without_it(build, tmp_path, capsys, monkeypatch):
    program = tmp_path / "bin" / "lmplz"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho cannot allocate >&2\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", "%s:%s" % (program.parent, os.environ["PATH"]))
    assert build(*vocabulary_and("--text", "text.txt", "--output", "other.arpa", "--estimator", "lmplz")) == 3
    message = capsys.readouterr().err
    assert "cannot allocate" in message and "--estimator numpy" in message and not os.path.exists("other.arpa")
