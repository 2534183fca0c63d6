"""``--mode=train`` and ``--mode=train_eval``: the training loop, to be read from top to bottom."""
import collections
import contextlib
import datetime
import os

import tensorflow.compat.v1 as tf

import open_seq2seq
from open_seq2seq.config.saving import flattened, plain
from open_seq2seq.distributed.agreement import check_agreement, fingerprint
from open_seq2seq.distributed.data_of_ranks import confirm_data, data_being_read
from open_seq2seq.errors import DeviceError, NonFiniteError
from open_seq2seq.evaluation.error_rates import word_error_rate
from open_seq2seq.evaluation.evaluation import log_evaluation, run_evaluation
from open_seq2seq.evaluation.record import record_evaluation
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.checkpoints import (
    MODEL_SCOPE,
    CheckpointWriter,
    describe_restore,
    latest_checkpoint,
    open_checkpoint,
    restore,
)
from open_seq2seq.training.data_position import batches_done
from open_seq2seq.training.graph import TrainingGraph
from open_seq2seq.training.progress import ProgressBar, Throughput, clock_text
from open_seq2seq.training.run_directory import RunDirectory
from open_seq2seq.training.session import open_session

# A loss scale of 2^14 takes 14 halvings to reach 1; more skipped steps than this in a row are no matter of scale.
MAX_SKIPPED_STEPS = 50

TrainingResult = collections.namedtuple("TrainingResult", "step loss evaluation")


def train(base_model, params, evaluation_params, run_directory, arguments, device, group, checkpoint=None,
          on_start=lambda: None):
    """Trains, and evaluates between when ``evaluation_params`` is given.

    Args:
      base_model: the model class.
      params: the checked config for mode "train".
      evaluation_params: the checked config for mode "eval", or None.
      run_directory: a ``RunDirectory`` that is prepared.
      arguments: the command line's flags.
      device: a ``Device``.
      group: a ``ProcessGroup``; all its ranks call this together, and the first one alone writes files.
      checkpoint: path of the checkpoint to go on from, or None for a fresh start; read by the first rank only.
      on_start: called once data and model have been found good, before the first step.

    Returns:
      TrainingResult(step, loss, evaluation): the last step, its loss, the last EvaluationResult or None.

    Raises:
      NonFiniteError: too many steps in a row were skipped, for a gradient that is not finite or an overflow.
      DeviceError: the device would not be used, or the ranks do not fit together.
    """
    with tf.Graph().as_default():
        rejected_file = run_directory.rejected_file if group.is_first else None
        with data_being_read(group, lambda: open_session(device)):
            graph = TrainingGraph(base_model, params, evaluation_params, device, group, rejected_file)
        log_line("Total trainable parameters: %d" % sum(
            variable.shape.num_elements() for variable in tf.trainable_variables()))
        with contextlib.closing(open_session(device, params["use_xla_jit"], arguments.debug_port)) as session:
            group.start(session)
            confirm_data(group, session)
            run = _Run(params, graph, session, run_directory, device, group, saves=group.is_first and not arguments.benchmark)
            run.start(checkpoint)
            on_start()
            result = run.until_last_step()
            group.finish(session)
            return result


class _Run:
    """The state of one training run between its steps."""

    def __init__(self, params, graph, session, run_directory, device, group, saves):
        self.params, self.graph, self.session, self.run_directory = params, graph, session, run_directory
        self.device, self.group, self.saves = device, group, saves
        self.batch_utterances = params["batch_size_per_gpu"] * group.size
        self.checkpoints = CheckpointWriter(run_directory.checkpoints, params["num_checkpoints"])
        self.best = CheckpointWriter(run_directory.best_models, keep=1)
        frame_seconds = params["data_layer_params"]["window_stride"]
        self.recent, self.whole = Throughput(frame_seconds), Throughput(frame_seconds)
        self.step = self.micro_batches = self.skipped_in_a_row = 0
        self.last_saved = self.evaluation = self.summaries = None
        self.reported_uncounted = set()

    def start(self, checkpoint):
        """Initial values or a checkpoint's, on every rank, and the input at the place where they left off."""
        session, graph, params = self.session, self.graph, self.params
        check_agreement(self.group, session, self._facts())
        self.device.check_steps(tf.get_default_graph(), graph.runs(
            self._fetched("print_samples_steps"), self._fetched("save_summaries_steps")))
        # in a run of its own: together with an iterator's initializer an NPU would leave the variables on the host
        session.run(graph.initialize)
        self.device.check_session(session, tf.get_default_graph())
        if self.group.is_first:
            self._restore(checkpoint)
        session.run(graph.broadcast)
        self.step = int(session.run(graph.optimization.global_step))
        self.last_saved = self.step or None
        self.micro_batches = batches_done(graph.state.get(session), self.batch_utterances, graph.iter_size, self.step,
                                          params["max_steps"] is None)
        graph.start_data(session, self.micro_batches)
        if params["save_summaries_steps"] and self.saves:
            self.summaries = tf.summary.FileWriter(self.run_directory.checkpoints, session.graph)

    def _facts(self):
        """What has to be the same on every rank."""
        layer = self.graph.data_layer
        facts = collections.OrderedDict([
            ("project version", open_seq2seq.__version__), ("TensorFlow", tf.__version__), ("device", self.device.name),
            ("utterances", str(len(layer.utterances))),
            ("contents of the data", fingerprint([(utterance.num_samples, utterance.transcript)
                                                  for utterance in layer.utterances])),
            ("last step", str(self.graph.last_step))])
        facts.update(("config " + path, repr(value)) for path, value in flattened(plain(self.params)))
        # what the run is read from and written to matters on the first rank only
        return {name: value for name, value in facts.items() if name not in ("config logdir", "config load_model")}

    def _restore(self, checkpoint):
        if checkpoint is not None:
            log_line(describe_restore(restore(self.session, checkpoint, tf.global_variables())))
            self.checkpoints.recover()
            self.best.recover()
            self._recover_best_loss()
        elif self.params["load_model"]:
            weights = [variable for variable in tf.global_variables() if variable.op.name.startswith(MODEL_SCOPE)]
            source = self.params["load_model"]
            if not os.path.exists(source + ".index"):
                source = RunDirectory(source).require_checkpoint()
            log_line(describe_restore(restore(self.session, source, weights, partial=True)))

    def _recover_best_loss(self):
        """The best model may have been saved after the checkpoint that the run goes on from."""
        best = latest_checkpoint(self.run_directory.best_models)
        if best is not None:
            best_loss = float(open_checkpoint(best).get_tensor("training_state/best_loss"))
            if best_loss < self.graph.state.get(self.session)["best_loss"]:
                self.graph.state.set(self.session, best_loss=best_loss)

    def until_last_step(self):
        """Steps until the last; returns the TrainingResult."""
        graph, loss = self.graph, float("nan")
        if self.step >= graph.last_step:
            log_line("Nothing to do: the checkpoint is at step %d and the config asks for %d" % (self.step, graph.last_step))
        self.recent.restart()
        first_step = self.step
        try:
            with ProgressBar(graph.last_step, self.step, "training") as bar:
                while self.step < graph.last_step:
                    loss = self.one_step()
                    if self.step - first_step == self.params["bench_start"]:
                        self.whole.restart()
                    bar.update(self.step, "epoch %d, loss %.3f, %.1f utterances/s, %.0f audio s/s" % (
                        self.epoch, loss, self.recent.utterances_per_second, self.recent.audio_seconds_per_second))
            self.save()
        finally:
            if self.summaries is not None:
                self.summaries.close()
        log_line("Finished training")
        if self.step - first_step > self.params["bench_start"]:
            log_line("Avg time per step: %.3fs" % self.whole.seconds_per_step)
            log_line("Avg objects per second: %.3f" % self.whole.frames_per_second)
        else:
            log_line("Not enough steps for benchmarking")
        return TrainingResult(self.step, loss, self.evaluation)

    @property
    def epoch(self):
        return self.micro_batches // self.graph.data_layer.batches_per_epoch

    def one_step(self):
        """One update of the weights: ``iter_size`` batches forward and backward, then the optimizer. Returns the loss."""
        graph, params = self.graph, self.params
        for _ in range(graph.iter_size - 1):
            tower = graph.tower_of_batch(self.micro_batches)
            self._account(self._run(tower.accumulate_fetches()))
        tower = graph.tower_of_batch(self.micro_batches)
        values = self._run(tower.update_fetches(self._fetched("print_samples_steps"), self._fetched("save_summaries_steps")))
        self._account(values)
        loss = float(values["loss"])
        if values["finite"]:
            self.step, self.skipped_in_a_row = self.step + 1, 0
            self._report(values, loss)
            # evaluation first: the checkpoint of this step then knows the best loss
            if graph.evaluation is not None and (self.step % params["eval_steps"] == 0 or self.step == graph.last_step):
                self.evaluate()
            if self._due("save_checkpoint_steps", self.step) and self.step > 1:
                self.save()
        else:
            self._skip(values)
        return loss

    def _run(self, fetches):
        """One ``Session.run``; a stream of data that ended because its files turned bad says why."""
        try:
            return self.session.run(fetches)
        except tf.errors.ResourceExhaustedError as error:
            raise DeviceError("out of memory at step %d: %s. Lower batch_size_per_gpu (iter_size makes up for it) or "
                              "max_duration" % (self.step + 1, error.message.split("\n")[0]))
        except tf.errors.OpError:
            self.graph.data_layer.raise_if_too_many_rejected()
            raise

    def _account(self, values):
        """Counts a batch, and names utterances that CTC could not align."""
        self.micro_batches += 1
        real = values["weights"] > 0
        for throughput in (self.recent, self.whole):
            # the other ranks' batches are like this one
            throughput.add(int(real.sum()) * self.group.size, int(values["frames"][real].sum()) * self.group.size)
        for index in values["indices"][real & ~values["counted"]]:
            if index not in self.reported_uncounted:
                self.reported_uncounted.add(index)
                utterance = self.graph.data_layer.utterances[index]
                log_line("Utterance %s has no finite CTC loss (%.2f s, %d labels) and adds nothing to the gradient"
                         % (utterance.id, utterance.duration, len(utterance.labels)), from_every_rank=True)

    def _due(self, parameter, step):
        """The first step and every multiple, as OpenSeq2Seq's hooks fire."""
        every = self.params[parameter]
        return every is not None and (step == 1 or step % every == 0)

    def _fetched(self, parameter):
        """Whether the next step fetches what ``parameter`` asks for now and then."""
        if self.device.static_shapes:
            # every set of fetches is a graph of its own that the device compiles, so there is but one set
            return self.params[parameter] is not None
        return self._due(parameter, self.step + 1)

    def _skip(self, values):
        self.skipped_in_a_row += 1
        names = [self.graph.data_layer.utterances[index].id for index in values["indices"] if index >= 0]
        log_line("Step %d skipped: %s (loss %s, loss scale %g, utterances %s)" % (
            self.step + 1, self.device.skip_reason, values["loss"], self.session.run(self.graph.optimization.loss_scale),
            ", ".join(names[:4])))
        if self.skipped_in_a_row >= MAX_SKIPPED_STEPS:
            raise NonFiniteError(
                "%d steps in a row were skipped (%s), the last at step %d (utterances %s). Lower the learning rate or a fixed "
                "loss_scaling, set max_grad_norm or larc_params, look at the named utterances; checkpoints, if any, are in %s"
                % (self.skipped_in_a_row, self.device.skip_reason, self.step + 1, ", ".join(names),
                   self.run_directory.checkpoints))

    def _report(self, values, loss):
        """The lines and summaries that are due at this step."""
        params, step = self.params, self.step
        if self._due("print_loss_steps", step):
            where = "Global step %d:" % step if params["max_steps"] else "Epoch %d, global step %d:" % (self.epoch, step)
            log_line("%s ***     Train loss: %.4f " % (where, 0.0 if -1e-4 < loss < 0.0 else loss))
            log_line("time per step = " + clock_text(self.recent.seconds_per_step), start="")
            log_line("%.1f utterances/s, %.1f audio seconds/s, %s to go" % (
                self.recent.utterances_per_second, self.recent.audio_seconds_per_second,
                datetime.timedelta(seconds=round(self.recent.seconds_per_step * (self.graph.last_step - step)))), offset=4)
        if "best_path" in values and self._due("print_samples_steps", step):
            target, prediction = self.graph.sample(values)
            log_line("Sample WER: %.4f" % word_error_rate(target, prediction), offset=4)
            log_line("Sample target:     " + target, offset=4)
            log_line("Sample prediction: " + prediction, offset=4)
        if self._due("print_bench_info_steps", step):
            log_line("Avg objects per second: %.3f" % self.whole.frames_per_second)
        if self.summaries is not None and self._due("save_summaries_steps", step):
            self.summaries.add_summary(self.graph.without_tower_name(values["summary"]), step)
        if self._due("print_loss_steps", step):
            self.recent.restart()

    def save(self):
        """Saves a checkpoint of this step, once; all ranks call it together."""
        if self.last_saved == self.step:
            return
        self.last_saved = self.step
        self.session.run(self.graph.average_statistics)
        if self.saves:
            self._remember_position()
            self.checkpoints.save(self.session, self.step)

    def _remember_position(self):
        """Puts the place in the data into the variables that a checkpoint takes along."""
        self.graph.state.set(self.session, micro_batches=self.micro_batches, batch_utterances=self.batch_utterances,
                             iter_size=self.graph.iter_size)

    def evaluate(self):
        """Evaluates, and saves the model apart if it is the best so far by loss."""
        log_line("Running evaluation on a validation set:")
        self.session.run(self.graph.average_statistics)
        self.evaluation = run_evaluation(self.session, self.graph.evaluation)
        log_evaluation(self.evaluation)
        if self.saves:
            record_evaluation(os.path.join(self.run_directory.checkpoints, "model.ckpt-%d" % self.step),
                              self.graph.evaluation.data_layer, self.evaluation)
        loss = self.evaluation.loss
        if loss < self.graph.state.get(self.session)["best_loss"]:
            self.graph.state.set(self.session, best_loss=loss)
            self._remember_position()
            if self.saves:
                self.best.save(self.session, self.step, "val_loss=%.4f-step" % loss)
        if self.summaries is not None:
            self.summaries.add_summary(tf.Summary(value=[
                tf.Summary.Value(tag="eval_loss", simple_value=loss),
                tf.Summary.Value(tag="eval_WER", simple_value=self.evaluation.word_error_rate.rate)]), self.step)
        # the speeds that are printed are the training's
        self.recent.restart()
        self.whole.exclude(self.evaluation.seconds)
