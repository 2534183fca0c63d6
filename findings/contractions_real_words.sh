#!/usr/bin/env bash
# contractions.fix rewrites ordinary words that look like contractions without apostrophe: "a shed" becomes "a she would".
#
# Software:  contractions 0.1.73
# Seen:      2026-11-29, CPython 3.11
# Behavior:  With the defaults (leftovers=True, slang=True) "shell" -> "she will", "shed" -> "she would", "she lets him go" -> "she let us him go",
#            while "ill", "well", "hell", "id", "its" and "wed" are kept. "o'clock" -> "of the clock", "ma'am" -> "madam", "gonna" ->
#            "going to", "mar. the" -> "march the"; "he's been" -> "he is been". leftovers=False and slang=False keep "shed", "shell" and
#            "lets", and still write "of the clock", "going to" and "he is been".
# Hurt:      whoever expands contractions in transcripts before training or scoring: the text has words that were not spoken, alignments and
#            character counts no longer fit the sound, and "she'll" for "shell" counts as right.
# What to do: leave contractions as they are spoken (also in the language model's text), or map a short custom list.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages contractions==0.1.73
"$python" - <<'PYTHON'
import sys

import contractions

seen = [("a shed", "a she would", "a shed"), ("shell on the beach", "she will on the beach", "shell on the beach"),
        ("she lets him go", "she let us him go", "she lets him go"), ("ill well hell id its wed", "ill well hell id its wed", "ill well hell id its wed"),
        ("at five o'clock", "at five of the clock", "at five of the clock"), ("he's been there", "he is been there", "he is been there"),
        ("gonna", "going to", "going to")]
results = [(text, contractions.fix(text), contractions.fix(text, leftovers=False, slang=False)) for text, _, _ in seen]
for text, result, strict in results:
    print("%-26s -> %-26s leftovers=False, slang=False: %s" % (text, result, strict))
sys.exit(0 if results == seen else "CHANGED")
PYTHON
