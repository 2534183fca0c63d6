"""A checkpoint in the folder of its run, ready to run on the CPU, by the graph that evaluation uses."""
import tensorflow.compat.v1 as tf

from open_seq2seq.export.freeze.freeze import ExportOptions, check_options, description_of
from open_seq2seq.export.freeze.model_inputs import feature_inputs
from open_seq2seq.export.freeze.restored_network import evaluation_network, restored_session
from open_seq2seq.export.freeze.run_folder import trained_model_of
from open_seq2seq.export.runtime.batches import LogitModel


class CheckpointModel(LogitModel):
    """The newest checkpoint of a run, without its config's code.

    Args:
      folder: the run's folder or one of its checkpoints.
      trained: a ``TrainedModel`` to use instead of what the folder says.

    Raises:
      CheckpointError: there is none, or the network cannot be built from what is saved beside it.
    """

    def __init__(self, folder, trained=None):
        trained = trained or trained_model_of(folder)
        options = ExportOptions(batch_size=None, frames=None, folded=False)
        check_options(trained, options)
        with tf.Graph().as_default():
            # described as an exported graph is, although it is fed with lengths
            tensors = feature_inputs(None, None, trained.params["data_layer_params"]["num_audio_features"], []).tensors
            super().__init__(description_of(trained, options, tensors), trained.checkpoint)
        with tf.Graph().as_default():
            self._features = tf.placeholder(tf.float32, [None, None, self.description.num_audio_features])
            self._lengths = tf.placeholder(tf.int32, [None])
            self._logits = evaluation_network(trained, self._features, self._lengths).logits
            self._session = restored_session(trained)

    def _run_features(self, features, feature_lengths):
        return self._session.run(self._logits, {self._features: features, self._lengths: feature_lengths})

    def close(self):
        super().close()
        self._session.close()
