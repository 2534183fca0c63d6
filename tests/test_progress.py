import fcntl
import io
import os
import pty
import re
import struct
import sys
import termios

import pytest

from open_seq2seq import log_lines
from open_seq2seq.progress import ProgressBar, Throughput, clock_text, fitted, print_table, resident_bytes


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_throughput_counts_since_the_last_reading():
    clock = Clock()
    throughput = Throughput(frame_seconds=0.01, clock=clock)
    throughput.add(utterances=4, frames=1000)
    throughput.add(utterances=4, frames=600)
    clock.now += 4.0
    assert throughput.seconds_per_batch == pytest.approx(2.0)
    assert throughput.utterances_per_second == pytest.approx(2.0)
    assert throughput.frames_per_second == pytest.approx(400.0)
    assert throughput.audio_seconds_per_second == pytest.approx(4.0)
    assert throughput.wait_share is None
    throughput.exclude(2.0)
    assert throughput.utterances_per_second == pytest.approx(4.0)
    throughput.restart()
    assert throughput.utterances == 0


def test_share_of_waiting_for_data():
    clock = Clock()
    throughput = Throughput(frame_seconds=0.01, clock=clock)
    throughput.add(4, 1000, waited=0.5)
    throughput.add(4, 1000, waited=1.5)
    clock.now += 8.0
    assert throughput.wait_share == pytest.approx(0.25)
    throughput.exclude(7.0)  # an evaluation; what is left is shorter than the waiting by rounding
    assert throughput.wait_share == 1.0
    throughput.restart()
    assert throughput.wait_share is None


def test_times_have_the_form_of_the_originals():
    assert clock_text(1.0741) == "0:00:1.074"
    assert clock_text(3725.5) == "1:02:5.500"


def test_as_many_figures_as_have_room():
    figures = ["epoch 3", "loss 1.234", "80 audio s/s", "2 % waiting for data"]
    assert fitted(figures, 200) == ("epoch 3, loss 1.234, 80 audio s/s, 2 % waiting for data", 40)
    assert fitted(figures, 41) == ("epoch 3, loss 1.234, 80 audio s/s", 8)
    assert fitted(figures, 40) == ("epoch 3, loss 1.234", 21)
    assert fitted(figures, 12) == ("", 12)
    assert fitted(figures, -5) == ("", 1)


def test_memory_is_what_the_process_has():
    before = resident_bytes()
    block = bytearray(64 << 20)
    for place in range(0, len(block), 4096):
        block[place] = 1
    assert 50e6 < resident_bytes() - before < 200e6
    assert len(block) == 64 << 20


def test_in_a_pipe_the_bar_prints_nothing(monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    with ProgressBar(10, description="training") as bar:
        bar.update(3, ["loss 1.0"])
        with ProgressBar(5, description="evaluation") as inner:
            inner.update(1)
    assert pipe.getvalue() == "" and sys.stdout is pipe


@pytest.fixture
def terminal(monkeypatch):
    """Function (columns, stream) that makes stdout, or stderr, a terminal of that many columns; it returns a function that closes
    and reads it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLUMNS", raising=False)
    opened = []

    def open_terminal(columns, name="stdout"):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        # what rich asks for the size; pytest has these for itself
        monkeypatch.setattr("rich.console._STD_STREAMS", (slave,), raising=False)
        stream = open(slave, "w", encoding="utf-8")
        for asked in ("__stdin__", "__stdout__", "__stderr__"):  # what rich 12 asks
            monkeypatch.setattr(sys, asked, stream)
        opened.append(master)
        monkeypatch.setattr(sys, name, stream)

        def read():
            stream.flush()
            os.set_blocking(master, False)
            pieces = []
            while True:
                try:
                    pieces.append(os.read(master, 65536))
                except BlockingIOError:
                    break
            text = b"".join(pieces).decode("utf-8")
            stream.close()
            return [line.rstrip() for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text))]
        return read
    yield open_terminal
    for master in opened:
        os.close(master)


FIGURES = ["epoch 3", "loss 1.234", "80 audio s/s", "2 % waiting for data", "1.2 GB"]


@pytest.mark.parametrize("columns, shown, hidden", [
    (160, "1.2 GB", "nothing"), (80, "80 audio s/s", "1.2 GB"), (60, "loss 1.234", "80 audio s/s"), (30, "7/1000", "epoch")])
def test_on_a_terminal_the_bar_keeps_to_its_width(terminal, columns, shown, hidden):
    read = terminal(columns)
    stream = sys.stdout
    with ProgressBar(1000, description="training") as bar:
        bar.update(7, FIGURES)
        print("*** a line")
    assert sys.stdout is stream
    lines = read()
    assert "*** a line" in lines
    bars = [line for line in lines if "7/1000" in line]
    assert bars and all(shown in line and hidden not in line for line in bars), bars
    assert max(map(len, lines)) <= columns


def test_an_evaluation_within_training_has_a_bar_below_the_trainings(terminal):
    read = terminal(100)
    with ProgressBar(10, description="training") as bar:
        bar.update(3, ["loss 1.0"])
        with ProgressBar(5, description="evaluation") as inner:
            inner.update(4)
            print("*** in between")
        bar.update(4)
        print("*** after it")
    lines = read()
    during = lines[lines.index("*** in between") + 1:][:2]
    assert re.match("training .*3/10 loss 1.0", during[0]) and re.match("evaluation .*[04]/5", during[1]), during
    after = lines[lines.index("*** after it") + 1:]
    assert not any("evaluation" in line for line in after) and any("4/10" in line for line in after)


def test_of_several_ranks_one_has_a_bar(terminal, monkeypatch):
    read = terminal(100)
    monkeypatch.setattr(log_lines, "_reporting", False)
    with ProgressBar(10, description="training") as bar:
        bar.update(3, ["loss 1.0"])
    assert read() == [""]


def test_a_bar_on_stderr_counts_seconds_and_leaves_stdout_alone(terminal, monkeypatch):
    read = terminal(100, "stderr")
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    with ProgressBar(34.5, description="a[b].wav", on_stderr=True, seconds=True) as bar:
        assert bar.is_shown
        bar.update(12.7)
        print("warning: a line", file=sys.stderr)
        print("a result")
    with ProgressBar(None, description="unknown", on_stderr=True, seconds=True) as bar:
        bar.update(2.0)
    lines = read()
    assert "warning: a line" in lines and any(re.match(r"a\[b\]\.wav .*12 s", line) for line in lines), lines
    assert any(re.match("unknown .*2 s", line) for line in lines)
    assert pipe.getvalue() == "a result\n" and sys.stdout is pipe


def test_a_closed_stream_has_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with ProgressBar(10, on_stderr=True) as bar:
        bar.update(1)
    assert not bar.is_shown


def test_a_table_in_a_log_file_is_not_cut_and_its_cells_are_no_markup(monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    monkeypatch.setenv("COLUMNS", "40")
    print_table("title", ("name", "number"), [["[red]" + "x" * 80, "1"], [("styled", "red"), "200"]], "caption", left=["name"])
    lines = pipe.getvalue().splitlines()
    assert lines[0].strip() == "title" and lines[-1].strip() == "caption"
    assert any("[red]" + "x" * 80 in line for line in lines) and any(re.search("styled  +.* +200 ", line) for line in lines)
    assert "\x1b" not in pipe.getvalue()
