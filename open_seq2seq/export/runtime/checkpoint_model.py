"""A checkpoint in a run's folder, run on the CPU by the evaluation graph."""
import tensorflow.compat.v1 as tf

from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.devices.lean_graph import new_graph
from open_seq2seq.errors import ConfigError
from open_seq2seq.export.freeze.folding import fold
from open_seq2seq.export.freeze.frozen_graph import ExportOptions, check_options, description_of
from open_seq2seq.export.freeze.model_from_run import with_model_of_run
from open_seq2seq.export.freeze.model_inputs import feature_inputs
from open_seq2seq.export.freeze.trained_model import evaluation_network, restored_session
from open_seq2seq.export.runtime.folded_graphs import array_function
from open_seq2seq.export.runtime.logit_model import LogitModel


class CheckpointModel(LogitModel):
    """The newest checkpoint of a run; the run's config is not executed.

    Args:
      folder: the run's folder or one of its checkpoints.
      trained: a ``TrainedModel`` to use instead of ``folder``.
      task: name of one of several tasks with transcripts; None: the main task.

    Raises:
      CheckpointError: there is no checkpoint, or its network cannot be built from the files next to it.
    """

    def __init__(self, folder, trained=None, task=None):
        if trained is None:
            with_model_of_run(folder, self._restore, task=task)
        else:
            self._restore(trained)

    def _restore(self, trained):
        self._trained, self._network = trained, None
        options = ExportOptions(batch_size=None, frames=None, folded=False)
        check_options(trained, options)
        with tf.Graph().as_default():
            # described like an exported graph, although this graph takes lengths instead of a mask
            tensors = feature_inputs(None, None, trained.params["data_layer_params"]["num_audio_features"], []).tensors
            super().__init__(description_of(trained, options, tensors), trained.checkpoint)
        with new_graph(Cpu()).as_default():
            self._features = tf.placeholder(tf.float32, [None, None, self.description.num_audio_features])
            self._lengths = tf.placeholder(tf.int32, [None])
            self._logits = evaluation_network(trained, self._features, self._lengths).logits
            self._session = restored_session(trained)

    def folded_network(self):
        if self._network is None:
            variables = self._session.graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)
            try:
                network = fold(self._trained.params, self._session.run({variable.op.name: variable for variable in variables}))
            except ConfigError:      # its normalization depends on the input
                return None
            self._network = network._replace(activation=array_function(network.activation))
        return self._network

    def _run_features(self, features, feature_lengths):
        return self._session.run(self._logits, {self._features: features, self._lengths: feature_lengths})

    def close(self):
        super().close()
        self._session.close()
