"""The training graph: data, model, optimizer, and in train_eval mode the evaluation model beside it."""
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.evaluation.evaluation import EvaluationGraph
from open_seq2seq.models.assembly import build_data_layer
from open_seq2seq.optimizers import optimize
from open_seq2seq.training.checkpoints import SavedState

# larger than any loss, and finite, so that it passes through a checkpoint
NO_BEST_LOSS = 1e9


class TrainingGraph:
    """Everything that a training run computes with, built in the current graph.

    Args:
      params: the checked config of mode "train".
      evaluation_params: the checked config of mode "eval", or None.
      device: a ``Device``.
      rejected_file: where to list refused rows.

    Attributes:
      data_layer, evaluation (an EvaluationGraph or None), train (TrainOperations), loss, batch, best_path,
      state (SavedState), steps_per_epoch, last_step.
    """

    def __init__(self, params, evaluation_params, device, rejected_file):
        tf.set_random_seed(params["random_seed"])
        self.params = params
        self.data_layer = build_data_layer(params, "train", rejected_file)
        self.iter_size = params["iter_size"]
        self.steps_per_epoch = max(1, self.data_layer.batches_per_epoch // self.iter_size)
        self.last_step = params["max_steps"] or params["num_epochs"] * self.steps_per_epoch
        # which batch of the stream comes first is known only when a checkpoint has been read
        self._iterator = tf.data.Iterator.from_structure(
            tf.data.get_output_types(self._dataset(0)), tf.data.get_output_shapes(self._dataset(0)))
        self.batch = Batch(*self._iterator.get_next())
        model = params["base_model"](params, "train", self.data_layer.vocabulary.size, fast_gradients=device.fast_gradients)
        output = model(self.batch)
        self.loss, self.best_path, self.logit_lengths = output.loss, output.best_path, output.logit_lengths
        self.train = optimize(output.loss.loss, params, self.last_step, self.steps_per_epoch)
        self.state = SavedState(micro_batches=0, best_loss=NO_BEST_LOSS)
        tf.summary.scalar("train_loss", output.loss.loss)
        self.summary = tf.summary.merge_all()
        self.evaluation = None
        if evaluation_params is not None:
            layer = build_data_layer(evaluation_params, "eval", None)
            self.evaluation = EvaluationGraph(evaluation_params, "eval", layer)

    def _dataset(self, first_batch):
        return self.data_layer.training_dataset(first_batch)

    def start_data(self, session, first_batch):
        """Sets the input to the given batch of the stream of training batches."""
        session.run(self._iterator.make_initializer(self._dataset(first_batch)))

    def sample(self, values):
        """The first utterance of a fetched batch as (reference, prediction)."""
        from open_seq2seq.decoders.greedy import collapse
        vocabulary = self.data_layer.vocabulary
        labels = values["batch"].labels[0][:values["batch"].label_lengths[0]]
        prediction = collapse(values["best_path"][:1], values["logit_lengths"][:1], vocabulary.size)[0]
        return vocabulary.decode(labels), vocabulary.decode(prediction)
