"""What a person sees while a model trains or is evaluated: a bar on a terminal, nothing extra in a log."""
import os
import resource
import sys
import time

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from open_seq2seq.log_lines import LoggedStream, is_reporting

_BAR_WIDTH = (8, 40)  # least and most columns
_REMAINING_WIDTH = 8  # 0:12:34 and a space


class ProgressBar:
    """A bar under the log lines, on a terminal only; in a pipe or a file it does nothing.

    One that is begun while another is on the terminal, as an evaluation within training, is shown below it. Of several ranks only
    the one that prints has a bar.

    Args:
      total: how many steps there are.
      completed: how many were done before (a resumed run).
      description: what is going on, e.g. "training".
    """

    _shown = None  # the outermost bar on the terminal

    def __init__(self, total, completed=0, description=""):
        self._total, self._completed, self._description = total, completed, description
        self._outer = self._progress = self._task = None
        terminal = sys.stdout.terminal if isinstance(sys.stdout, LoggedStream) else sys.stdout
        if not is_reporting():
            return
        if ProgressBar._shown is not None:
            self._outer = ProgressBar._shown
        elif terminal.isatty() and not isinstance(terminal, FileProxy):
            self._terminal = terminal
            self._bar = BarColumn(bar_width=_BAR_WIDTH[1])
            self._progress = Progress(
                TextColumn("{task.description}"), self._bar, TextColumn("{task.completed}/{task.total}"),
                TextColumn("{task.fields[figures]}"), TimeRemainingColumn(), console=Console(file=terminal), transient=True,
                redirect_stdout=False, redirect_stderr=False)

    def __enter__(self):
        if self._outer is not None:
            self._task = self._outer._progress.add_task(self._description, total=self._total, completed=self._completed,
                                                        figures="")
            self._outer._progress.refresh()
        elif self._progress is not None:
            self._task = self._progress.add_task(self._description, total=self._total, completed=self._completed, figures="")
            self._progress.start()
            ProgressBar._shown = self
            # log lines go above the bar, and still into the log file where there is one
            proxy = FileProxy(self._progress.console, self._terminal)
            if isinstance(sys.stdout, LoggedStream):
                sys.stdout.terminal = proxy
            else:
                sys.stdout = proxy
        return self

    def __exit__(self, *exception):
        if self._outer is not None:
            self._outer._progress.remove_task(self._task)
            self._outer._progress.refresh()
        elif self._progress is not None:
            ProgressBar._shown = None
            self._progress.stop()
            if isinstance(sys.stdout, LoggedStream):
                sys.stdout.terminal = self._terminal
            else:
                sys.stdout = self._terminal
        return False

    def update(self, completed, figures=()):
        """Moves the bar to ``completed`` and shows beside it as many of ``figures`` as there is room for.

        Args:
          completed: int.
          figures: list of str, the most important first.
        """
        if self._outer is not None:
            self._outer._progress.update(self._task, completed=completed)
        elif self._progress is not None:
            room = self._progress.console.width - len(self._description) - len("%d/%d" % (completed, self._total))
            shown, self._bar.bar_width = fitted(figures, room - _REMAINING_WIDTH - 4)  # 4 spaces between 5 columns
            self._progress.update(self._task, completed=completed, figures=shown)


def fitted(figures, room):
    """(as many of the figures as have room, joined by commas; width of the bar, which takes what they leave).

    Args:
      figures: list of str, the most important first.
      room: columns for both.
    """
    least, most = _BAR_WIDTH
    shown = ""
    for figure in figures:
        longer = shown + ", " + figure if shown else figure
        if len(longer) > room - least:
            break
        shown = longer
    return shown, max(min(room - len(shown), most), 1)


def resident_bytes():
    """Memory that this process has in use; where the system does not say, the most it has had."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        # kilobytes, but for macOS
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


class Throughput:
    """Counts batches, utterances, frames and audio seconds since the last restart, and the time spent waiting for data.

    Args:
      frame_seconds: audio seconds per feature frame.
      clock: function that returns seconds.
    """

    def __init__(self, frame_seconds, clock=time.monotonic):
        self._frame_seconds, self._clock = frame_seconds, clock
        self.restart()

    def restart(self):
        self._since, self.batches, self.utterances, self.frames, self.waited = self._clock(), 0, 0, 0, None

    def add(self, utterances, frames, waited=None):
        """Counts a batch; ``waited``: seconds until it was there, None where that is not measured."""
        self.batches += 1
        self.utterances += utterances
        self.frames += frames
        if waited is not None:
            self.waited = (self.waited or 0.0) + waited

    def exclude(self, seconds):
        """Leaves out time in which something else was done."""
        self._since += seconds

    @property
    def seconds(self):
        return max(self._clock() - self._since, 1e-9)

    @property
    def utterances_per_second(self):
        return self.utterances / self.seconds

    @property
    def frames_per_second(self):
        return self.frames / self.seconds

    @property
    def audio_seconds_per_second(self):
        return self.frames * self._frame_seconds / self.seconds

    @property
    def wait_share(self):
        """Share of the time in which a step waited for its data, 0 to 1; None where that is not measured."""
        return None if self.waited is None else min(self.waited / self.seconds, 1.0)

    @property
    def seconds_per_batch(self):
        return self.seconds / max(self.batches, 1)


def clock_text(seconds):
    """Hours, minutes, seconds as OpenSeq2Seq prints a step's time: ``0:00:1.074``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return "%d:%02d:%.3f" % (hours, minutes, rest)
