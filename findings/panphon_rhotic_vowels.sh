#!/usr/bin/env bash
# panphon skips symbols that it does not know: r-colored vowels of American English, "ʧ", "ʤ" and "g" cost nothing in phoneme error rates.
#
# Software:  panphon 0.22.2 (gruut's and espeak-ng's American English use such symbols)
# Seen:      2026-11-30, CPython 3.11
# Behavior:  ipa_segs leaves out what is not in its table: ɚ, ɝ and ᵻ, the letter g (its table has ɡ, U+0261), the ligatures ʧ ʤ ʦ ʣ and
#            the consonants ʜ ʢ ʡ. "fɑːðɚ" (father) has the segments f, ɑː, ð. phoneme_error_rate and each feature edit distance are built
#            on it, so that "bd" instead of "bɝd" (bird), "at" instead of "gat" and "ɛk" instead of "ʧɛk" are 0.0, and the reference
#            length is short as well. fast_levenshtein_distance counts characters and reports 1. phoneme_error_rate and feature_error_rate
#            also skip what one of the two lists has in excess. No warning.
# Hurt:      whoever scores phoneme recognizers or pronunciations of English by it, or clusters words by distance: errors on r-colored
#            vowels vanish, and rates are too low.
# What to do: replace the symbols first (ɚ and ɝ by ə˞, ʧ by t͡ʃ, g by ɡ, ᵻ by ɪ), and check that "".join(ipa_segs(word)) is the word
#            without stress marks.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages panphon==0.22.2 numpy==2.4.6
"$python" -W ignore - <<'PYTHON'
import sys

import panphon
import panphon.distance

table, distance = panphon.FeatureTable(), panphon.distance.Distance()
pairs = [("fɑːðɚ", "fɑːð"), ("bɝd", "bd"), ("gat", "at"), ("ʧɛk", "ɛk"), ("bə˞d", "bd"), ("ɡat", "at"), ("t͡ʃɛk", "ɛk")]
found = {}
for reference, hypothesis in pairs:
    found[reference] = (distance.phoneme_error_rate([hypothesis], [reference]), distance.feature_edit_distance(hypothesis, reference),
                        distance.weighted_feature_edit_distance(hypothesis, reference))
    print("%-6s for %-6s segments %-22s phoneme error rate %.2f, feature distance %.2f, weighted %.2f, characters %d" % (
        hypothesis, reference, table.ipa_segs(reference), *found[reference], distance.fast_levenshtein_distance(hypothesis, reference)))
unknown = [symbol for symbol in "ɚɝᵻgʧʤʦʣʜʢʡ" if not table.ipa_segs(symbol)]
print("skipped symbols:", *unknown)
excess = distance.phoneme_error_rate(["kat", "papa"], ["kat"])
print("two hypotheses, one reference:", excess)
as_described = (all(sum(found[reference]) == 0 for reference, _ in pairs[:4]) and all(found[reference][0] > 0 for reference, _ in pairs[4:])
                and len(unknown) == 11 and excess == 0)
sys.exit(0 if as_described else "CHANGED")
PYTHON
