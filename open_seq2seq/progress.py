"""What commands show while they work: progress bars and tables (the one module that wraps rich), throughput, memory."""
import os
import resource
import sys
import time

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from open_seq2seq.log_lines import LoggedStream, is_reporting

_BAR_WIDTH = (8, 40)  # least and most columns
_REMAINING_WIDTH = 8  # 0:12:34 and a space


class ProgressBar:
    """A bar below the lines of output, on a terminal only; it prints nothing into a pipe or a file.

    A bar that begins while another is shown, e.g. of an evaluation within training, is shown below that one. Of several ranks
    only the one that prints has a bar.

    Args:
      total: number of steps; None where it is not known.
      completed: number of steps that were done before (a resumed run).
      description: what is in progress, e.g. "training".
      on_stderr: show the bar on stderr instead of stdout, for commands whose results are on stdout.
      seconds: the steps are seconds of audio, shown as "12 s" instead of "12/34".

    Attributes:
      is_shown: whether there is a terminal to show the bar on.
    """

    _shown = None  # the outermost bar on the terminal

    def __init__(self, total, completed=0, description="", on_stderr=False, seconds=False):
        self._total, self._completed, self._description = total, completed, description
        self._stream_name, self._seconds = "stderr" if on_stderr else "stdout", seconds
        self._outer = self._progress = self._task = None
        stream = getattr(sys, self._stream_name)
        terminal = stream.terminal if isinstance(stream, LoggedStream) else stream
        if is_reporting() and terminal is not None:
            if ProgressBar._shown is not None:
                self._outer = ProgressBar._shown
            elif terminal.isatty() and not isinstance(terminal, FileProxy):
                self._terminal = terminal
                self._bar = BarColumn(bar_width=_BAR_WIDTH[1])
                self._progress = Progress(
                    TextColumn("{task.description}", markup=False), self._bar, TextColumn("{task.fields[count]}"),
                    TextColumn("{task.fields[figures]}"), TimeRemainingColumn(), console=Console(file=terminal), transient=True,
                    redirect_stdout=False, redirect_stderr=False)
        self.is_shown = self._outer is not None or self._progress is not None

    def __enter__(self):
        if not self.is_shown:
            return self
        progress = (self._outer or self)._progress
        # a bar of unknown total: one that is not started pulses; rich 12, for TensorFlow 2.6.5, knows no other way
        is_known = self._total is not None
        self._task = progress.add_task(self._description, total=self._total if is_known else 1.0, completed=self._completed,
                                       start=is_known, figures="", count=self._count(self._completed))
        if self._outer is not None:
            progress.refresh()
        else:
            progress.start()
            ProgressBar._shown = self
            # lines of output go above the bar, and still into the log file where there is one
            self._replace_terminal(FileProxy(progress.console, self._terminal))
        return self

    def __exit__(self, *exception):
        if self._outer is not None:
            self._outer._progress.remove_task(self._task)
            self._outer._progress.refresh()
        elif self._progress is not None:
            ProgressBar._shown = None
            self._progress.stop()
            self._replace_terminal(self._terminal)
        return False

    def _replace_terminal(self, terminal):
        stream = getattr(sys, self._stream_name)
        if isinstance(stream, LoggedStream):
            stream.terminal = terminal
        else:
            setattr(sys, self._stream_name, terminal)

    def _count(self, completed):
        return "%d s" % completed if self._seconds else "%d/%s" % (completed, "?" if self._total is None else self._total)

    def update(self, completed, figures=()):
        """Moves the bar to ``completed`` and shows as many of ``figures`` next to it as fit into the line.

        Args:
          completed: number.
          figures: list of str, the most important first.
        """
        count = self._count(completed)
        if self._outer is not None:
            self._outer._progress.update(self._task, completed=completed, count=count)
        elif self._progress is not None:
            room = self._progress.console.width - len(self._description) - len(count)
            shown, self._bar.bar_width = fitted(figures, room - _REMAINING_WIDTH - 4)  # 4 spaces between 5 columns
            self._progress.update(self._task, completed=completed, figures=shown, count=count)


def print_table(title, columns, rows, caption=None, left=(), min_width=120, no_wrap=False, fold=False):
    """Prints a table on stdout; in a log file columns are not cut.

    Args:
      title: line above the table.
      columns: list of str, their headings.
      rows: list of lists of cells: str, or (str, style) with a style of rich, e.g. "red".
      caption: line below the table.
      left: headings of the columns that are aligned left; the others are aligned right.
      min_width: least width in characters where the output is not a terminal.
      no_wrap: cells stay on one line.
      fold: long cells are broken anywhere, and lines separate the rows.
    """
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left", show_lines=fold)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", no_wrap=no_wrap,
                         overflow="fold" if fold else "ellipsis")
    for row in rows:
        # Text: brackets in a cell are not markup
        table.add_row(*(Text(cell) if isinstance(cell, str) else Text(*cell) for cell in row))
    console = Console()
    console = console if console.is_terminal else Console(width=max(console.width, min_width))
    console.print(table)


def fitted(figures, room):
    """(as many of the figures as fit, joined by commas; width of the bar, which gets the rest).

    Args:
      figures: list of str, the most important first.
      room: character columns for both.
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
    """Memory in use by this process; its maximum so far where the system does not report it."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        # kilobytes, except on macOS
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
        """Counts a batch; ``waited``: seconds until it was available, None where that is not measured."""
        self.batches += 1
        self.utterances += utterances
        self.frames += frames
        if waited is not None:
            self.waited = (self.waited or 0.0) + waited

    def exclude(self, seconds):
        """Subtracts time that was spent on something else."""
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
