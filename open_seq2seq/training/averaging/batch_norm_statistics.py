"""Measures batch-norm statistics on training data, for averaged weights.

The mean of the moving statistics of several networks is not the statistics of the mean network. They are measured by forward
passes in training mode, without dropout and augmentation, as the plain mean of the statistics of all batches, not a moving one.
"""
import copy

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.frame_targets import as_batch
from open_seq2seq.data.tasks import FEATURES
from open_seq2seq.devices.session import open_session
from open_seq2seq.distributed.group import Single
from open_seq2seq.experiment.assembly import build_data_layer, execution_of
from open_seq2seq.models.multi_task import output_sizes
from open_seq2seq.training.averaging.objective import assignment

_STATISTICS = ("/moving_mean", "/moving_variance")


def reestimated(base_model, params, values, num_batches, device):
    """A network with batch-norm statistics measured on training data.

    Args:
      base_model: the model class.
      params: the checked config of mode "train".
      values: dict name -> array, the network's variables.
      num_batches: number of batches of ``batch_size_per_gpu`` utterances.
      device: a ``Device`` without static shapes.

    Returns:
      A new dict like ``values``; equal to it where the network has no batch norm.

    Raises:
      DataError: the data cannot be read.
      CheckpointError: the values are those of another network.
    """
    if not any(name.endswith(_STATISTICS) for name in values):
        return dict(values)
    params = without_randomness(params)
    with tf.Graph().as_default():
        layer = build_data_layer(params, "train", device, Single())
        iterator = tf.data.make_initializable_iterator(layer.training_dataset(0))
        model = base_model(params, "train", output_sizes(layer), execution=execution_of(params, "train", device, Single()))
        model(as_batch(iterator.get_next()))
        assign = assignment(tf.global_variables())
        update = tf.group(*tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        statistics = [variable for variable in tf.global_variables() if variable.op.name.endswith(_STATISTICS)]
        # with a momentum of 0, one update from zero gives exactly the statistics of the batch
        clear = tf.group(*[variable.assign(tf.zeros(variable.shape)) for variable in statistics])
        sums = [np.zeros(variable.shape.as_list(), np.float64) for variable in statistics]
        with open_session(device) as session:
            assign(session, values)
            session.run(iterator.initializer)
            for _ in range(num_batches):
                session.run(clear)
                try:
                    session.run(update)
                except tf.errors.OpError:
                    layer.raise_if_too_many_rejected()
                    raise
                for total, value in zip(sums, session.run(statistics)):
                    total += value
    return dict(values, **{variable.op.name: (total / num_batches).astype(np.float32)
                           for variable, total in zip(statistics, sums)})


def without_randomness(params):
    """Checked training params without dropout, drop block and augmentation, and with a batch-norm momentum of 0."""
    params = dict(params)
    encoder = params["encoder_params"] = copy.deepcopy(params["encoder_params"])
    encoder.update(dropout_keep_prob=1.0, drop_block_prob=0.0, bn_momentum=0.0)
    for layer in encoder.get("convnet_layers", ()):
        layer["dropout_keep_prob"] = 1.0
    params["data_layer_params"] = dict(params["data_layer_params"], augmentation=None)
    if params.get("tasks"):
        # without noise there is nothing to remove; the output layers have no batch norm
        params["tasks"] = {name: task for name, task in params["tasks"].items() if task["data"]["kind"] != FEATURES}
    return params
