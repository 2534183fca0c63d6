#!/usr/bin/env bash
# tf2onnx turns integer floor division and modulo of TensorFlow into truncating ones: lengths of strided layers come out one short.
#
# Software:  tf2onnx 1.16.1, TensorFlow 2.15.1, onnxruntime 1.20.1 (the same with TensorFlow 1.15.0 and onnxruntime 1.10.0)
# Seen:      2026-11-29, CPython 3.11
# Behavior:  x // 2 and x % 2 on int32 tensors follow Python in TensorFlow and C in the converted graph, without a warning. The usual
#            rounding up, -(-lengths // stride), gives 1 instead of 2 for 3 frames at stride 2.
# Hurt:      whoever exports a recognizer that computes its own output lengths: the last frame of every odd length is masked or not
#            decoded, and the word error rate differs from TensorFlow's.
# What to do: write (lengths + stride - 1) // stride, which has no negative operand, or compute lengths outside the graph.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages tensorflow-cpu==2.15.1 tf2onnx==1.16.1 onnx==1.16.2 onnxruntime==1.20.1 "numpy<2"
TF_CPP_MIN_LOG_LEVEL=3 "$python" - 2> errors.log <<'PYTHON' || { status=$?; tail -n 3 errors.log; exit "$status"; }
import sys

import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx

lengths = np.array([3, 4, 5, 101], np.int32)


@tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="lengths")])
def strided(lengths):
    return -(-lengths // 2), (lengths + 1) // 2, -lengths % 4


model, _ = tf2onnx.convert.from_function(strided, input_signature=[tf.TensorSpec([None], tf.int32, name="lengths")], opset=13)
session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
tensorflow = [value.numpy().tolist() for value in strided(tf.constant(lengths))]
converted = [value.tolist() for value in session.run(None, {"lengths": lengths})]
for name, ours, theirs in zip(("-(-n // 2)", "(n + 1) // 2", "-n % 4"), tensorflow, converted):
    print("%-13s of %s: TensorFlow %s, ONNX %s" % (name, lengths.tolist(), ours, theirs))
as_described = (tensorflow[0] == [2, 2, 3, 51] and converted[0] == [1, 2, 2, 50] and tensorflow[1] == converted[1]
                and tensorflow[2] != converted[2])
sys.exit(0 if as_described else "CHANGED")
PYTHON
