#!/usr/bin/env bash
# PyAV's resampler mixes a stereo file to mono 3 dB louder when the samples are floats: the same file has two levels, and peaks above 1.
#
# Software:  av (PyAV) 18.1.0 with libswresample 6.3.102
# Seen:      2026-11-30, CPython 3.11
# Behavior:  AudioResampler(layout="mono") takes the mean of both channels for the formats s16 and s32, and 0.707 times their sum for flt,
#            fltp and dbl: two equal channels come out at 0 dB in integers and at +3.0 dB in floats, whatever the format of the file. A
#            tone that reaches 0.9 in both channels reaches 1.27 and is clipped when it is stored later. A voice in the center channel of
#            a 5.1 file has -10.7 dB in integers and 0 dB in floats. soundfile's mean and librosa agree with the integers for stereo.
#            FFmpeg normalizes the mixing matrix for integers only; nothing is logged.
# Hurt:      whoever reads training data as s16 and test data (or a service's uploads) as flt: stereo files differ by 3 dB between the
#            two, mono files do not; level-dependent features, noise mixed at a given level and silence thresholds are wrong for one
#            group.
# What to do: read both channels and take the mean in NumPy, or resample to s16 and divide by 32768 everywhere.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages av==18.1.0 soundfile==0.14.0 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import av
import numpy as np
import soundfile

SCALES = {"s16": 2 ** 15, "s32": 2 ** 31, "flt": 1, "fltp": 1, "dbl": 1}


def mono(name, sample_format):
    resampler, parts = av.AudioResampler(format=sample_format, layout="mono", rate=16000), []
    with av.open(name) as container:
        for frame in [*container.decode(audio=0), None]:
            parts += [part.to_ndarray().reshape(-1) for part in resampler.resample(frame)]
    return np.concatenate(parts).astype(np.float64) / SCALES[sample_format]


def decibels(signal):
    return 10 * np.log10((signal ** 2).mean())


tone = 0.9 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
surround = np.zeros((16000, 6))
surround[:, 2] = tone
soundfile.write("mono.wav", tone, 16000)
soundfile.write("stereo.wav", np.stack([tone, tone], 1), 16000)
soundfile.write("stereo_float.wav", np.stack([tone, tone], 1), 16000, subtype="FLOAT")
soundfile.write("surround.wav", surround, 16000)
found = {}
for name in ("mono", "stereo", "stereo_float", "surround"):
    for sample_format in SCALES:
        signal = mono(name + ".wav", sample_format)
        found[name, sample_format] = round(decibels(signal) - decibels(tone), 1)
        print("%-12s as %-4s: %5.1f dB, peak %.2f" % (name, sample_format, found[name, sample_format], np.abs(signal).max()))
expected = {"mono": (0, 0), "stereo": (0, 3), "stereo_float": (0, 3), "surround": (-10.7, 0)}
as_described = all(found[name, sample_format] == expected[name][SCALES[sample_format] == 1] for name, sample_format in found)
sys.exit(0 if as_described else "CHANGED")
PYTHON
