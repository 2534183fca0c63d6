#!/usr/bin/env bash
# noisereduce turns a channel of digital silence into NaN, in its default (non-stationary) mode.
#
# Software:  noisereduce 3.0.3
# Seen:      2026-11-29, CPython 3.11
# Behavior:  reduce_noise divides the spectrum by its smoothed self; where a whole channel is zero this is 0/0, and all samples of that channel
#            are NaN (the other channel is right). Only a RuntimeWarning of NumPy tells. stationary=True gives zeros.
# Hurt:      whoever cleans two-channel telephone recordings, where the side that does not speak is digital silence: a mono mix of
#            the result is NaN throughout, and the utterance is lost.
# What to do: skip channels without energy, or check np.isfinite of the result; stationary=True where it is enough.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages noisereduce==3.0.3 numpy==2.4.6
"$python" -W ignore::RuntimeWarning - <<'PYTHON'
import sys

import noisereduce
import numpy as np

speech = 0.1 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)
call = np.stack([speech, np.zeros(32000)])
counts = {}
for stationary in (False, True):
    cleaned = noisereduce.reduce_noise(y=call, sr=16000, stationary=stationary)
    counts[stationary] = np.isnan(cleaned).sum(1).tolist()
    print("stationary=%s: NaN samples by channel %s of 32000; in the mono mix %d" % (
        stationary, counts[stationary], np.isnan(cleaned.mean(0)).sum()))
sys.exit(0 if counts == {False: [0, 32000], True: [0, 0]} else "CHANGED")
PYTHON
