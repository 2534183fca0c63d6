"""The shell scripts, in a copy of the repository whose environment, importer and run.py are stand-ins.

The stand-in environment runs this test's own Python, so that nothing is installed; one test makes a real (empty) one.
"""
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import types

import pytest

from tests.paths import REPOSITORY

VERSION = "%d.%d" % sys.version_info[:2]

RUN = '''
import os, sys
options = dict(word[2:].partition("=")[::2] for word in sys.argv[1:])
with open("calls.txt", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
logs = os.path.join(options["logdir"], "logs")
if options["mode"] == "train" and "benchmark" in options:
    print("*** Avg time per step: 0.500s")
elif options["mode"] == "train_eval":
    os.makedirs(logs, exist_ok=True)
    last = "7" if os.environ.get("STOP_EARLY") else options["max_steps"]
    for name in ("checkpoint", "model.ckpt-%s.index" % last):
        open(os.path.join(logs, name), "w").close()
    sys.exit(1 if os.environ.get("STOP_EARLY") else 0)
elif options["mode"] == "eval":
    print("***     Validation WER:  0.0123")
elif options["mode"] == "infer":
    with open(options["infer_output_file"], "w") as stream:
        stream.write("wav_filename,predicted_transcript\\nx.wav,one too\\n")
'''

IMPORTER = '''
import os, sys
folder = sys.argv[sys.argv.index("--output") + 1]
os.makedirs(folder, exist_ok=True)
for split in ("train", "dev", "test"):
    with open(os.path.join(folder, split + ".csv"), "w") as stream:
        stream.write("wav_filename,wav_filesize,transcript\\n%s/0.wav,3,one two\\n" % split)
'''

# ruff's part is played by the wrapper, everything else by the Python that runs this test
WRAPPER = '''#!/bin/sh
if [ "$1 $2" = "-m ruff" ]; then exit "${RUFF_STATUS:-0}"; fi
exec "%s" "$@"
''' % sys.executable


def write(path, text, executable=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if executable:
        path.chmod(path.stat().st_mode | stat.S_IXUSR)


def call(repository, *words, **variables):
    environment = dict(os.environ, **variables)
    if "PYTHON" not in variables:
        environment.pop("PYTHON", None)
    done = subprocess.run(["bash"] + list(words), cwd=str(repository), env=environment, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    return types.SimpleNamespace(status=done.returncode, out=done.stdout, err=done.stderr)


@pytest.fixture
def bare(tmp_path):
    """The scripts and requirements alone, in a folder with a blank in its name."""
    repository = tmp_path / "a clone"
    repository.mkdir()
    shutil.copytree(os.path.join(REPOSITORY, "scripts"), str(repository / "scripts"))
    shutil.copytree(os.path.join(REPOSITORY, ".ci"), str(repository / ".ci"))
    for name in os.listdir(REPOSITORY):
        if name.startswith("requirements"):
            (repository / name).write_text("# nothing\n")
    return repository


@pytest.fixture
def repository(bare):
    """``bare`` with stand-ins for both environments, the importer and run.py."""
    for folder, tensorflow in ((".venv", "1.15.0"), (".venv-current", "current")):
        write(bare / folder / "bin" / "python", WRAPPER, executable=True)
        write(bare / folder / "bin" / "shellcheck", '#!/bin/sh\nexit "${SHELLCHECK_STATUS:-0}"\n', executable=True)
        write(bare / folder / "bin" / "lint-imports", '#!/bin/sh\necho contracts\nexit "${LAYERS_STATUS:-0}"\n', executable=True)
        stamp = call(bare, "-c", "source scripts/environment.sh; stamp_of %s %s" % (tensorflow, VERSION)).out
        write(bare / folder / "jasper-stamp", stamp)
    write(bare / "run.py", RUN)
    for name in ("synthetic_digits", "fsdd"):
        write(bare / "open_seq2seq" / "data" / "importers" / (name + ".py"), IMPORTER)
    return bare


@pytest.mark.parametrize("script", ["setup.sh", "run_tests.sh", "quickstart.sh", "pretrain.sh", "transfer.sh"])
def test_help_and_wrong_options(bare, script):
    helped = call(bare, "scripts/" + script, "--help")
    assert helped.status == 0 and helped.out.startswith("usage: bash scripts/" + script) and not helped.err
    wrong = call(bare, "scripts/" + script, "--frobnicate")
    assert wrong.status == 2 and wrong.err.startswith(script + ": unknown option --frobnicate") and "--help" in wrong.err
    assert not (bare / ".venv").exists()


@pytest.mark.parametrize("words,message", [
    (["scripts/setup.sh", "--tensorflow"], "--tensorflow needs a value"),
    (["scripts/run_tests.sh", "--tensorflow=3"], "--tensorflow 3 is unknown; expected 1.15.0, 2.6.5 or current"),
    (["scripts/quickstart.sh", "--max_steps=many"], "--max_steps many: expected a whole number above 0"),
    (["scripts/pretrain.sh", "--iterations=2"], "--data is missing"),
    (["scripts/pretrain.sh", "--data=.", "--iterations=0"], "--iterations 0: expected a whole number above 0"),
    (["scripts/pretrain.sh", "--data=.", "--config=mine.py"], "--layer is missing: the layer of mine.py"),
    (["scripts/transfer.sh", "--data=."], "--from is missing"),
    (["scripts/transfer.sh", "--from=run"], "--data is missing"),
    (["scripts/transfer.sh", "--from=run", "--data=.", "--freeze_steps=-1"], "--freeze_steps -1: expected a whole number"),
    (["scripts/transfer.sh", "--from=run", "--data=.", "--vocab=v.txt", "--subwords=9"], "keep one"),
    (["scripts/quickstart.sh", "--minutes", "0"], "--minutes 0: expected a whole number above 0"),
    (["scripts/quickstart.sh", "--minutes=1", "--max_steps=1"], "keep one"),
])
def test_wrong_values(bare, words, message):
    wrong = call(bare, *words)
    assert wrong.status == 2 and message in wrong.err
    assert not (bare / ".venv").exists()


def test_a_python_that_does_not_work_is_named(bare):
    wrong = call(bare, "scripts/setup.sh", PYTHON="/no/such/python")
    assert wrong.status == 2 and "PYTHON=/no/such/python cannot create a Python environment" in wrong.err
    assert not (bare / ".venv").exists()


@pytest.mark.slow
def test_an_environment_is_made_once_and_repaired(bare):
    for name in ("tensorflow", "librosa", "soundfile", "soxr"):
        write(bare / "stand_ins" / (name + ".py"), "")
    variables = {"PYTHON": sys.executable, "PYTHONPATH": str(bare / "stand_ins")}
    made = call(bare, "scripts/setup.sh", **variables)
    assert made.status == 0, made.err
    assert "creating %s" % (bare / ".venv") in made.out
    assert ("using Python" in made.out) == (VERSION != "3.7")
    stamp = bare / ".venv" / "jasper-stamp"
    assert not (bare / ".venv" / "jasper-unfinished").exists()

    again = call(bare, "scripts/setup.sh", **variables)
    assert again.status == 0 and again.out.startswith("ready: ")

    # cut short: the mark is there, and a file that only a fresh start removes
    write(bare / ".venv" / "jasper-unfinished", "")
    write(bare / ".venv" / "remains", "")
    assert call(bare, "scripts/setup.sh", **variables).status == 0
    assert stamp.exists() and not (bare / ".venv" / "remains").exists()

    # other requirements: installed into what is there; one that cannot be installed is reported, and the mark stays
    write(bare / ".venv" / "remains", "")
    write(bare / "requirements.txt", "./no-such-package\n")
    failed = call(bare, "scripts/setup.sh", **variables)
    assert failed.status == 1 and "no-such-package" in failed.err and (bare / ".venv" / "remains").exists()
    assert (bare / ".venv" / "jasper-unfinished").exists()


@pytest.mark.slow
def test_run_tests_passes_on_the_status_of_pytest_and_of_the_checks(repository):
    write(repository / "tests" / "test_it.py", "import os\n\n\ndef test_it():\n    assert not os.environ.get('BREAK')\n")
    fine = call(repository, "scripts/run_tests.sh")
    assert fine.status == 0 and "1 passed" in fine.out
    assert call(repository, "scripts/run_tests.sh", BREAK="1").status == 1
    assert call(repository, "scripts/run_tests.sh", RUFF_STATUS="1").status == 1
    assert call(repository, "scripts/run_tests.sh", SHELLCHECK_STATUS="1").status == 1
    layers = call(repository, "scripts/run_tests.sh", LAYERS_STATUS="1")
    assert layers.status == 1 and "contracts" in layers.out and "contracts" not in fine.out
    assert call(repository, "scripts/run_tests.sh", "--", "-k", "no_such_name").status == 5


@pytest.mark.slow
def test_ci_counts_both_test_runs_and_fails_when_either_does(repository):
    write(repository / "pytest.ini", "[pytest]\nmarkers = slow: takes long\n")
    write(repository / "tests" / "test_it.py", "\n".join((
        "import os, pytest", "def test_fast(): assert not os.environ.get('BREAK')",
        "@pytest.mark.slow", "def test_slow(): pass", "def test_skipped(): pytest.skip('why')")))
    write(repository / "conftest.py",
          "def pytest_addoption(parser):\n    parser.addoption('--shuffle')\n    parser.addoption('--slow-until')\n")
    # Horovod counts as built, the other packages as installed
    nothing = hashlib.sha256(b"# nothing\n").hexdigest() + "  - "
    for folder in (".venv", ".venv-current"):
        made_of = (repository / folder / "jasper-stamp").read_text()
        for name in ("onnx", "decoding", "data", "streaming", "dictation"):
            (repository / folder / ("jasper-%s-stamp" % name)).write_text(nothing + made_of)
    python = call(repository, "-c", 'source scripts/environment.sh; "$(find_python 3.7 || find_newer_python)" --version').out
    write(repository / ".venv-tracking" / "jasper-stamp", nothing + python)
    horovod = "horovod==0.28.1\n"
    (repository / "requirements-distributed.txt").write_text("# nothing\n" + horovod)
    built_of = " ".join((repository / ".venv" / "jasper-stamp").read_text().split(" ")[:3]) + "\n" + horovod
    (repository / ".venv" / "jasper-horovod-stamp").write_text(hashlib.sha256(built_of.encode()).hexdigest() + "  -\n")
    fine = call(repository, ".ci/run")
    assert fine.status == 0 and "Horovod is already built" in fine.out
    assert "tf2onnx and onnxruntime are already installed" in fine.out
    assert fine.out.splitlines()[-1] == "3 passed, 0 failed, 2 skipped"
    # the README's first command comes before the tests, in the same clone
    assert 0 <= fine.out.index("word error rate   1.23 %") < fine.out.index("testing with TensorFlow")
    broken = call(repository, ".ci/run", BREAK="1")
    assert broken.status == 1 and broken.out.splitlines()[-1] == "1 passed, 2 failed, 2 skipped"
    write(repository / "tests" / "test_it.py", "")
    empty = call(repository, ".ci/run")
    assert empty.status == 1 and empty.out.splitlines()[-1] == "0 passed, 0 failed, 0 skipped"


def test_quickstart_trains_evaluates_and_transcribes(repository, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = call(elsewhere, str(repository / "scripts" / "quickstart.sh"), "--max_steps=30", "--output=it's mine")
    assert done.status == 0, done.err
    assert "word error rate   1.23 %% on %s" % (repository / "corpus" / "digits" / "test.csv") in done.out
    assert "reference     one two\n" in done.out and "transcript    one too\n" in done.out
    output = elsewhere / "it's mine"
    assert (output / "model" / "logs" / "model.ckpt-30.index").exists()
    train, evaluate, infer = (repository / "calls.txt").read_text().splitlines()
    for call_made, mode, data in ((train, "train_eval", "dev"), (evaluate, "eval", "test"), (infer, "infer", "test")):
        assert "--mode=%s" % mode in call_made and "--logdir=%s" % (output / "model") in call_made
        assert '--eval_params/data_layer_params/dataset_files=["%s"]' % (
            repository / "corpus" / "digits" / (data + ".csv")) in call_made.replace("['", '["').replace("']", '"]')
    assert (output / "one_utterance.csv").read_text().splitlines()[1] == "%s/test/0.wav,3,one two" % (
        repository / "corpus" / "digits")


@pytest.mark.slow
def test_quickstart_resumes_or_starts_again(repository):
    def modes():
        calls = (repository / "calls.txt").read_text().splitlines()
        (repository / "calls.txt").unlink()
        return [("--continue_learning" in line, line.partition("--mode=")[2].split()[0]) for line in calls]

    stopped = call(repository, "scripts/quickstart.sh", "--max_steps=30", STOP_EARLY="1")
    assert stopped.status == 1 and "resumes from its last checkpoint" in stopped.err and modes() == [(False, "train_eval")]
    assert call(repository, "scripts/quickstart.sh").status == 0  # the 30 steps are remembered
    assert modes() == [(True, "train_eval"), (False, "eval"), (False, "infer")]
    again = call(repository, "scripts/quickstart.sh")
    assert again.status == 0 and "is already trained for 30 steps" in again.out
    assert modes() == [(False, "eval"), (False, "infer")]
    write(repository / "runs" / "quickstart" / "notes.txt", "a user's")
    write(repository / "runs" / "quickstart" / "model" / "old", "")
    assert call(repository, "scripts/quickstart.sh", "--fresh", "--minutes=1").status == 0
    assert (repository / "runs" / "quickstart" / "notes.txt").exists()
    assert not (repository / "runs" / "quickstart" / "model" / "old").exists()
    assert modes() == [(False, "train"), (False, "train_eval"), (False, "eval"), (False, "infer")]
    assert (repository / "runs" / "quickstart" / "model" / "logs" / "model.ckpt-120.index").exists()

    # stopped before the first checkpoint: it starts again, and deletes nothing
    for checkpoint in (repository / "runs" / "quickstart" / "model" / "logs").iterdir():
        checkpoint.unlink()
    write(repository / "runs" / "quickstart" / "model" / "logs" / "metrics.jsonl", "{}")
    assert call(repository, "scripts/quickstart.sh").status == 0
    assert "--no_dir_check" in (repository / "calls.txt").read_text().splitlines()[0]
    assert modes()[0] == (False, "train_eval")
    assert (repository / "runs" / "quickstart" / "model" / "logs" / "metrics.jsonl").exists()

    other = call(repository, "scripts/quickstart.sh", "--recordings=.", "--output=runs/quickstart")
    assert other.status == 3 and "not on %s" % (repository / "corpus" / "fsdd") in other.err


def test_quickstart_leaves_a_folder_of_others_alone(repository):
    write(repository / "thesis" / "chapter.txt", "years of work")
    for words in ([], ["--fresh"]):
        refused = call(repository, "scripts/quickstart.sh", "--output=thesis", *words)
        assert refused.status == 3 and "was not created by this script" in refused.err
    assert (repository / "thesis" / "chapter.txt").read_text() == "years of work"
