"""Mistakes of users: exit status, message, no files left behind."""
import csv
import os
import resource
import struct
import subprocess
import sys
from shutil import copy

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow


@pytest.fixture
def manifest(corpus):
    """Reads and rewrites the rows of train.csv."""
    def edit(change, name="train.csv"):
        path = corpus / name
        with open(str(path), newline="") as file:
            rows = list(csv.reader(file))
        change(rows)
        with open(str(path), "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    return edit


def check_refused(result, status, *parts):
    assert result.status == status, result.err
    for part in parts:
        assert part in result.err, result.err
    assert "Traceback" not in result.err


def rejected(corpus):
    with open(str(corpus / "run" / "rejected.csv"), newline="") as file:
        return list(csv.DictReader(file))


def test_missing_config(run_here, corpus):
    check_refused(run_here(config="confg.py"), 2, "confg.py", "did you mean config.py?")
    assert not (corpus / "run").exists()


def test_syntax_error_in_the_config(run_here, corpus):
    (corpus / "config.py").write_text("base_params = {\n  'a': 1,,\n}\n")
    check_refused(run_here(), 2, "config.py:2", "syntax error")


def test_unknown_key_and_wrong_type_are_reported_together(run_here, corpus):
    text = (corpus / "config.py").read_text()
    text = text.replace('"repeat": 2', '"repeet": 2').replace('"batch_size_per_gpu": 4', '"batch_size_per_gpu": "four"')
    (corpus / "config.py").write_text(text)
    check_refused(run_here(), 2,
                  'base_params["encoder_params"]["convnet_layers"][1]["repeet"] is unknown (did you mean "repeat"?)',
            "base_params[\"batch_size_per_gpu\"] is 'four' (str), expected an integer")
    assert not (corpus / "run").exists()


def test_misspelled_flag_and_override(run_here):
    check_refused(run_here("--continue_lerning"), 2, "did you mean --continue_learning?")
    check_refused(run_here("--encoder_params/dropout_kep_prob=0.5"), 2, "dropout_keep_prob")
    check_refused(run_here("--mode=trian"), 2, "trian")


def test_missing_vocabulary(run_here, corpus):
    os.remove(str(corpus / "vocab.txt"))
    check_refused(run_here(), 3, "vocab.txt")


def test_vocabulary_with_windows_line_ends_is_read(run_here, corpus):
    (corpus / "vocab.txt").write_bytes(b"\r\n".join(letter.encode() for letter in " abcdefghijklmnopqrstuvwxyz'") + b"\r\n")
    assert run_here("--max_steps=1").status == 0


def test_vocabulary_with_a_duplicate(run_here, corpus):
    (corpus / "vocab.txt").write_text("\n".join(" abcdefghijklmnopqrstuvwxyza") + "\n")
    check_refused(run_here(), 3, "vocab.txt", "'a'")


def test_manifest_without_a_column(run_here, corpus):
    (corpus / "train.csv").write_text("wav_filename,wav_filesize\nwav/train0.wav,1\n")
    check_refused(run_here(), 3, "train.csv", "transcript")


@pytest.mark.parametrize("text", ["", "wav_filename,wav_filesize,transcript\n"])
def test_empty_manifest(run_here, corpus, text):
    (corpus / "train.csv").write_text(text)
    check_refused(run_here(), 3, "train.csv", "empty" if not text else "no ")


def test_missing_manifest(run_here, corpus):
    os.remove(str(corpus / "train.csv"))
    check_refused(run_here(), 3, "train.csv")
    assert not (corpus / "run").exists()


def test_too_many_bad_rows_refuse_and_list(run_here, corpus):
    os.remove(str(corpus / "wav" / "train3.wav"))
    result = run_here()
    check_refused(result, 3, "1 of 16", "max_rejected_fraction", "rejected.csv", "train3.wav")
    assert [row["wav_filename"] for row in rejected(corpus)] == ["wav/train3.wav"]
    assert os.listdir(str(corpus / "run")) == ["rejected.csv"]
    # after the row is fixed the training starts
    copy(str(corpus / "wav" / "train2.wav"), str(corpus / "wav" / "train3.wav"))
    assert run_here("--max_steps=1").status == 0
    assert not (corpus / "run" / "rejected.csv").exists()


def wav_header(frames, data_bytes, rate=16000):
    return b"RIFF" + struct.pack("<I", 36 + data_bytes) + b"WAVEfmt " + struct.pack(
        "<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16) + b"data" + struct.pack("<I", data_bytes) + b"\1\0" * frames


BAD_AUDIO = {
    "an HTML page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>" * 40,
    "zero length": wav_header(0, 0),
    "an empty file": b"",
    "a header that lies": wav_header(8000, 1000000),
}


@pytest.mark.parametrize("what", sorted(BAD_AUDIO))
def test_bad_audio_is_counted_listed_and_skipped(run_here, corpus, what):
    (corpus / "wav" / "train3.wav").write_bytes(BAD_AUDIO[what])
    check_refused(run_here(), 3, "1 of 16", "train3.wav")
    result = run_here("--data_layer_params/max_rejected_fraction=0.1", "--max_steps=1", "--no_dir_check")
    assert result.status == 0, result.err
    assert [row["wav_filename"] for row in rejected(corpus)] == ["wav/train3.wav"]


def test_samples_that_are_not_numbers(run_here, corpus):
    samples = np.zeros(16000, np.float32)
    samples[5] = np.nan
    soundfile.write(str(corpus / "wav" / "train3.wav"), samples, 16000, subtype="FLOAT")
    check_refused(run_here(), 3, "1 of 16", "train3.wav", "NaN")


@pytest.mark.parametrize("subtype, channels, rate", [
    ("PCM_U8", 1, 16000), ("PCM_24", 1, 16000), ("PCM_32", 2, 44100), ("FLOAT", 2, 16000), ("PCM_16", 2, 8000)])
def test_any_format_of_audio_trains(run_here, corpus, subtype, channels, rate):
    for i in range(16):
        path = str(corpus / "wav" / ("train%d.wav" % i))
        samples, _ = soundfile.read(path)
        soundfile.write(path, np.tile(samples[:, None], (1, channels)), rate, subtype=subtype)
    result = run_here("--max_steps=1")
    assert result.status == 0, result.err


def test_a_character_outside_the_vocabulary_is_named_with_its_row(run_here, corpus, manifest):
    manifest(lambda rows: rows[4].__setitem__(2, "seven $"))
    check_refused(run_here(), 3, "'$'", "train.csv")
    assert rejected(corpus)[0]["row"] == "5"


def test_an_empty_transcript(run_here, corpus, manifest):
    manifest(lambda rows: rows[4].__setitem__(2, ""))
    check_refused(run_here(), 3, "1 of 16", "empty transcript")


def test_an_utterance_too_short_for_its_transcript(run_here, corpus, manifest):
    manifest(lambda rows: rows[4].__setitem__(2, "one two six " * 30 + "one"))
    check_refused(run_here(), 3, "1 of 16", "frames", "labels")


def test_transcripts_that_look_like_missing_values_stay_text(run_here, corpus, manifest):
    def change(rows):
        rows[1][2], rows[2][2] = "null", "nan"
    manifest(change)
    assert run_here("--max_steps=1").status == 0


def test_an_unwritable_logdir(run_here):
    check_refused(run_here("--logdir=/proc/nowhere/run"), 3, "cannot be written")


def test_a_checkpoint_of_another_architecture(run_here):
    assert run_here("--max_steps=1").status == 0
    check_refused(run_here("--mode=eval", "--encoder_params/convnet_layers/0/num_channels=32"), 3, "another architecture",
            "ForwardPass/w2l_encoder/conv11/kernel is [5, 16, 32] here, [5, 16, 16] in the checkpoint")


def test_a_checkpoint_of_another_vocabulary_of_the_same_size(run_here, corpus):
    assert run_here("--max_steps=1").status == 0
    (corpus / "turned.txt").write_text("\n".join(reversed(" abcdefghijklmnopqrstuvwxyz'")) + "\n")
    turned = "--data_layer_params/vocab_file=turned.txt"
    for words in (("--mode=eval",), ("--mode=infer", "--infer_output_file=out.csv"), ("--continue_learning", "--max_steps=2")):
        check_refused(run_here(turned, *words), 3, "model.ckpt-1 has another vocabulary: it was trained with the characters",
                      "to train for another vocabulary, start with --load_model=run/model.ckpt-1")
    assert not (corpus / "out.csv").exists()


def test_evaluation_without_a_checkpoint(run_here, corpus):
    check_refused(run_here("--mode=eval"), 3, "no checkpoint in logdir")
    assert not (corpus / "run").exists()


def test_an_npu_that_is_not_there(run_command):
    check_refused(run_command("--config_file=config.py", "--device=npu"), 4,
                  "npu_bridge" if tf.__version__.startswith("1.") else "npu_")


def test_a_full_disk_while_logging(run_here, corpus, monkeypatch):
    from open_seq2seq.checkpoints.run_directory import RunDirectory
    monkeypatch.setattr(RunDirectory, "dated", lambda self, prefix, extension="log": "/dev/full")
    check_refused(run_here("--enable_logs"), 3, "cannot write the log /dev/full: No space left on device", "--continue_learning")
    assert not (corpus / "run").exists()


def test_only_a_training_advises_to_resume(run_here, corpus, monkeypatch):
    from open_seq2seq.checkpoints.run_directory import RunDirectory
    assert run_here("--max_steps=1").status == 0
    monkeypatch.setattr(RunDirectory, "dated", lambda self, prefix, extension="log": "/dev/full")
    result = run_here("--mode=eval", "--enable_logs")
    check_refused(result, 3, "cannot write the log /dev/full: No space left on device")
    assert "continue_learning" not in result.err


def test_logits_of_two_recordings_with_one_name_are_not_lost(run_here, corpus):
    """Two manifests in two folders, each with its own wav/dev0.wav."""
    assert run_here("--max_steps=1").status == 0
    for folder, source in (("set_a", "dev0.wav"), ("set_b", "dev1.wav")):
        (corpus / folder / "wav").mkdir(parents=True)
        copy(str(corpus / "wav" / source), str(corpus / folder / "wav" / "dev0.wav"))
        (corpus / folder / "dev.csv").write_text("wav_filename,transcript\nwav/dev0.wav,one\n")

    def infer(*manifests):
        return run_here("--mode=infer", "--decoder_params/infer_logits_to_pickle=True", "--infer_output_file=out.pickle",
                        "--infer_params/data_layer_params/dataset_files=%r" % list(manifests))
    check_refused(infer("set_a/dev.csv", "set_b/dev.csv"), 3, "have the same wav_filename, wav/dev0.wav",
                  "set_a/wav/dev0.wav and ", "set_b/wav/dev0.wav")
    assert not (corpus / "out.pickle").exists()
    # the same recording twice has the same logits
    twice = infer("set_a/dev.csv", "set_a/dev.csv")
    assert twice.status == 0 and "Wrote 1 logit matrices to out.pickle" in twice.out


def test_a_full_disk_behind_redirected_output(run_command, corpus):
    with open("/dev/full", "w") as full:
        process = subprocess.run([sys.executable, os.path.join(REPOSITORY, "run.py"), "--config_file=config.py", "--device=cpu"],
                                 cwd=str(corpus), stdout=full, stderr=subprocess.PIPE, text=True)
    assert process.returncode == 3 and "No space left on device" in process.stderr, process.stderr
    assert "Traceback" not in process.stderr and "Exception ignored" not in process.stderr


def test_an_output_file_that_cannot_be_written_is_refused_before_the_work(run_here, corpus):
    assert run_here("--max_steps=1").status == 0
    result = run_here("--mode=infer", "--infer_output_file=nowhere/out.csv")
    check_refused(result, 3, "cannot write nowhere/out.csv: No such file or directory")
    assert "Processed" not in result.out
    check_refused(run_here("--mode=infer", "--infer_output_file=wav"), 3, "it is a directory")


def test_a_full_disk_while_saving(run_command, corpus):
    # files may grow to 20 kB, then writing fails as on a full disk; the checkpoint is larger
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
    result = run_command("--config_file=config.py", "--mode=train", "--device=cpu", preexec_fn=limit,
                         env=dict(os.environ, GIT_DIR="/nowhere"))  # uncommitted changes, which are saved, may be large
    check_refused(result, 3, "cannot save checkpoint run/model.ckpt-3")
    assert "*** Finished training" not in result.out
    assert not [name for name in os.listdir(str(corpus / "run")) if name.startswith("model.ckpt")]
