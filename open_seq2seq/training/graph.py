"""The training graph: data, model, optimizer, and in train_eval mode the evaluation model beside it."""
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.decoders.greedy import collapse
from open_seq2seq.encoders import Execution
from open_seq2seq.evaluation.evaluation import EvaluationGraph
from open_seq2seq.models.assembly import build_data_layer
from open_seq2seq.optimizers import optimize
from open_seq2seq.training.checkpoints import SavedState

# larger than any loss, and finite, so that it passes through a checkpoint
NO_BEST_LOSS = 1e9


class TrainingGraph:
    """Everything that a training run computes with, built in the current graph.

    Args:
      base_model: the model class.
      params: the checked config of mode "train".
      evaluation_params: the checked config of mode "eval", or None.
      device: a ``Device``.
      rejected_file: where to list refused rows.

    Attributes:
      data_layer, evaluation (an EvaluationGraph or None), train (TrainOperations), loss (LossOutput), batch,
      sample_fetches (what ``sample`` wants fetched), summary, state (SavedState), steps_per_epoch, last_step.
    """

    def __init__(self, base_model, params, evaluation_params, device, rejected_file):
        tf.set_random_seed(params["random_seed"])
        self.params = params
        self.data_layer = build_data_layer(params, "train", rejected_file)
        self.iter_size = params["iter_size"]
        self.steps_per_epoch = max(1, self.data_layer.batches_per_epoch // self.iter_size)
        self.last_step = params["max_steps"] or params["num_epochs"] * self.steps_per_epoch
        # which batch of the stream comes first is known only when a checkpoint has been read
        dataset = self.data_layer.training_dataset(0)
        self._iterator = tf.data.Iterator.from_structure(tf.data.get_output_types(dataset), tf.data.get_output_shapes(dataset))
        self.batch = Batch(*self._iterator.get_next())
        model = base_model(params, "train", self.data_layer.vocabulary.size, execution=Execution(device.fast_gradients))
        output = model(self.batch)
        self.loss = output.loss
        self.sample_fetches = {"best_path": output.best_path, "logit_lengths": output.logit_lengths,
                               "labels": self.batch.labels, "label_lengths": self.batch.label_lengths}
        self.train = optimize(output.loss.loss, params, self.last_step, self.steps_per_epoch)
        self.state = SavedState(micro_batches=0, best_loss=NO_BEST_LOSS)
        tf.summary.scalar("train_loss", output.loss.loss)
        self.summary = tf.summary.merge_all()
        self.evaluation = None
        if evaluation_params is not None:
            layer = build_data_layer(evaluation_params, "eval", rejected_file)
            self.evaluation = EvaluationGraph(base_model, evaluation_params, "eval", layer)

    def start_data(self, session, first_batch):
        """Sets the input to the given batch of the stream of training batches."""
        session.run(self._iterator.make_initializer(self.data_layer.training_dataset(first_batch)))

    def sample(self, values):
        """The first utterance of a fetched batch (``sample_fetches``) as (reference, prediction)."""
        vocabulary = self.data_layer.vocabulary
        labels = values["labels"][0][:values["label_lengths"][0]]
        prediction = collapse(values["best_path"][:1], values["logit_lengths"][:1], vocabulary.size)[0]
        return vocabulary.decode(labels), vocabulary.decode(prediction)
