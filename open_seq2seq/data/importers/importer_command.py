"""What the command lines of all importers share: the exit status and the progress bar."""
import contextlib
import sys
import time

from open_seq2seq.cli import exit_status_of
from open_seq2seq.errors import StorageError
from open_seq2seq.progress import ProgressBar


def run_importer(main, arguments=None):
    """Runs ``main(arguments)`` and returns the exit status for ``sys.exit``; a file that cannot be read or written is 3."""
    def command(arguments):
        try:
            main(arguments)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StorageError("%s%s" % (error.strerror or error, ": %s" % error.filename if error.filename else ""))
    return exit_status_of(command, arguments, advice="No incomplete file was left")


@contextlib.contextmanager
def progress_bar(label, total, done=0):
    """Yields a function that is called once for each finished item; ``done`` of them were finished before.

    The function's arguments, if any, are the number of further items and a list of figures to show next to the bar.

    On a terminal there is a bar with the time left; elsewhere one line is printed when the work is done.
    """
    started, before = time.monotonic(), done
    with ProgressBar(total, completed=done, description=label, on_stderr=True) as bar:
        def advance(steps=1, figures=()):
            nonlocal done
            done += steps
            bar.update(done, figures)

        yield advance
    if not bar.is_shown:
        print("%s: %d done%s, %.0f s" % (label, done, ", %d of them before" % before if before else "",
                                         time.monotonic() - started), file=sys.stderr, flush=True)
