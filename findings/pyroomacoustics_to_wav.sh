#!/usr/bin/env bash
# pyroomacoustics' to_wav(bitdepth=np.int16) writes silence: the samples are cast to integers without being scaled.
#
# Software:  pyroomacoustics 0.10.1
# Seen:      2026-11-29, CPython 3.11
# Behavior:  The signals of a simulation are of the scale of the sources, mostly -1 to 1. mic_array.to_wav with np.int16 and the default norm=False
#            casts them as they are, and each sample becomes 0; what is above 1 becomes 1 of 32,768, as after simulate(snr=20),
#            which scales each source to a variance of 1. No error, no warning. The default, float, is right; norm=True scales
#            each file to full scale, so that levels by distance are lost.
# Hurt:      whoever writes a simulated corpus in the format of the real one (16 bit): the right number of files with the right lengths, all silent.
# What to do: soundfile.write(name, room.mic_array.signals.T, room.fs, subtype="PCM_16"), with one gain for the whole corpus that avoids clipping.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages pyroomacoustics==0.10.1 soundfile==0.13.1 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import numpy as np
import pyroomacoustics
import soundfile


def room(snr):
    result = pyroomacoustics.ShoeBox([5, 4, 3], fs=16000, materials=pyroomacoustics.Material(0.3), max_order=5)
    result.add_source([1, 1, 1.5], signal=0.2 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000))
    result.add_microphone([3, 2, 1.5])
    result.simulate(snr=snr)
    return result


peaks = {}
for snr in (None, 20):
    simulated = room(snr)
    simulated.mic_array.to_wav("float.wav")
    simulated.mic_array.to_wav("int16.wav", bitdepth=np.int16)
    simulated.mic_array.to_wav("normalized.wav", bitdepth=np.int16, norm=True)
    peaks[snr] = [np.abs(soundfile.read("float.wav")[0]).max()]
    peaks[snr] += [int(np.abs(soundfile.read(name, dtype="int16")[0].astype(int)).max()) for name in ("int16.wav", "normalized.wav")]
    print("snr=%s: peak of the float file %.3f, of the 16-bit file %d of 32768, of the 16-bit file with norm=True %d" % ((snr,) + tuple(peaks[snr])))
sys.exit(0 if 0.1 < peaks[None][0] < 1 and peaks[None][1] == 0 and peaks[20][1] < 10 and peaks[None][2] > 32000 else "CHANGED")
PYTHON
