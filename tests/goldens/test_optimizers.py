"""NovoGrad against ten steps of NVIDIA's PyTorch implementation (DeepLearningExamples) on given gradients."""
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.optimizers.novograd import NovoGrad

TENSORS = ("kernel", "gamma", "bias")


@pytest.mark.shared
@pytest.mark.parametrize("variant, beta2, grad_averaging", [
    ("beta2_0.98", 0.98, False), ("beta2_0.98_grad_averaging", 0.98, True), ("beta2_0", 0.0, False)])
def test_novograd(goldens, graph, variant, beta2, grad_averaging):
    with np.load(os.path.join(goldens, "novograd.npz")) as archive:
        golden = dict(archive)
    variables = [tf.get_variable(name, initializer=golden["initial/" + name], use_resource=False) for name in TENSORS]
    gradients = [tf.placeholder(tf.float32, variable.shape) for variable in variables]
    learning_rate = tf.placeholder(tf.float32, [])
    optimizer = NovoGrad(learning_rate, beta1=0.95, beta2=beta2, epsilon=1e-8, weight_decay=0.001,
                         grad_averaging=grad_averaging)
    update = optimizer.apply_gradients(list(zip(gradients, variables)))
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        for step in range(1, 11):
            feed = {placeholder: golden["gradient%d/%s" % (step, name)] for placeholder, name in zip(gradients, TENSORS)}
            feed[learning_rate] = golden["learning_rate"][step - 1]
            session.run(update, feed)
            if step in (1, 2, 5, 10):
                for name, value in zip(TENSORS, session.run(variables)):
                    np.testing.assert_allclose(value, golden["%s/step%d/%s" % (variant, step, name)], rtol=1e-5, atol=1e-6)
