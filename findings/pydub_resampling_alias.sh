#!/usr/bin/env bash
# pydub changes the sample rate without a low-pass filter: what lies above the new band is folded into it, nearly undamped.
#
# Software:  pydub 0.25.1, CPython 3.11 (its resampler is the standard library's audioop.ratecv)
# Seen:      2026-11-29
# Behavior:  AudioSegment.set_frame_rate interpolates linearly between samples. 6 kHz in a 16 kHz recording becomes 2 kHz in the 8 kHz one,
#            0.0 dB quieter; 9 kHz in a 44.1 kHz recording becomes 7 kHz at 16 kHz, 1.2 dB quieter. Noise that lies only above 8 kHz comes
#            out of 44.1 to 16 kHz 2.9 dB quieter, where soxr leaves 66 dB less. Upwards, 3 kHz at 8 kHz gets an image at 5 kHz only 7 dB below it.
# Hurt:      whoever prepares a corpus with from_file(...).set_frame_rate(16000), or simulates telephone speech from wide-band speech:
#            sibilants and hiss land in the speech band, and a model that is trained on it meets other features in real 8 kHz recordings.
# What to do: resample the samples with soxr, or the file with ffmpeg or sox before pydub reads it.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages pydub==0.25.1 soxr==1.1.0 numpy==2.4.6
"$python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import soxr
from pydub import AudioSegment


def pydub_resample(signal, rate, new_rate):
    segment = AudioSegment(signal.tobytes(), frame_rate=rate, sample_width=2, channels=1)
    return np.array(segment.set_frame_rate(new_rate).get_array_of_samples(), np.float64)


def decibels(signal, reference):
    return 20 * np.log10(signal.std() / reference.std())


levels = []
for frequency, rate, new_rate in ((6000, 16000, 8000), (9000, 44100, 16000), (12000, 44100, 16000)):
    tone = np.round(16000 * np.sin(2 * np.pi * frequency * np.arange(rate) / rate)).astype(np.int16)
    result = pydub_resample(tone, rate, new_rate)
    peak = np.abs(np.fft.rfft(result * np.hanning(len(result)))).argmax() * new_rate / len(result)
    other = soxr.resample(tone.astype(np.float32), rate, new_rate)
    levels.append((peak, decibels(result, tone), decibels(other, tone)))
    print("%5d Hz, %d to %d Hz: pydub gives %d Hz at %.1f dB, soxr %.1f dB" % ((frequency, rate, new_rate) + levels[-1]))
noise = np.fft.rfft(3000 * np.random.default_rng(0).standard_normal(4 * 44100))
noise[np.fft.rfftfreq(4 * 44100, 1 / 44100) < 8000] = 0
noise = np.fft.irfft(noise).astype(np.int16)
above = (decibels(pydub_resample(noise, 44100, 16000), noise), decibels(soxr.resample(noise.astype(np.float32), 44100, 16000), noise))
print("noise above 8 kHz, 44100 to 16000 Hz: pydub leaves %.1f dB, soxr %.1f dB" % above)
tone = np.round(16000 * np.sin(2 * np.pi * 3000 * np.arange(8000) / 8000)).astype(np.int16)
result = pydub_resample(tone, 8000, 16000)
spectrum = np.abs(np.fft.rfft(result * np.hanning(len(result)), 16000))
image = 20 * np.log10(spectrum[4900:5100].max() / spectrum[2900:3100].max())
print("3000 Hz, 8000 to 16000 Hz: pydub's image at 5000 Hz is at %.1f dB" % image)
as_described = ([round(peak) for peak, _, _ in levels] == [2000, 7000, 4000] and all(level > -3 for _, level, _ in levels)
                and all(level < -40 for _, _, level in levels) and above[0] > -4 and above[1] < -50 and image > -10)
sys.exit(0 if as_described else "CHANGED")
PYTHON
