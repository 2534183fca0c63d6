#!/usr/bin/env python
"""Compares two evaluations of the same data: word error rates, whether their difference is significant, changed utterances.

A and B are each the eval.json of run.py --mode=eval, the folder of a run that has one, or with --references a file of hypotheses:
trn, CSV or Kaldi's text. The tests are the matched-pairs test (MAPSSWE), McNemar's, and over speakers the sign test and
Wilcoxon's. docs/evaluation.md explains them.
"""
import argparse
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cli import Parser, exit_status_of, file_path, whole_number  # noqa: E402


def parse(words):
    """The parsed flags of the command line ``words``."""
    parser = Parser(prog="compare_evaluations.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=file_path, metavar="A")
    parser.add_argument("b", type=file_path, metavar="B")
    parser.add_argument("--references", type=file_path, metavar="FILE",
                        help="the references of A and B if these are files of hypotheses: trn, CSV or Kaldi's text")
    parser.add_argument("--sclite_costs", action="store_true",
                        help="align words with sclite's costs 4/3/3; the matched-pairs test then equals that of sc_stats")
    parser.add_argument("--ignore_case", action="store_true", help="convert all texts to lower case")
    parser.add_argument("--show", type=whole_number(0), default=20, metavar="N",
                        help="list up to N utterances that became better, and as many that became worse (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    return parser.parse_args(words)


def compare_files(arguments):
    """Compares the evaluations that the flags name."""
    from open_seq2seq.evaluation.analysis.comparison import compare, comparison_text
    scores = [_scores(path, arguments) for path in (arguments.a, arguments.b)]
    result = compare(*scores)
    if arguments.json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    else:
        sys.stdout.write(comparison_text(result, arguments.a, arguments.b, arguments.show))


def _scores(path, arguments):
    from open_seq2seq.errors import UsageError
    from open_seq2seq.evaluation.analysis.score_files import read_transcripts, score_transcripts
    from open_seq2seq.evaluation.utterance_scores import realigned, score_utterance
    from open_seq2seq.evaluation.word_alignment import SCLITE
    file = read_transcripts(path)
    if arguments.ignore_case:
        file = file.in_lower_case()
    if file.scores is not None and not arguments.ignore_case:
        scores = file.scores
    elif file.scores is not None:
        scores = [score_utterance(score.id, score.reference, score.hypothesis, score.wav_filename, columns=score.columns)
                  for score in file.scores]
    elif arguments.references is None:
        raise UsageError("%s has hypotheses only; give the file of their references with --references" % path)
    else:
        references = read_transcripts(arguments.references)
        scores, _, _ = score_transcripts(references.in_lower_case() if arguments.ignore_case else references, file)
    return realigned(scores, SCLITE) if arguments.sclite_costs else scores


def main(words):
    """Runs the command line; returns the exit status, which has the same meaning as run.py's."""
    return exit_status_of(lambda given: compare_files(parse(given)), words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
