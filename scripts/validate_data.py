#!/usr/bin/env python
"""Finds what is wrong with manifests and their audio, and writes a report and a repaired copy. docs/validation.md has all checks.

The manifests CSV... are one set. Exit status: 0 no errors (warnings may have been found), 3 errors, 2 invalid command line.
run.py --mode=validate_data --config_file=FILE checks the sets of a config, with its vocabulary, features and network.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path, whole_number  # noqa: E402


def _seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 10.0:
        raise argparse.ArgumentTypeError("is %r, expected seconds above 0, e.g. 0.02" % text)
    return value


def parse(words):
    """The parsed flags of the command line ``words``."""
    parser = Parser(prog="validate_data.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifests", nargs="+", type=file_path, metavar="CSV")
    parser.add_argument("--against", nargs="+", type=file_path, default=[], metavar="CSV",
                        help="manifests of the evaluation: their audio, speakers and sentences must not be in CSV...")
    parser.add_argument("--mode", choices=("train", "eval", "infer"), default="train",
                        help="what CSV... are for: training rejects more than an evaluation; infer needs no transcripts "
                             "(default: %(default)s)")
    parser.add_argument("--vocab", type=file_path, metavar="FILE", help="vocabulary of the model (default: any character)")
    parser.add_argument("--headers", action="store_true",
                        help="read only headers, which is much faster: clipping, levels and silence within a recording are not "
                             "checked, and copies of audio are found only if the files are equal")
    parser.add_argument("--sample_rate", type=whole_number(1000), default=16000, metavar="HZ",
                        help="of the model (default: %(default)s)")
    parser.add_argument("--frame_seconds", type=_seconds, default=0.02, metavar="S",
                        help="time between two frames of the model's output, for what CTC can align (default: %(default)s)")
    parser.add_argument("--output", type=file_path, default="validation", metavar="FOLDER",
                        help="for validation.html, validation.json, fixed.csv and dropped.csv (default: %(default)s)")
    parser.add_argument("--workers", type=whole_number(1), metavar="N", help="processes (default: one for each core)")
    return parser.parse_args(words)


def validate_manifests(arguments):
    """Validates the manifests that the flags name."""
    from open_seq2seq.data.validation.command import run_validation
    from open_seq2seq.data.validation.rows import DataSet, Model
    from open_seq2seq.text.vocabulary import Vocabulary
    vocabulary = Vocabulary.from_file(arguments.vocab) if arguments.vocab else None
    samples = arguments.sample_rate * arguments.frame_seconds
    model = Model(arguments.sample_rate, vocabulary, lambda count: -(-count // samples))
    sets = [DataSet("data", arguments.mode, arguments.manifests, model)]
    if arguments.against:
        sets.append(DataSet("against", "infer" if arguments.mode == "infer" else "eval", arguments.against, model))
    run_validation(sets, [("data", "against")] if arguments.against else [], arguments.output, ["data"],
                   not arguments.headers, arguments.workers)


def main(words):
    """Runs the command line; returns the exit status, which has the same meaning as run.py's."""
    return exit_status_of(lambda given: validate_manifests(parse(given)), words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
