#!/usr/bin/env python
"""Averages checkpoints of one training into one checkpoint, which often has a lower word error rate than each of them.

It needs neither the config nor data. `run.py --mode=combine` also evaluates the result, searches for better weights than equal
ones, and measures the statistics of batch norm again. docs/averaging.md describes both.
"""
import argparse
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path, whole_number  # noqa: E402
from open_seq2seq.errors import UsageError  # noqa: E402


def parse(words):
    """The parsed flags of the command line ``words``."""
    parser = Parser(prog="average_checkpoints.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logdir", type=file_path, metavar="DIR", help="the training's logdir; not needed with --checkpoints")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--last", type=whole_number(2), metavar="N", help="average the newest N checkpoints")
    which.add_argument("--best", type=whole_number(2), metavar="N",
                       help="average the N checkpoints with the lowest word error rates in recorded evaluations")
    which.add_argument("--checkpoints", nargs="+", type=file_path, metavar="PATH",
                       help="average these checkpoints, e.g. logdir/model.ckpt-120")
    parser.add_argument("--output", type=file_path, metavar="DIR",
                        help="the output folder (default: combined/ next to the checkpoints)")
    parser.add_argument("--no_ema", action="store_true",
                        help="average the weights, not their moving averages, where checkpoints have both (ema_decay)")
    arguments = parser.parse_args(words)
    if arguments.logdir is None and arguments.checkpoints is None:
        parser.error("--last and --best need --logdir")
    return arguments


def average(arguments):
    """Averages the checkpoints that the flags select."""
    import tensorflow.compat.v1 as tf

    from open_seq2seq.checkpoints.run_directory import RunDirectory
    from open_seq2seq.training.averaging.mode import average_checkpoints
    tf.logging.set_verbosity(tf.logging.ERROR)
    if arguments.logdir is not None and not os.path.isdir(arguments.logdir):
        raise UsageError("--logdir %s is not a folder; expected the logdir of a training" % arguments.logdir)
    directory = None if arguments.logdir is None else RunDirectory(arguments.logdir)
    average_checkpoints(directory, arguments.last, arguments.best, arguments.checkpoints, arguments.output,
                        averaged=not arguments.no_ema)


def main(words):
    """Runs the command line; returns the exit status, which has the same meaning as run.py's."""
    return exit_status_of(lambda given: average(parse(given)), words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
