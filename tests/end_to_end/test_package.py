"""``pip install .`` into a fresh environment that has the requirements: the commands and modules work from any directory."""
import glob
import os
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest

from tests.paths import REPOSITORY

VERSION = "%d.%d" % sys.version_info[:2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder with the programs of a fresh environment in which the package is installed."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    # building writes next to the sources, so they are copied
    shutil.copytree(os.path.join(REPOSITORY, "open_seq2seq"), str(source / "open_seq2seq"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(os.path.join(REPOSITORY, name), str(source))
    subprocess.check_call([sys.executable, "-m", "venv", "--without-pip", str(folder / "environment")])
    packages = folder / "environment" / "lib" / ("python" + VERSION) / "site-packages"
    # it has the requirements because it sees those of this environment
    (packages / "requirements.pth").write_text(sysconfig.get_path("purelib") + "\n")
    programs = folder / "environment" / "bin"
    subprocess.check_call([str(programs / "python"), "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
                           "--no-build-isolation", str(source)], cwd=str(folder))
    return programs


def run(program, *words, cwd):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([str(program)] + list(words), cwd=str(cwd), env=environment, capture_output=True,
                          text=True)


def documented_modules():
    """Names of the modules that the README and the pages of docs/ tell people to run."""
    names = set()
    for path in [os.path.join(REPOSITORY, "README.md")] + glob.glob(os.path.join(REPOSITORY, "docs", "*.md")):
        with open(path, encoding="utf-8") as page:
            names |= set(re.findall(r"-m (open_seq2seq(?:\.[a-z0-9_]+)+)(?![.\w]*[A-Z])", page.read()))
    return sorted(names)


@pytest.mark.slow
def test_the_package_is_the_installed_one_with_its_data_files(installed, tmp_path):
    code = ("import open_seq2seq, os; from open_seq2seq.graph_analysis import npu_operators; "
            "print(open_seq2seq.__file__); print(os.path.exists(npu_operators.BUILT_IN_FILE)); "
            "print([sorted(os.listdir(os.path.join(os.path.dirname(open_seq2seq.__file__), package, 'assets'))) "
            "for package in ('transcription/web', 'evaluation/report')]); "
            "print(os.listdir(os.path.join(os.path.dirname(open_seq2seq.__file__), 'test_utils/toy_speech_data')))")
    place, operators, assets, vocabulary = run(installed / "python", "-c", code, cwd=tmp_path).stdout.splitlines()
    assert place.startswith(str(installed.parent)) and operators == "True" and "vocab.txt" in vocabulary
    assert assets.count("'page.html'") == 2 and "'utterances.js'" in assets


@pytest.mark.slow
@pytest.mark.parametrize("command, usage", [
    ("jasper-train", "usage: jasper-train --config_file"), ("jasper-transcribe", "usage: jasper-transcribe")])
def test_commands_answer_from_any_directory(installed, tmp_path, command, usage):
    helped = run(installed / command, "--help", cwd=tmp_path)
    assert helped.returncode == 0 and helped.stdout.startswith(usage), helped.stderr
    wrong = run(installed / command, "--no_such_flag", cwd=tmp_path)
    assert wrong.returncode == 2 and "See %s --help" % command in wrong.stderr and "Traceback" not in wrong.stderr


@pytest.mark.slow
def test_documented_modules_answer_from_any_directory(installed, tmp_path):
    modules = documented_modules()
    assert "open_seq2seq.transcribe" in modules and "open_seq2seq.launch" in modules
    for module in modules:
        done = run(installed / "python", "-m", module, "--help", cwd=tmp_path)
        assert done.returncode == 0 and "usage: python -m %s" % module in done.stdout, (module, done.stderr)


@pytest.mark.slow
def test_the_reference_page_of_an_installed_package_needs_a_file_to_write(installed, tmp_path):
    refused = run(installed / "python", "-m", "open_seq2seq.experiment.reference", cwd=tmp_path)
    assert refused.returncode == 2 and "--output FILE" in refused.stderr
    assert run(installed / "python", "-m", "open_seq2seq.experiment.reference", "--output=page.md", cwd=tmp_path).returncode == 0
    assert (tmp_path / "page.md").read_text().startswith("# Parameters")


@pytest.mark.slow
def test_modules_at_their_earlier_places_run_and_name_the_new_one(installed, tmp_path):
    done = run(installed / "python", "-m", "open_seq2seq.distributed.launch", "--help", cwd=tmp_path)
    assert done.returncode == 0 and "usage: python -m open_seq2seq.launch" in done.stdout
    assert "Note: open_seq2seq.distributed.launch is now open_seq2seq.launch" in done.stderr
