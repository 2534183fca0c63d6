#!/usr/bin/env bash
# fast-ctc-decode's beam search reports each label too early, by the whole pause before it: words "begin" where the previous word ended.
#
# Software:  fast-ctc-decode 0.3.7, fast-ctc-decoder 0.3.9 (a fork)
# Seen:      2026-11-30, CPython 3.11
# Behavior:  beam_search returns the text and a time for each label. With the default beam_cut_threshold of 0 this is the frame at which
#            the beam first tried the label, however unlikely it was there, not the frame of the label: on an output with peaks of 0.99
#            the words "good", "morning" and "everybody" come at 0, 113 and 181 instead of 100, 163 and 231, each of them early by the
#            pause before it (100 and 50 frames), the other labels by 1 to 3 frames and the "o" after "g" by 99. A beam of 100 moves more
#            labels. viterbi_search and beam_search with beam_cut_threshold=0.01 are right on the same input. The text is right in all
#            cases, and without pauses the times look right too.
# Hurt:      whoever makes word times, subtitles or segments from them: at 20 ms a frame these words are 2 s and 1 s early.
# What to do: take the times from viterbi_search where the texts agree, or from a forced alignment of the text; or set beam_cut_threshold
#            above the probability that the network gives to wrong labels, and check that this does not change the text.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages fast-ctc-decode==0.3.7 fast-ctc-decoder==0.3.9 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import fast_ctc_decode
import fast_ctc_decoder
import numpy as np

labels = "_abcdefghijklmnopqrstuvwxyz' "     # the blank comes first
words = "good morning everybody".split()
generator = np.random.default_rng(0)
frames, starts = "_" * 100, []
for word in words:
    starts.append(len(frames))
    frames += "".join(letter + "_" * generator.integers(1, 4) for letter in word) + " " + "_" * 50
logits = generator.standard_normal((len(frames), len(labels)))
logits[np.arange(len(frames)), [labels.index(frame) for frame in frames]] += 9
probabilities = (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)
print("true starts %s, average peak %.3f" % (starts, probabilities.max(1).mean()))
as_described = True
for module in (fast_ctc_decode, fast_ctc_decoder):
    viterbi_text, viterbi = module.viterbi_search(probabilities, labels)
    for settings in ({}, {"beam_size": 100}, {"beam_size": 5, "beam_cut_threshold": 0.01}):
        text, times = module.beam_search(probabilities, labels, **settings)
        found = [times[text.index(word)] for word in words]
        early = [int(right - time) for right, time in zip(viterbi, times)]
        print("%-16s %-45s %r starts %s, earlier than Viterbi by %s" % (module.__name__, settings, text.strip(), found, early))
        cut = "beam_cut_threshold" in settings
        as_described = (as_described and text == viterbi_text and text.split() == words
                        and (found == starts if cut else all(time <= start - 50 for time, start in zip(found, starts))))
sys.exit(0 if as_described else "CHANGED")
PYTHON
