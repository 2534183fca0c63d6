#!/usr/bin/env bash
# editdistance takes the tokens -1 and -2 for the same token.
#
# Software:  editdistance 0.8.1 (the edit distance of several end-to-end recipes, for CER, WER and token errors)
# Seen:      2026-11-29, CPython 3.11
# Behavior:  tokens are compared by their Python hash, not by ==. hash(-1) is -2 in CPython, so the distance of [-1] and [-2] is 0,
#            and sequences of ids that hold both score as right when they are wrong.
# Hurt:      whoever marks padding with -1 and unknown or ignored labels with -2 (or the reverse) and scores id sequences with them in.
# What to do: remove such ids before scoring, score strings, or use rapidfuzz.distance.Levenshtein.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages editdistance==0.8.1 rapidfuzz==3.10.1
"$python" - <<'PYTHON'
import sys

import editdistance
from rapidfuzz.distance import Levenshtein

pairs = [([5, -1, 7], [5, -2, 7]), ([-1, -1], [-2, -2]), ([1], [2])]
found = [editdistance.eval(a, b) for a, b in pairs]
right = [Levenshtein.distance(a, b) for a, b in pairs]
print("pairs       ", pairs)
print("editdistance", found)
print("rapidfuzz   ", right)
sys.exit(0 if found == [0, 0, 1] and right == [1, 2, 1] else "CHANGED: expected [0, 0, 1] of editdistance and [1, 2, 1] of rapidfuzz")
PYTHON
