#!/usr/bin/env bash
# pyctcdecode takes a hot phrase apart: "bank of america" raises each "of", and "turn off the light" becomes "turn of the light".
#
# Software:  pyctcdecode 0.5.0
# Seen:      2026-11-30, CPython 3.11
# Behavior:  The README passes a phrase as a hot word (hotwords=["looney tunes", ...]). decode splits each phrase at its spaces, and each of
#            its words gets hotword_weight (10, a factor of 22,026) wherever it stands: "america of bank" is raised by 30 as "bank of
#            america" is, "a cup of tea" by 10. With three phrases that nobody says below, eight short sentences get a WER of 34 %,
#            although the acoustic model gives the right character 95 % and greedy decoding has 0 %: off, often and offer become "of",
#            them, then, they and mother "the", which have 4 % for each character that is left out. With the rare words alone it is 0 %.
# Hurt:      whoever passes product names, titles or commands with small words in them ("turn on the light"): each such word is put in
#            place of longer ones that the model hears well, in all recordings. The more phrases, the more words.
# What to do: pass only the rare words of each phrase (shown), or have the phrases in the text of a language model.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages pyctcdecode==0.5.0 numpy==1.26.4
"$python" - 2> errors.log <<'PYTHON' || { cat errors.log >&2; exit 1; }
import sys

import numpy as np
from pyctcdecode import build_ctcdecoder

LABELS = [""] + list(" abcdefghijklmnopqrstuvwxyz")
PHRASES = ["bank of america", "lord of the rings", "gone with the wind"]
RARE = ["bank", "america", "lord", "rings", "wind"]
SENTENCES = ["turn off the light", "we often talk to them", "then they called my mother", "switch it off again",
             "he ran within an hour", "tell them that we agree", "the offer is good", "they were late"]
decoder = build_ctcdecoder(LABELS)


def log_probabilities(text):
    """A frame for each character, at 95 %, and a blank before each; 4 % are for the blank in a character's frame."""
    frames = np.full((2 * len(text) + 1, len(LABELS)), 0.01 / (len(LABELS) - 2))
    frames[:, 0] = 0.04
    frames[::2, 0] = 1 - frames[0, 1:].sum()
    for position, character in enumerate(text):
        frames[2 * position + 1, LABELS.index(character)] = 0.95
    return np.log(frames / frames.sum(axis=1, keepdims=True))


def greedy(frames):
    best = frames.argmax(axis=1)
    return "".join(LABELS[one] for one, before in zip(best, [0] + list(best)) if one != before)


def errors(reference, hypothesis):
    """Number of wrong words; distance of Levenshtein."""
    row = list(range(len(hypothesis) + 1))
    for number, word in enumerate(reference, 1):
        last, row = row, [number]
        for place, other in enumerate(hypothesis, 1):
            row.append(min(last[place] + 1, row[-1] + 1, last[place - 1] + (word != other)))
    return row[-1]


def rate(name, decode):
    wrong = 0
    for sentence in SENTENCES:
        text = decode(log_probabilities(sentence))
        wrong += errors(sentence.split(), text.split())
        if text != sentence:
            print("    %s -> %s" % (sentence, text))
    wer = 100 * wrong / sum(len(sentence.split()) for sentence in SENTENCES)
    print("%-64s WER %.1f %%" % (name, wer))
    return wer


def bonus(text):
    """By how much the hot phrase raises the score of the text."""
    frames = log_probabilities(text)
    scores = []
    for hot in (None, PHRASES[:1]):
        scores.append(next(beam[-1] for beam in decoder.decode_beams(frames, hotwords=hot) if beam[0] == text))
    return round(scores[1] - scores[0], 2)


rates = [rate("greedy", greedy), rate("beam search", decoder.decode),
         rate("hot words: " + ", ".join(RARE), lambda frames: decoder.decode(frames, hotwords=RARE)),
         rate("hot words: " + ", ".join(PHRASES), lambda frames: decoder.decode(frames, hotwords=PHRASES))]
bonuses = {text: bonus(text) for text in ("bank of america", "america of bank", "a cup of tea", "a loud bang")}
print("bonus by the hot phrase 'bank of america':", bonuses)
sys.exit(0 if rates[:3] == [0, 0, 0] and round(rates[3]) == 34 and list(bonuses.values()) == [30, 30, 10, 0] else "CHANGED")
PYTHON
