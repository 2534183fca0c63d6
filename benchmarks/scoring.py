"""Time of scoring: alignments, groups, intervals, files and a comparison, next to jiwer and the bare edit distances of rapidfuzz.

    python benchmarks/scoring.py [--utterances 100000] [--words 15]

Random text of a vocabulary with Zipf's frequencies; a tenth of the words of a hypothesis is wrong. One process; CPU seconds.
"""
import argparse
import os
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from rapidfuzz.distance import Levenshtein  # noqa: E402

from open_seq2seq.evaluation.analysis.comparison import compare  # noqa: E402
from open_seq2seq.evaluation.analysis.summary import summarize, summary_text  # noqa: E402
from open_seq2seq.evaluation.evaluation_files import write_evaluation_files  # noqa: E402
from open_seq2seq.evaluation.utterance_scores import realigned, score_utterance  # noqa: E402
from open_seq2seq.evaluation.word_alignment import SCLITE  # noqa: E402

VOCABULARY, SPEAKERS = 20000, 500
JIWER = 10000  # utterances: its time per utterance grows with their number


def corpus(utterances, mean_words, random):
    """(references, hypotheses of system A, of system B): lists of str."""
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    vocabulary = ["".join(random.choice(letters, random.randint(1, 10))) for _ in range(VOCABULARY)]
    frequencies = 1.0 / np.arange(1, VOCABULARY + 1)
    lengths = 1 + random.poisson(mean_words - 1, utterances)
    words = random.choice(VOCABULARY, lengths.sum(), p=frequencies / frequencies.sum())

    def system(rate):
        kinds, others = random.rand(len(words)), random.randint(VOCABULARY, size=len(words))
        return [[] if kind < 0.2 * rate else [word, other] if kind < 0.4 * rate else [other] if kind < rate else [word]
                for kind, word, other in zip(kinds.tolist(), words.tolist(), others.tolist())]

    def texts(pieces):
        ends = np.cumsum(lengths)
        return [" ".join(vocabulary[word] for piece in pieces[end - length:end] for word in piece)
                for end, length in zip(ends, lengths)]
    return texts([[word] for word in words.tolist()]), texts(system(0.10)), texts(system(0.09))


def timed(name, function, reference=None):
    """Runs and prints; returns (result, seconds)."""
    begin = time.process_time()
    result = function()
    seconds = time.process_time() - begin
    print("%-58s %7.2f s%s" % (name, seconds, "" if reference is None else "  %6.1f times rapidfuzz" % (seconds / reference)))
    return result, seconds


def main(words):
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=100000)
    parser.add_argument("--words", type=float, default=15.0, help="words of an utterance, mean")
    arguments = parser.parse_args(words)
    references, system_a, system_b = corpus(arguments.utterances, arguments.words, np.random.RandomState(0))
    columns = [{"speaker": "s%d" % (place % SPEAKERS), "snr": str(5 * (place % 5))} for place in range(arguments.utterances)]
    print("%d utterances, %d words" % (arguments.utterances, sum(len(text.split()) for text in references)))
    _, bare = timed("rapidfuzz: distances of words and of characters", lambda: [
        (Levenshtein.distance(reference.split(), hypothesis.split()), Levenshtein.distance(reference, hypothesis))
        for reference, hypothesis in zip(references, system_a)])
    try:
        import jiwer
        count = min(JIWER, len(references))
        timed("jiwer: words and characters of %d utterances" % count, lambda: (
            jiwer.process_words(references[:count], system_a[:count]),
            jiwer.process_characters(references[:count], system_a[:count])), bare * count / len(references))
    except ImportError:
        print("jiwer is not installed")

    def scored(hypotheses):
        return [score_utterance("u%d" % place, reference, hypothesis, "u%d.wav" % place, columns=columns[place], duration=3.0)
                for place, (reference, hypothesis) in enumerate(zip(references, hypotheses))]

    total = 0.0
    scores_a, seconds = timed("ours: alignments and counts of words and characters", lambda: scored(system_a), bare)
    total += seconds
    summary, seconds = timed("ours: groups, intervals, Kaldi's counts, confusions, text",
                             lambda: (lambda found: (found, summary_text(found)))(summarize(scores_a))[0], bare)
    total += seconds
    with tempfile.TemporaryDirectory() as folder:
        _, seconds = timed("ours: eval.json, trn and stm files",
                           lambda: write_evaluation_files(folder, {}, summary, scores_a), bare)
    total += seconds
    scores_b = scored(system_b)
    _, seconds = timed("ours: comparison of two systems with all tests", lambda: compare(scores_a, scores_b), bare)
    total += seconds
    print("%-58s %7.2f s" % ("ours: all of it", total))
    timed("ours: alignment with sclite's costs instead", lambda: realigned(scores_a, SCLITE), bare)


if __name__ == "__main__":
    main(sys.argv[1:])
