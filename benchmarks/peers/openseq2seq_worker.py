"""Training steps of Jasper with the operations from which OpenSeq2Seq builds it; the worker process of openseq2seq.py.

The layers, the initial weights, the batch and the settings come from a file that ``step_worker.py --export`` writes. It needs
TensorFlow 1.15, because later versions have no ``tf.layers``. Memory comes from TensorFlow's default allocator.
"""
import os
import sys

import tensorflow.compat.v1 as tf

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import turns  # noqa: E402
import worker_input  # noqa: E402

MODEL = "ForwardPass/"


def convolution(inputs, name, norm, width, layer):
    """``conv1d`` without bias and ``batch_normalization``, before the activation; [B, T, C]."""
    outputs = tf.layers.conv1d(
        inputs, layer["num_channels"], width, strides=layer["stride"][0] if width > 1 else 1, padding="same",
        dilation_rate=layer["dilation"][0] if width > 1 else 1, use_bias=False, data_format="channels_last", name=name)
    # fused batch norm needs four dimensions
    normalized = tf.layers.batch_normalization(
        tf.expand_dims(outputs, 1), axis=-1, momentum=norm["bn_momentum"], epsilon=norm["bn_epsilon"], training=True,
        name=name + "/bn" if "res" not in name else name.replace("/res", "/res_bn"))
    return tf.squeeze(normalized, 1)


def encoder(features, lengths, layers, norm):
    """Features [B, T, F] to (outputs [B, T', C], lengths), as OpenSeq2Seq's TDNNEncoder computes them with ``use_conv_mask``."""
    activations, dense = features, []
    for block, layer in enumerate(layers, 1):
        for repeat in range(1, layer["repeat"] + 1):
            mask = tf.expand_dims(tf.sequence_mask(lengths, tf.shape(activations)[1], dtype=tf.float32), 2)
            activations = activations * mask
            if repeat == 1 and layer["residual"]:
                dense = (dense if layer["residual_dense"] else []) + [activations]
            name = "conv%d%d" % (block, repeat)
            outputs = convolution(activations, name, norm, layer["kernel_size"][0], layer)
            lengths = -(-lengths // layer["stride"][0])
            if repeat == layer["repeat"] and layer["residual"]:
                for index, branch in enumerate(dense):
                    suffix = "_%d" % index if layer["residual_dense"] else ""
                    outputs += convolution(branch, name + "/res" + suffix, norm, 1, layer)
            activations = tf.nn.relu(outputs)
            if layer["dropout_keep_prob"] < 1.0:
                activations = tf.nn.dropout(activations, keep_prob=layer["dropout_keep_prob"])
    return activations, lengths


def novograd(loss, learning_rate, settings):
    """NovoGrad as OpenSeq2Seq has it, a momentum optimizer of normalized gradients, but with the moments of the paper."""
    share = 1.0 - settings["beta1"] if settings["grad_averaging"] else 1.0
    normalized, moments = [], []
    momentum = tf.train.MomentumOptimizer(learning_rate, settings["beta1"])
    for gradient, variable in momentum.compute_gradients(loss):
        moment = tf.get_variable(variable.op.name + "/moment", initializer=0.0, trainable=False)
        square = tf.reduce_sum(tf.square(gradient))
        average = tf.where(tf.equal(moment, 0.0), square, settings["beta2"] * moment + (1.0 - settings["beta2"]) * square)
        moments.append(tf.assign(moment, average))
        step = gradient / tf.sqrt(average + settings["epsilon"]) + settings["weight_decay"] * variable
        normalized.append((share * step, variable))
    return tf.group(momentum.apply_gradients(normalized), *moments)


def main():
    arguments = worker_input.arguments_of(__doc__)
    output = turns.private_output()
    values, settings = worker_input.read_values(arguments.values)
    # a variable: TensorFlow would fold what depends on constants
    features = tf.get_variable("features", initializer=values["batch:features"], trainable=False)
    lengths, labels, label_lengths = (tf.constant(values["batch:" + name]) for name in (
        "feature_lengths", "labels", "label_lengths"))
    with tf.variable_scope(MODEL + "w2l_encoder"):
        outputs, lengths = encoder(features, lengths, settings["layers"], settings["batch_norm"])
    with tf.variable_scope(MODEL + "fully_connected_ctc_decoder"):
        kernel = values[MODEL + "fully_connected_ctc_decoder/fully_connected/kernel"]
        rows = tf.reshape(outputs, [-1, kernel.shape[0]])
        logits = tf.reshape(tf.layers.dense(rows, kernel.shape[1], name="fully_connected"),
                            [outputs.shape[0], -1, kernel.shape[1]])
    indices = tf.where(tf.sequence_mask(label_lengths, tf.shape(labels)[1]))
    sparse_labels = tf.SparseTensor(indices, tf.gather_nd(labels, indices), tf.shape(labels, out_type=tf.int64))
    loss = tf.reduce_mean(tf.nn.ctc_loss(sparse_labels, logits, lengths, time_major=False,
                                         ignore_longer_outputs_than_inputs=True))
    moving_averages = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    update = tf.group(novograd(loss, arguments.learning_rate, settings["optimizer"]), *moving_averages)
    session = tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=arguments.threads,
                                               inter_op_parallelism_threads=arguments.threads))
    session.run(tf.global_variables_initializer())
    variables = {variable.op.name: variable for variable in tf.trainable_variables()}
    given = {name for name in values.files if name.startswith(MODEL)}
    if given != set(variables):
        raise SystemExit("the weights differ: %s" % ", ".join(sorted(given ^ set(variables))))
    for name, variable in variables.items():
        variable.load(values[name], session)
    turns.serve(output, lambda: session.run([loss, update])[0], {
        "parameters": sum(variable.shape.num_elements() for variable in variables.values()),
        "software": "TensorFlow " + tf.__version__})


if __name__ == "__main__":
    main()
