"""What the commands in scripts/ have in common: how they end."""
import sys

from open_seq2seq.errors import JasperError

INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C


def exit_status_of(command, words):
    """Runs ``command(words)``; returns the exit status, as run.py has them.

    A mistake that a user can mend is printed on stderr without a traceback; any other exception is a bug and passes through.
    """
    try:
        command(words)
    except JasperError as error:
        print("%s: %s" % (type(error).__name__, error), file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0
