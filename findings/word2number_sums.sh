#!/usr/bin/env bash
# word2number answers wrong numbers instead of refusing: digits are added or dropped, signs and multipliers are lost.
#
# Software:  word2number 1.1
# Seen:      2026-11-29, CPython 3.11
# Behavior:  w2n.word_to_num("one two three") is 5, "five five five one two three four" is 5 too, "nineteen eighty four" 1524, "twenty
#            twenty" 40, "seventy five hundred" 450, "hundred and twenty" 2000, "minus five" 5, "two point five million" 2, "one trillion" 1.
#            None of them raises, though the package raises ValueError for other phrases that it cannot read ("ten thousand five thousand").
# Hurt:      whoever converts spoken numbers of a recognizer (telephone numbers, years, amounts) or normalizes transcripts before scoring:
#            the result is a plausible integer, and different inputs become equal.
# What to do: do not rely on its exceptions; spell the result again and compare it with the words, or take a package that keeps digit strings.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages word2number==1.1
"$python" - <<'PYTHON'
import sys

from word2number import w2n

seen = {"one two three": 5, "five five five one two three four": 5, "nineteen eighty four": 1524, "twenty twenty": 40,
        "seventy five hundred": 450, "hundred and twenty": 2000, "minus five": 5, "two point five million": 2, "one trillion": 1,
        "two thousand nineteen": 2019}
results = {text: w2n.word_to_num(text) for text in seen}
for text, number in results.items():
    print("%-36s -> %s" % (text, number))
try:
    print(w2n.word_to_num("ten thousand five thousand"))
    refused = False
except ValueError as error:
    print("%-36s -> ValueError: %s" % ("ten thousand five thousand", str(error).split("!")[0]))
    refused = True
sys.exit(0 if results == seen and refused else "CHANGED")
PYTHON
