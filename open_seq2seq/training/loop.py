"""``--mode=train`` and ``--mode=train_eval``: the training loop.

:func:`train` is one run from the graph to the report. ``TrainingRun.run`` is its loop and ``TrainingRun.one_step`` one step, each
written in the order in which things happen.
"""
import collections
import contextlib
import os
import time

import tensorflow.compat.v1 as tf

import open_seq2seq
from open_seq2seq.data.speech2text.audio_profile import write_profile
from open_seq2seq.devices.lean_graph import new_graph
from open_seq2seq.devices.session import open_session, report_compiled_graphs
from open_seq2seq.distributed.agreement import check_agreement, fingerprint
from open_seq2seq.distributed.data_of_ranks import confirm_data, data_being_read
from open_seq2seq.distributed.exchange import Exchange
from open_seq2seq.errors import DeviceError, JasperError, NonFiniteError
from open_seq2seq.evaluation.all_tasks import log_all, run_all
from open_seq2seq.evaluation.record import record_evaluation
from open_seq2seq.experiment.saving import flattened, plain, resolved_config, write_resolved_config
from open_seq2seq.log_lines import log_line
from open_seq2seq.models.tracking_params import without_tracking
from open_seq2seq.progress import ProgressBar
from open_seq2seq.training.determinism import note_on_threads, require_repeatable
from open_seq2seq.training.diagnostics.diagnostics import Diagnostics
from open_seq2seq.training.epoch_log import EpochLog
from open_seq2seq.training.final_test import FinalTest
from open_seq2seq.training.graph import TrainingGraph
from open_seq2seq.training.input_stream import batches_done, note_on_long_steps
from open_seq2seq.training.memory.longest_batch import advice_on_memory, try_longest_batches
from open_seq2seq.training.metrics import FILE_NAME, Metrics
from open_seq2seq.training.nonfinite.skipped_steps import SkippedSteps
from open_seq2seq.training.report.mode import report_after_training
from open_seq2seq.training.requests import SIGNALS, Request, stop_among
from open_seq2seq.training.saving import Saving
from open_seq2seq.training.step_log import StepLog, is_due
from open_seq2seq.training.stopping import StoppingPolicy
from open_seq2seq.training.tracking.opening import opened_trackers, track_config, track_results
from open_seq2seq.training.tracking.tracker import FINISHED, STOPPED

TrainingResult = collections.namedtuple("TrainingResult", "step loss evaluation stop")
TrainingResult.__doc__ = """step: the last step. loss: its loss, a float. evaluation: the last EvaluationResult, or None. stop:
the ``Request`` that ended the training before its last step, or None."""


def train(experiment, run_directory, arguments, device, group, checkpoint=None, signals=None):
    """Trains, and evaluates in between if the experiment has evaluation data; all ranks call it together.

    Args:
      experiment: an ``Experiment`` with the params of mode "train"; those of "eval" and "test" are optional.
      run_directory: a ``RunDirectory`` that is prepared. Only the first rank writes to it.
      arguments: the command line's flags.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      checkpoint: path of the checkpoint to resume from, or None for a fresh start; read by the first rank only.
      signals: ``TrainingSignals``, whose signals stop the run after a step or make it save; None: no signal is handled.

    Returns:
      TrainingResult.

    Raises:
      NonFiniteError: too many steps in a row were skipped because the loss or a gradient was not finite.
      DeviceError: the device cannot compute this training, it is out of memory, or the ranks do not agree.
      DataError, CheckpointError, StorageError: the data, the checkpoint or the directory cannot be used.
    """
    params, writes = experiment.params["train"], group.is_first and not arguments.benchmark
    require_repeatable(params, device)
    with new_graph(device).as_default(), opened_trackers(params, run_directory, writes) as trackers:
        rejected_file, test = run_directory.rejected_file if group.is_first else None, None
        with data_being_read(group, lambda: open_session(device)):
            graph = TrainingGraph(experiment.base_model, params, experiment.params.get("eval"), device, group, rejected_file)
            if "test" in experiment.params and not arguments.benchmark:
                test = FinalTest(experiment.base_model, experiment.params["test"], graph, device, group, rejected_file)
        log_line("Total trainable parameters: %d" % sum(
            variable.shape.num_elements() for variable in tf.trainable_variables()))
        for line in graph.notes:
            log_line(line)
        with contextlib.closing(open_session(device, params["use_xla_jit"], arguments.debug_port)) as session:
            group.start(session)
            confirm_data(group, session)
            saving = Saving(params, graph, run_directory, writes, resolved_config(
                experiment, arguments, date=run_directory.date) if group.is_first else None)
            run_class = TrainingRun
            if params["parallel_training"] is not None:
                from open_seq2seq.training.parallel.run import ParallelTrainingRun as run_class
            run = run_class(params, graph, session, run_directory, device, group, saving,
                            keep_bad_batches=not arguments.benchmark, trackers=trackers)
            run.start(checkpoint)
            if group.is_first:
                path = write_resolved_config(run_directory.path, experiment, arguments, date=run_directory.date)
                track_config(trackers, params, path)
            if writes and hasattr(graph.data_layer, "audio_profile"):
                # a custom data layer may have no audio; evaluations compare their own with it
                write_profile(run_directory.checkpoints, graph.data_layer.audio_profile())
            try:
                with signals.asking(graph.requests) if signals is not None else contextlib.nullcontext():
                    result = run.run()
            except NonFiniteError:
                if writes:
                    # the curves show how the training came to this
                    report_after_training(run_directory.checkpoints)
                    track_results(trackers, run_directory.checkpoints)
                raise
            # a process that was told to stop has no time for a test and pictures
            is_complete = result.stop not in SIGNALS
            if is_complete and test is not None:
                test.run(session, saving, run.metrics, run.step, run_directory.checkpoints if writes else None)
            report_compiled_graphs(session)
            group.finish(session)
            if is_complete and writes:
                report_after_training(run_directory.checkpoints)
                track_results(trackers, run_directory.checkpoints, params)
            trackers.finish(FINISHED if is_complete else STOPPED)
            return result


class TrainingRun:
    """The state of one training run between its steps.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
      session: a session on it.
      run_directory, device, group: see :func:`train`.
      saving: the run's ``Saving``.
      keep_bad_batches: whether batches of non-finite steps are written to ``bad_batches/``.
      trackers: ``Trackers``, which receive the metrics.

    Attributes:
      step: updates made so far, over all parts of the run.
      micro_batches: batches taken from the stream of training data so far; ``iter_size`` for each update, skipped ones included.
      evaluation: the last EvaluationResult of this process, or None.
      evaluation_is_pending: whether a signal interrupted an evaluation, which the resumed run has to make.
      stop: the Request that stops the run after this step, or None.
    """

    def __init__(self, params, graph, session, run_directory, device, group, saving, keep_bad_batches, trackers):
        self.params, self.graph, self.session, self.run_directory = params, graph, session, run_directory
        self.device, self.group, self.saving = device, group, saving
        self.trackers = trackers
        self.metrics = Metrics(os.path.join(run_directory.checkpoints, FILE_NAME) if saving.writes else None, trackers)
        self.skipped_steps = SkippedSteps(params, graph, device, group, run_directory.checkpoints, keep_bad_batches)
        self.stopping = StoppingPolicy(params, graph)
        self.epochs = EpochLog(graph, self.metrics)
        self.log = self.diagnostics = None
        self.step = self.micro_batches = 0
        self.evaluation = self.stop = self._last_loss = None
        self.evaluation_is_pending = False

    @property
    def position(self):
        """Everything that a checkpoint keeps besides the network and the optimizer: dict from names of ``graph.state``."""
        return dict(self.stopping.figures, **self.epochs.figures, micro_batches=self.micro_batches,
                    iter_size=self.graph.iter_size, batch_utterances=self._batch_utterances,
                    evaluation_is_pending=int(self.evaluation_is_pending), threads=self.device.threads)

    @property
    def _batch_utterances(self):
        """Utterances in a batch of all ranks together; the mean, if the batches have different sizes."""
        return round(self.graph.utterances_per_batch * self.group.size)

    def start(self, checkpoint):
        """Sets the variables to their initial values or to the checkpoint's, on every rank, and the input to its place."""
        session, graph, params = self.session, self.graph, self.params
        check_agreement(self.group, session, self._facts())
        self.device.check_steps(tf.get_default_graph(), graph.runs(
            params["print_samples_steps"] is not None, params["save_summaries_steps"] is not None))
        self.device.name_runs([("initialization of the variables", graph.initialize),
                               ("broadcast of the variables", graph.broadcast),
                               ("average of batch norm's statistics", graph.average_statistics)], with_batch=False)
        # in a run of its own: together with an iterator's initializer an NPU would leave the variables on the host
        self.device.start_session(session, tf.get_default_graph(), graph.initialize)
        step = self.saving.restore(session, checkpoint) if self.group.is_first else 0
        if self.group.size > 1:
            session.run(graph.broadcast)
        self.step = self._first_ranks_state(step)
        self.saving.started_at(self.step)
        began = time.monotonic()
        if params["try_worst_batch"] and self.step < graph.last_step:
            try_longest_batches(session, params, graph, self.device, self.group)
        preparation = time.monotonic() - began
        saved = graph.state.get()
        self.micro_batches = batches_done(saved, self._batch_utterances, graph.iter_size, self.step, params["max_steps"] is None)
        self.evaluation_is_pending = bool(saved["evaluation_is_pending"])
        for note in (note_on_threads(params, saved["threads"], self.device),
                     note_on_long_steps(graph.data_layer.batches_per_epoch, graph.iter_size),
                     *graph.optimization.schedule_notes):
            if note is not None:
                log_line("Note: " + note)
        for line in graph.optimization.layer_rates:
            log_line(line)
        graph.start_data(session, self.micro_batches)
        self._start_logs(preparation)

    def _first_ranks_state(self, step):
        """The steps made so far; all ranks take them and ``graph.state`` from the first rank, which has read the checkpoint."""
        state = self.graph.state
        if self.group.size > 1:
            numbers = dict(state.get(), global_step=step)
            first = Exchange(self.group, sorted(numbers)).all(self.session, numbers)[0]
            step = int(first.pop("global_step"))
            state.set(**first)
        return step

    def _start_logs(self, preparation):
        """Begins the logs, the stopping policy and the diagnostics at the restored step.

        Args:
          preparation: seconds that the first step of every shape took.
        """
        session, graph, params = self.session, self.graph, self.params
        self.trackers.start(self.step, session.graph)
        self.log = StepLog(params, graph, self.device, self.group, self.step, self.trackers, self.metrics)
        self.stopping.start(self.step)
        if self.stopping.has_other_data:
            log_line("Evaluation data changed; the best metric is reset")
            self.saving.forget_best()
        self.epochs.start(self.stopping.has_other_data)
        self.metrics.write("start", self.step, **self._description())
        if graph.diagnostics is not None:
            self.diagnostics = Diagnostics(params, graph, self.metrics, self.group, self._batch_utterances * graph.iter_size)
            self.diagnostics.start(session, self.step, preparation)

    def _facts(self):
        """What has to be equal on every rank."""
        return dict(agreed_facts(self.params, self.graph), device=self.device.name)

    def _description(self):
        """The numbers of the metrics' kind "start"."""
        graph, group = self.graph, self.group
        return {"run": os.path.basename(os.path.abspath(self.run_directory.path)), "version": open_seq2seq.__version__,
                "tensorflow": tf.__version__, "device": self.device.name, "processes": group.size,
                "utterances_per_step": self._batch_utterances * graph.iter_size,
                "utterances": len(graph.data_layer.utterances), "padding_share": getattr(graph.data_layer, "padding_share", None),
                "steps_per_epoch": graph.steps_per_epoch, "last_step": graph.last_step,
                "config": fingerprint({name: value for name, value in self._facts().items() if name.startswith("config ")})}

    def run(self):
        """Makes steps until the last one, or until something stops the training, and saves. Returns the TrainingResult."""
        last_step, loss = self.graph.last_step, float("nan")
        if self.step >= last_step:
            log_line("Nothing to do: the checkpoint is at step %d and the config asks for %d" % (self.step, last_step))
        self.log.restart()
        try:
            with ProgressBar(last_step, self.step, "training") as bar:
                if self.evaluation_is_pending and self.graph.evaluation is not None:
                    self.evaluate()
                while self.step < last_step and self.stop is None and self.stopping.stop_reason is None:
                    loss = self.one_step()
                    bar.update(self.step, self.log.figures(self.step, loss))
            self.save()
            self.saving.wait()
        except JasperError as error:
            self.metrics.write("end", self.step, reason="%s: %s" % (type(error).__name__, str(error).split("\n")[0]))
            raise
        finally:
            self.saving.close()
        self.stopping.report_stop(self.step, last_step)
        self.metrics.write("end", self.step, reason=self.stop.value if self.stop is not None else
                           self.stopping.stop_reason or "the last step")
        if self.stop not in SIGNALS:
            self.log.finish(self.step)
        return TrainingResult(self.step, loss, self.evaluation, self.stop)

    def one_step(self):
        """One update of the weights, and everything that is due after it. Returns the loss, a float."""
        graph, session, params = self.graph, self.session, self.params

        # what this process asks all of them for; they agree on it within the step
        if self.saving.is_due:
            graph.requests.ask(Request.SAVE)
        if self.group.is_first and self.stopping.time_is_up:
            graph.requests.ask(Request.TIME_IS_UP)

        self.device.before_step(self.step, graph.last_step, self._last_loss)

        # iter_size batches forward and backward; the optimizer's update is made with the last one
        for _ in range(graph.iter_size - 1):
            # the requests, too: the ranks' exchanges form a chain, in which that of the losses comes before those of gradients
            self._run_batch(graph.shape_step_of_batch(self.micro_batches).accumulate_fetches(), graph.requests.feed)
        shape_step = graph.shape_step_to_update(self.micro_batches, self.step)
        values = self._run_batch(shape_step.update_fetches(*self.log.wants(self.step + 1)), graph.feed)
        loss, requests, is_made = float(values["loss"]), graph.requests.take(values), bool(values["finite"])
        self.stop = stop_among(requests)

        if is_made:
            self._last_loss = loss
            self.skipped_steps.made()
            self.step += 1
            self.log.step(self.step, loss, values)
            self.epochs.step(loss, values["learning_rate"])
            if self.diagnostics is not None and self.stop not in SIGNALS:
                self.diagnostics.made(session, self.step, values)
                if self.diagnostics.is_due(self.step):
                    self.log.exclude(self.diagnostics.report(session, self.step))
            # before the checkpoint of this step, which then has the best metric
            is_last = self.step == graph.last_step or self.stop is Request.TIME_IS_UP
            if graph.evaluation is not None and (is_last or self.step % graph.eval_steps == 0):
                self.evaluate()
            self.epochs.end_if_due(self.step)
        else:
            self.skipped_steps.skipped(session, self.step + 1, values, self.metrics)

        if Request.SAVE in requests or is_made and self.step > 1 and is_due(params["save_checkpoint_steps"], self.step):
            self.save()
        self.saving.report()
        return loss

    def _run_batch(self, fetches, feed):
        """Computes the next batch of the stream and counts it.

        Args:
          fetches: dict of what to fetch.
          feed: function that returns what to feed, called as late as possible.

        Returns:
          Dict of the fetched values.

        Raises:
          DeviceError: the device is out of memory.
          DataError: too many files could not be read.
        """
        try:
            values = self.session.run(fetches, feed())
        except DeviceError as error:
            if error.out_of_memory is None:
                raise
            raise DeviceError("out of memory at step %d: %s. %s" % (self.step + 1, error.out_of_memory, advice_on_memory(
                self.params, self.graph, self.device, self.graph.number_of_shape_step(self.micro_batches))))
        except tf.errors.OpError:
            self.graph.data_layer.raise_if_too_many_rejected()
            raise
        self.skipped_steps.batch(self.micro_batches, values)
        self.micro_batches += 1
        self.log.batch(values)
        return values

    def save(self):
        """Saves a checkpoint of this step, once; all ranks call it together."""
        self.saving.save(self.session, self.step, self.position)

    def evaluate(self):
        """Evaluates the model, and saves it as the best one if it is.

        A signal interrupts the evaluation, or prevents it; the resumed run makes it then.
        """
        self.evaluation_is_pending = True
        if self.stop in SIGNALS:
            return
        log_line("Running evaluation on a validation set:")
        self.session.run(self.graph.average_statistics)
        result = run_all(self.session, self.graph.evaluation, self.graph.task_evaluations,
                         is_interrupted=lambda: self.graph.requests.signal_has_come)
        if result is None:
            self.stop = stop_among(self.graph.requests.agree(self.session, self.group))
            log_line("Evaluation interrupted; it will run again on resume")
            return
        self.evaluation, self.evaluation_is_pending = result, False
        log_all(result)
        if self.saving.writes:
            checkpoint = os.path.join(self.run_directory.checkpoints, "model.ckpt-%d" % self.step)
            for evaluation, own in [(self.graph.evaluation, result)] + [
                    (self.graph.task_evaluations[name], of_task) for name, of_task in getattr(result, "tasks", ())]:
                if own.word_error_rate is not None:
                    record_evaluation(checkpoint, evaluation, own)
        self.saving.save_if_best(self.session, self.step, self.position, result)
        self.log.evaluated(self.step, result)
        self.epochs.evaluated(self.step, result)
        self.stopping.evaluated(self.step, result, lambda: self.saving.back_to_best(self.session))


def agreed_facts(params, graph):
    """What has to be equal in all processes of a training, except the device: dict of names -> texts.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
    """
    layer = graph.data_layer
    facts = collections.OrderedDict([
        ("project version", open_seq2seq.__version__), ("TensorFlow", tf.__version__),
        ("utterances", str(len(layer.utterances))),
        ("contents of the data", fingerprint([(utterance.num_samples, utterance.transcript)
                                              for utterance in layer.utterances])),
        ("last step", str(graph.last_step))])
    facts.update(("config " + path, repr(value)) for path, value in flattened(plain(without_tracking(params))))
    # only the first rank reads and writes these, and each machine has its own
    places = ("logdir", "load_model", "checkpoint_dir", "load_checkpoint_dir", "save_checkpoint_dir",
              "parallel_training/processes", "parallel_training/folder")
    return {name: value for name, value in facts.items() if name not in ["config " + key for key in places]}
