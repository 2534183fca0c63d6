"""What a person sees while a model trains or is evaluated: a bar on a terminal, nothing extra in a log."""
import sys
import time

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from open_seq2seq.log_lines import LoggedStream


class ProgressBar:
    """A bar under the log lines, on a terminal only; in a pipe or a file it does nothing.

    Args:
      total: how many steps there are.
      completed: how many were done before (a resumed run).
      description: what is going on, e.g. "training".
    """

    def __init__(self, total, completed=0, description=""):
        self._progress = None
        terminal = sys.stdout.terminal if isinstance(sys.stdout, LoggedStream) else sys.stdout
        # an evaluation within training leaves the bar to the training
        if not terminal.isatty() or isinstance(terminal, FileProxy):
            return
        console = Console(file=terminal)
        self._progress = Progress(TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
                                  TextColumn("{task.fields[figures]}"), TimeRemainingColumn(), console=console,
                                  transient=True, redirect_stdout=False, redirect_stderr=False)
        self._task = self._progress.add_task(description, total=total, completed=completed, figures="")
        self._terminal = terminal

    def __enter__(self):
        if self._progress is not None:
            self._progress.start()
            # log lines go above the bar, and still into the log file where there is one
            proxy = FileProxy(self._progress.console, self._terminal)
            if isinstance(sys.stdout, LoggedStream):
                sys.stdout.terminal = proxy
            else:
                sys.stdout = proxy
        return self

    def __exit__(self, *exception):
        if self._progress is not None:
            self._progress.stop()
            if isinstance(sys.stdout, LoggedStream):
                sys.stdout.terminal = self._terminal
            else:
                sys.stdout = self._terminal
        return False

    def update(self, completed, figures=""):
        """Moves the bar to ``completed`` and shows ``figures`` beside it."""
        if self._progress is not None:
            self._progress.update(self._task, completed=completed, figures=figures)


class Throughput:
    """Counts steps, utterances, frames and audio seconds since the last reading.

    Args:
      frame_seconds: audio seconds per feature frame.
      clock: function that returns seconds.
    """

    def __init__(self, frame_seconds, clock=time.monotonic):
        self._frame_seconds, self._clock = frame_seconds, clock
        self.restart()

    def restart(self):
        self._since, self.steps, self.utterances, self.frames = self._clock(), 0, 0, 0

    def add(self, utterances, frames):
        self.steps += 1
        self.utterances += utterances
        self.frames += frames

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
    def seconds_per_step(self):
        return self.seconds / max(self.steps, 1)


def clock_text(seconds):
    """Hours, minutes, seconds as OpenSeq2Seq prints a step's time: ``0:00:1.074``."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return "%d:%02d:%.3f" % (hours, minutes, rest)
