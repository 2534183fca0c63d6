#!/usr/bin/env bash
# tinytag, mutagen, audioread and Python's wave give each WAV that FFmpeg wrote to a pipe a duration of 37 hours.
#
# Software:  tinytag 2.3.2, mutagen 1.48.1, audioread 3.1.0, wave of CPython 3.11; PyAV 18.1.0 (FFmpeg) writes the file, soundfile 0.13.1,
#            scipy 1.17.1 and miniaudio 1.71 as comparison
# Seen:      2026-11-29, CPython 3.11
# Behavior:  FFmpeg cannot go back in a pipe to fill in the size of the data, and leaves 0xFFFFFFFF for "unknown". The four take it as the size and
#            ignore that the file ends after a second: 134,217.7 s, and 2,147,483,647 frames in wave.getnframes(). wave.readframes returns
#            the frames that exist. soundfile, scipy, miniaudio and FFmpeg itself report 1 s. No error, no warning.
# Hurt:      whoever writes manifests of files that came from "ffmpeg ... -f wav - > file", an object store or a web service: the hours of
#            the corpus are wrong, filters by duration drop the files as too long, and a batch by seconds holds one of them.
# What to do: take the duration from soundfile.info, or treat a size that goes beyond the end of the file as unknown.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages tinytag==2.3.2 mutagen==1.48.1 audioread==3.1.0 av==18.1.0 soundfile==0.13.1 scipy==1.17.1 miniaudio==1.71 numpy==2.4.6
"$python" -W ignore - <<'PYTHON'
import sys
import wave

import audioread
import av
import miniaudio
import mutagen
import numpy as np
import scipy.io.wavfile
import soundfile
import tinytag


class Pipe:
    """An output that cannot seek."""

    def __init__(self, file):
        self.write = file.write


with open("piped.wav", "wb") as file, av.open(Pipe(file), "w", format="wav") as container:
    stream = container.add_stream("pcm_s16le", rate=16000, layout="mono")
    samples = (3000 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = 16000
    container.mux(stream.encode(frame) + stream.encode(None))


def seconds_by_av(name):
    with av.open(name) as container:
        return sum(frame.samples for frame in container.decode(audio=0)) / 16000


with wave.open("piped.wav") as file:
    seconds = {"wave": file.getnframes() / 16000}
    read = len(file.readframes(32000)) // 2
with audioread.audio_open("piped.wav") as file:
    seconds["audioread"] = file.duration
seconds.update({"tinytag": tinytag.TinyTag.get("piped.wav").duration, "mutagen": mutagen.File("piped.wav").info.length,
                "soundfile": soundfile.info("piped.wav").duration, "scipy": len(scipy.io.wavfile.read("piped.wav")[1]) / 16000,
                "miniaudio": miniaudio.get_file_info("piped.wav").duration, "PyAV": seconds_by_av("piped.wav")})
for name, value in seconds.items():
    print("%-9s %.2f s" % (name, value))
print("frames that wave.readframes returns:", read)
wrong = {"wave", "audioread", "tinytag", "mutagen"}
sys.exit(0 if read == 16000 and all((value > 100000) if name in wrong else (value == 1) for name, value in seconds.items()) else "CHANGED")
PYTHON
