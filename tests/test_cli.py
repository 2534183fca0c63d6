"""How the commands in scripts/ end."""
import pytest

from open_seq2seq.cli import exit_status_of
from open_seq2seq.errors import CheckpointError


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
