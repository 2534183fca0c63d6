#!/usr/bin/env bash
# speechpy's temporal derivatives are sums of neighboring coefficients of one frame: constant features have non-zero deltas.
#
# Software:  speechpy 2.4; python_speech_features 0.6 as comparison
# Seen:      2026-11-29, CPython 3.11
# Behavior:  extract_derivative_feature is documented as "temporal derivative features". It shifts along the coefficients instead of the frames,
#            and its subtraction is a separate statement whose result is discarded, so that shifted values are added. Features that are 1
#            in all frames get deltas of 0.3 and 0.09 (python_speech_features: 0); a frame's result does not depend on any other
#            frame, so reversing the recording reverses the deltas without changing their sign. Also, preemphasis subtracts the LAST
#            sample from the first one (np.roll), so that a recording that ends loud begins with a click.
# Hurt:      whoever trains on mfcc plus deltas by this package (speaker and keyword recipes do): two thirds of the input are a linear function
#            of the other third, and experiments with and without deltas compare the same information.
# What to do: python_speech_features.delta or librosa.feature.delta on the static features; scipy.signal.lfilter for the pre-emphasis.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages speechpy==2.4 python_speech_features==0.6 scipy==1.17.1 numpy==1.26.4
"$python" -W ignore - <<'PYTHON'
import sys

import numpy as np
import python_speech_features
import speechpy

constant = np.ones((50, 13))
features = np.random.default_rng(0).standard_normal((50, 13))


def by_speechpy(matrix):
    return speechpy.feature.extract_derivative_feature(matrix)[:, :, 1]


def by_other(matrix):
    return python_speech_features.delta(matrix, 2)


checks = {}
for name, delta in (("speechpy", by_speechpy), ("python_speech_features", by_other)):
    alone = np.concatenate([delta(frame[None]) for frame in features])
    checks[name] = (float(np.abs(delta(constant)).max().round(3)), bool(np.allclose(alone, delta(features))),
                    bool(np.allclose(delta(features[::-1])[::-1], delta(features))),
                    bool(np.allclose(delta(features[::-1])[::-1], -delta(features))))
    print("%-22s delta of constant features %.1f; same from each frame alone: %s; reversed in time: same %s, negated %s" % (
        (name,) + checks[name]))
cube = speechpy.feature.extract_derivative_feature(constant)
print("speechpy, constant features: static %.2f, first derivative %.2f, second %.2f" % tuple(cube[20, 6]))
emphasized = speechpy.processing.preemphasis(np.array([0.0, 0.0, 0.0, 1.0]), cof=0.98)
print("speechpy, preemphasis of [0, 0, 0, 1]:", emphasized)
expected = {"speechpy": (0.3, True, True, False), "python_speech_features": (0.0, False, False, True)}
sys.exit(0 if checks == expected and emphasized[0] == -0.98 else "CHANGED")
PYTHON
