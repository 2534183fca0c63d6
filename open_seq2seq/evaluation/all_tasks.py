"""The evaluations of all tasks of a training with several tasks: one for each task that has data for it."""
import collections

from open_seq2seq.checkpoints.description import labels_of_task
from open_seq2seq.data.tasks import LABEL
from open_seq2seq.evaluation.evaluation_graph import build_evaluation
from open_seq2seq.evaluation.scoring import log_evaluation, run_evaluation
from open_seq2seq.experiment.assembly import build_data_layer
from open_seq2seq.models.task_params import config_of_task, evaluated_tasks


def classes_of(data_layer, name):
    """Names of the classes of a task of a data layer, a tuple; None if the task has none."""
    return getattr((getattr(data_layer, "task_vocabularies", None) or {}).get(name), "names", None)


def with_trained_classes(params, run_directory):
    """The params of one task, with the classes of its checkpoint if it has classes and the config does not give them.

    Args:
      params: checked params of a mode, reduced to one task or without tasks.
      run_directory: a ``RunDirectory``.
    """
    for name, task in (params.get("tasks") or {}).items():
        if task["data"]["kind"] == LABEL and task["data"]["classes"] is None:
            classes = run_directory.read_checkpoint(lambda checkpoint: labels_of_task(checkpoint, name),  # noqa: B023
                                                    params["restore_best_checkpoint"])
            data = dict(task["data"], classes=None if classes is None else list(classes))
            return dict(params, tasks={name: dict(task, data=data)})
    return params


def build_task_evaluations(base_model, params, training_layer, device, group, rejected_file=None):
    """Builds the evaluations of the tasks other than the main one, in the current graph, with the variables of its model.

    Args:
      base_model: the model class.
      params: the checked config of mode "eval".
      training_layer: the data layer of the training, whose classes those of the evaluations are.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      rejected_file: see ``build_data_layer``.

    Returns:
      Dict from names of tasks to ``Evaluation`` or ``TaskEvaluation``; empty without tasks.
    """
    found = collections.OrderedDict()
    for name in evaluated_tasks(params):
        own = config_of_task(params, name, classes=classes_of(training_layer, name))
        layer = build_data_layer(own, "eval", device, group, rejected_file)
        found[name] = build_evaluation(base_model, own, "eval", layer, device, group)
    return found


def run_all(session, evaluation, others, is_interrupted=lambda: False):
    """Evaluates the main task and the others.

    Args:
      session: a session whose variables are set.
      evaluation: of the main task, or of a model without tasks.
      others: dict of :func:`build_task_evaluations`.
      is_interrupted: see ``run_evaluation``.

    Returns:
      The result of ``evaluation``, with those of the others in ``tasks``; None on all ranks if one of them was interrupted.
    """
    result, results = run_evaluation(session, evaluation, is_interrupted=is_interrupted), []
    for name, other in others.items():
        if result is None:
            return None
        results.append((name, run_evaluation(session, other, is_interrupted=is_interrupted)))
        if results[-1][1] is None:
            return None
    if not results:
        return result
    seconds = result.seconds + sum(of_task.seconds for _, of_task in results)
    return result._replace(tasks=tuple(results), seconds=seconds)


def log_all(result, name="Validation"):
    """Prints the figures of a result and of the other tasks in it; scripts read the lines that begin with ``name``."""
    log_evaluation(result, name)
    for task, of_task in getattr(result, "tasks", ()):
        log_evaluation(of_task, "Task %s" % task if name == "Validation" else "%s of task %s" % (name, task))


def measured(result, main=None):
    """What decides about the best model and the end of a training: dict from metrics to values, of which lower ones are better.

    "loss" and, with transcripts, "wer"; with tasks also e.g. "kyrgyz.wer". An accuracy is counted as 1 - accuracy.

    Args:
      result: ``EvaluationResult`` or ``PretrainingResult``.
      main: name of the main task; None without tasks.
    """
    values = _measured(result)
    for name, of_task in ([(main, result)] if main is not None else []) + list(getattr(result, "tasks", ())):
        values.update(("%s.%s" % (name, metric), value) for metric, value in _measured(of_task).items())
    return values


def _measured(result):
    values = {"loss": result.loss}
    if result.word_error_rate is not None:
        values["wer"] = result.word_error_rate.rate
    if getattr(result, "accuracy", None) is not None:
        values["accuracy"] = 1.0 - result.accuracy
    return values
