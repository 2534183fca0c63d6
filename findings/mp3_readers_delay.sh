#!/usr/bin/env bash
# pedalboard and Praat (parselmouth) read every MP3 late, by 69 and 66 ms at 16 kHz: they ignore the LAME tag that states the delay.
#
# Software:  pedalboard 0.9.26, praat-parselmouth 0.4.7; soundfile 0.13.1, PyAV 18.1.0 and miniaudio 1.71 as comparison
# Seen:      2026-11-29, CPython 3.11
# Behavior:  48,000 samples at 16 kHz, written as MP3 by soundfile or by pedalboard, come back as 48,000 samples without delay from
#            soundfile, PyAV (FFmpeg) and miniaudio. pedalboard's AudioFile returns 49,536 samples, the recording 1,105 samples late, and
#            calls the duration of 3.096 s exact (exact_duration_known is True). parselmouth.Sound returns 48,911 samples, the recording
#            1,056 late (1,632 at 44.1 kHz), and the last 145 of it are missing. No error. FLAC is right in all of them.
# Hurt:      whoever aligns or annotates MP3 corpora (Common Voice, podcasts) in Praat and trains with another reader, or augments them by
#            pedalboard: times are six frames of 10 ms off, and clean and processed versions of a pair do not match.
# What to do: decode MP3 to WAV or FLAC once, with soundfile or FFmpeg, and let all tools read that.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages pedalboard==0.9.26 praat-parselmouth==0.4.7 soundfile==0.13.1 av==18.1.0 miniaudio==1.71 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import av
import miniaudio
import numpy as np
import parselmouth
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


readers = {"pedalboard": by_pedalboard, "parselmouth": lambda name: parselmouth.Sound(name).values[0], "PyAV": by_av,
           "soundfile": lambda name: soundfile.read(name)[0],
           "miniaudio": lambda name: np.array(miniaudio.decode_file(name, nchannels=1, sample_rate=16000).samples, np.float32)}
for name in ("soundfile.mp3", "soundfile.flac"):
    soundfile.write(name, signal, 16000)
with pedalboard.io.AudioFile("pedalboard.mp3", "w", 16000, 1) as file:
    file.write(signal)
found = {}
for name in ("soundfile.mp3", "pedalboard.mp3", "soundfile.flac"):
    for reader, read in readers.items():
        result = read(name)
        found[name, reader] = len(result), delay(result)
        print("%-15s read by %-11s %d samples, %d late" % ((name, reader) + found[name, reader]))
with pedalboard.io.AudioFile("soundfile.mp3") as file:
    print("duration", file.duration, "exact_duration_known", file.exact_duration_known)
    exact = file.exact_duration_known
late = {"pedalboard": (49536, 1105), "parselmouth": (48911, 1056)}
expected = {(name, reader): late.get(reader, (48000, 0)) if name.endswith("mp3") else (48000, 0) for name, reader in found}
sys.exit(0 if found == expected and exact else "CHANGED: %r" % found)
PYTHON
