#!/usr/bin/env bash
# Loudness normalization of a silent recording with pyloudnorm gives NaN, and of a nearly silent one infinite samples.
#
# Software:  pyloudnorm 0.2.0 (ITU-R BS.1770 loudness)
# Seen:      2026-11-29, CPython 3.11
# Behavior:  integrated_loudness of a signal below the gate of -70 LUFS is -inf; normalize.loudness then multiplies by infinity: zeros
#            become NaN, everything else infinite. Only a RuntimeWarning of NumPy tells.
# Hurt:      whoever brings a corpus to one level with it: a muted channel or an empty recording turns into features that are not finite,
#            and into a NaN loss. A quiet but valid recording (peak at -77 dBFS) is destroyed as well.
# What to do: test the loudness with math.isfinite before normalizing; keep or drop such recordings explicitly.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages pyloudnorm==0.2.0 numpy==2.4.6
"$python" -W ignore::RuntimeWarning - <<'PYTHON'
import sys

import numpy as np
import pyloudnorm

meter, rate = pyloudnorm.Meter(16000), 16000
silence = np.zeros(rate)
quiet = 10 ** (-77 / 20) * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
results = []
for name, signal in (("silence", silence), ("tone of -77 dBFS", quiet)):
    loudness = meter.integrated_loudness(signal)
    normalized = pyloudnorm.normalize.loudness(signal, loudness, -23.0)
    results.append((loudness, int(np.isnan(normalized).sum()), int(np.isinf(normalized).sum())))
    print("%-17s loudness %s, NaN samples %d, infinite samples %d of %d" % ((name,) + results[-1] + (rate,)))
as_described = all(loudness == -np.inf for loudness, _, _ in results) and results[0][1] == rate and results[1][2] > rate * 0.9
sys.exit(0 if as_described else "CHANGED")
PYTHON
