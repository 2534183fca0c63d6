#!/usr/bin/env bash
# sphfile exchanges the two sides of a telephone call in almost half of all segments, and writes mu-law codes as if they were samples.
#
# Software:  sphfile 1.0.3; soundfile 0.14.0 as comparison
# Seen:      2026-11-30, CPython 3.11
# Behavior:  time_range(start, stop) and write_wav(name, start, stop) begin at int(start * rate * channels) in the interleaved samples.
#            For two channels that number is odd for almost half of all start times (441 of 1,000), e.g. for 1.5001 s at 8 kHz: the segment
#            then begins in the middle of a sample pair, and the channels of the WAV file are exchanged. Its length, level and rate are right.
#            Files with sample_coding ulaw, as Switchboard has them, are written as 8-bit linear samples: a tone at -20 dB becomes noise
#            at -6 dB.
# Hurt:      whoever cuts CALLHOME, Fisher or Switchboard into utterances: half of them have the words of the other speaker, or silence.
# What to do: read the file whole and reshape: content.reshape(-1, channels)[first:last]; or soundfile, which decodes mu-law, too.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages sphfile==1.0.3 soundfile==0.14.0 numpy==1.26.4
"$python" - <<'PYTHON'
import io
import sys

import numpy as np
import soundfile
import sphfile

RATE = 8000


def write_sphere(name, data, coding, width, channels):
    fields = ["NIST_1A", "   1024", "sample_count -i %d" % (len(data) // width // channels), "sample_rate -i %d" % RATE,
              "channel_count -i %d" % channels, "sample_n_bytes -i %d" % width, "sample_byte_format -s%d %s" % (width, "01"[-width:]),
              "sample_coding -s%d %s" % (len(coding), coding), "end_head"]
    with open(name, "wb") as file:
        file.write("\n".join(fields + [""]).encode().ljust(1024) + data)


def level(signal):
    return 10 * np.log10(np.mean(signal ** 2) + 1e-9)


tone = 0.1 * np.sqrt(2) * np.sin(2 * np.pi * 440 * np.arange(4 * RATE) / RATE)
samples = np.rint(32767 * np.stack([tone, np.zeros_like(tone)], axis=1)).astype("<i2")      # one speaks, the other one listens
write_sphere("call.sph", samples.tobytes(), "pcm", 2, 2)
codes = io.BytesIO()
soundfile.write(codes, tone, RATE, format="RAW", subtype="ULAW")
write_sphere("mulaw.sph", codes.getvalue(), "ulaw", 1, 1)

call, exchanged = sphfile.SPHFile("call.sph"), []
for start in (1.5, 1.5001):
    call.write_wav("segment.wav", start, start + 1)
    segment, rate = soundfile.read("segment.wav")
    right = soundfile.read("call.sph", start=int(start * RATE), frames=RATE)[0]
    exchanged.append(level(segment[:, 0]) < level(segment[:, 1]))
    print("from %.4f s: %d samples, levels of the channels %.0f and %.0f dB; soundfile: %.0f and %.0f dB" % (
        start, len(segment), level(segment[:, 0]), level(segment[:, 1]), level(right[:, 0]), level(right[:, 1])))
starts, odd = np.random.RandomState(0).uniform(0, 3, 1000).round(4), 0
for start in starts:
    odd += np.abs(call.time_range(start, start + 0.5)[0::2]).max() == 0
print("of 1000 start times with 4 decimals, %d exchange the channels" % odd)
sphfile.SPHFile("mulaw.sph").write_wav("mulaw.wav")
noise, right = soundfile.read("mulaw.wav")[0], soundfile.read("mulaw.sph")[0]
print("mu-law: %.0f dB, %.0f dB from the tone; soundfile: %.0f dB, %.0f dB" % (
    level(noise), level(noise - tone), level(right), level(right - tone)))
sys.exit(0 if exchanged == [False, True] and 400 < odd < 600 and level(noise - tone) > -10 and level(right - tone) < -40
         else "CHANGED")
PYTHON
