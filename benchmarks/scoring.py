"""Time of scoring: alignments, groups, intervals, files and a comparison, next to jiwer and the bare edit distances of rapidfuzz.

    python benchmarks/scoring.py [--utterances 100000] [--words 15]

Random text of a vocabulary with Zipf's frequencies; a tenth of the words of a hypothesis is wrong. One process; CPU seconds.
"""
import argparse
import json
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


class Clock:
    """CPU seconds of steps, printed as they end.

    Attributes:
      seconds: dict from the name of a step.
    """

    def __init__(self):
        self.seconds, self._reference = {}, None

    def __call__(self, name, function):
        """Runs a step; returns its result. The first step is what the others are compared with."""
        begin = time.process_time()
        result = function()
        seconds = self.seconds[name] = time.process_time() - begin
        self._reference = self._reference or seconds
        print("%-58s %7.2f s  %6.1f times rapidfuzz" % (name, seconds, seconds / self._reference))
        return result


def main(words):
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=100000)
    parser.add_argument("--words", type=float, default=15.0, help="words of an utterance, mean")
    arguments = parser.parse_args(words)
    references, system_a, system_b = corpus(arguments.utterances, arguments.words, np.random.RandomState(0))
    columns = [{"speaker": "s%d" % (place % SPEAKERS), "snr": str(5 * (place % 5))} for place in range(arguments.utterances)]
    print("%d utterances, %d words" % (arguments.utterances, sum(len(text.split()) for text in references)))
    clock = Clock()
    clock("rapidfuzz: distances of words and of characters", lambda: [
        (Levenshtein.distance(reference.split(), hypothesis.split()), Levenshtein.distance(reference, hypothesis))
        for reference, hypothesis in zip(references, system_a)])
    try:
        import jiwer
        clock("jiwer: process_words and process_characters", lambda: (
            jiwer.process_words(references, system_a), jiwer.process_characters(references, system_a)))
    except ImportError:
        print("jiwer is not installed")

    def scored(hypotheses):
        return [score_utterance("u%d" % place, reference, hypothesis, "u%d.wav" % place, columns=columns[place], duration=3.0)
                for place, (reference, hypothesis) in enumerate(zip(references, hypotheses))]

    def summarized():
        summary = summarize(scores_a)
        summary_text(summary)
        return summary

    scores_a = clock("ours: alignments and counts of words and characters", lambda: scored(system_a))
    summary = clock("ours: groups, intervals, Kaldi's counts, confusions, text", summarized)
    with tempfile.TemporaryDirectory() as folder:
        clock("ours: eval.json, trn and stm files", lambda: write_evaluation_files(folder, {}, summary, scores_a))
    scores_b = scored(system_b)
    clock("ours: comparison of two systems with all tests", lambda: compare(scores_a, scores_b))
    total = clock.seconds["ours: all of it"] = sum(seconds for name, seconds in clock.seconds.items() if name.startswith("ours"))
    print("%-58s %7.2f s" % ("ours: all of it", total))
    clock("ours: alignment with sclite's costs instead", lambda: realigned(scores_a, SCLITE))
    print(json.dumps({"utterances": arguments.utterances, "cpu_seconds": clock.seconds}))


if __name__ == "__main__":
    main(sys.argv[1:])
