#!/usr/bin/env bash
# kaldiio reads the codes of mu-law and A-law WAV files as if they were samples: telephone speech becomes noise at full scale.
#
# Software:  kaldiio 2.18.1; soundfile 0.14.0 (libsndfile 1.2.2) as comparison
# Seen:      2026-11-30, CPython 3.11
# Behavior:  A WAV of 8 bits per sample is read as 8-bit linear PCM, whatever the format tag in its header. For format 7 (mu-law) and 6
#            (A-law) load_scp and load_mat return the uint8 codes, which are not linear: the quietest samples of mu-law are 255 and 127,
#            in 8-bit PCM full scale and zero. After conversion, as for PCM, a tone at -20 dB has a level of -4 to -6 dB and a
#            signal-to-noise ratio of -13 to -15 dB (soundfile: 36 to 38 dB). Rate, length and shape are right, and nothing is logged.
#            Kaldi itself, kaldi_native_io and SciPy refuse such files.
# Hurt:      whoever trains or tests on telephone speech (for example the output of "sph2pipe -f wav", which keeps mu-law unless -p is
#            given): the features are those of noise, and all else works.
# What to do: convert to 16 bits first (sph2pipe -p, sox -e signed -b 16), or read by soundfile; check that the dtype is int16.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages kaldiio==2.18.1 soundfile==0.14.0 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import kaldiio
import numpy as np
import soundfile

tone = 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
names = {"PCM_16": np.int16, "PCM_U8": np.uint8, "ULAW": np.uint8, "ALAW": np.uint8}
with open("wav.scp", "w") as file:
    for name in names:
        soundfile.write(name + ".wav", tone, 8000, subtype=name)
        file.write("%s %s.wav\n" % (name, name))


def decibels(signal):
    return 10 * np.log10((signal ** 2).mean())


as_described = True
for name, (rate, samples) in kaldiio.load_scp("wav.scp").items():
    signal = samples / 32768 if samples.dtype == np.int16 else samples / 128 - 1
    other = soundfile.read(name + ".wav")[0]
    level, ratio, right = decibels(signal), decibels(tone) - decibels(signal - tone), decibels(tone) - decibels(other - tone)
    print("%-6s kaldiio: %d Hz, %d samples of %-6s level %5.1f dB, signal-to-noise ratio %5.1f dB; soundfile: %.1f dB" % (
        name, rate, len(samples), samples.dtype, level, ratio, right))
    coded = name in ("ULAW", "ALAW")
    as_described = (as_described and rate == 8000 and len(samples) == 8000 and samples.dtype == names[name] and right > 20
                    and (ratio < 0 and level > -10 if coded else ratio > 20))
sys.exit(0 if as_described else "CHANGED")
PYTHON
