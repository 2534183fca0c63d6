"""Diagnostics of a training run: fixed subsets of the training and dev data scored at intervals, and the changes of each layer.

The subsets are scored as in an evaluation (no augmentation, no dropout): over-fitting shows as two diverging curves. Diagnostics
change nothing in the training.
"""
import collections
import time

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.data.speech2text.mixed_order import ROW
from open_seq2seq.distributed.exchange import Exchange
from open_seq2seq.distributed.gathering import gather_numbers
from open_seq2seq.evaluation.all_tasks import classes_of
from open_seq2seq.evaluation.evaluation_graph import Evaluation, build_evaluation
from open_seq2seq.evaluation.label_accuracy import described, label_counts, named_counts
from open_seq2seq.evaluation.scoring import note_on_uncounted, run_evaluation
from open_seq2seq.evaluation.task_evaluation import TaskResult
from open_seq2seq.experiment.assembly import build_data_layer
from open_seq2seq.log_lines import log_line
from open_seq2seq.models.task_params import config_of_task
from open_seq2seq.optimizers.max_change import COUNTER
from open_seq2seq.optimizers.optimize import SCOPE, trained_variables
from open_seq2seq.training.diagnostics.layer_observer import LayerObserver, LayerStatistics
from open_seq2seq.training.diagnostics.layer_progress import LayerProgress, table
from open_seq2seq.training.diagnostics.schedule import Schedule
from open_seq2seq.training.metrics import evaluation_numbers

DEFAULT_UTTERANCES = 64
LIMITED_CHANGES = "%s/%s" % (SCOPE, COUNTER)
FORWARD_SHARE = 1 / 3  # of the arithmetic of a training step


def diagnosed_utterances(params, device):
    """Number of utterances in a subset; 0: no diagnostics.

    If the device compiles every shape, more graphs cost minutes, so the default there is 0. So it is for a custom data layer
    without ``subset``.
    """
    if not hasattr(params["data_layer"], "subset"):
        return 0
    asked = params["diagnostics_utterances"]
    if asked is None:
        return 0 if device.static_shapes and params["diagnostics_steps"] is None else DEFAULT_UTTERANCES
    return asked


class DiagnosticGraph:
    """The subsets and what is computed on them, in the training's graph.

    Args:
      base_model: the model class.
      params: the checked config of mode "train".
      evaluation_params: the checked config of mode "eval", or None.
      data_layer: the training's.
      device: a ``Device``.
      group: a ``ProcessGroup``.

    Attributes:
      device: as given.
      observer: the LayerObserver for the evaluation model if :attr:`shares_evaluation`.
      shares_evaluation: whether the subsets are scored with the operations that evaluate the dev data.
      subsets: OrderedDict from "train" and "dev" to Evaluations; with tasks these are of the main task, and there are others,
        e.g. "train, kyrgyz" and "dev, kyrgyz".
      statistics: LayerStatistics.
    """

    def __init__(self, base_model, params, evaluation_params, data_layer, device, group):
        self._base_model, self._params = base_model, params
        self.device, self._group, self._data_layer = device, group, data_layer
        self.observer = LayerObserver()
        # batches of static shapes have separate operations
        self.shares_evaluation = evaluation_params is not None and data_layer.buckets is None
        self.subsets, self.statistics = collections.OrderedDict(), None

    def build(self, evaluation, task_evaluations=()):
        """Adds the operations, in the caller's scope, which decides which weights are evaluated.

        Args:
          evaluation: the Evaluation of the dev data, or None.
          task_evaluations: dict from the names of other tasks to theirs; empty without tasks.
        """
        self._add("", self._training_layer(None), evaluation, self.observer)
        for name in task_evaluations:
            self._add(", " + name, self._training_layer(name), task_evaluations[name], None)
        self.statistics = LayerStatistics(self.observer, self._group)

    def _training_layer(self, task):
        """The data layer of the training data of a task; None: of the main task."""
        if not self._params.get("tasks"):
            return self._data_layer
        classes = None if task is None else classes_of(self._data_layer, task)
        own = config_of_task(self._params, task, evaluation=False, classes=classes)
        # only the utterances are used, not the order of a training
        own["data_layer_params"] = dict(own["data_layer_params"], sampling_temperature=None, mix=ROW)
        return build_data_layer(own, "train", self.device, self._group)

    def _add(self, name, training_layer, evaluation, observer):
        """Adds the subsets of a task, whose names end with ``name``; ``evaluation``: of its dev data, or None."""
        count, seed = diagnosed_utterances(self._params, self.device), self._params["random_seed"]
        subset, dev = training_layer.subset(count, seed), evaluation and evaluation.data_layer.subset(count, seed)
        if self.shares_evaluation and isinstance(evaluation, Evaluation):
            self.subsets["train" + name] = Evaluation(evaluation.graph, subset)
            self.subsets["dev" + name] = Evaluation(evaluation.graph, dev)
            return
        params = config_of_task(self._params, evaluation=False) if evaluation is None else evaluation.params
        self.subsets["train" + name] = self._graph(params, subset, observer)
        if evaluation is not None:
            self.subsets["dev" + name] = self._graph(params, dev, None)

    def _graph(self, params, layer, observer):
        return build_evaluation(self._base_model, params, "eval", layer, self.device, self._group, observer)

    def runs(self):
        """List of (name, list of what is fetched), like ``Evaluation.runs``, for the subsets with their observations."""
        runs = []
        for name, subset in self.subsets.items():
            observations = self.observer.observations if name == "train" else [()] * len(subset.graph.fetches_of_buckets)
            for fetches, observed in zip(subset.graph.fetches_of_buckets, observations):
                runs.append(("diagnostics, " + name, tf.nest.flatten([list(fetches.values()), observed])))
        return runs

    def cost_in_steps(self, utterances_per_step):
        """The approximate cost of scoring the subsets once, in training steps."""
        layer = self._data_layer
        step = utterances_per_step * layer.total_duration / len(layer.utterances)
        return FORWARD_SHARE * sum(subset.data_layer.total_duration for subset in self.subsets.values()) / step


class Diagnostics:
    """Reports at intervals. All ranks call its methods together; only the first rank writes metrics and log lines.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``; its ``diagnostics`` are not None.
      metrics: ``Metrics``.
      group: a ``ProcessGroup``.
      utterances_per_step: utterances in a step, of all ranks together.
      clock: function that returns seconds.
    """

    def __init__(self, params, graph, metrics, group, utterances_per_step, clock=time.monotonic):
        self._graph, self._metrics, self._is_first, self._clock = graph.diagnostics, metrics, group.is_first, clock
        self._average_statistics = graph.average_statistics
        self._progress = LayerProgress(trained_variables(params["freeze_variables_regex"]),
                                       graph.shape_steps[0].train.layers)
        self._limited = graph.shape_steps[0].train.limited_changes is not None
        self._schedule = Schedule(params["diagnostics_steps"], graph.last_step, self._graph.cost_in_steps(utterances_per_step),
                                  clock)
        self._exchange, self._group = Exchange(group, ("next_step",)), group
        self._counts_labels = params["compute_per_dim_accuracy"]

    def start(self, session, step, preparation):
        """Starts after ``step`` updates; see ``Schedule.start`` for ``preparation``."""
        self._schedule.start(step, preparation)
        if self._is_first:
            self._progress.start(graph_variables(session.graph).read(session, self._progress.names,
                                                                     self._graph.device.static_shapes))

    def use_clock(self, clock):
        """Measures time with another clock from now on: a function that returns seconds."""
        self._clock = clock
        self._schedule.use_clock(clock)

    def made(self, session, step, values):
        """Counts a step; ``values`` is what was fetched with it."""
        self._progress.add(values["layer_gradient_norms"])
        if self._schedule.can_plan_first(step):
            self._plan(session, lambda: self._schedule.first(step))

    def is_due(self, step, before=None):
        """Whether a report is due after ``step`` updates; ``before``: updates at the last call, where not one before."""
        return self._schedule.is_due(step, before)

    def report(self, session, step):
        """Scores the subsets, compares the layers, and writes and prints the result.

        Returns:
          Seconds that it took.
        """
        started = self._clock()
        # all ranks together, as before an evaluation
        session.run(self._average_statistics)
        statistics, observations = self._graph.statistics, self._graph.observer.observations
        statistics.restart()
        results, accuracies = collections.OrderedDict(), {}
        for name, subset in self._graph.subsets.items():
            is_observed = name == "train"
            # for another set of fetches of the same operations TensorFlow would prepare another executor
            fetched = is_observed or self._graph.shares_evaluation and name == "dev"
            results[name] = run_evaluation(session, subset, observations=observations if fetched else None,
                                           observe=statistics.add if is_observed else None)
            if self._counts_labels and hasattr(results[name], "transcripts"):
                accuracies[name] = self._label_accuracy(session, subset.data_layer.vocabulary, results[name])
        observed = statistics.result(session)
        rows, steps = [], self._progress.steps
        if self._is_first:
            values = graph_variables(session.graph).read(session)
            rows = [dict(row, **observed.get(row["layer"], {})) for row in self._progress.rows(values)]
            if self._limited:
                for row, times in zip(rows, values[LIMITED_CHANGES].tolist()):
                    row["limited_changes"] = times
        seconds = self._clock() - started
        self._write(step, results, accuracies, rows, steps, seconds)
        if self._schedule.is_automatic:
            self._plan(session, lambda: self._schedule.after(step, seconds))
        return seconds

    def _plan(self, session, next_step):
        # clocks differ, and all ranks have to report after the same step: the first rank decides
        proposed = next_step() if self._is_first else 0
        self._schedule.next_step = int(self._exchange.sum(session, {"next_step": proposed})["next_step"])

    def _label_accuracy(self, session, vocabulary, result):
        """Dict of label -> [recognized, occurrences], over all ranks."""
        counts = label_counts(vocabulary, [utterance.labels for utterance in result.utterances], result.transcripts)
        ranks = gather_numbers(self._group, session, counts.reshape(-1))
        return named_counts(vocabulary, ranks.sum(0).reshape(counts.shape))

    def _write(self, step, results, accuracies, rows, steps, seconds):
        log_line("Diagnostics after step %d (%.1f s):" % (step, seconds))
        for name, result in results.items():
            others = {"label_accuracy": accuracies[name]} if name in accuracies else {}
            self._metrics.write("subset", step, data_set=name, **dict(evaluation_numbers(result), **others))
            if isinstance(result, TaskResult):
                accuracy = "" if result.accuracy is None else ", accuracy %.4f" % result.accuracy
                log_line("%s subset: loss %.4f%s, %d utterances" % (name, result.loss, accuracy, result.num_utterances), offset=4)
                continue
            log_line("%s subset: loss %.4f, WER %.4f, frame entropy %.3f nats, %d utterances" % (
                name, result.loss, result.word_error_rate.rate, result.frame_entropy, result.num_utterances), offset=4)
            note = note_on_uncounted(result)
            if note is not None:
                log_line(note, offset=4)
            if name in accuracies:
                log_line("%s subset: labels with the lowest accuracy: %s" % (name, described(accuracies[name])), offset=4)
        if rows:
            self._metrics.write("layers", step, layers=rows, steps=steps, seconds=seconds)
            for line in table(rows):
                log_line(line, offset=4)
