#!/usr/bin/env bash
# libsndfile states half the length in the fact chunk of a stereo IMA ADPCM WAV, so that readers that trust it lose half the recording.
#
# Software:  soundfile 0.13.1 with libsndfile 1.2.2
# Seen:      2026-11-29, CPython 3.11
# Behavior:  the fact chunk holds the samples of one channel. For 32,037 frames libsndfile writes 32,544 (whole blocks) for mono, and 16,272
#            for stereo: it divides by the channels once too often. MS ADPCM of the same signal has 32,037 in both cases. libsndfile itself
#            ignores the chunk when it reads, so a round trip shows nothing.
# Hurt:      whoever stores two-channel telephone calls as IMA ADPCM and reads them with a tool that uses the fact chunk to cut the padding
#            of the last block, as the format intends: the second half of each call is gone.
# What to do: use the chunk only where it lies within the last block of the data, or write another codec.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages soundfile==0.13.1 numpy==2.4.6
"$python" - <<'PYTHON'
import io
import struct
import sys

import numpy as np
import soundfile

print("libsndfile", soundfile.__libsndfile_version__)
found = {}
for subtype in ("IMA_ADPCM", "MS_ADPCM"):
    for channels in (1, 2):
        file = io.BytesIO()
        soundfile.write(file, np.zeros((32037, channels)), 16000, format="WAV", subtype=subtype)
        place = file.getvalue().index(b"fact") + 8
        file.seek(0)
        found[subtype, channels] = struct.unpack_from("<I", file.getvalue(), place)[0], soundfile.info(file).frames
        print("%-9s %d channels: fact chunk %5d, frames that libsndfile reads %d" % ((subtype, channels) + found[subtype, channels]))
expected = {("IMA_ADPCM", 1): (32544, 32544), ("IMA_ADPCM", 2): (16272, 32544), ("MS_ADPCM", 1): (32037, 32384),
            ("MS_ADPCM", 2): (32037, 32384)}
sys.exit(0 if found == expected else "CHANGED")
PYTHON
