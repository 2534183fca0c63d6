"""The worker process of training_step.py and of the peers: training steps with a checkout of this project.

It is not called by hand. The benchmark's own code is that of this directory; the network and its config are those of --checkout.
"""
import argparse
import os
import sys

import turns


def arguments_of(words=None):
    """The parsed command line of a worker, of whatever framework."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkout", help="directory with the open_seq2seq and configs that are measured")
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch_size", type=int, required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--recompute", choices=["blocks"], help="value of the config's key recompute")
    parser.add_argument("--comparable", action="store_true",
                        help="an optimizer that every framework has: NovoGrad without LARC, constant learning rate")
    parser.add_argument("--exact", action="store_true", help="no dropout, and utterances of different lengths")
    parser.add_argument("--export", help="write the layers, initial weights and the batch to this .npz")
    return parser.parse_args(words)


LEARNING_RATE = 0.01  # of --comparable


def changed_params(params, arguments):
    """Changes checked params as the arguments say."""
    if arguments.comparable:
        from open_seq2seq.optimizers.lr_policies import fixed_lr
        params.update(larc_params=None, lr_policy=fixed_lr, lr_policy_params={"learning_rate": LEARNING_RATE})
    if arguments.exact:
        for layer in params["encoder_params"]["convnet_layers"]:
            layer["dropout_keep_prob"] = 1.0
    if arguments.recompute is not None:
        params["recompute"] = arguments.recompute


def lengths_of(arguments):
    """Valid frames of every utterance; --exact: the last ones are shorter."""
    batch_size, frames = arguments.batch_size, arguments.frames
    if not arguments.exact:
        return [frames] * batch_size
    return [frames - 16 * min(row, frames // 64) for row in range(batch_size)]


def build(arguments):
    """(session, operations to run: loss and update, facts) of the network that the arguments describe."""
    import network  # after the checkout's modules, which it would otherwise replace
    import numpy as np
    import tensorflow.compat.v1 as tf

    from open_seq2seq.devices import select_device
    from open_seq2seq.distributed import Single
    from open_seq2seq.experiment.assembly import execution_of
    from open_seq2seq.optimizers import optimize

    if arguments.checkout:
        network.REPOSITORY = arguments.checkout
    case = network.CASES[arguments.model]._replace(batch_size=arguments.batch_size, frames=arguments.frames)
    base_model, params = network.checked_params(case, "train")
    changed_params(params, arguments)
    device = select_device("cpu", True, params)
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        batch = network.synthetic_batch(case, params["data_layer_params"]["num_audio_features"])
        valid = tf.constant(lengths_of(arguments), tf.int32)
        mask = tf.expand_dims(tf.sequence_mask(valid, case.frames, dtype=tf.float32), 2)
        batch = batch._replace(features=batch.features * mask, feature_lengths=valid,
                               positions=tf.range(case.batch_size, dtype=tf.int64))
        execution = execution_of(params, "train", device, Single())
        output = base_model(params, "train", network.VOCABULARY_SIZE, execution=execution)(batch)
        flops = 3 * network.convolution_flops(case)
        update = optimize(output.loss.loss, params, 100000, 1000).update
        parameters = sum(variable.shape.num_elements() for variable in tf.trainable_variables())
        config = device.session_config()
        device.simplify_rewrites(config)
        session = tf.Session(config=config)
        session.run(tf.global_variables_initializer())
        if arguments.export:
            values = {variable.op.name: variable for variable in tf.trainable_variables()}
            fields = {"batch:" + name: getattr(batch, name) for name in
                      ("features", "feature_lengths", "labels", "label_lengths")}
            layers = params["encoder_params"]["convnet_layers"]
            np.savez(arguments.export, layers=np.array(repr([
                {key: layer[key] for key in ("repeat", "kernel_size", "stride", "dilation", "num_channels", "residual",
                                             "residual_dense", "dropout_keep_prob")} for layer in layers])),
                     optimizer=np.array(repr({key: params["optimizer_params"][key] for key in
                                              ("beta1", "beta2", "epsilon", "weight_decay", "grad_averaging")})),
                     batch_norm=np.array(repr({key: params["encoder_params"][key] for key in ("bn_momentum", "bn_epsilon")})),
                     **session.run(dict(values, **fields)))
    facts = {"flops": flops, "parameters": parameters, "software": "TensorFlow " + tf.__version__}
    return session, [output.loss.loss, update], facts


def main():
    arguments = arguments_of()
    output = turns.private_output()
    if arguments.checkout:
        arguments.checkout = os.path.abspath(arguments.checkout)
        sys.path.insert(0, arguments.checkout)
        import open_seq2seq
        if not open_seq2seq.__file__.startswith(arguments.checkout + os.sep):
            raise SystemExit("%s contains no open_seq2seq" % arguments.checkout)
    session, fetches, facts = build(arguments)
    turns.serve(output, lambda: session.run(fetches)[0], facts)


if __name__ == "__main__":
    main()
