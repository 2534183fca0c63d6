"""Utterances with every kind of error, and a page that shows them, with real audio and pictures."""
import types

import numpy as np
import pytest
import soundfile

from open_seq2seq.evaluation.analysis.summary import summarize
from open_seq2seq.evaluation.report.content import page_content, unit_of
from open_seq2seq.evaluation.report.overview import headline
from open_seq2seq.evaluation.report.page import write_page
from open_seq2seq.evaluation.report.posteriors import posteriors_of
from open_seq2seq.evaluation.report.recordings import (
    embedded_recordings,
    features_picture,
    posteriors_picture,
    words_of_best_path,
)
from open_seq2seq.evaluation.utterance_scores import score_utterance

RATE = 16000
CHARACTERS = list(" abcdefghijklmnopqrstuvwxyz'")
# id -> reference, hypothesis
TEXTS = {
    "dev.csv:2": ("one two three", "one tree three"),
    "dev.csv:3": ("four five six", "four six"),
    "dev.csv:4": ("seven eight", "seven uh eight"),
    "dev.csv:5": ("nine zero", "nine zero"),
    "dev.csv:6": ("", "uh"),
    "dev.csv:7": ("", ""),
    "dev.csv:8": ("one", ""),
    "dev.csv:9": ("<script>alert(1)</script> & \"two\" 'x'\u2028\u2029 end", "</script><img src=x onerror=alert(2)> end"),
    "dev.csv:10": ("שלום עולם טוב", "שלום עול"),
    "dev.csv:11": ("x" * 300 + " two", "x" * 299 + " two"),
    "</script>\"<b>.csv:12": ("two two", "tree two")}
FILLER = 60                            # correct utterances, so that there are several pages


@pytest.fixture(scope="session")
def scored(tmp_path_factory):
    """A factory of lists of ``UtteranceScore`` with the texts above; ``audio``: whether their files exist."""
    folder = tmp_path_factory.mktemp("audio & more")

    def make(audio=True):
        texts = list(TEXTS.items()) + [("other.csv:%d" % i, ("one two", "one two")) for i in range(2, 2 + FILLER)]
        scores = []
        for number, (name, (reference, hypothesis)) in enumerate(texts):
            # the names of those without a file are not UTF-8
            path = str(folder / ("%d #%s.wav" % (number, "" if number < len(TEXTS) else "\udcff")))
            duration = 0.5 + 0.1 * (number % 10)
            if audio and number < len(TEXTS):
                time = np.arange(int(duration * RATE)) / RATE
                soundfile.write(path, 0.3 * np.sin(2 * np.pi * 1000 * time), RATE)
            loss = float("nan") if number == 1 else 0.25 * number
            scores.append(score_utterance(name, reference, hypothesis, "%d #.wav" % number, path,
                                          {"speaker": "s%d" % (number % 3)}, duration, loss, 0.1))
        return scores
    return make


def views_of(scores):
    """Pictures in which the network spells each hypothesis, a character each 40 ms."""
    def views(number, samples):
        text = "".join(character for character in scores[number].hypothesis if character in CHARACTERS)
        frames = 2 * len(text) + 2
        logits = np.zeros([frames, len(CHARACTERS) + 1])
        logits[:, -1] = 6.0
        logits[1 + 2 * np.arange(len(text)), [CHARACTERS.index(character) for character in text]] = 12.0
        posteriors = posteriors_of(logits)
        return {"features": features_picture(np.random.RandomState(number).rand(100, 40), "40 bands"),
                "posteriors": posteriors_picture(posteriors, CHARACTERS, 0.02 * frames),
                "words": words_of_best_path(posteriors.best_path, CHARACTERS, 0.02)}
    return views


@pytest.fixture
def write(tmp_path):
    """A factory: writes the page of scores and returns its path; ``embedded``: numbers of the utterances with recordings."""
    def write_scores(scores, embedded=(), comparison=None, groups=(), name="eval.html"):
        recordings = embedded_recordings(scores, list(embedded), RATE, 1 << 20, views_of(scores))
        unit = unit_of(score.reference for score in scores)
        content = page_content(scores, str(tmp_path), {
            "headline": headline(summarize(scores), unit), "facts": [["Checkpoint", "model-<3>"]], "notes": ["A note & more."],
            "groups": list(groups)}, [number for number, _ in recordings], comparison)
        path = tmp_path / name
        with open(str(path), "w", encoding="utf-8") as file:
            write_page(file, "Evaluation of <mine>", "dev.csv", content, recordings)
        return types.SimpleNamespace(path=path, url=path.as_uri(), content=content, recordings=dict(recordings), scores=scores)
    return write_scores
