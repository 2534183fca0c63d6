"""A corpus of tones, and a network with random weights; tests/fixtures/digits.py has a trained one."""
import importlib.util
import os
import subprocess
import sys
import types

import numpy as np
import pytest
import soundfile

from tests.paths import REPOSITORY


def _tones():
    path = os.path.join(REPOSITORY, "tests", "end_to_end", "conftest.py")
    specification = importlib.util.spec_from_file_location("tone_corpus", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def tone_corpus(tmp_path_factory):
    """Folder with train.csv (48 utterances), dev.csv (13), their audio, vocab.txt and config.py. Tests must not write into it."""
    folder, tones = tmp_path_factory.mktemp("tones"), _tones()
    choose, names = np.random.RandomState(0), sorted(tones.WORDS)
    (folder / "wav").mkdir()
    for name, count, seed in (("train", 48, 0), ("dev", 13, 1000)):
        rows = []
        for i in range(count):
            words = [names[k] for k in choose.randint(0, len(names), choose.randint(1, 4))]
            wav = "wav/%s%d.wav" % (name, i)
            soundfile.write(str(folder / wav), tones.spoken(words, seed + i), tones.RATE, subtype="PCM_16")
            rows.append((wav, os.path.getsize(str(folder / wav)), " ".join(words)))
        tones.write_manifest(folder / (name + ".csv"), rows)
    (folder / "vocab.txt").write_text("\n".join(" abcdefghijklmnopqrstuvwxyz'") + "\n")
    (folder / "config.py").write_text(tones.CONFIG)
    return folder


def run_command(folder, script, *words, **variables):
    """Runs a script of this repository in a folder; returns status, out and err."""
    shell = ["bash"] if script.endswith(".sh") else [sys.executable]
    done = subprocess.run(shell + [os.path.join(REPOSITORY, script)] + [str(word) for word in words], cwd=str(folder),
                          env=dict(os.environ, **variables), capture_output=True, text=True, timeout=600)
    return types.SimpleNamespace(status=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture(scope="session")
def command():
    """The function :func:`run_command`."""
    return run_command


@pytest.fixture
def run_here(monkeypatch, capfd):
    """A function like ``command`` for Python scripts, which runs them in this process and does not import TensorFlow again."""
    def run(folder, script, *words):
        specification = importlib.util.spec_from_file_location("script", os.path.join(REPOSITORY, script))
        module = importlib.util.module_from_spec(specification)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", list(sys.path))
            patch.chdir(str(folder))
            specification.loader.exec_module(module)
            capfd.readouterr()
            try:
                status = module.main([str(word) for word in words])
            except SystemExit as ended:
                status = ended.code
            out, err = capfd.readouterr()
        return types.SimpleNamespace(status=status, out=out, err=err)
    return run


def with_random_weights(trained):
    """Writes the checkpoint of a ``TrainedModel`` with random weights, batch-norm statistics included, and returns the model."""
    import tensorflow.compat.v1 as tf

    from open_seq2seq.export.freeze.trained_model import evaluation_network
    draw = np.random.RandomState(1)
    with tf.Graph().as_default(), tf.Session() as session:
        evaluation_network(trained, tf.zeros([1, 16, 16]), tf.constant([16]))
        for variable in tf.global_variables():
            shape = variable.shape.as_list()
            scale = 1.0 / np.sqrt(max(1, np.prod(shape[:-1])))
            positive = variable.op.name.endswith(("gamma", "variance"))
            variable.load(draw.uniform(0.5, 1.5, shape) if positive else scale * draw.normal(size=shape), session)
        tf.train.Saver().save(session, trained.checkpoint, write_meta_graph=False)
    return trained


@pytest.fixture(scope="session")
def randomized():
    """The function :func:`with_random_weights`."""
    return with_random_weights


@pytest.fixture(scope="session")
def untrained(tone_corpus, tmp_path_factory):
    """A ``TrainedModel`` of the same network with random weights."""
    from open_seq2seq.experiment.loading import load_experiment
    from open_seq2seq.export.freeze.trained_model import TrainedModel
    experiment = load_experiment(str(tone_corpus / "config.py"), "eval", [])
    path = str(tmp_path_factory.mktemp("untrained") / "model.ckpt-7")
    return with_random_weights(TrainedModel(experiment.base_model, experiment.params["eval"],
                                            tuple(" abcdefghijklmnopqrstuvwxyz'"), path, None))


@pytest.fixture(scope="session")
def export(untrained, tmp_path_factory):
    """Function from ``ExportOptions`` fields to the path of a frozen graph of ``untrained``, with its JSON next to it."""
    from open_seq2seq.export.description import write_description
    from open_seq2seq.export.freeze.frozen_graph import ExportOptions, freeze
    made = {}

    def of(**options):
        key = tuple(sorted(options.items()))
        if key not in made:
            graph_def, description = freeze(untrained, ExportOptions(**options))
            made[key] = str(tmp_path_factory.mktemp("export") / "model.pb")
            with open(made[key], "wb") as file:
                file.write(graph_def.SerializeToString())
            write_description(description, made[key])
        return made[key]
    return of


@pytest.fixture(scope="session")
def needs_onnx():
    """Skips tests that convert to ONNX where the packages are not installed; in CI they fail."""
    try:
        import onnxruntime.quantization  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        message = "tf2onnx or onnxruntime cannot be imported (%s); `bash scripts/setup.sh --onnx` installs them" % error
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
