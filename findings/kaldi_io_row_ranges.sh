#!/usr/bin/env bash
# kaldi_io loses the last row and column of each range in an scp file: segments are one frame short.
#
# Software:  kaldi-io 0.9.8 (read_mat_scp); kaldiio 2.18.1 and kaldi_native_io 1.23.0 as comparison
# Seen:      2026-11-30, CPython 3.11
# Behavior:  In Kaldi, "features.ark:123[0:9]" are the rows 0 to 9, both included; so it is in kaldiio and kaldi_native_io. kaldi_io takes
#            the range as a Python slice and returns 9 rows; [5:9,1:2] is 4 by 1 instead of 5 by 2, and [7:7], one frame, is empty.
#            Nothing is logged.
# Hurt:      whoever reads features of segments or of selected dimensions that are written as ranges: one frame less per segment, labels
#            and alignments of the same segment are one longer, and the last of the dimensions is missing.
# What to do: read by kaldiio or kaldi_native_io, or compare the number of rows with the range.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages kaldi-io==0.9.8 kaldiio==2.18.1 kaldi_native_io==1.23.0 numpy==1.26.4
"$python" - 2> /dev/null <<'PYTHON'
import sys

import kaldi_io
import kaldi_native_io
import kaldiio
import numpy as np

matrix = np.arange(80, dtype=np.float32).reshape(20, 4)
with kaldi_native_io.FloatMatrixWriter("ark,scp:features.ark,features.scp") as writer:
    writer.write("utterance", matrix)
address = open("features.scp").read().split()[1]
found, right = {}, {"[0:9]": matrix[0:10], "[5:9,1:2]": matrix[5:10, 1:3], "[7:7]": matrix[7:8], "[:,1:2]": matrix[:, 1:3]}
for part, rows in right.items():
    with open("segment.scp", "w") as file:
        file.write("segment %s%s\n" % (address, part))
    others = [kaldiio.load_scp("segment.scp")["segment"]]
    others += [other.copy() for _, other in kaldi_native_io.SequentialFloatMatrixReader("scp:segment.scp")]
    found[part] = dict(kaldi_io.read_mat_scp("segment.scp"))["segment"].shape
    print("%-10s kaldi_io %s, kaldiio %s, kaldi_native_io %s" % (part, found[part], *(other.shape for other in others)))
    if not all(np.array_equal(other, rows) for other in others):
        sys.exit("CHANGED: kaldiio or kaldi_native_io")
sys.exit(0 if found == {"[0:9]": (9, 4), "[5:9,1:2]": (4, 1), "[7:7]": (0, 4), "[:,1:2]": (20, 1)} else 1)
PYTHON
