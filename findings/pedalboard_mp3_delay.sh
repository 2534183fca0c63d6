#!/usr/bin/env bash
# pedalboard reads every MP3 1,105 samples late (69 ms at 16 kHz): its AudioFile ignores the LAME tag that states the delay of encoder and decoder.
#
# Software:  pedalboard 0.9.26; soundfile 0.13.1, PyAV 18.1.0 and miniaudio 1.71 as comparison
# Seen:      2026-11-29, CPython 3.11
# Behavior:  3 s at 16 kHz, written as MP3 by soundfile or by pedalboard, have 48,000 samples and no delay in soundfile, PyAV (FFmpeg) and
#            miniaudio. AudioFile returns 49,536 samples, 1,105 of them before the first one of the recording, and calls the duration
#            of 3.096 s exact (exact_duration_known is True). Ogg and FLAC are right.
# Hurt:      whoever augments MP3 corpora (Common Voice, podcasts) by pedalboard: alignments, segment times and targets by frame that came from
#            another reader are seven frames of 10 ms off, and clean and processed versions of a pair do not match.
# What to do: read MP3 with soundfile and use pedalboard for the effects only.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages pedalboard==0.9.26 soundfile==0.13.1 av==18.1.0 miniaudio==1.71 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import av
import miniaudio
import numpy as np
import pedalboard.io
import soundfile

noise = np.random.default_rng(0).standard_normal(48000)
signal = np.convolve(0.05 * noise, 0.9 ** np.arange(100))[:48000].astype(np.float32)


def by_pedalboard(name):
    with pedalboard.io.AudioFile(name) as file:
        return file.read(file.frames)[0]


def by_av(name):
    with av.open(name) as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def delay(result):
    size = 2 * len(result)
    return int(np.fft.irfft(np.fft.rfft(result, size) * np.conj(np.fft.rfft(signal, size))).argmax())


readers = {"pedalboard": by_pedalboard, "soundfile": lambda name: soundfile.read(name)[0], "PyAV": by_av,
           "miniaudio": lambda name: np.array(miniaudio.decode_file(name, nchannels=1, sample_rate=16000).samples, np.float32)}
for name in ("soundfile.mp3", "soundfile.ogg", "soundfile.flac"):
    soundfile.write(name, signal, 16000)
with pedalboard.io.AudioFile("pedalboard.mp3", "w", 16000, 1) as file:
    file.write(signal)
found = {}
for name in ("soundfile.mp3", "pedalboard.mp3", "soundfile.ogg", "soundfile.flac"):
    for reader, read in readers.items():
        result = read(name)
        found[name, reader] = len(result), delay(result)
        print("%-15s read by %-10s %d samples, %d late" % ((name, reader) + found[name, reader]))
with pedalboard.io.AudioFile("soundfile.mp3") as file:
    print("duration", file.duration, "exact_duration_known", file.exact_duration_known)
    exact = file.exact_duration_known
expected = {key: (49536, 1105) if key[1] == "pedalboard" and key[0].endswith("mp3") else (48000, 0) for key in found}
sys.exit(0 if found == expected and exact else "CHANGED: %r" % found)
PYTHON
