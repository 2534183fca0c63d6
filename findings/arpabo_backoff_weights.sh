#!/usr/bin/env bash
# Language models of arpabo have no back-off weights: the probabilities after a word add up to 1.7 or 2.8, and perplexities mean nothing.
#
# Software:  arpabo 0.3.0; kenlm 0.3.0 to read the models, kaldingram 0.1.2 as comparison
# Seen:      2026-11-30, CPython 3.11
# Behavior:  With each smoothing method the back-off weight of all or nearly all n-grams is written as 0.0000, a factor of 1, whatever was
#            discounted. On 600 sentences of 37 words, p(word | history) over all words adds up to 1.4 to 1.8 for the median history and
#            to 2.0 to 2.9 for the worst; kaldingram's model of the same text adds up to 1.000. Perplexities mean little: read by KenLM,
#            good_turing has 3.4 and the well-formed model 3.5, and divided by its sums good_turing has 6.2; --eval and
#            --compare-smoothing of arpabo do not divide either. (The files separate by spaces and begin with a comment, so KenLM does not
#            read them as they are; PocketSphinx does.)
# Hurt:      whoever picks the order or the smoothing of a decoder's language model by it, or decodes with it: unseen word pairs cost too
#            little, and language model weights tuned with other models do not carry over.
# What to do: estimate the model with KenLM's lmplz, SRILM or kaldingram; test a model by adding up p(word | history) over the vocabulary.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages arpabo==0.3.0 kaldingram==0.1.2 kenlm==0.3.0
"$python" - <<'PYTHON'
import random

random.seed(1)
parts = [part.split("|") for part in (
    "the cat|the dog|a man|she|he|they|the old man|my sister|we", "saw|heard|likes|found|called|took",
    "the cat|the dog|a book|music|her|him|the red car|a cup of tea|water", "|today|again|in the morning|at home|with him|every day")]
for name, count in (("train.txt", 600), ("test.txt", 100)):
    with open(name, "w") as file:
        for _ in range(count):
            file.write(" ".join(" ".join(random.choice(part) for part in parts).split()) + "\n")
PYTHON
for method in good_turing kneser_ney auto fixed; do
    environment/bin/arpabo train.txt -o "$method.lm" -m 3 -s "$method" --eval test.txt > "$method.log" 2>&1
done
environment/bin/kaldingram train --ngram-order 3 --text train.txt --lm kaldingram.lm > kaldingram.log 2>&1
"$python" - 2> /dev/null <<'PYTHON'
import math
import re
import statistics
import sys

import kenlm


def as_kenlm_reads(name):
    """Rewrites NAME.lm with tabs and without its first lines; returns the histories, the vocabulary and the back-off weights."""
    order, histories, vocabulary, weights = 0, {()}, [], []
    text = open(name + ".lm").read()
    with open(name + ".arpa", "w") as file:
        for line in text[text.index("\\data\\"):].split("\n"):
            header, fields = re.match(r"\\(\d)-grams:", line), line.split()
            if header:
                order = int(header.group(1))
            elif order and len(fields) > order:
                words = fields[1:1 + order]
                line = "\t".join([fields[0], " ".join(words)] + fields[1 + order:])
                weights += fields[1 + order:]
                vocabulary += words if order == 1 else []
                histories.add(tuple(words[:-1]))
            file.write(line + "\n")
    return histories, [word for word in vocabulary if word != "<s>"], weights


def sums(name):
    histories, vocabulary, weights = as_kenlm_reads(name)
    model, result = kenlm.Model(name + ".arpa"), {}
    for history in histories:
        state, after = kenlm.State(), kenlm.State()
        model.NullContextWrite(state)
        for word in history:
            if word == "<s>":
                model.BeginSentenceWrite(after)
            else:
                model.BaseScore(state, word, after)
            state, after = after, kenlm.State()
        result[history] = sum(10 ** model.BaseScore(state, word, after) for word in vocabulary)
    logs, divided = [], []
    for line in open("test.txt"):
        words = ["<s>"] + line.split() + ["</s>"]
        for index, (log, _, _) in enumerate(model.full_scores(line.strip()), 1):
            history = tuple(words[max(0, index - 2):index])
            while history not in result:
                history = history[1:]
            logs.append(log)
            divided.append(log - math.log10(result[history]))
    perplexities = [10 ** (-sum(values) / len(values)) for values in (logs, divided)]
    return statistics.median(result.values()), max(result.values()), weights, perplexities


as_described, found = True, {}
for name in ("good_turing", "kneser_ney", "auto", "fixed", "kaldingram"):
    median, largest, weights, perplexities = found[name] = sums(name)
    print("%-11s sums of probabilities: median %.3f, largest %.3f; weights %d, not 0: %d; perplexity %.2f, divided by the sums %.2f" % (
        name, median, largest, len(weights), sum(float(weight) != 0 for weight in weights), *perplexities))
    if name == "kaldingram":
        as_described = as_described and abs(median - 1) < 1e-3 and abs(largest - 1) < 1e-3
    else:
        as_described = as_described and median > 1.3 and largest > 1.9 and weights.count("0.0000") > 0.95 * len(weights)
lower, higher = (found["good_turing"][3][index] - found["kaldingram"][3][index] for index in (0, 1))
as_described = as_described and lower < 0 < higher
sys.exit(0 if as_described else 1)
PYTHON
