#!/usr/bin/env bash
# MeetEval scores the label field and the "ignore" marker of an STM file as reference words.
#
# Software:  meeteval 0.4.3 (built by pip, which needs a C++ compiler)
# Seen:      2026-11-29, CPython 3.11
# Behavior:  In NIST's STM, a field such as <O,F0,M> after the times is a label, IGNORE_TIME_SEGMENT_IN_SCORING marks time that is not
#            scored, {a / b} are alternatives and (uh) is optional; sclite treats them so. meeteval.io.load keeps all of them in the transcript,
#            and cpwer counts them: a hypothesis with every word right has 8 errors in 11 "words" (73 %). Comment lines (;;) are skipped,
#            so the file seems understood, and nothing is logged.
# Hurt:      whoever scores on TED-LIUM, Hub4, Hub5 or other corpora that come as STM: every segment costs at least one error,
#            and the rate is not comparable with sclite's.
# What to do: remove the label and the marked segments from the STM, and resolve alternatives, before it is loaded.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages meeteval==0.4.3 numpy==2.4.6 scipy==1.17.1
cat > reference.stm <<'STM'
;; LABEL "O" "Overall" "all segments"
;; LABEL "F0" "Condition" "prepared speech"
rec1 1 A 0.00 2.00 <O,F0,M> hello there
rec1 1 A 2.00 4.00 <O,F0,M> IGNORE_TIME_SEGMENT_IN_SCORING
rec1 1 A 4.00 6.00 <O,F0,M> {good / great} morning (uh)
STM
sed -e '/^;;/d' -e '/IGNORE_TIME/d' -e 's/<O,F0,M> //' -e 's/{good \/ great}/great/' -e 's/ (uh)//' reference.stm > plain.stm
cp plain.stm hypothesis.stm
cat plain.stm
"$python" - <<'PYTHON'
import sys

import meeteval

rates = []
for name in ("plain.stm", "reference.stm"):
    rate = meeteval.wer.cpwer(meeteval.io.load(name), meeteval.io.load("hypothesis.stm"))["rec1"]
    rates.append((rate.errors, rate.length))
    print("%-13s: %d errors in %d words (%.0f %%)" % (name, rate.errors, rate.length, 100 * rate.error_rate))
for line in meeteval.io.load("reference.stm").lines:
    print("read as:", line.transcript)
sys.exit(0 if rates == [(0, 4), (8, 11)] else "CHANGED: expected [(0, 4), (8, 11)]")
PYTHON
