#!/usr/bin/env python
"""Scores a file of hypotheses against a file of references: WER, CER and SER with intervals, groups and frequent errors.

Each file is a trn (WORDS (SPEAKER-UTTERANCE)), a CSV (a manifest, or what run.py --mode=infer writes), Kaldi's text (id, blank,
words) or the eval.json of run.py --mode=eval. The first lines are those of Kaldi's compute-wer. docs/evaluation.md has the rules.
"""
import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path  # noqa: E402
from open_seq2seq.evaluation.analysis.score_files import FORMATS, MODES  # noqa: E402

COSTS = ("levenshtein", "sclite", "kaldi")


def parse(words):
    """The parsed flags of the command line ``words``."""
    parser = Parser(prog="score.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("references", type=file_path, metavar="REFERENCES")
    parser.add_argument("hypotheses", type=file_path, metavar="HYPOTHESES")
    parser.add_argument("--format", choices=FORMATS, help="format of both files (default: found from their names and contents)")
    parser.add_argument("--mode", choices=MODES, default=MODES[0],
                        help="a reference without a hypothesis is an error (strict), is skipped (present, as by sclite), or "
                             "counts as an empty hypothesis (all) (default: %(default)s)")
    parser.add_argument("--costs", choices=COSTS, default=COSTS[0],
                        help="how words are aligned: with the fewest errors, as by jiwer (levenshtein); with the costs 4/3/3 of "
                             "sclite; or as by Kaldi, whose counts are in the first lines anyway (default: %(default)s)")
    parser.add_argument("--ignore_case", action="store_true", help="convert both files to lower case (sclite does so by default, "
                                                                   "for ASCII letters)")
    parser.add_argument("--group_by", action="append", default=[], metavar="COLUMN",
                        help="also show the error rates for each value of this column of the references' CSV; may be repeated")
    parser.add_argument("--all_groups", action="store_true", help="list all groups, not only the 20 with the most errors")
    parser.add_argument("--output", type=file_path, metavar="FILE.json", help="also write the figures and all alignments to this "
                                                                              "file, in the format of eval.json")
    return parser.parse_args(words)


def score(arguments):
    """Scores the files that the flags name."""
    from open_seq2seq.errors import DataError, UsageError
    from open_seq2seq.evaluation.analysis.score_files import PRESENT, named, read_transcripts, score_transcripts, write_evaluation
    from open_seq2seq.evaluation.analysis.summary import summarize, summary_text
    from open_seq2seq.evaluation.utterance_scores import realigned
    from open_seq2seq.evaluation.word_alignment import KALDI, SCLITE
    from open_seq2seq.files import require_writable
    if arguments.output is not None:
        given = (arguments.references, arguments.hypotheses)
        if os.path.realpath(arguments.output) in map(os.path.realpath, given):
            raise UsageError("--output %s is one of the files to score and would be replaced; give another name"
                             % arguments.output)
        require_writable(arguments.output)
    files = [read_transcripts(path, arguments.format) for path in (arguments.references, arguments.hypotheses)]
    if arguments.ignore_case:
        files = [file.in_lower_case() for file in files]
    scores, missing, ignored = score_transcripts(*files, arguments.mode)
    if arguments.costs != COSTS[0]:
        scores = realigned(scores, {"sclite": SCLITE, "kaldi": KALDI}[arguments.costs])
    known = sorted({name for columns in files[0].columns.values() for name in columns})
    for name in arguments.group_by:
        if name not in known:
            raise DataError("--group_by: %s has no column %s; it has %s" % (
                arguments.references, name, ", ".join(known) or "none"))
    if ignored:
        sys.stderr.write("%d hypotheses have no reference and are ignored\n" % ignored)
    if missing:
        sys.stderr.write("%d references have no hypothesis and %s: %s\n" % (
            len(missing), "are skipped" if arguments.mode == PRESENT else "count as empty", named(missing)))
    summary = summarize(scores, missing if arguments.mode == PRESENT else (), arguments.group_by, len(missing))
    sys.stdout.write(summary_text(summary, arguments.all_groups))
    if arguments.output is not None:
        write_evaluation(arguments.output, {"references": arguments.references, "hypotheses": arguments.hypotheses,
                                            "costs": arguments.costs}, summary, scores)


def main(words):
    """Runs the command line; returns the exit status, which has the same meaning as run.py's."""
    return exit_status_of(lambda given: score(parse(given)), words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
