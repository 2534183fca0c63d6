#!/usr/bin/env bash
# text2num moves digits between numbers that follow each other: "one hundred two hundred three hundred" becomes "102 103 100".
#
# Software:  text2num 3.1.0 (alpha2digit)
# Seen:      2026-11-29, CPython 3.11
# Behavior:  After "hundred" or "thousand" the next number word is taken as units of the same number, also when a multiplier follows it
#            that shows that a new number has begun: "between one hundred and two hundred" -> "between 102 100", "one thousand two
#            thousand" -> "1002 1000"; in French "entre cent et deux cents" -> "entre 102 100", in Spanish "mil dos mil" -> "1002 1000".
#            German "hundert zweihundert" and English "twenty one twenty two" are right. A comma between the numbers prevents it, and
#            recognizers without punctuation give none.
# Hurt:      whoever turns a recognizer's words into digits, or normalizes references and hypotheses by it before scoring: both numbers
#            of every range, price list or count are wrong, and read well.
# What to do: keep the words for scoring; elsewhere split the text before number words that are followed by a multiplier.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages text2num==3.1.0
"$python" - <<'PYTHON'
import sys

from text_to_num import alpha2digit

seen = [("en", "one hundred two hundred three hundred", "102 103 100"),
        ("en", "between one hundred and two hundred", "between 102 100"),
        ("en", "one thousand two thousand", "1002 1000"),
        ("en", "one hundred, two hundred, three hundred", "100, 200, 300"),
        ("en", "twenty one twenty two", "21 22"),
        ("fr", "entre cent et deux cents", "entre 102 100"),
        ("fr", "cent deux cents trois cents", "102 103 100"),
        ("es", "mil dos mil", "1002 1000"),
        ("de", "hundert zweihundert dreihundert", "100 200 300")]
results = [alpha2digit(text, language) for language, text, _ in seen]
for (language, text, _), result in zip(seen, results):
    print("%s  %-42s -> %s" % (language, text, result))
sys.exit(0 if results == [digits for _, _, digits in seen] else "CHANGED: expected %r" % [digits for _, _, digits in seen])
PYTHON
