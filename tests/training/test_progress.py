import io
import sys

import pytest

from open_seq2seq.training.progress import ProgressBar, Throughput, clock_text


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
    assert throughput.seconds_per_step == pytest.approx(2.0)
    assert throughput.utterances_per_second == pytest.approx(2.0)
    assert throughput.frames_per_second == pytest.approx(400.0)
    assert throughput.audio_seconds_per_second == pytest.approx(4.0)
    throughput.exclude(2.0)
    assert throughput.utterances_per_second == pytest.approx(4.0)
    throughput.restart()
    assert throughput.utterances == 0


def test_times_have_the_form_of_the_originals():
    assert clock_text(1.0741) == "0:00:1.074"
    assert clock_text(3725.5) == "1:02:5.500"


def test_in_a_pipe_the_bar_prints_nothing(monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    with ProgressBar(10, description="training") as bar:
        bar.update(3, "loss 1.0")
    assert pipe.getvalue() == "" and sys.stdout is pipe


def test_on_a_terminal_lines_stay_whole_and_the_stream_is_put_back(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal)
    with ProgressBar(10, description="training") as bar:
        bar.update(3, "loss 1.0")
        print("*** a line")
        with ProgressBar(5, description="evaluation") as inner:
            inner.update(1, "inner")
    assert sys.stdout is terminal
    assert "inner" not in terminal.getvalue()
    assert "*** a line" in terminal.getvalue() and "loss 1.0" in terminal.getvalue()
