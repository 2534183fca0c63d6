"""``--mode=train`` and ``--mode=train_eval``: the training loop, to be read from top to bottom."""
import collections
import contextlib
import os
import time

import tensorflow.compat.v1 as tf

import open_seq2seq
from open_seq2seq.devices.session import open_session
from open_seq2seq.distributed.agreement import check_agreement, fingerprint
from open_seq2seq.distributed.data_of_ranks import confirm_data, data_being_read
from open_seq2seq.errors import DeviceError, JasperError, NonFiniteError
from open_seq2seq.evaluation.evaluation import log_evaluation, run_evaluation
from open_seq2seq.evaluation.record import record_evaluation
from open_seq2seq.experiment.saving import flattened, plain
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar
from open_seq2seq.training.determinism import note_on_threads, require_repeatable
from open_seq2seq.training.diagnostics.diagnostics import Diagnostics
from open_seq2seq.training.epoch_log import EpochLog
from open_seq2seq.training.final_test import FinalTest
from open_seq2seq.training.graph import TrainingGraph
from open_seq2seq.training.input_stream import batches_done
from open_seq2seq.training.memory.longest_batch import try_longest_batches
from open_seq2seq.training.metrics import FILE_NAME, Metrics
from open_seq2seq.training.nonfinite.skipped_steps import SkippedSteps
from open_seq2seq.training.report.mode import report_after_training
from open_seq2seq.training.requests import SIGNALS, Request, stop_among
from open_seq2seq.training.saving import Saving
from open_seq2seq.training.step_log import StepLog, is_due
from open_seq2seq.training.stopping import StoppingPolicy

TrainingResult = collections.namedtuple("TrainingResult", "step loss evaluation stop")


def train(base_model, params, evaluation_params, run_directory, arguments, device, group, checkpoint=None,
          on_start=lambda: None, resolved_config=None, asking=contextlib.nullcontext, test_params=None):
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
      resolved_config: dict for JSON of what the run is made of, which every checkpoint carries; None on other ranks.
      asking: function from the ``Requests`` of the training to a context in which signals ask it, e.g.
        ``TrainingSignals.asking``.
      test_params: the checked config for mode "eval" of what the best model is tested on in the end, or None.

    Returns:
      TrainingResult(step, loss, evaluation, stop): the last step, its loss, the last EvaluationResult or None, the ``Request``
      that ended the training before its time or None.

    Raises:
      NonFiniteError: too many steps in a row were skipped, for a gradient that is not finite or an overflow.
      DeviceError: the device would not be used, or the ranks do not fit together.
    """
    require_repeatable(params, device)
    with tf.Graph().as_default():
        rejected_file = run_directory.rejected_file if group.is_first else None
        with data_being_read(group, lambda: open_session(device)):
            graph = TrainingGraph(base_model, params, evaluation_params, device, group, rejected_file)
            test = FinalTest(base_model, test_params, graph, device, group, rejected_file) if test_params is not None else None
        log_line("Total trainable parameters: %d" % sum(
            variable.shape.num_elements() for variable in tf.trainable_variables()))
        with contextlib.closing(open_session(device, params["use_xla_jit"], arguments.debug_port)) as session:
            group.start(session)
            confirm_data(group, session)
            skipped_steps = SkippedSteps(params, graph, device, group, run_directory.checkpoints,
                                         keeps=not arguments.benchmark)
            run = _Run(params, graph, session, run_directory, device, group, saves=group.is_first and not arguments.benchmark,
                       resolved_config=resolved_config, skipped_steps=skipped_steps)
            run.start(checkpoint)
            on_start()
            try:
                with asking(graph.requests):
                    result = run.until_last_step()
            except NonFiniteError:
                if run.saves:
                    # the curves up to here are wanted most of all
                    report_after_training(run_directory.checkpoints)
                raise
            if test is not None and result.stop not in SIGNALS:
                test.run(session, run.saving, run.metrics, run.step, run_directory.checkpoints if run.saves else None)
            group.finish(session)
            # who was told to stop has no time for pictures
            if run.saves and result.stop not in SIGNALS:
                report_after_training(run_directory.checkpoints)
            return result


class _Run:
    """The state of one training run between its steps."""

    def __init__(self, params, graph, session, run_directory, device, group, saves, resolved_config, skipped_steps):
        self.params, self.graph, self.session, self.run_directory = params, graph, session, run_directory
        self.device, self.group, self.saves = device, group, saves
        self.saving = Saving(params, graph, run_directory, saves, resolved_config)
        self.metrics = Metrics(os.path.join(run_directory.checkpoints, FILE_NAME) if saves else None)
        self.skipped_steps = skipped_steps
        self.stopping = StoppingPolicy(params, graph)
        self.epochs = EpochLog(graph, self.metrics)
        self.step = self.micro_batches = 0
        self.evaluation = self.log = self.stop = self.diagnostics = None
        self.evaluation_is_pending = False

    def start(self, checkpoint):
        """Initial values or a checkpoint's, on every rank, and the input at the place where they left off."""
        session, graph, params = self.session, self.graph, self.params
        check_agreement(self.group, session, self._facts())
        self.device.check_steps(tf.get_default_graph(), graph.runs(
            params["print_samples_steps"] is not None, params["save_summaries_steps"] is not None))
        # in a run of its own: together with an iterator's initializer an NPU would leave the variables on the host
        session.run(graph.initialize)
        self.device.check_session(session, tf.get_default_graph())
        if self.group.is_first:
            self.saving.restore(session, checkpoint)
        session.run(graph.start_averages)
        session.run(graph.broadcast)
        self.step = int(session.run(graph.optimization.global_step))
        self.saving.started_at(self.step)
        began = time.monotonic()
        if params["try_worst_batch"] and self.step < graph.last_step:
            try_longest_batches(session, params, graph, self.device, self.group)
        preparation = time.monotonic() - began
        self.micro_batches = batches_done(graph.state.get(session), self._position["batch_utterances"], graph.iter_size,
                                          self.step, params["max_steps"] is None)
        saved = graph.state.get(session)
        self.evaluation_is_pending = bool(saved["evaluation_is_pending"])
        note = note_on_threads(params, saved["threads"], self.device)
        if note is not None:
            log_line(note)
        graph.start_data(session, self.micro_batches)
        summaries = None
        if params["save_summaries_steps"] and self.saves:
            summaries = tf.summary.FileWriter(self.run_directory.checkpoints, session.graph)
        self.log = StepLog(params, graph, self.device, self.group, self.step, summaries, self.metrics)
        self.stopping.start(session, self.step)
        if self.stopping.has_other_data:
            log_line("The evaluation data are others than before: the next evaluation is the best so far")
            self.saving.forget_best(session)
        self.epochs.start(session, self.stopping.has_other_data)
        self.metrics.write("start", self.step, **self._description())
        if graph.diagnostics is not None:
            self.diagnostics = Diagnostics(params, graph, self.metrics, self.group,
                                           self._position["batch_utterances"] * graph.iter_size)
            self.diagnostics.start(session, self.step, preparation)

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
        places = ("logdir", "load_model", "checkpoint_dir", "load_checkpoint_dir", "save_checkpoint_dir")
        return {name: value for name, value in facts.items() if name not in ["config " + key for key in places]}

    def _description(self):
        """What metrics say of a run when it starts."""
        graph, group = self.graph, self.group
        return {"version": open_seq2seq.__version__, "tensorflow": tf.__version__, "device": self.device.name,
                "processes": group.size, "utterances_per_step": self._position["batch_utterances"] * graph.iter_size,
                "utterances": len(graph.data_layer.utterances), "steps_per_epoch": graph.steps_per_epoch,
                "last_step": graph.last_step,
                "config": fingerprint({name: value for name, value in self._facts().items() if name.startswith("config ")})}

    @property
    def _position(self):
        """The place in the data and in time, as the checkpoint keeps it."""
        return dict(self.stopping.figures, **self.epochs.figures, micro_batches=self.micro_batches,
                    iter_size=self.graph.iter_size, batch_utterances=self.params["batch_size_per_gpu"] * self.group.size,
                    evaluation_is_pending=int(self.evaluation_is_pending), threads=self.device.threads)

    @property
    def epoch(self):
        return self.micro_batches // self.graph.data_layer.batches_per_epoch

    def until_last_step(self):
        """Steps until the last; returns the TrainingResult."""
        graph, loss = self.graph, float("nan")
        if self.step >= graph.last_step:
            log_line("Nothing to do: the checkpoint is at step %d and the config asks for %d" % (self.step, graph.last_step))
        self.log.restart()
        try:
            with ProgressBar(graph.last_step, self.step, "training") as bar:
                if self.evaluation_is_pending and graph.evaluation is not None:
                    self.evaluate()
                while self.step < graph.last_step and self.stop is None and self.stopping.stop_reason is None:
                    loss = self.one_step()
                    # counted from 1, as the line at the end of each does
                    bar.update(self.step, self.log.figures(-(-self.step // graph.steps_per_epoch), loss))
            self.save()
            self.saving.wait()
        except JasperError as error:
            self.metrics.write("end", self.step, reason="%s: %s" % (type(error).__name__, str(error).split("\n")[0]))
            raise
        finally:
            self.saving.close()
            self.log.close()
        self.stopping.report_stop(self.step, graph.last_step)
        self.metrics.write("end", self.step, reason=self._why_it_ends())
        if self.stop not in SIGNALS:
            self.log.finish(self.step)
        return TrainingResult(self.step, loss, self.evaluation, self.stop)

    def _why_it_ends(self):
        """A phrase for the report."""
        if self.stop is not None:
            return self.stop.value
        return self.stopping.stop_reason or "the last step"

    def one_step(self):
        """One update of the weights: ``iter_size`` batches forward and backward, then the optimizer. Returns the loss."""
        graph = self.graph
        for _ in range(graph.iter_size - 1):
            self._account(self._run(graph.shape_step_of_batch(self.micro_batches).accumulate_fetches()))
        if self.saving.is_due:
            graph.requests.ask(Request.SAVE)
        if self.group.is_first and self.stopping.time_is_up:
            graph.requests.ask(Request.TIME_IS_UP)
        values = self._run(graph.shape_step_of_batch(self.micro_batches).update_fetches(*self.log.wants(self.step + 1)),
                           graph.requests.feed())
        self._account(values)
        loss = float(values["loss"])
        requests = graph.requests.take(values)
        self.stop = stop_among(requests)
        if not values["finite"]:
            self.skipped_steps.skipped(self.session, self.step + 1, values, self.metrics)
            if Request.SAVE in requests:
                self.save()
            return loss
        self.skipped_steps.made()
        self.step += 1
        self.log.step(self.step, self.epoch, loss, values)
        self.epochs.step(loss, values["learning_rate"])
        if self.diagnostics is not None and self.stop not in SIGNALS:
            self.diagnose(values)
        # evaluation first: the checkpoint of this step then knows the best loss
        ends = self.step == graph.last_step or self.stop is Request.TIME_IS_UP
        if graph.evaluation is not None and (ends or self.step % graph.eval_steps == 0):
            self.evaluate()
        self.epochs.end_if_due(self.step)
        if Request.SAVE in requests or self.step > 1 and is_due(self.params["save_checkpoint_steps"], self.step):
            self.save()
        self.saving.report()
        return loss

    def _run(self, fetches, feed=None):
        """One ``Session.run``; a stream of data that ended because its files turned bad says why."""
        try:
            return self.session.run(fetches, feed)
        except tf.errors.ResourceExhaustedError as error:
            raise DeviceError("out of memory at step %d: %s. Lower batch_size_per_gpu (iter_size makes up for it) or "
                              "max_duration" % (self.step + 1, error.message.split("\n")[0]))
        except tf.errors.OpError:
            self.graph.data_layer.raise_if_too_many_rejected()
            raise

    def _account(self, values):
        self.skipped_steps.batch(self.micro_batches, values)
        self.micro_batches += 1
        self.log.batch(values)

    def save(self):
        """Saves a checkpoint of this step, once; all ranks call it together."""
        self.saving.save(self.session, self.step, self._position)

    def diagnose(self, values):
        """Counts a step, and reports on the subsets and the layers where that is due."""
        self.diagnostics.made(self.session, self.step, values)
        if self.diagnostics.is_due(self.step):
            self.log.left_out(self.diagnostics.report(self.session, self.step))

    def evaluate(self):
        """Evaluates, and saves the model apart if it is the best so far.

        A run that a signal stops leaves that to the run that goes on with it.
        """
        self.evaluation_is_pending = True
        if self.stop in SIGNALS:
            return
        log_line("Running evaluation on a validation set:")
        self.session.run(self.graph.average_statistics)
        result = run_evaluation(self.session, self.graph.evaluation,
                                is_abandoned=lambda: self.graph.requests.signal_has_come)
        if result is None:
            self.stop = stop_among(self.graph.requests.agree(self.session))
            log_line("The evaluation is abandoned; it is made when this run goes on")
            return
        self.evaluation, self.evaluation_is_pending = result, False
        log_evaluation(self.evaluation)
        if self.saves:
            record_evaluation(os.path.join(self.run_directory.checkpoints, "model.ckpt-%d" % self.step),
                              self.graph.evaluation, self.evaluation)
        self.saving.save_if_best(self.session, self.step, self._position, self.evaluation)
        self.log.evaluated(self.step, self.evaluation)
        self.epochs.evaluated(self.step, self.evaluation)
        self.stopping.evaluated(self.session, self.step, self.evaluation, lambda: self.saving.back_to_best(self.session))
