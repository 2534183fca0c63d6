"""What every importer's command line shares: how it ends, progress."""
import contextlib
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from open_seq2seq.cli import exit_status_of
from open_seq2seq.errors import StorageError


def run_importer(main, arguments=None):
    """Runs ``main(arguments)`` and returns the exit status for ``sys.exit``; a file that cannot be read or written is 3."""
    def command(words):
        try:
            main(words)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError("%s%s" % (error.strerror or error, ": %s" % error.filename if error.filename else ""))
    return exit_status_of(command, arguments, advice="Nothing was written")


@contextlib.contextmanager
def progress_bar(label, total):
    """Yields a function that is called once for each finished item.

    On a terminal a bar with the time left; elsewhere one line when the work is done, so that a log stays readable.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        started = time.monotonic()
        yield lambda: None
        print("%s: %d done, %.0f s" % (label, total, time.monotonic() - started), file=sys.stderr, flush=True)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
               TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=total)
        yield lambda: progress.advance(task)
