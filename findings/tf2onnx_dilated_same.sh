#!/usr/bin/env bash
# A dilated 1-D convolution with SAME padding converts to ONNX without a complaint, loads, and fails when it is first run.
#
# Software:  tf2onnx 1.16.1, TensorFlow 2.15.1, onnxruntime 1.20.1 (the same with TensorFlow 1.15.0 and onnxruntime 1.10.0)
# Seen:      2026-11-29, CPython 3.11
# Behavior:  tf2onnx writes Conv with auto_pad=SAME_UPPER and dilations where the number of frames is unknown; onnxruntime supports
#            this combination neither at dilation 2 nor above, and says so only when a batch is run ("Dilation not supported").
# Hurt:      whoever exports Jasper (its last layer but one has dilation 2), QuartzNet, WaveNet or TCN models with a free length and
#            checks only that the file loads.
# What to do: pad explicitly with tf.pad by dilation * (kernel - 1) // 2 on both sides and convolve with VALID; run one batch after export.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages tensorflow-cpu==2.15.1 tf2onnx==1.16.1 onnx==1.16.2 onnxruntime==1.20.1 "numpy<2"
TF_CPP_MIN_LOG_LEVEL=3 AUTOGRAPH_VERBOSITY=0 "$python" - 2> errors.log <<'PYTHON' || { status=$?; tail -n 3 errors.log; exit "$status"; }
import sys

import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx

frames = np.random.RandomState(0).normal(size=(1, 20, 4)).astype(np.float32)
kernel = np.random.RandomState(1).normal(size=(5, 4, 3)).astype(np.float32)
signature = [tf.TensorSpec([None, None, 4], tf.float32, name="frames")]


def result(network):
    network = tf.function(network, input_signature=signature)
    model, _ = tf2onnx.convert.from_function(network, input_signature=signature, opset=13)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    try:
        difference = np.abs(session.run(None, {session.get_inputs()[0].name: frames})[0] - network(frames).numpy()).max()
    except Exception as error:
        return "loads, fails at the first run: %s" % str(error).strip().split("Status Message:")[-1].strip()
    return "runs, largest difference %.1e" % difference


found = {
    "SAME, dilation 1": result(lambda frames: tf.nn.conv1d(frames, kernel, 1, "SAME")),
    "SAME, dilation 2": result(lambda frames: tf.nn.conv1d(frames, kernel, 1, "SAME", dilations=2)),
    "tf.pad + VALID, dilation 2": result(lambda frames: tf.nn.conv1d(tf.pad(frames, [[0, 0], [4, 4], [0, 0]]), kernel, 1, "VALID",
                                                                     dilations=2))}
for name, value in found.items():
    print("%-27s %s" % (name, value))
as_described = [value.startswith("runs") for value in found.values()] == [True, False, True]
sys.exit(0 if as_described else "CHANGED")
PYTHON
