#!/usr/bin/env bash
# pedalboard's Convolution scales each impulse response to an energy of 1/64: convolution with a unit impulse makes speech 18 dB quieter.
#
# Software:  pedalboard 0.9.26
# Seen:      2026-11-29, CPython 3.11
# Behavior:  The output of Convolution with [1, 0, 0, ...] is 18.06 dB below the input (factor 1/8); with [0.1, 0, 0, ...] it is the same. The
#            documentation does not say that the response is normalized. mix weights the dry signal with 1 - mix and this
#            quiet result with mix: at mix=0.5 an echo as loud as the direct sound comes out 18 dB below it. Reverb has a like
#            scale: dry_level=1, wet_level=0 doubles the signal (+6.02 dB), so that speech at half scale reaches full scale.
# Hurt:      whoever simulates rooms for training: levels by distance that the measured responses hold are lost, the reverberant part of
#            a mix is far weaker than asked, and noise that is added afterwards at a fixed level has an SNR 18 dB lower than planned.
# What to do: convolve by scipy.signal.fftconvolve, or multiply the result by 8 times the square root of the response's energy; mix yourself.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages pedalboard==0.9.26 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import numpy as np
import pedalboard

signal = (0.05 * np.random.default_rng(0).standard_normal(32000)).astype(np.float32)


def response(delay, gain):
    result = np.zeros(8000, np.float32)
    result[delay] = gain
    return result


def level(effect):
    return round(float(20 * np.log10(effect(signal, 16000).std() / signal.std())), 2)


found = {"impulse of 1": level(pedalboard.Convolution(response(0, 1), sample_rate=16000)),
         "impulse of 0.1": level(pedalboard.Convolution(response(0, 0.1), sample_rate=16000)),
         "Reverb(dry_level=1, wet_level=0)": level(pedalboard.Reverb(dry_level=1, wet_level=0))}
mixed = pedalboard.Convolution(response(800, 1), mix=0.5, sample_rate=16000)(signal, 16000)
direct, echo = np.linalg.lstsq(np.stack([signal[800:], signal[:-800]], 1), mixed[800:], rcond=None)[0]
found["echo below direct sound, mix=0.5"] = round(float(20 * np.log10(echo / direct)), 2)
for name, decibels in found.items():
    print("%-34s %6.2f dB" % (name, decibels))
near = {"impulse of 1": -18.06, "impulse of 0.1": -18.06, "Reverb(dry_level=1, wet_level=0)": 6.02, "echo below direct sound, mix=0.5": -18.06}
sys.exit(0 if all(abs(found[name] - near[name]) < 0.1 for name in near) else "CHANGED")
PYTHON
