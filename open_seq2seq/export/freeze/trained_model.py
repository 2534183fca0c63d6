"""A trained model: its evaluation graph with the weights of a checkpoint, on the CPU."""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.restore import open_checkpoint, restore
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.encoders import Execution
from open_seq2seq.errors import CheckpointError
from open_seq2seq.export.freeze.folding import decoder_variables
from open_seq2seq.text.vocabulary import shown_labels

TrainedModel = collections.namedtuple("TrainedModel", "base_model params vocabulary checkpoint config_sha256")
TrainedModel.__doc__ = """The input of an export.

base_model: the model class; params: its checked params; vocabulary: tuple of characters; checkpoint: path without extension;
config_sha256: SHA-256 of the config file, None where it is not known.
"""


def evaluation_network(trained, features, feature_lengths):
    """Builds the evaluation network in float32 in the current graph.

    Args:
      trained: a :class:`TrainedModel`.
      features: float32 [B, T, F].
      feature_lengths: int32 [B].

    Returns:
      ModelOutput.
    """
    model = trained.base_model(trained.params, "infer", len(trained.vocabulary), execution=Execution(False, tf.float32))
    return model(Batch(features, feature_lengths, None, None, None))


def restored_session(trained):
    """A ``tf.Session`` of the current graph, with the checkpoint's values in the variables.

    Raises:
      CheckpointError: the checkpoint is missing, damaged, or has another architecture or vocabulary.
    """
    check_vocabulary(trained)
    device = Cpu()
    config = device.session_config()
    device.simplify_rewrites(config)
    session = tf.Session(config=config)
    try:
        restore(session, trained.checkpoint, tf.global_variables(), averaged=trained.params.get("evaluate_ema", True))
    except Exception:
        session.close()
        raise
    return session


def check_vocabulary(trained):
    """Raises CheckpointError if a checkpoint's number of outputs does not match the vocabulary."""
    shape = open_checkpoint(trained.checkpoint).get_variable_to_shape_map().get(
        decoder_variables(trained.params) + "bias")
    expected = len(trained.vocabulary) + 1
    if shape is not None and shape != [expected]:
        raise CheckpointError(
            "checkpoint %s has another vocabulary: it has %d outputs, %d labels and the CTC blank, and the vocabulary has "
            "%d labels: %s. Give the vocab_file of its training" % (
                trained.checkpoint, shape[0], shape[0] - 1, expected - 1, shown_labels(trained.vocabulary)))


def read_weights(trained):
    """All variables of the network, dict name -> float32 array.

    Raises:
      CheckpointError: see :func:`restored_session`.
    """
    features = trained.params["data_layer_params"]["num_audio_features"]
    with tf.Graph().as_default():
        evaluation_network(trained, tf.placeholder(tf.float32, [None, None, features]), tf.placeholder(tf.int32, [None]))
        with restored_session(trained) as session:
            return session.run({variable.op.name: variable for variable in tf.global_variables()})
