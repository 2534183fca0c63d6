#!/usr/bin/env bash
# inflect reads numbers with a sign in the middle as if the sign were not there: "1/2" is "twelve", "1,5" is "fifteen", "½" is "zero".
#
# Software:  inflect 7.6.0 (engine().number_to_words)
# Seen:      2026-11-29, CPython 3.11
# Behavior:  Everything in the string that is not a digit or a point is removed, without an error: "1/2" -> "twelve", "3-4" -> "thirty-four",
#            "12:30" -> "one thousand, two hundred and thirty", "1,5" -> "fifteen", "1e5" -> "fifteen", "2024-11-29" -> "twenty million, two
#            hundred ...", "5%" -> "five", "1½" -> "one". Second points are lost too: "192.168.0.1" -> "one hundred and ninety-two point
#            one six eight zero one".
# Hurt:      whoever spells out the digits of transcripts for training or scoring: fractions, ranges, times, dates and decimal commas become
#            other numbers, in words that are as good as any, so that no later check for digits finds them.
# What to do: call it only for tokens that match [+-]?\d+(\.\d+)? and expand all others first.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages inflect==7.6.0
"$python" - <<'PYTHON'
import sys

import inflect

seen = {"1/2": "twelve", "3-4": "thirty-four", "12:30": "one thousand, two hundred and thirty", "1,5": "fifteen", "1e5": "fifteen",
        "½": "zero", "1½": "one", "5%": "five", "10-20": "one thousand and twenty",
        "192.168.0.1": "one hundred and ninety-two point one six eight zero one",
        "2024-11-29": "twenty million, two hundred and forty-one thousand, one hundred and twenty-nine"}
engine = inflect.engine()
results = {text: engine.number_to_words(text) for text in seen}
for text, words in results.items():
    print("%-12s -> %s" % (text, words))
sys.exit(0 if results == seen else "CHANGED")
PYTHON
