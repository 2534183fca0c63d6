"""``--mode=export`` and scripts/ckpt2pb.py as commands."""
import json
import os
import re
import shutil

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq.errors import StorageError, UsageError
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.export import load_model
from open_seq2seq.export.description import read_description
from open_seq2seq.export.export_folder import export_model
from open_seq2seq.export.freeze.frozen_graph import ExportOptions
from open_seq2seq.export.mode import options_of
from tests.export.networks import batch, trained_model

NAMES = ["jasper_infer_float32.json", "jasper_infer_float32.pb"]


@pytest.mark.slow
def test_every_command_exports_the_same_model(trained_digits, command, run_here, tmp_path):
    corpus, logdir = trained_digits.folder, str(trained_digits.run)
    done = command(corpus, "run.py", "--config_file=config.py", "--mode=export", "--enable_logs",
                   "--export_dir=%s" % (tmp_path / "a"), "--format=pb,saved_model")
    assert done.status == 0, done.out + done.err
    assert "*** Input input float32 [?, 1, 2336, 32]" in done.out and "*** Finished export in" in done.out
    assert sorted(os.listdir(str(tmp_path / "a"))) == NAMES + ["saved_model"]
    done = command(corpus, "scripts/ckpt2pb.py", "--checkpoint", logdir, "--output_dir", tmp_path / "b")
    assert done.status == 0 and sorted(os.listdir(str(tmp_path / "b"))) == NAMES, done.err
    # in another folder, without the vocabulary file
    done = run_here(tmp_path, "scripts/ckpt2pb.py", "--checkpoint", os.path.join(logdir, "logs", "model.ckpt-150"),
                    "--output_dir", "c", "--frames", "dynamic", "--batch_size", "2")
    assert done.status == 0, done.err
    descriptions = [json.loads((tmp_path / name / NAMES[0]).read_text(encoding="utf-8")) for name in "abc"]
    a, b, c = [dict(description, sha256=None) for description in descriptions]
    assert a == b and a["step"] == 300
    assert (tmp_path / "a" / NAMES[1]).read_bytes() == (tmp_path / "b" / NAMES[1]).read_bytes()
    assert (c["step"], c["batch_size"], c["frames"], c["convolutions"]) == (150, 2, None, "fast")
    # each has the word error rate of its checkpoint
    printed = re.findall(r"Validation WER:  (\S+)", trained_digits.output)
    assert ["%.4f" % d["wer"]["value"] for d in (c, a)] == printed and a["wer"]["data_set"] == "dev.csv"
    waveform, _ = soundfile.read(str(corpus / "dev" / "000000.wav"), dtype="float32")
    logits = []
    for path in (logdir, str(tmp_path / "a")):
        with load_model(path) as model:
            logits.append(model.logits_of_audio([waveform])[0])
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-4)


EXPORT = ("run.py", "--config_file=config.py", "--mode=export", "--enable_logs")


@pytest.mark.slow
@pytest.mark.parametrize("flag, reason, name", [
    ("--data_layer_params/window_size=0.025", "with other features", "jasper_infer_float32.json"),
    ("--evaluate_ema=False", "or evaluate_ema than this export has", "jasper_infer_float32.json"),
    ("--fp16", "the WER of this model in float16 is not known", "jasper_infer_float16.json")])
def test_the_word_error_rate_of_another_model_is_not_written(trained_digits, run_here, tmp_path, flag, reason, name):
    done = run_here(trained_digits.folder, *EXPORT, "--export_dir=%s" % tmp_path, flag)
    assert done.status == 0 and reason in done.out, done.err
    assert json.loads((tmp_path / name).read_text())["wer"] is None


@pytest.mark.slow
@pytest.mark.parametrize("words, status, message", [
    (["--logdir=nowhere"], 3, 'checkpoint in logdir "nowhere"'),
    (["--frames=2337"], 2, "--frames is 2337; expected a multiple of 16"),
    (["--format=pb,om"], 2, "--format is 'pb,om'; --mode=export expects one or more, separated by commas, of pb, "),
    (["--data_layer_params/vocab_file={}/short.txt"], 3, "has another vocabulary: it was trained with the characters"),
    (["--data_layer_params/vocab_file={}/turned.txt"], 3, "it was trained with the characters \" abcdefghijklmnopqrstuvwxyz'\""),
    (["--data_layer_params/num_audio_features=64"], 3, "another architecture"),
    (["--export_dir=config.py"], 3, "cannot make the directory config.py"),
])
def test_a_failed_export_leaves_no_files(trained_digits, run_here, tmp_path, words, status, message):
    corpus = trained_digits.folder
    (tmp_path / "short.txt").write_text("a\nb\n")
    (tmp_path / "turned.txt").write_text("\n".join(reversed(" abcdefghijklmnopqrstuvwxyz'")) + "\n")
    before = sorted(os.listdir(str(corpus)))
    done = run_here(corpus, *EXPORT, "--export_dir=%s" % (tmp_path / "out"), *[word.format(tmp_path) for word in words])
    assert done.status == status and message in done.err and "Traceback" not in done.err, done.err
    assert not (tmp_path / "out").exists() and sorted(os.listdir(str(corpus))) == before


def options(*words):
    return options_of(parse_command_line(["--config_file=c.py", "--mode=export", "--export_dir=d"] + list(words))[0])


def test_defaults_of_the_flags():
    assert options() == ExportOptions(None, 2336, False, False, True, False)
    assert options("--batch_size=1") == ExportOptions(1, 2336)
    assert options("--with_features") == ExportOptions(1, 2336, with_features=True)
    assert options("--no_fold") == ExportOptions(1, 2336, folded=False)
    assert options("--frames=dynamic") == ExportOptions(None, None, False, False, True, True)
    assert options("--frames", "dynamic", "--batch_size=4", "--convolutions=plain") == ExportOptions(4, None)
    assert options("--frames=dynamic", "--no_fold") == ExportOptions(None, None, folded=False)
    assert options("--fp16", "--frames=1600") == ExportOptions(None, 1600, half_precision=True)
    with pytest.raises(UsageError, match="--with_features is for pb and saved_model"):
        options("--with_features", "--format=onnx")
    with pytest.raises(UsageError, match="--fp16 belongs to --mode=export, and this is --mode=eval"):
        parse_command_line(["--config_file=c.py", "--mode=eval", "--fp16"])


@pytest.mark.slow
def test_saved_model(tmp_path):
    trained = trained_model(tmp_path)
    out = str(tmp_path / "out")
    for _ in range(2):  # the second replaces the first
        description, written = export_model(trained, ExportOptions(2, 64), out, ("saved_model",))
    assert written == [os.path.join(out, NAMES[1]), os.path.join(out, "saved_model")]
    features, lengths = batch(frames=64, lengths=(64, 30))
    features[1, 30:] = 0.0
    with load_model(out) as model:
        expected, _ = model.logits(features, lengths)
        mask = model.mask(lengths, 64)
    with tf.Graph().as_default(), tf.Session() as session:
        loaded = tf.saved_model.load(session, ["serve"], os.path.join(out, "saved_model", "1"))
        signature = loaded.signature_def["serving_default"]
        logits = session.run(signature.outputs["logits"].name, {
            signature.inputs["input"].name: features[:, np.newaxis], signature.inputs["input_reshape"].name: mask})
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    (tmp_path / "out" / "saved_model" / "mine.txt").write_text("not to be deleted")
    with pytest.raises(StorageError, match="is not the SavedModel of an earlier export"):
        export_model(trained, ExportOptions(2, 80), out, ("saved_model",))
    assert (tmp_path / "out" / "saved_model" / "mine.txt").exists()
    # and no new model was written next to it
    assert read_description(written[0]) == description


@pytest.mark.slow
def test_no_format_of_an_earlier_export_remains_next_to_a_new_model(tmp_path):
    trained, out = trained_model(tmp_path), tmp_path / "out"
    export_model(trained, ExportOptions(1, 64), str(out), ("saved_model",))
    before = (out / NAMES[0]).read_bytes()
    for name in ("saved_model", "onnx"):
        with pytest.raises(StorageError, match="from an earlier export .*add %s to --format to replace it, remove it, or" % name):
            export_model(trained, ExportOptions(1, 80), str(out))
        assert (out / NAMES[0]).read_bytes() == before
        shutil.rmtree(str(out / "saved_model"), ignore_errors=True)
        (out / "jasper_infer_float32.onnx").write_text("")
    os.remove(str(out / "jasper_infer_float32.onnx"))
    # files of others are kept
    (out / "saved_model").mkdir()
    (out / "saved_model" / "mine.txt").write_text("")
    description, _ = export_model(trained, ExportOptions(1, 80), str(out))
    assert description.frames == 80 and os.listdir(str(out / "saved_model")) == ["mine.txt"]
