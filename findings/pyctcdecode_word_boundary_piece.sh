#!/usr/bin/env bash
# pyctcdecode splits words at random places where the vocabulary has the piece "▁", as each SentencePiece vocabulary has.
#
# Software:  pyctcdecode 0.5.0, ctc-beam-decoder 0.2.0 (a C++ version that does the same); sentencepiece 0.2.1 makes the vocabulary
# Seen:      2026-11-30, CPython 3.11
# Behavior:  A piece that ends in "▁" makes the next piece start a new word. The lone piece "▁" counts as one that ends in it (so does
#            <unk>), and the note is kept for the whole search, not for the hypothesis that used the piece: as soon as "▁" is considered
#            in a frame (probability above 0.0067, the default token_min_logp of -5), the next piece of another hypothesis is split off.
#            The output "▁he" (0.99), "llo" (0.99) with 0.01 for "▁" is decoded as "he llo"; with 0.005, as "hello". On 60 sentences with
#            average peaks of 0.96 to 0.99, greedy decoding has no error and the beam search a WER of 1.6 to 7 %, by splits alone: "h
#            ome", "cu p". No message. Models of characters with a space are not affected.
# Hurt:      whoever decodes a CTC model of word pieces (NeMo's BPE models, SentencePiece vocabularies of wav2vec 2.0 or Conformer): the
#            beam search is worse than greedy decoding where the model is unsure, and a language model pays for the halves of words.
# What to do: compare with greedy decoding before tuning; use another decoder for word pieces (flashlight-text), or a token_min_logp of
#            -2: no split here, and fewer alternatives for the language model.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages pyctcdecode==0.5.0 ctc-beam-decoder==0.2.0 sentencepiece==0.2.1 numpy==1.26.4 jiwer==4.0.0
"$python" - <<'PYTHON'
import logging
import random
import sys

import ctc_beam_decoder
import jiwer
import numpy as np
import pyctcdecode
import sentencepiece

logging.disable(logging.CRITICAL)
as_described = True
labels = ["▁he", "llo", "▁", ""]
for boundary, expected in ((0.01, "he llo"), (0.005, "hello")):
    rest = 0.001
    peak = 1 - boundary - 2 * rest
    output = np.log([[peak, rest, boundary, rest], [rest, peak, boundary, rest]])
    found = [module.build_ctcdecoder(labels).decode(output) for module in (pyctcdecode, ctc_beam_decoder)]
    print("'▁he', 'llo' with %.3f for '▁': pyctcdecode %r, ctc-beam-decoder %r" % (boundary, *found))
    as_described = as_described and found == [expected, expected]

random.seed(1)
parts = [part.split("|") for part in (
    "the cat|the dog|a man|she|he|they|the old man|my sister|we", "saw|heard|likes|found|called|took",
    "the cat|the dog|a book|music|her|him|the red car|a cup of tea|water", "|today|again|in the morning|at home|with him|every day")]
sentences = [" ".join(" ".join(random.choice(part) for part in parts).split()) for _ in range(600)]
with open("text", "w") as file:
    file.write("\n".join(sentences))
sentencepiece.SentencePieceTrainer.train(input="text", model_prefix="pieces", vocab_size=50, minloglevel=2, num_threads=1)
pieces = sentencepiece.SentencePieceProcessor(model_file="pieces.model")
labels = [pieces.id_to_piece(index) for index in range(len(pieces))] + [""]
blank, generator = len(pieces), np.random.default_rng(0)


def network_output(sentence, peak, confusion):
    """Log probabilities in which the pieces of SENTENCE are the most likely ones."""
    frames = []
    for index in pieces.encode(sentence):
        frames += [blank] * (frames[-1:] == [index]) + [index] + [blank] * int(generator.integers(0, 2))
    logits = generator.standard_normal((len(frames), len(labels)))
    logits[np.arange(len(frames)), frames] += peak
    logits[:, labels.index("▁")] += confusion
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def greedy(output):
    best = output.argmax(1)
    kept = [int(index) for index, previous in zip(best, [-1, *best[:-1]]) if index not in (previous, blank)]
    return pieces.decode(kept)


for peak, confusion in ((8, 0), (10, 2), (12, 4)):
    outputs = [network_output(sentence, peak, confusion) for sentence in sentences[:60]]
    texts = {"greedy": [greedy(output) for output in outputs]}
    for module in (pyctcdecode, ctc_beam_decoder):
        decoder = module.build_ctcdecoder(labels)
        texts[module.__name__] = [decoder.decode(output) for output in outputs]
    decoder = pyctcdecode.build_ctcdecoder(labels)
    texts["token_min_logp -2"] = [decoder.decode(output, token_min_logp=-2) for output in outputs]
    rates = {name: jiwer.wer(sentences[:60], decoded) for name, decoded in texts.items()}
    print("average peak %.3f; WER: %s" % (np.mean([np.exp(output).max(1).mean() for output in outputs]),
                                          ", ".join("%s %.1f %%" % (name, 100 * rate) for name, rate in rates.items())))
    wrong = [(sentence, decoded) for sentence, decoded in zip(sentences, texts["pyctcdecode"]) if sentence != decoded]
    print("    %r for %r" % wrong[0][::-1])
    as_described = (as_described and rates["greedy"] == 0 and rates["pyctcdecode"] > 0.01
                    and all(sentence.replace(" ", "") == decoded.replace(" ", "") for sentence, decoded in wrong))
sys.exit(0 if as_described else "CHANGED")
PYTHON
