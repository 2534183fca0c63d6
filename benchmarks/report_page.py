"""How fast the report of an evaluation opens in Chromium, and how large it is."""
import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time

import numpy as np
import soundfile

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)

from open_seq2seq.evaluation.analysis.summary import summarize  # noqa: E402
from open_seq2seq.evaluation.report.content import WORD, page_content  # noqa: E402
from open_seq2seq.evaluation.report.overview import headline  # noqa: E402
from open_seq2seq.evaluation.report.page import write_page  # noqa: E402
from open_seq2seq.evaluation.report.posteriors import posteriors_of  # noqa: E402
from open_seq2seq.evaluation.report.recordings import (  # noqa: E402
    chosen_utterances,
    embedded_recordings,
    features_picture,
    posteriors_picture,
)
from open_seq2seq.evaluation.utterance_scores import score_utterance  # noqa: E402
from tests.fixtures.chromium import Chromium  # noqa: E402

RATE, RECORDING_SECONDS = 16000, 7.0
WORDS_PER_SECOND, SPEAKERS, VOCABULARY = 2.5, 40, 5000
CHARACTERS = list(" abcdefghijklmnopqrstuvwxyz'")

# the table is filled, and the browser has drawn it
USABLE = """new Promise(done => {
    const ask = () => document.documentElement.dataset.ready ? requestAnimationFrame(() => requestAnimationFrame(
        () => done(performance.now()))) : setTimeout(ask, 1);
    ask();
})"""
TIMED = "(() => {const begin = performance.now(); %s; document.body.offsetHeight; return performance.now() - begin})()"
ACTIONS = {
    "sort_ms": "document.querySelector('#heads th:nth-child(4) button').click()",
    "search_ms": "(field => {field.value = 'ab'; field.dispatchEvent(new Event('input'))})(document.querySelector('#search'))",
    "confusion_ms": "document.querySelector('#word_tables button.link').click()"}


def make_scores(count, audio):
    """``count`` scores with the lengths of read speech and a WER of about 10 %."""
    generator = random.Random(0)
    words = ["".join(generator.choice(CHARACTERS[1:-1]) for _ in range(generator.randint(2, 9))) for _ in range(VOCABULARY)]
    scores = []
    for number in range(count):
        duration = min(max(generator.lognormvariate(1.9, 0.6), 1.0), 35.0)
        reference = [generator.choice(words) for _ in range(max(1, round(duration * WORDS_PER_SECOND)))]
        rate = 0.25 * generator.random() ** 1.5
        hypothesis = [generator.choice(words) if generator.random() < rate else word for word in reference
                      if generator.random() > 0.1 * rate]
        scores.append(score_utterance("dev.csv:%d" % (number + 2), " ".join(reference), " ".join(hypothesis), None, audio,
                                      {"speaker": "%d" % (number % SPEAKERS)}, round(duration, 2), 30.0 * rate, 0.1))
    return scores


def views(number, samples):
    """Pictures of noise, which compress worse than those of speech."""
    frames = int(100 * RECORDING_SECONDS)
    generator = np.random.RandomState(number)
    logits = 3.0 * generator.randn(frames // 2, len(CHARACTERS) + 1)
    return {"features": features_picture(generator.randn(frames, 64), "64 log-mel bands"),
            "posteriors": posteriors_picture(posteriors_of(logits), CHARACTERS, RECORDING_SECONDS), "words": []}


def write(path, count, megabytes):
    """Writes a page; returns (seconds for its content, seconds for its recordings, number of recordings)."""
    with tempfile.TemporaryDirectory() as folder:
        audio = os.path.join(folder, "audio.wav")
        time_axis = np.arange(int(RATE * RECORDING_SECONDS)) / RATE
        voice = np.sin(2 * np.pi * 150 * time_axis) * (1 + np.sin(2 * np.pi * 4 * time_axis))
        soundfile.write(audio, 0.1 * voice + 0.02 * np.random.RandomState(0).randn(len(time_axis)), RATE)
        scores = make_scores(count, audio)
        begin = time.perf_counter()
        chosen = chosen_utterances([score.words for score in scores], count if megabytes else 0)
        recordings = embedded_recordings(scores, chosen, RATE, int(megabytes * 1e6), views)
        recorded = time.perf_counter()
        content = page_content(scores, os.path.dirname(path), {
            "headline": headline(summarize(scores), WORD), "facts": [], "notes": [], "groups": []},
            [number for number, _ in recordings])
        with open(path, "w", encoding="utf-8") as file:
            write_page(file, "Evaluation", "%d utterances" % count, content, recordings)
        return time.perf_counter() - recorded, recorded - begin, len(recordings)


def measure(path):
    """Opens the page in a new browser; returns a dict of times in ms and the memory of its JavaScript in MB."""
    browser = Chromium()
    try:
        begin = time.perf_counter()
        browser.call("Page.navigate", url="file://" + path)
        browser.wait_for("location.href.startsWith('file:')")
        found = {"usable_ms": browser.evaluate(USABLE)}
        found["usable_seen_from_outside_ms"] = 1000 * (time.perf_counter() - begin)
        browser.wait_for("document.readyState === 'complete'")
        found["loaded_ms"] = browser.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
        for name, action in ACTIONS.items():
            found[name] = browser.evaluate(TIMED % action)
        found["heap_mb"] = browser.evaluate("performance.memory.usedJSHeapSize") / 1e6
        return found
    finally:
        browser.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--utterances", type=int, nargs="+", default=[1000, 10000, 50000], metavar="N")
    parser.add_argument("--megabytes", type=float, default=20.0, help="space for embedded recordings")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "eval.html")
        print("%10s %10s %8s %10s %10s %10s %8s %9s %12s %8s" % (
            "utterances", "recordings", "MB", "written s", "usable ms", "loaded ms", "sort ms", "search ms", "confusion ms",
            "heap MB"))
        for count in arguments.utterances:
            content, recordings, embedded = write(path, count, arguments.megabytes)
            turns = [measure(path) for _ in range(arguments.turns)]
            median = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
            figures.append(dict(median, utterances=count, recordings=embedded, megabytes=os.path.getsize(path) / 1e6,
                                content_seconds=content, recordings_seconds=recordings))
            print("%10d %10d %8.1f %10.1f %10.0f %10.0f %8.0f %9.0f %12.0f %8.0f" % (
                count, embedded, figures[-1]["megabytes"], content + recordings, median["usable_ms"], median["loaded_ms"],
                median["sort_ms"], median["search_ms"], median["confusion_ms"], median["heap_mb"]))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
