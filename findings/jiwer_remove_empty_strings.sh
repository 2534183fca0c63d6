#!/usr/bin/env bash
# jiwer's RemoveEmptyStrings pairs the wrong utterances: with an empty reference and an empty hypothesis, a WER of 0 % for wrong output.
#
# Software:  jiwer 4.0.0 (3.1.0 raises ValueError at an empty reference)
# Seen:      2026-11-30, CPython 3.11
# Behavior:  The transform is applied to references and hypotheses separately, and what is left is paired in order. In four utterances,
#            the second one is silence for which the system wrote "c d", the third has the words "c d" and no output: RemoveEmptyStrings
#            leaves three and three, and the WER is 0 % instead of 80 %. In general all utterances between the two are compared with their
#            neighbors. Only unequal numbers of empty texts raise an error, so that a test set works or fails by chance.
#            RemoveSpecificWords and SubstituteWords look for word boundaries: "[noise]" and "<unk>" are never found, "um" is also taken
#            out of "um's" (leaving "'s"), and replacements are replaced again ({"a": "b", "b": "c"} makes "c" of "a").
# Hurt:      whoever scores test sets with silent utterances and outputs (voice activity, far field, wake words) with a chain that has the
#            transform in it; whoever removes markers of noise by name.
# What to do: leave RemoveEmptyStrings out (jiwer 4 counts words for an empty reference as insertions), or drop pairs before the call;
#            remove markers by RemoveKaldiNonWords or str.replace.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages jiwer==4.0.0
"$python" - <<'PYTHON'
import sys

import jiwer

references, hypotheses = ["a b", "", "c d", "e"], ["a b", "c d", "", "e"]
found = {}
for name, steps in (("with", [jiwer.RemoveEmptyStrings()]), ("without", [])):
    chain = jiwer.Compose([jiwer.RemoveMultipleSpaces(), jiwer.Strip(), *steps, jiwer.ReduceToListOfListOfWords()])
    found[name] = jiwer.wer(references, hypotheses, reference_transform=chain, hypothesis_transform=chain)
    print("%-8s RemoveEmptyStrings: WER %.0f %%" % (name, 100 * found[name]))
words = jiwer.RemoveSpecificWords(["um", "<unk>", "[noise]"])(["um's <unk> [noise]"])[0].split()
chained = jiwer.SubstituteWords({"a": "b", "b": "c"})(["a"])
print("RemoveSpecificWords leaves", words, "SubstituteWords makes", chained)
as_described = found == {"with": 0, "without": 0.8} and words == ["'s", "<unk>", "[noise]"] and chained == ["c"]
sys.exit(0 if as_described else "CHANGED")
PYTHON
