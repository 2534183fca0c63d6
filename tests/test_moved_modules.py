"""Modules and names of earlier versions are imported from where they are now; the code base itself does not use them."""
import ast
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest

from open_seq2seq.moved_modules import MOVED, PACKAGE, RENAMED
from tests.paths import REPOSITORY

# one line for each module of the version before packages were moved: its path, and the public functions, classes and constants
# that it defined
EARLIER_NAMES = os.path.join(REPOSITORY, "tests", "fixtures", "earlier_names.txt")

SEARCHED = ("open_seq2seq", "scripts", "benchmarks", "configs", "tests", "run.py", "run_tests.sh", "pyproject.toml", "README.md",
            "docs", ".ci/run")
TEXT_FILES = (".py", ".sh", ".md", ".toml", ".yaml", "Dockerfile", "Dockerfile.cpu", "run")
# these two import what has moved on purpose
EXCLUDED = ("tests/test_moved_modules.py", "tests/end_to_end/test_package.py")


def earlier_names():
    """{path of a module: list of names}"""
    with open(EARLIER_NAMES) as file:
        lines = [line.split() for line in file]
    return {line[0].rstrip(":"): line[1:] for line in lines}


def resolves(path):
    """Whether a dotted path is that of a module, or of something in one."""
    parent, _, name = path.rpartition(".")
    try:
        importlib.import_module(path)
    except ImportError:
        try:
            return hasattr(importlib.import_module(parent), name)
        except ImportError:
            return False
    return True


def problem_with(statement):
    """Why an import statement does not help its reader: it raises an error that does not say what replaces the name; or None."""
    try:
        exec(statement, {})
    except ImportError as error:
        places = re.findall(r"(?:open_seq2seq|werkzeug)(?:\.\w+)+", str(error).partition(" was removed: ")[2])
        if places and all(resolves(place) for place in places):
            return None
        return "%s: %s" % (statement, error)
    return None


def test_every_earlier_name_is_found_or_its_error_names_what_replaces_it():
    names = earlier_names()
    assert len(names) > 250 and sum(map(len, names.values())) > 1100
    statements = ["import %s.%s" % (PACKAGE, module) for module in names]
    statements += ["from %s.%s import %s" % (PACKAGE, module, name) for module in names for name in names[module]]
    assert [problem for problem in map(problem_with, statements) if problem] == []


@pytest.mark.parametrize("statement", [
    "import open_seq2seq.training.no_such_module", "from open_seq2seq.training.graph import Towers",
    "from open_seq2seq.transcription.web.byte_range import bytes_range"])
def test_the_check_of_earlier_names_refuses_an_unknown_name(statement):
    assert problem_with(statement)


def defined_in(path):
    """Names of the functions, classes and constants that a file defines."""
    with open(path, encoding="utf-8") as file:
        statements = ast.parse(file.read()).body
    return {node.name for node in statements if isinstance(node, (ast.FunctionDef, ast.ClassDef))} | {
        name.id for node in statements if isinstance(node, ast.Assign) for target in node.targets for name in ast.walk(target)
        if isinstance(name, ast.Name)}


def test_the_table_of_names_contains_only_earlier_names_that_their_module_no_longer_defines():
    names = earlier_names()
    for old, name in RENAMED:
        if old not in MOVED:
            assert name in names[old], (old, name)
            assert name not in defined_in(importlib.util.find_spec("%s.%s" % (PACKAGE, old)).origin), (old, name)
        elif old in names:
            assert name in names[old], (old, name)


def test_every_moved_module_and_renamed_name_exists():
    for new in sorted(set(MOVED.values())):
        importlib.import_module("%s.%s" % (PACKAGE, new))
    for (old, name), entry in RENAMED.items():
        if " " not in entry:
            path, _, new_name = entry.rpartition(".")
            there = importlib.import_module("%s.%s" % (PACKAGE, path or MOVED.get(old, old)))
            assert getattr(importlib.import_module("%s.%s" % (PACKAGE, old)), name) is getattr(there, new_name), (old, name)


@pytest.mark.slow
def test_no_module_is_at_a_path_that_is_listed_as_moved():
    code = "import importlib.util, open_seq2seq.moved_modules as m; " \
           "print([o for o in m.MOVED if type(importlib.util.find_spec(m.PACKAGE + '.' + o).loader).__name__ != '_Loader'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "[]\n"


def test_an_old_import_gives_what_is_at_the_new_place_and_says_so(capsys):
    sys.modules.pop("open_seq2seq.training.course", None)
    from open_seq2seq.training.course import Course
    from open_seq2seq.training.stopping import StoppingPolicy
    assert Course is StoppingPolicy
    assert capsys.readouterr().err == "Note: open_seq2seq.training.course is now open_seq2seq.training.stopping\n"


def test_a_renamed_name_of_a_module_that_has_not_moved_is_reported_once():
    code = "from open_seq2seq.cores import usable_cores; import open_seq2seq.log_lines as lines; " \
           "assert lines.report_only_troubles is lines.report_only_troubles is lines.report_only_problems; " \
           "assert not hasattr(lines, 'no_such_name')"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "Note: open_seq2seq.log_lines.report_only_troubles is now open_seq2seq.log_lines.report_only_problems\n"


def test_a_removed_name_says_what_replaces_it():
    with pytest.raises(ImportError, match=r"^open_seq2seq\.data\.importers\.folder\.find_audio was removed: "
                                          r"use open_seq2seq\.data\.importers\.folder\.read_folder"):
        from open_seq2seq.data.importers.folder import find_audio  # noqa: F401
    with pytest.raises(ImportError, match=r"byte_range was removed: werkzeug parses the Range header"):
        from open_seq2seq.transcription.web.byte_range import byte_range  # noqa: F401


def test_a_name_that_is_now_in_another_module_than_the_rest():
    from open_seq2seq.evaluation.evaluation import EvaluationGraph, run_evaluation
    from open_seq2seq.evaluation.evaluation_graph import build_evaluation
    from open_seq2seq.evaluation.scoring import run_evaluation as run_evaluation_now
    assert EvaluationGraph is build_evaluation and run_evaluation is run_evaluation_now


def test_a_name_that_never_existed_says_where_the_module_went():
    module = importlib.import_module("open_seq2seq.training.course")
    with pytest.raises(AttributeError, match=r"training\.course is now open_seq2seq\.training\.stopping, which has no 'Kourse'"):
        getattr(module, "Kourse")  # noqa: B009


def test_a_star_import_gives_the_earlier_names():
    for module, names in earlier_names().items():
        if module in MOVED:
            imported = {}
            exec("from %s.%s import *" % (PACKAGE, module), imported)
            assert [n for n in names if n not in imported and " " not in RENAMED.get((module, n), "")] == [], module


def files_below(root):
    """Paths, relative to ``root``, of the files that may import the package."""
    for start in SEARCHED:
        if os.path.isfile(os.path.join(root, start)):
            yield start
        for folder, _, names in os.walk(os.path.join(root, start)):
            for name in names:
                path = os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
                if name.endswith(TEXT_FILES) and path not in EXCLUDED:
                    yield path


def imported_by(tree, package):
    """Absolute dotted names in the import statements and (joined) strings of a Python file of ``package``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[:len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join(above + ([node.module] if node.module else []))
            for alias in node.names:
                yield "%s.%s" % (base, alias.name)
        else:
            text = node.value if hasattr(node, "value") else getattr(node, "s", None)  # Python 3.7: ast.Str with s
            if isinstance(text, str):
                yield from dotted_names(text)


def dotted_names(text):
    return re.findall(r"\b%s(?:\.\w+)+" % PACKAGE, text)


def is_earlier(name):
    """Whether a dotted name is, or is in, a module that has moved, or is a renamed or removed name."""
    parts = name.split(".")[1:]
    heads = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return name.startswith(PACKAGE + ".") and (
        any(head in MOVED for head in heads) or any((head, part) in RENAMED for head, part in zip(heads, parts[1:])))


def earlier_paths_used(root):
    """["file: earlier dotted name"] for every use in the code base below ``root``."""
    used = set()
    for path in files_below(root):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            text = file.read()
        is_python = path.endswith(".py")
        names = imported_by(ast.parse(text), os.path.dirname(path).replace("/", ".")) if is_python else dotted_names(text)
        used |= {"%s: %s" % (path, name) for name in names if is_earlier(name)}
    return sorted(used)


def test_the_code_base_does_not_use_earlier_paths():
    assert len(list(files_below(REPOSITORY))) > 400
    assert earlier_paths_used(REPOSITORY) == []


@pytest.mark.parametrize("file, line, name", [
    ("open_seq2seq/training/loop.py", "from open_seq2seq.training import (\n    plateau,\n    session)", "training.session"),
    ("open_seq2seq/training/loop.py", "def late():\n    from . import session", "training.session"),
    ("open_seq2seq/training/report/mode.py", "from ..session import open_session", "training.session.open_session"),
    ("open_seq2seq/export/mode.py", "import open_seq2seq.export.bins as bins", "export.bins"),
    ("open_seq2seq/export/mode.py", "from open_seq2seq.training.graph import Tower", "training.graph.Tower"),
    ("open_seq2seq/export/mode.py", "import importlib\nimportlib.import_module('open_seq2seq.'\n    'distributed.cores')",
     "distributed.cores"),
    ("benchmarks/scaling.py", "COMMAND = ['-m', 'open_seq2seq.distributed.launch']", "distributed.launch"),
    ("scripts/eval_1p.sh", "python -m open_seq2seq.distributed.launch --help", "distributed.launch"),
    ("tests/test_cli.py", "from open_seq2seq.script_status import print_error", "script_status.print_error")])
def test_a_use_of_an_earlier_path_is_refused(tmp_path, file, line, name):
    copy = tmp_path / file
    copy.parent.mkdir(parents=True)
    shutil.copy(os.path.join(REPOSITORY, file), str(copy))
    assert earlier_paths_used(str(tmp_path)) == []
    with open(str(copy), "a") as planted:
        planted.write("\n" + line + "\n")
    assert earlier_paths_used(str(tmp_path)) == ["%s: %s.%s" % (file, PACKAGE, name)]
