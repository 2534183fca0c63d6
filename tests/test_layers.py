"""The layers of docs/architecture.md: the contracts in pyproject.toml hold, and they refuse an import upwards."""
import os
import shutil
import subprocess
import sys

import pytest

from tests.paths import REPOSITORY


@pytest.fixture
def check_layers(tmp_path):
    """Function (file of the package, line to append to it; or nothing) -> the finished process of lint-imports on a copy."""
    def check(file=None, line=""):
        shutil.copy(os.path.join(REPOSITORY, "pyproject.toml"), str(tmp_path))
        shutil.copytree(os.path.join(REPOSITORY, "open_seq2seq"), str(tmp_path / "open_seq2seq"),
                        ignore=shutil.ignore_patterns("__pycache__"))
        if file is not None:
            path = tmp_path / "open_seq2seq" / file
            path.parent.mkdir(exist_ok=True)
            with open(str(path), "a") as module:
                module.write("\n" + line + "\n")
        # the copy has to come before an installed package of the same name
        return subprocess.run([os.path.join(os.path.dirname(sys.executable), "lint-imports"), "--no-cache"], cwd=str(tmp_path),
                              env=dict(os.environ, PYTHONPATH=str(tmp_path)), stdout=subprocess.PIPE, text=True)
    return check


@pytest.mark.slow
def test_imports_go_downwards(check_layers):
    done = check_layers()
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("file, line, broken", [
    ("data/speech2text/manifest.py", "from open_seq2seq.training import loop",
     "open_seq2seq.data is not allowed to import open_seq2seq.training"),
    ("export/mode.py", "import open_seq2seq.training.loop",
     "open_seq2seq.export is not allowed to import open_seq2seq.training"),
    ("errors.py", "def late():\n    import open_seq2seq.files",
     "open_seq2seq.errors is not allowed to import open_seq2seq.files"),
    ("unnamed/__init__.py", "", "open_seq2seq.unnamed")])
def test_an_import_upwards_and_a_package_outside_the_layers_are_refused(check_layers, file, line, broken):
    done = check_layers(file, line)
    assert done.returncode == 1 and broken in done.stdout
