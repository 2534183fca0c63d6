"""How commands end, and what their parsers accept."""
import os
import subprocess
import sys

import pytest

from open_seq2seq.cli import Parser, exit_status_of, file_path
from open_seq2seq.errors import CheckpointError, UsageError
from tests.paths import REPOSITORY


def raising(error):
    def command(words):
        raise error
    return command


def test_the_arguments_reach_the_command_and_success_is_0():
    given = []
    assert exit_status_of(given.extend, ["--last", "3"]) == 0 and given == ["--last", "3"]


def test_a_mistake_has_its_status_and_no_traceback(capsys):
    assert exit_status_of(raising(CheckpointError("none in run")), []) == 3
    assert capsys.readouterr().err == "CheckpointError: none in run\n"


def test_ctrl_c(capsys):
    assert exit_status_of(raising(KeyboardInterrupt()), []) == 130 and capsys.readouterr().err == "Interrupted\n"


def test_a_bug_passes_through():
    with pytest.raises(ZeroDivisionError):
        exit_status_of(raising(ZeroDivisionError()), [])


@pytest.mark.parametrize("arguments, message", [
    (["--modl", "x"], "--modl is unknown (did you mean --model?): the following arguments are required: --model. See tool"),
    (["--model=x", "--outputs=y"], "--outputs is unknown (did you mean --output?): unrecognized arguments: --outputs=y. See"),
    (["--model=x", "--out=y"], "--out is unknown (did you mean --output?): unrecognized arguments: --out=y. See tool"),
    (["--model=x", "--zzz"], "unrecognized arguments: --zzz. See tool --help"),
])
def test_a_misspelled_flag_has_a_suggestion(arguments, message):
    parser = Parser(prog="tool")
    parser.add_argument("--model", required=True)
    parser.add_argument("--output", type=file_path)
    with pytest.raises(UsageError) as caught:
        parser.parse_args(arguments)
    assert str(caught.value).startswith(message)


def test_a_tilde_in_a_path_is_the_home_directory(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    parser = Parser(prog="tool")
    parser.add_argument("--output", type=file_path)
    assert parser.parse_args(["--output=~/a"]).output == "/home/somebody/a"
    with pytest.raises(UsageError, match="--output: '~nobody-at-all' starts with ~nobody-at-all, but there is no such user"):
        parser.parse_args(["--output=~nobody-at-all"])


@pytest.mark.parametrize("home, given", [("/home/x", b"/tmp/x\xff"), (os.fsdecode(b"/tmp/x\xff"), b"~")])
def test_a_path_that_is_not_utf8_is_refused(monkeypatch, home, given):
    monkeypatch.setenv("HOME", home)
    parser = Parser(prog="tool")
    parser.add_argument("--output", type=file_path)
    given = os.fsdecode(given)
    with pytest.raises(UsageError) as caught:
        parser.parse_args(["--output=" + given])
    assert str(caught.value).startswith("argument --output: %r is not valid UTF-8 (/tmp/x\\xff), and TensorFlow needs UTF-8 "
                                        "paths; rename the file or directory" % given)


def test_a_path_that_is_not_utf8_can_be_printed(tmp_path):
    code = ("import os, sys; from open_seq2seq.cli import exit_status_of; "
            "sys.exit(exit_status_of(lambda arguments: print(os.fsdecode(b'caf\\xe9.wav')), []))")
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env=dict(os.environ, PYTHONIOENCODING="utf-8:strict"),
                          stdout=subprocess.PIPE)
    assert done.returncode == 0 and done.stdout == b"caf\\udce9.wav\n"
