#!/usr/bin/env bash
# audiomentations' ApplyImpulseResponse scales each result to a peak of 0.5: all levels that were there before are lost.
#
# Software:  audiomentations 0.43.1
# Seen:      2026-11-29, CPython 3.11
# Behavior:  A recording and the same one 40 dB quieter give the same output (within 1e-5); a unit impulse as response changes the level by
#            42 dB. The scale depends on the single loudest sample, and on the tail that is cut off afterwards. The documentation
#            speaks of convolution only. The delay of the response is kept (a direct sound at 50 ms comes 50 ms late), and with
#            leave_length_unchanged, the default, the end of the utterance is cut off by as much.
# Hurt:      whoever chains it after Gain or before noise of a fixed level: the gain does nothing, quiet and noisy recordings are raised to
#            full level, the SNR is another than planned, and reverberant examples are recognizable by their peak of exactly 0.5.
# What to do: scale the result back to the RMS of the input, cut the response at its direct sound, or convolve by scipy.signal.fftconvolve.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages audiomentations==0.43.1 soundfile==0.13.1 numpy==1.26.4
"$python" -W ignore - <<'PYTHON' 2> /dev/null
import sys

import audiomentations
import numpy as np
import soundfile

speech = np.convolve(0.05 * np.random.default_rng(0).standard_normal(48000), 0.9 ** np.arange(50))[:48000].astype(np.float32)
response = np.zeros(8000)
response[800] = 1
soundfile.write("response.wav", response, 16000, subtype="FLOAT")
effect = audiomentations.ApplyImpulseResponse("response.wav", p=1.0)
results = [effect(samples=speech * np.float32(gain), sample_rate=16000) for gain in (1, 0.01, 3)]
for gain, result in zip((1, 0.01, 3), results):
    correlation = np.correlate(result[800:8800], speech[:8000])[0] / np.linalg.norm(result[800:8800]) / np.linalg.norm(speech[:8000])
    print("peak %.4f becomes %.4f, samples %d to %d, correlation with the input 800 samples earlier %.4f" % (
        np.abs(speech * gain).max(), np.abs(result).max(), len(speech), len(result), correlation))
same = all(np.allclose(results[0], result, atol=1e-5) for result in results) and np.isclose(np.abs(results[0]).max(), 0.5, atol=1e-3)
print("all the same:", same)
sys.exit(0 if same else "CHANGED")
PYTHON
