"""``--mode=train`` and ``--mode=train_eval``: the training loop, to be read from top to bottom."""
import collections
import contextlib
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.devices import select_device
from open_seq2seq.errors import NonFiniteError
from open_seq2seq.evaluation.error_rates import word_error_rate
from open_seq2seq.evaluation.evaluation import log_evaluation, run_evaluation
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.checkpoints import CheckpointWriter, describe_restore, restore
from open_seq2seq.training.graph import TrainingGraph
from open_seq2seq.training.progress import ProgressBar, Throughput, clock_text
from open_seq2seq.training.session import open_session

# A loss scale of 2^14 takes 14 halvings to reach 1; more skipped steps than this in a row are no matter of scale.
MAX_SKIPPED_STEPS = 50

TrainingResult = collections.namedtuple("TrainingResult", "step loss evaluation")


def train(params, evaluation_params, run_directory, arguments):
    """Trains, and evaluates between when ``evaluation_params`` is given.

    Args:
      params: the checked config for mode "train".
      evaluation_params: the checked config for mode "eval", or None.
      run_directory: a ``RunDirectory`` (its ``prepare_training`` is called here).
      arguments: the command line's flags.

    Returns:
      TrainingResult(step, loss, evaluation): the last step, its loss, the last EvaluationResult or None.

    Raises:
      NonFiniteError: too many steps in a row had a gradient that is not finite.
    """
    device = select_device(arguments.device, training=True)
    checkpoint = run_directory.prepare_training(arguments.continue_learning, arguments.no_dir_check)
    note = device.precision_note(params["dtype"])
    if note:
        log_line(note)
    with tf.Graph().as_default():
        graph = TrainingGraph(params, evaluation_params, device, run_directory.rejected_file)
        log_line("Total trainable parameters: %d" % sum(
            variable.shape.num_elements() for variable in tf.trainable_variables()))
        with contextlib.closing(open_session(device, arguments)) as session:
            run = _Run(params, graph, session, run_directory, arguments)
            run.start(checkpoint)
            return run.until_last_step()


class _Run:
    """The state of one training run between its steps."""

    def __init__(self, params, graph, session, run_directory, arguments):
        self.params, self.graph, self.session = params, graph, session
        self.arguments = arguments
        self.checkpoints = CheckpointWriter(run_directory.checkpoints, params["num_checkpoints"])
        self.best = CheckpointWriter(run_directory.best_models, 1)
        self.run_directory = run_directory
        frame_seconds = params["data_layer_params"]["window_stride"]
        self.recent, self.whole = Throughput(frame_seconds), Throughput(frame_seconds)
        self.step = self.micro_batches = self.skipped = self.steps_here = 0
        self.evaluation = None
        self.last_saved = None
        self.reported_uncounted = set()
        self.summaries = None

    def start(self, checkpoint):
        """Initial values or a checkpoint's, and the input at the place where they left off."""
        session, graph = self.session, self.graph
        # in a run of its own: together with an iterator's initializer an NPU would leave the variables on the host
        session.run(tf.global_variables_initializer())
        if checkpoint is None and self.params["load_model"]:
            self._load_model(self.params["load_model"])
        elif checkpoint is not None:
            log_line(describe_restore(restore(session, checkpoint, tf.global_variables())))
            self.checkpoints.recover()
            self.best.recover()
        self.step = self.last_saved = int(session.run(graph.train.global_step))
        self.micro_batches = int(graph.state.get(session)["micro_batches"]) or self.step * graph.iter_size
        graph.start_data(session, self.micro_batches)
        if self.params["save_summaries_steps"]:
            self.summaries = tf.summary.FileWriter(self.run_directory.checkpoints, session.graph)

    def _load_model(self, directory):
        from open_seq2seq.training.run_directory import RunDirectory
        variables = [variable for variable in tf.global_variables() if variable.op.name.startswith("ForwardPass/")]
        report = restore(self.session, RunDirectory(directory).require_checkpoint(), variables, partial=True)
        log_line(describe_restore(report))

    def until_last_step(self):
        """Steps until the last; returns the TrainingResult."""
        graph, loss = self.graph, float("nan")
        if self.step >= graph.last_step:
            log_line("Nothing to do: the checkpoint is at step %d and the config asks for %d" % (self.step, graph.last_step))
        try:
            with ProgressBar(graph.last_step, self.step, "training") as bar:
                while self.step < graph.last_step:
                    loss = self._one_step()
                    bar.update(self.step, "epoch %d, loss %.3f, %.1f utterances/s, %.0f audio s/s" % (
                        self.epoch, loss, self.recent.utterances_per_second, self.recent.audio_seconds_per_second))
        finally:
            if self.summaries is not None:
                self.summaries.close()
        if self.params["save_checkpoint_steps"]:
            self._save()
        log_line("Finished training")
        self._log_benchmark()
        return TrainingResult(self.step, loss, self.evaluation)

    @property
    def epoch(self):
        return self.micro_batches // max(1, self.graph.data_layer.batches_per_epoch)

    def _one_step(self):
        """One update of the weights: ``iter_size`` batches forward and backward, then the optimizer."""
        graph, session, params = self.graph, self.session, self.params
        for _ in range(graph.iter_size - 1):
            self._account(session.run({"accumulate": graph.train.accumulate, **self._always(), })
                          if False else session.run(dict(self._always(), accumulate=graph.train.accumulate)))
        fetches = dict(self._always(), update=graph.train.update, finite=graph.train.gradients_finite)
        upcoming = self.step + 1
        with_sample = _due(params["print_samples_steps"], upcoming)
        if with_sample:
            fetches.update(best_path=graph.best_path, logit_lengths=graph.logit_lengths, labels=graph.batch.labels,
                           label_lengths=graph.batch.label_lengths)
        if self.summaries is not None and _due(params["save_summaries_steps"], upcoming):
            fetches["summary"] = graph.summary
        values = session.run(fetches)
        self._account(values)
        if not values["finite"]:
            self._skipped_step(values)
            return float(values["loss"])
        self.step, self.skipped = upcoming, 0
        self._after_step(values, with_sample)
        return float(values["loss"])
