#!/usr/bin/env python
"""Averages checkpoints of one training into one that is often better than each of them.

It needs neither the config nor data. `run.py --mode=combine` also measures what the result is worth, looks for better weights
than equal ones, and measures batch norm's statistics anew. docs/averaging.md is the page on both.
"""
import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of  # noqa: E402
from open_seq2seq.errors import UsageError  # noqa: E402


def parse(words):
    """The flags."""
    parser = Parser(prog="average_checkpoints.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logdir", metavar="DIR", help="the run; not needed with --checkpoints")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--last", type=_count, metavar="N", help="average the newest N checkpoints")
    which.add_argument("--best", type=_count, metavar="N",
                       help="average the N with the lowest word error rates that evaluations recorded")
    which.add_argument("--checkpoints", nargs="+", metavar="PATH", help="average these, e.g. logdir/model.ckpt-120")
    parser.add_argument("--output", metavar="DIR", help="where to (default: combined/ beside the checkpoints)")
    parser.add_argument("--no_ema", action="store_true",
                        help="take the weights themselves where checkpoints have moving averages of them (ema_decay)")
    arguments = parser.parse_args(words)
    if arguments.logdir is None and arguments.checkpoints is None:
        parser.error("--last and --best need --logdir")
    return arguments


def _count(text):
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError("is %r, expected an integer at least 2" % text)
    return int(text)


def average(arguments):
    """Averages what the flags say."""
    import tensorflow.compat.v1 as tf

    from open_seq2seq.checkpoints.run_directory import RunDirectory
    from open_seq2seq.training.averaging.mode import average_checkpoints
    tf.logging.set_verbosity(tf.logging.ERROR)
    if arguments.logdir is not None and not os.path.isdir(arguments.logdir):
        raise UsageError("--logdir %s is no folder; expected that of a training" % arguments.logdir)
    directory = None if arguments.logdir is None else RunDirectory(arguments.logdir, read_only=True)
    average_checkpoints(directory, arguments.last, arguments.best, arguments.checkpoints, arguments.output,
                        averaged=not arguments.no_ema)


def main(words):
    """Runs the command line; returns the exit status, run.py's."""
    return exit_status_of(lambda given: average(parse(given)), words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
