#!/usr/bin/env bash
# A stream that is resampled block by block with python-samplerate loses its last milliseconds, also with end_of_input=True.
#
# Software:  samplerate 0.2.4 (Python binding of libsamplerate)
# Seen:      2026-11-29, CPython 3.11
# Behavior:  44,100 samples at 44.1 kHz to 16 kHz in blocks of 4,410: 15,857 samples come out where 16,000 belong (samplerate.resample of
#            the whole gives 16,000). Resampler.process reserves room for one block's share; what the filter still holds when
#            end_of_input is set does not fit and is dropped. A further call with an empty block returns nothing.
# Hurt:      whoever resamples microphone or telephone streams for recognition: the last 9 ms of every utterance are missing, and the end of the
#            result is that much earlier than the end of the input.
# What to do: append zeros (at least the filter's length) before the end, and cut the result to the length that belongs; or use soxr.ResampleStream.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages samplerate==0.2.4 soxr==1.1.0 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import numpy as np
import samplerate
import soxr

signal = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100).astype(np.float32)
blocks = np.split(signal, 10)
stream = samplerate.Resampler("sinc_best")
parts = [stream.process(block, 16000 / 44100, end_of_input=number == 9) for number, block in enumerate(blocks)]
parts.append(stream.process(np.zeros(0, np.float32), 16000 / 44100, end_of_input=True))
other = soxr.ResampleStream(44100, 16000, 1)
others = [other.resample_chunk(block, last=number == 9) for number, block in enumerate(blocks)]
lengths = [len(part) for part in parts]
print("samplerate, whole  ", len(samplerate.resample(signal, 16000 / 44100, "sinc_best")))
print("samplerate, blocks ", sum(lengths), lengths)
print("soxr, blocks       ", sum(map(len, others)))
sys.exit(0 if sum(lengths) == 15857 and sum(map(len, others)) == 16000 else "CHANGED: expected 15857 and 16000")
PYTHON
