#!/usr/bin/env bash
# compute-wer ignores the vowel signs of Indian scripts: a Hindi hypothesis with wrong vowels has a WER of 0 %. Tags count as words.
#
# Software:  compute-wer 0.2.5 (command and Python module); jiwer 4.0.0 as comparison
# Seen:      2026-11-30, CPython 3.11
# Behavior:  The tokenizer keeps letters and digits and drops every combining mark, and a dropped mark also ends the word. Hindi का, की,
#            के and को all become the token क: a hypothesis with three wrong words in "वह राम का घर है" is reported as 0.00 %, with 6
#            reference words instead of 5. The signs of other Indian scripts (Telugu, Marathi, Bengali, Tamil) and decomposed accents (e +
#            U+0301) are treated the same way. Thai, Lao, Burmese and Khmer are split into characters and keep them. Tags are removed
#            after this step, when "<noise>" is already three tokens: with remove_tag (the default of the command) "hello <noise> there"
#            against "hello there" is 60 %. No warning.
# Hurt:      whoever scores a recognizer of Hindi, Marathi, Nepali, Bengali, Tamil, Telugu and similar languages: the rate is far too low
#            and the word count is not the number of words. Whoever has tags in the transcripts: the rate is too high.
# What to do: split at whitespace and score with jiwer or kaldialign; remove tags before scoring, and normalize to NFC.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages compute-wer==0.2.5 jiwer==4.0.0
"$python" - <<'PYTHON'
import sys
import unicodedata

import jiwer
from compute_wer.calculator import Calculator

cases = [("Hindi", "वह राम का घर है", "वह रीम की घर हो"), ("Telugu", "నేను", "నాను"),
         ("Marathi", "तो मुलगा", "ती मुलगी"),
         ("decomposed", unicodedata.normalize("NFD", "olá você"), unicodedata.normalize("NFD", "ola voce")),
         ("composed", "olá você", "ola voce"), ("tag", "hello <noise> there", "hello there")]
found = {}
for name, reference, hypothesis in cases:
    wer = Calculator(remove_tag=True).calculate(reference, hypothesis)
    found[name] = (wer.all, round(wer.wer, 2))
    print("%-11s %-20s | %-20s: %d words, WER %.0f %%; jiwer: %d words, %.0f %%" % (
        name, reference, hypothesis, wer.all, 100 * wer.wer, len(reference.split()), 100 * jiwer.wer(reference, hypothesis)))
print("tokens of the Hindi reference:", Calculator().calculate(cases[0][1], cases[0][1]).reference)
expected = {"Hindi": (6, 0.0), "Telugu": (2, 0.0), "Marathi": (3, 0.0), "decomposed": (2, 0.0), "composed": (2, 1.0), "tag": (5, 0.6)}
sys.exit(0 if all(found[name] == value for name, value in expected.items()) else "CHANGED: %s" % found)
PYTHON
