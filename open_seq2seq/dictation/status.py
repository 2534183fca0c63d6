"""What the user sees of a dictation: a status line on a terminal, lines elsewhere, a notification of the desktop for problems."""
import shutil
import subprocess
import sys

from rich.console import Console
from rich.live import Live
from rich.text import Text

_STYLES = {"idle": "dim", "listening": "bold red", "finishing": "yellow"}


class StatusLine:
    """The state of the dictation and the words that are not final yet, on stderr.

    On a terminal it is one line that changes. Elsewhere each change of the state is a line, and no words are printed: a log would
    keep them.

    Args:
      stream: a text file; None: ``sys.stderr``.
      hint: how the dictation is started, e.g. "hold F9".
    """

    def __init__(self, hint, stream=None):
        self._stream = stream or sys.stderr
        self._hint, self._live = hint, None
        if self._stream.isatty():
            self._live = Live(console=Console(file=self._stream), auto_refresh=False, transient=True, redirect_stdout=False,
                              redirect_stderr=False)

    def __enter__(self):
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exception):
        if self._live is not None:
            self._live.stop()

    def show(self, state, window="", partial=""):
        """Shows a state.

        Args:
          state: "idle", "listening" or "finishing".
          window: title of the window that receives the text.
          partial: words that may still change.
        """
        if self._live is not None:
            line = Text.assemble((state, _STYLES[state]), " ", window or "(%s)" % self._hint, " ", (partial, "italic dim"))
            line.no_wrap, line.overflow = True, "ellipsis"
            self._live.update(line, refresh=True)
        elif not partial:
            self._print("%s%s" % (state, " -> " + window if window else ""))

    def say(self, text):
        """Prints a line above the status line."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            self._print(text)

    def warn(self, text, private="", summary=""):
        """Prints a problem; without a terminal the desktop shows it as well.

        Args:
          text: the problem.
          private: more, with words that were dictated; it is only shown on a terminal, because a log would keep it.
          summary: what is printed in its place elsewhere.
        """
        text += summary if self._live is None else private
        self.say(text)
        if self._live is None and shutil.which("notify-send"):
            subprocess.Popen(["notify-send", "--app-name=dictation", "Dictation", text], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _print(self, text):
        print(text, file=self._stream, flush=True)
