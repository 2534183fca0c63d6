#!/usr/bin/env bash
# nlpaug's MaskAug replaces 60 % of an audio signal by noise with a standard deviation of 1, whatever the scale of the signal is.
#
# Software:  nlpaug 1.1.11
# Seen:      2026-11-29, CPython 3.11
# Behavior:  With the defaults a float signal of -0.1 to 0.1 (as soundfile and librosa return it) gets noise with peaks of 3.7: 23 dB above the
#            speech and far beyond full scale, clipped when it is written to a file. The same signal at the scale of 16-bit integers gets
#            noise of one step, that is silence. The documentation says "replaced by noise" and gives no level.
# Hurt:      whoever adds time masking to a training pipeline: the loudest part of each example is noise, features that are normalized by
#            utterance shrink the speech that is left, and the effect differs between float and integer readers.
# What to do: mask_with_noise=False, or mask the spectrogram (SpecAugment) instead.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages nlpaug==1.1.11 librosa==0.11.0 numpy==1.26.4
"$python" -W ignore - <<'PYTHON'
import sys

import nlpaug.augmenter.audio
import numpy as np

np.random.seed(0)
signal = (0.1 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype(np.float32)
levels = {}
for scale in (1, 32768):
    scaled = signal * np.float32(scale)
    for noise in (True, False):
        result = np.asarray(nlpaug.augmenter.audio.MaskAug(sampling_rate=16000, mask_with_noise=noise).augment(scaled)[0])
        masked = result[result != scaled]
        levels[scale, noise] = float(masked.std())
        print("signal with RMS %.3f, mask_with_noise=%s: %.0f %% replaced, RMS of the mask %.3f, peak %.2f" % (
            scaled.std(), noise, 100 * len(masked) / len(scaled), masked.std(), np.abs(masked).max()))
sys.exit(0 if all(abs(level - noise) < 0.05 for (_, noise), level in levels.items()) else "CHANGED")
PYTHON
