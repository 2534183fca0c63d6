import io
import sys

import pytest

from open_seq2seq.errors import StorageError
from open_seq2seq.log_lines import LoggedStream, log_line, logged_output


def test_lines_have_the_form_that_scripts_parse(capsys):
    log_line("Validation WER:  %.4f" % 0.2259, offset=4)
    log_line("Finished training")
    log_line("time per step = 0:00:1.074", start="")
    assert capsys.readouterr().out == "***     Validation WER:  0.2259\n*** Finished training\ntime per step = 0:00:1.074\n"


def test_output_goes_to_the_terminal_and_to_the_file(tmp_path, monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "stdout", terminal)
    with logged_output(str(tmp_path / "out.log"), None):
        log_line("one")
        assert sys.stdout is not terminal
    log_line("two")
    assert sys.stdout is terminal
    assert terminal.getvalue() == "*** one\n*** two\n"
    assert (tmp_path / "out.log").read_text() == "*** one\n"


def test_a_full_disk_is_a_clear_error_naming_the_log(tmp_path, monkeypatch):
    terminal = io.StringIO()
    stream = LoggedStream(terminal, "/dev/full")
    with pytest.raises(StorageError, match="cannot write the log /dev/full: No space left on device"):
        stream.write("line\n")
    # the line reached the person all the same, and closing does not fail a second time
    assert terminal.getvalue() == "line\n"
    assert stream.close_log() is terminal


def test_a_log_that_cannot_be_opened_is_named(tmp_path):
    with pytest.raises(StorageError, match="No such file or directory"):
        LoggedStream(io.StringIO(), str(tmp_path / "missing" / "out.log"))
