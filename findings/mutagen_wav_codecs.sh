#!/usr/bin/env bash
# mutagen gives telephone recordings in WAV a small part of their duration: 10 s of GSM 6.10 are 31 ms, 10 s of ADPCM 20 ms.
#
# Software:  mutagen 1.48.1; soundfile 0.13.1 and tinytag 2.3.2 as comparison
# Seen:      2026-11-29, CPython 3.11
# Behavior:  info.length is the size of the data divided by the block size of the header and by the sample rate. For PCM a block is one sample;
#            in GSM 6.10 it is 320 samples, in ADPCM some hundred; G.721 too comes out short. No error, no warning. FLAC,
#            Ogg and PCM, mu-law and A-law WAVs are right.
# Hurt:      whoever writes a manifest of call-center recordings by mutagen: filters by duration drop every file as too short, buckets and
#            the hours of the corpus are wrong by a factor of 100 and more.
# What to do: take the duration from soundfile.info (rounded up to whole blocks), or from the fact chunk as tinytag does for GSM.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages mutagen==1.48.1 soundfile==0.13.1 tinytag==2.3.2 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import mutagen
import numpy as np
import soundfile
import tinytag

signal = 0.3 * np.sin(2 * np.pi * 440 * np.arange(80000) / 8000)
lengths = {}
for subtype in ("PCM_16", "ULAW", "ALAW", "GSM610", "IMA_ADPCM", "MS_ADPCM", "G721_32"):
    name = subtype + ".wav"
    soundfile.write(name, signal, 8000, subtype=subtype)
    lengths[subtype] = round(mutagen.File(name).info.length, 4)
    print("%-9s mutagen %8.4f s   soundfile %7.4f s   tinytag %7.4f s" % (
        subtype, lengths[subtype], soundfile.info(name).duration, tinytag.TinyTag.get(name).duration))
sys.exit(0 if all(lengths[name] == 10 for name in ("PCM_16", "ULAW", "ALAW")) and lengths["GSM610"] < 0.1
         and lengths["IMA_ADPCM"] < 0.1 and lengths["MS_ADPCM"] < 0.1 else "CHANGED")
PYTHON
