#!/usr/bin/env bash
# ONNX's MelWeightMatrix ends below the upper frequency that is asked for, and its edges are whole bins: features differ from HTK's by 3 dB.
#
# Software:  onnx 1.23.2 (its reference evaluator), onnxruntime 1.32.0; opset 17
# Seen:      2026-11-29, CPython 3.11
# Behavior:  The operator is described as weighting the range from lower_edge_hertz to upper_edge_hertz. The step between edges on the mel scale
#            is the range divided by bands + 2 instead of bands + 1, so that the last band ends one step early: 80 bands to
#            8,000 Hz end at 7,750 Hz, 23 bands to 4,000 Hz at 3,656 Hz, and each band in between is lower than the band of the same
#            number in HTK, Kaldi, TensorFlow and librosa. Edges are cut to whole bins of the DFT: at 512 points 20 of 80
#            bands are one single bin and two neighbors are equal. On white noise the log mel energies of a frame differ from
#            HTK's by 3.0 dB (RMS), their means by up to 2.8 dB. The reference evaluator does the same, so a comparison with it
#            does not reveal the difference.
# Hurt:      whoever puts the front end of a trained recognizer into its ONNX file by STFT and MelWeightMatrix: the acoustic model gets other
#            features than those it was trained with.
# What to do: store the training's own filter bank as an initializer and use MatMul.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
"$python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def mel_weight_matrix(bands, points, rate, low, high):
    inputs = [helper.make_tensor(name, kind, [], [value]) for name, kind, value in (
        ("bands", TensorProto.INT64, bands), ("points", TensorProto.INT64, points), ("rate", TensorProto.INT64, rate),
        ("low", TensorProto.FLOAT, low), ("high", TensorProto.FLOAT, high))]
    node = helper.make_node("MelWeightMatrix", [tensor.name for tensor in inputs], ["matrix"])
    output = helper.make_tensor_value_info("matrix", TensorProto.FLOAT, [points // 2 + 1, bands])
    model = helper.make_model(helper.make_graph([node], "mel", [], [output], inputs), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {})[0], ReferenceEvaluator(model).run(None, {})[0]


def htk(bands, points, rate, low, high):
    mel_range = 2595 * np.log10(1 + np.array([low, high]) / 700)
    edges = 700 * (10 ** (np.linspace(mel_range[0], mel_range[1], bands + 2) / 2595) - 1)
    bins = (np.arange(points // 2 + 1) * rate / points)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling))


as_described = True
for case in ((80, 512, 16000, 0.0, 8000.0), (40, 512, 16000, 20.0, 7600.0), (23, 256, 8000, 20.0, 4000.0)):
    bands, points, rate, _, high = case
    runtime, reference = mel_weight_matrix(*case)
    other = htk(*case)
    noise = np.random.default_rng(0).standard_normal((500, points)) * np.hanning(points)
    power = np.abs(np.fft.rfft(noise)) ** 2
    difference = 10 * np.log10(power @ runtime + 1e-10) - 10 * np.log10(power @ other + 1e-10)
    rms = np.sqrt((difference ** 2).mean())
    end, other_end = ((np.flatnonzero(matrix.sum(1))[-1] + 1) * rate / points for matrix in (runtime, other))
    print("%d bands to %4d Hz: zero from %.0f Hz on (HTK %.0f), bands of a single bin %d (HTK %d), log energies differ by %.1f dB RMS, "
          "mean up to %.1f dB; reference evaluator %s" % (
              bands, high, end, min(other_end, high), (np.count_nonzero(runtime, 0) == 1).sum(), (np.count_nonzero(other, 0) == 1).sum(), rms,
              np.abs(difference.mean(0)).max(), "equal" if np.array_equal(runtime, reference) else "differs"))
    as_described = as_described and high - end > 200 and high - other_end < 20 and rms > 1.5 and np.array_equal(runtime, reference)
sys.exit(0 if as_described else "CHANGED")
PYTHON
