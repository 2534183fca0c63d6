"""What every command line shares: how a command ends, its parser, the types of its flags."""
import argparse
import difflib
import errno
import gc
import os
import sys

from open_seq2seq.errors import JasperError, StorageError, UsageError
from open_seq2seq.files import expanded_path

# Every command imports this module before TensorFlow, whose remarks on the CPU's instruction sets and on a missing GPU driver do
# not help; set the variable to 0 to see them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2" if os.path.exists("/dev/nvidiactl") else "3")

INSTALLED_COMMANDS = ("jasper-train", "jasper-transcribe", "jasper-dictate")  # as in pyproject.toml
# Imports and the graph create a million objects that stay. With Python's threshold of 700, a sixth of the start was spent
# looking for garbage among them
NEW_OBJECTS_BEFORE_COLLECTION = 100000
INTERRUPTED = 130  # what a shell reports for a program ended by Ctrl-C
RESUME_ADVICE = "If a checkpoint was saved, --continue_learning resumes from it"

_RED, _RESET = "\033[31m", "\033[0m"


def exit_status_of(command, words, advice=""):
    """Runs ``command(words)`` and returns its exit status; every command ends here.

    An error that a user can fix is printed on stderr without a traceback. Any other exception is a bug and propagates.

    Args:
      command: function of a list of str; returns the exit status, or None for 0.
      words: the command line without the program's name.
      advice: sentence that follows the message after Ctrl-C or about a full disk, e.g. how to resume.

    Returns:
      int: 0; the ``exit_status`` of a :class:`JasperError`; 3 for a closed output, a full or read-only disk; 128 + number after a
      signal.
    """
    gc.set_threshold(NEW_OBJECTS_BEFORE_COLLECTION, *gc.get_threshold()[1:])
    if hasattr(sys.stdout, "reconfigure"):
        # a path that is not valid UTF-8 can be printed; stderr escapes it anyway
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return command(words) or 0
    except JasperError as error:
        print_error(error)
        return error.exit_status
    except BrokenPipeError:
        _discard_stdout()
        print("Broken pipe: the program that read the output has ended", file=sys.stderr)
        return StorageError.exit_status
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        _discard_stdout()
        print_error(StorageError("%s. The output could not be written; free some space%s" % (error, _sentence(advice))))
        return StorageError.exit_status
    except KeyboardInterrupt as stop:
        # the message of a training that a signal stopped says what it saved
        print(str(stop) or "Interrupted" + _sentence(advice), file=sys.stderr)
        return getattr(stop, "exit_status", INTERRUPTED)


def _sentence(text):
    return ". " + text if text else ""


def print_error(error):
    """Prints an exception as one message on stderr: its class, what is wrong and how to fix it; red on a terminal."""
    message = "%s: %s" % (type(error).__name__, error)
    print(_RED + message + _RESET if sys.stderr.isatty() else message, file=sys.stderr)


def _discard_stdout():
    """Python flushes stdout at exit, and would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())


def command_name(default):
    """The name by which a user called this command: that of the installed command, else ``default``, e.g. "run.py"."""
    called = os.path.basename(sys.argv[0])
    return called if called in INSTALLED_COMMANDS else default


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no shortened flags and raises :class:`UsageError` for a wrong command line.

    The message about a misspelled flag suggests the correct one.
    """

    def __init__(self, prog, **options):
        super().__init__(prog=command_name(prog), allow_abbrev=False, **options)
        self._given = []

    def parse_known_args(self, args=None, namespace=None):
        self._given = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message):
        # a required flag that is misspelled is missing, which argparse notices first
        suggestion = self._suggestion() if "unrecognized" in message or "required" in message else ""
        raise UsageError("%s%s. See %s --help" % (suggestion, message, self.prog))

    def _suggestion(self):
        known = [flag for flag in self._option_string_actions if flag.startswith("--")]
        for argument in self._given[:self._given.index("--")] if "--" in self._given else self._given:
            flag = argument.partition("=")[0]
            if not flag.startswith("--") or flag in known:
                continue
            close = closest(flag, known)
            if close is not None:
                return "%s is unknown (did you mean %s?): " % (flag, close)
        return ""


def closest(name, known, cutoff=0.6):
    """The one of the ``known`` names that is closest to ``name``, None where none is close.

    A name that ``name`` abbreviates is close, e.g. "config_file" to "config".
    """
    name, known = str(name)[:100], list(known)
    found = difflib.get_close_matches(name, known, 1, cutoff)
    longer = [other for other in known if other.startswith(name)] if len(name) >= 4 else []
    # an abbreviation of only one name is not a misspelling of another
    if longer and (not found or len(longer) == 1):
        found = longer
    return found[0] if found else None


class _HelpWithDefaults(argparse.ArgumentDefaultsHelpFormatter):
    def _get_help_string(self, action):
        # "(default: None)" means nothing to a user
        return action.help if action.default is None else super()._get_help_string(action)


def make_parser(module, description):
    """A :class:`Parser` for ``python -m module`` whose ``--help`` shows defaults other than None."""
    return Parser(prog="python -m %s" % module, description=description, formatter_class=_HelpWithDefaults)


def file_path(text):
    """An argparse type: the path of a file or directory; a leading ``~`` becomes the home directory."""
    try:
        return expanded_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError("%r %s" % (text, error))


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


def number_between(kind, minimum, maximum, what):
    """An argparse type: a number of a kind (int, float) in a range; ``what`` says what it is, e.g. "a port"."""
    def parse(text):
        try:
            value = kind(text)
        except ValueError:
            value = None
        # not "value < minimum", which is false for NaN
        if value is None or not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError("is %r, expected %s from %s to %s" % (text, what, minimum, maximum))
        return value
    return parse


def positive_number(text):
    """An argparse type: a finite float above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    # not "value <= 0", which is false for NaN
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError("is %r, expected a finite number above 0" % text)
    return value
