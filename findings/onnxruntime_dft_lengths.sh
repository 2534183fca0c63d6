#!/usr/bin/env bash
# onnxruntime's DFT and STFT are inaccurate at lengths that are not powers of two, and the more so the longer they are.
#
# Software:  onnxruntime 1.32.0 and 1.20.1, CPU
# Seen:      2026-11-29, CPython 3.11
# Behavior:  The error of a 16,384-point DFT of noise is -124 dB of the result, of a 16,000-point one (1 s) -58 dB, of a 160,000-point one (10 s)
#            -38 dB. SciPy in single precision has about -136 dB at each of them, and the reference evaluator of the package onnx is exact at
#            16,000. The 400 points of a 25 ms frame have -91 dB instead of -128, also in STFT. No warning. The algorithm for other
#            lengths (Bluestein's) appears to compute its phases, which grow with the square of the index, in single precision.
# Hurt:      whoever exports a spectral front end, a filter or a reverberation by DFT over a whole utterance, or checks such an export
#            against NumPy or PyTorch: bands that are 50 dB below the loudest come out 8 dB too loud at 10 s, and the amount depends on
#            the length of the utterance, so that a short test signal shows nothing.
# What to do: take a power of two (the input dft_length pads to it; the bins are then other frequencies), or multiply frames by a DFT matrix.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 scipy==1.17.1
"$python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import scipy.fft
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

graph = helper.make_graph([helper.make_node("DFT", ["x"], ["y"], axis=1, onesided=1)], "dft",
                          [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "n", 1])],
                          [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "m", 2])])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def transform(run, signal):
    result = run(None, {"x": signal[None, :, None]})[0][0].astype(np.float64)
    return result[:, 0] + 1j * result[:, 1]


def error(result, signal):
    exact = np.fft.rfft(signal.astype(np.float64))
    return 10 * np.log10((np.abs(result - exact) ** 2).mean() / (np.abs(exact) ** 2).mean())


generator = np.random.default_rng(0)
errors, single = {}, {}
for length in (400, 512, 1102, 1024, 16000, 16384, 44100, 65536, 160000, 262144):
    noise = generator.standard_normal(length).astype(np.float32)
    errors[length] = error(transform(session.run, noise), noise)
    single[length] = error(scipy.fft.rfft(noise), noise)
    print("%6d points: error %.0f dB in onnxruntime, %.0f dB in scipy (single precision)" % (length, errors[length], single[length]))
reference = ReferenceEvaluator(model)

frames = {}
for length in (400, 512):
    graph = helper.make_graph([helper.make_node("STFT", ["x", "step", "", "length"], ["y"], onesided=1)], "stft",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, length, 1])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, length // 2 + 1, 2])],
                              initializer=[numpy_helper.from_array(np.array(length, np.int64), name) for name in ("step", "length")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    noise = generator.standard_normal(length).astype(np.float32)
    stft = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    frames[length] = error(transform(lambda *arguments: stft.run(*arguments)[0], noise), noise)
    print("%6d points: error %.0f dB in onnxruntime's STFT" % (length, frames[length]))
noise = generator.standard_normal(16000).astype(np.float32)
evaluator = error(transform(reference.run, noise), noise)
print(" 16000 points: error %.0f dB in the reference evaluator of onnx" % evaluator)

# 10 s whose octave above 4 kHz is 50 dB below the rest.
spectrum = np.fft.rfft(generator.standard_normal(160000))
high = np.fft.rfftfreq(160000, 1 / 16000) > 4000
spectrum[high] *= 10 ** (-50 / 20)
signal = np.fft.irfft(spectrum)
signal = (0.1 * signal / signal.std()).astype(np.float32)
levels = [10 * np.log10((np.abs(result[high]) ** 2).mean() / (np.abs(result[~high]) ** 2).mean())
          for result in (np.fft.rfft(signal.astype(np.float64)), transform(session.run, signal))]
print("10 s, level above 4 kHz: %.1f dB, in onnxruntime %.1f dB" % tuple(levels))
powers = [length for length in errors if length & (length - 1) == 0]
as_described = (all(errors[length] < -115 for length in powers) and max(single.values()) < -115 and evaluator < -115
                and -100 < errors[400] < -80 and -100 < frames[400] < -80 and frames[512] < -115
                and -65 < errors[16000] < -50 and -45 < errors[160000] < -30
                and levels[1] - levels[0] > 5)
sys.exit(0 if as_described else "CHANGED")
PYTHON
