#!/usr/bin/env python
"""The command line: see ``python run.py --help``."""
import errno
import os
import sys

# TensorFlow's remarks on the CPU's instruction sets, and its error about a GPU driver on a machine that has none, are no
# news to anybody; set it to 0 to see them
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if os.path.exists("/dev/nvidiactl") else "3")

from open_seq2seq.errors import JasperError  # noqa: E402
from open_seq2seq.modes import run  # noqa: E402
from open_seq2seq.training.signals import StoppedBySignal  # noqa: E402

RED, RESET = "\033[31m", "\033[0m"


def main(words):
    """Runs the command line; returns the exit status."""
    try:
        run(words)
    except JasperError as error:
        message = "%s: %s" % (type(error).__name__, error)
        print(RED + message + RESET if sys.stderr.isatty() else message, file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:
        _silence_stdout()
        print("The reader of the output went away; stopped", file=sys.stderr)
        return 3
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        _silence_stdout()
        print("StorageError: %s. The output or a file of the run could not be written; free some space and go on with "
              "--continue_learning" % error, file=sys.stderr)
        return 3
    except StoppedBySignal as stop:
        print(stop, file=sys.stderr)
        return stop.exit_status
    except KeyboardInterrupt:
        print("Interrupted. A run that had saved a checkpoint goes on with --continue_learning", file=sys.stderr)
        return 130
    return 0


def _silence_stdout():
    """Python writes what is left of stdout when it exits, and would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
