#!/usr/bin/env bash
# NLTK's perplexity counts the end of a sentence n - 1 times: the longer the n-grams, the better a model looks, also when it is worse.
#
# Software:  nltk 3.10.4 (nltk.lm)
# Seen:      2026-11-30, CPython 3.11
# Behavior:  pad_both_ends and padded_everygram_pipeline, which the documentation uses for training and test, put n - 1 end symbols after
#            each sentence. In training they teach that an end symbol follows an end symbol; in perplexity() each of them is an event with
#            a probability of nearly 1, and the sentence counts as n - 2 words longer. On 30 sentences of training text the perplexity of
#            Witten-Bell models per word and one end is 7.8, 8.0, 9.0, 10.3 and 11.7 for n = 2 to 6; perplexity() reports 7.8, 6.2, 5.6,
#            5.2 and 4.9. KenLM, SRILM and other tools count one end per sentence. Bigrams are not affected. No warning.
# Hurt:      whoever chooses the order or the smoothing of a decoder's language model by it, or compares the number with KenLM's: short
#            utterances (commands, digits) are affected most.
# What to do: drop the last n - 2 n-grams of each padded test sentence: list(ngrams(pad_both_ends(words, n), n))[:len(words) + 1].
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages nltk==3.10.4
"$python" -W ignore - <<'PYTHON'
import random
import sys

from nltk.lm import WittenBellInterpolated
from nltk.lm.preprocessing import pad_both_ends, padded_everygram_pipeline
from nltk.util import ngrams

random.seed(1)
parts = [part.split("|") for part in (
    "the cat|the dog|a man|she|he|they|the old man|my sister|we", "saw|heard|likes|found|called|took",
    "the cat|the dog|a book|music|her|him|the red car|a cup of tea|water", "|today|again|in the morning|at home|with him|every day")]
sentences = [" ".join(random.choice(part) for part in parts).split() for _ in range(400)]
train, test = sentences[:30], sentences[300:]
reported, right = [], []
for order in range(2, 7):
    model = WittenBellInterpolated(order)
    model.fit(*padded_everygram_pipeline(order, train))
    padded = [list(ngrams(pad_both_ends(sentence, n=order), order)) for sentence in test]
    reported.append(model.perplexity(sum(padded, [])))
    right.append(model.perplexity(sum((grams[:len(sentence) + 1] for grams, sentence in zip(padded, test)), [])))
    print("n = %d: perplexity() %.2f on %d n-grams; one end per sentence %.2f; p(</s> | </s> ...) %.4f" % (
        order, reported[-1], sum(map(len, padded)), right[-1], model.score("</s>", ["</s>"] * (order - 1)) if order > 2 else float("nan")))
as_described = (abs(reported[0] - right[0]) < 1e-9 and all(later < earlier for earlier, later in zip(reported, reported[1:]))
                and all(later > earlier for earlier, later in zip(right, right[1:])))
sys.exit(0 if as_described else "CHANGED")
PYTHON
