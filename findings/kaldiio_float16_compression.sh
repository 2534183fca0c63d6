#!/usr/bin/env bash
# kaldiio compresses float16 features to a constant; without compression it refuses them.
#
# Software:  kaldiio 2.18.1, NumPy 2.4.6
# Seen:      2026-11-30, CPython 3.11
# Behavior:  save_ark(..., compression_method=...) computes with the type of the array. In float16, the largest code of two bytes (65535) is
#            infinite. With methods 1, 2 and 3 (automatic, speech, two bytes) the archive then holds the smallest value of the features
#            everywhere; with method 5 (one byte) it is right. Shape and names are right and nothing is raised; NumPy prints
#            RuntimeWarnings about an overflow, once. The same numbers as float32 have an error of 0.0001, 0.02 and 0.0001. Without
#            compression, float16 raises ValueError, so that it seems to be checked.
# Hurt:      whoever keeps log-mel features or hidden layers of a network as float16 to save memory and writes them for Kaldi or ESPnet.
# What to do: array.astype(numpy.float32) before save_ark; turn RuntimeWarning into errors.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages kaldiio==2.18.1 numpy==2.4.6
"$python" - <<'PYTHON'
import sys
import warnings

import kaldiio
import numpy as np

warnings.simplefilter("ignore")
features = (3 * np.random.RandomState(0).randn(4, 80) + 5).astype(np.float16)
tall = np.tile(features, [5, 1])
as_described = True
for method, matrix in ((1, features), (3, features), (2, tall), (5, features)):
    errors = {}
    for kind in (np.float32, np.float16):
        kaldiio.save_ark("features.ark", {"utterance": matrix.astype(kind)}, compression_method=method)
        read = next(kaldiio.load_ark("features.ark"))[1]
        errors[kind] = np.abs(read - matrix.astype(np.float64)).max()
        print("method %d, %d rows, %s: largest error %.5f, from %.2f to %.2f (the features: from %.2f to %.2f)" % (
            method, len(matrix), np.dtype(kind).name, errors[kind], read.min(), read.max(), matrix.min(), matrix.max()))
    is_wrong = method != 5
    as_described = (as_described and (np.ptp(read) < 0.1) == is_wrong and (errors[np.float16] > 5) == is_wrong
                    and errors[np.float32] < 0.2)
try:
    kaldiio.save_ark("features.ark", {"utterance": features})
    as_described = False
except ValueError as error:
    print("without compression: ValueError: %s" % error)
sys.exit(0 if as_described else "CHANGED")
PYTHON
