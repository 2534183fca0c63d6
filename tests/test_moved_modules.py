"""Modules at the paths of earlier versions are imported from where they are now."""
import importlib
import subprocess
import sys

import pytest

from open_seq2seq.moved_modules import MOVED, PACKAGE, RENAMED
from tests.paths import REPOSITORY


def test_every_moved_module_and_renamed_name_exists():
    for new in sorted(set(MOVED.values())):
        importlib.import_module("%s.%s" % (PACKAGE, new))
    for (old, _), name in RENAMED.items():
        path, _, name = name.rpartition(".")
        assert hasattr(importlib.import_module("%s.%s" % (PACKAGE, path or MOVED[old])), name)


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


def test_a_name_that_is_now_in_another_module_than_the_rest():
    from open_seq2seq.evaluation.evaluation import EvaluationGraph, run_evaluation
    from open_seq2seq.evaluation.evaluation_graph import build_evaluation
    from open_seq2seq.evaluation.scoring import run_evaluation as run_evaluation_now
    assert EvaluationGraph is build_evaluation and run_evaluation is run_evaluation_now


def test_a_name_that_is_gone_says_where_the_module_went():
    module = importlib.import_module("open_seq2seq.training.course")
    with pytest.raises(AttributeError, match=r"training\.course is now open_seq2seq\.training\.stopping, which has no 'Kourse'"):
        getattr(module, "Kourse")  # noqa: B009
    with pytest.raises(ImportError):
        importlib.import_module("open_seq2seq.training.no_such_module")
