"""CTC loss and gradient of the original, on feasible, just feasible, infeasible and NaN utterances."""
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.losses import CTCLoss

pytestmark = pytest.mark.shared


def test_edge_cases(goldens, graph):
    golden = np.load(os.path.join(goldens, "ctc_edge.npz"))
    logits = tf.constant(golden["logits"].transpose(1, 0, 2))
    output = CTCLoss({"mask_nan": True})(
        logits, tf.constant(golden["src_len"]), tf.constant(golden["labels"]), tf.constant(golden["label_len"]))
    with tf.Session() as session:
        loss, per_utterance, counted, gradient = session.run(
            [output.loss, output.per_utterance, output.counted, tf.gradients(output.loss, logits)[0]])
    # row 1 is infeasible because of repeats, row 2 has more labels than frames, row 5 has NaN logits
    assert counted.tolist() == [True, False, False, True, True, False]
    np.testing.assert_allclose(per_utterance, np.where(counted, golden["raw"], 0.0), rtol=1e-5)
    np.testing.assert_allclose(loss, golden["avg"], rtol=1e-5)
    expected = golden["grad"].transpose(1, 0, 2).copy()
    assert np.isnan(expected[5]).any()  # the original lets NaN into the gradient; ours keeps it out
    expected[5] = 0.0
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
