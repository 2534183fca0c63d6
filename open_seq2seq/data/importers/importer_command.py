"""What every importer's command line shares: exit statuses, errors on stderr, progress."""
import argparse
import contextlib
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from open_seq2seq.errors import JasperError, StorageError

INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C


def run_importer(main, arguments=None):
    """Runs ``main(arguments)`` and returns the exit status for ``sys.exit``.

    A mistake that a user can mend is printed on stderr without a traceback and gives the status of its kind (2 for the
    command line, 3 for data and files); any other exception is a bug and passes through with its traceback.
    """
    try:
        main(arguments)
    except JasperError as error:
        _print_error(error)
        return error.exit_status
    except OSError as error:
        _print_error("%s%s" % (error.strerror or error, ": %s" % error.filename if error.filename else ""))
        return StorageError.exit_status
    except KeyboardInterrupt:
        _print_error("interrupted; nothing was left behind")
        return INTERRUPTED
    return 0


def _print_error(message):
    Console(stderr=True, soft_wrap=True, highlight=False).print("error: %s" % message, style="red", markup=False)


def make_parser(module, description):
    """An argument parser that shows defaults in ``--help`` and takes no shortened flags."""
    return argparse.ArgumentParser(prog="python -m %s" % module, description=description, allow_abbrev=False,
                                   formatter_class=argparse.ArgumentDefaultsHelpFormatter)


def whole_number(minimum):
    """An argparse type: an integer that is at least ``minimum``."""
    def parse(text):
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError("%r is not a whole number" % text)
        if value < minimum:
            raise argparse.ArgumentTypeError("%d is too small, at least %d is needed" % (value, minimum))
        return value
    return parse


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
