"""The keys of ``base_params["tasks"]``, and the config of one of the tasks."""
import re

from open_seq2seq.config.parameters import (
    Bool,
    Callable,
    Choice,
    Dict,
    Either,
    Float,
    Int,
    Kind,
    Parameter,
    String,
    Struct,
    child_path,
    did_you_mean,
)
from open_seq2seq.data import tasks as task_data
from open_seq2seq.decoders import FrameRegression, UtteranceClassifier
from open_seq2seq.errors import UsageError
from open_seq2seq.losses import CrossEntropyLoss, RegressionLoss

UNCERTAINTY = "uncertainty"
METRICS_OF_KIND = {task_data.TRANSCRIPT: ("loss", "wer"), task_data.LABEL: ("loss", "accuracy"), task_data.FEATURES: ("loss",)}
_NAME = re.compile("[a-z][a-z0-9_]*$")
_LARGEST_WEIGHT = 1e4

SCHEDULE = (
    Parameter("start", Float(minimum=0.0, maximum=_LARGEST_WEIGHT), default=0.0, doc="value until first_step"),
    Parameter("end", Float(minimum=0.0, maximum=_LARGEST_WEIGHT), doc="value from last_step on; linear in between"),
    Parameter("first_step", Int(minimum=0), default=0, doc="step after which the value begins to change"),
    Parameter("last_step", Int(minimum=1), default=None, doc="step at which the value reaches its end; None: max_steps"),
)
REVERSAL = (
    Parameter("strength", Float(above=0.0, maximum=_LARGEST_WEIGHT), default=1.0,
              doc="factor of the reversed gradient at the end of the schedule"),
    Parameter("steps", Int(minimum=1), default=None, doc="steps in which the factor rises from 0; None: max_steps"),
)

TASK_PARAMETERS = (
    Parameter("data", Struct(task_data.PARAMETERS), doc="what the task is trained on"),
    Parameter("decoder", Callable(), default=None,
              doc='class of the output layer; None: for kind "transcript" the top-level decoder with its decoder_params, for '
                  '"label" UtteranceClassifier, for "features" FrameRegression'),
    Parameter("decoder_params", Dict(), default={},
              doc="parameters of the decoder; those of the top-level decoder_params apply to a decoder of the same class"),
    Parameter("loss", Callable(), default=None,
              doc='class of the loss; None: for kind "transcript" the top-level loss with its loss_params, for "label" '
                  'CrossEntropyLoss, for "features" RegressionLoss'),
    Parameter("loss_params", Dict(), default={}, doc="parameters of the loss, see decoder_params"),
    Parameter("layer", String(), default=None,
              doc='encoder layer whose outputs the task takes, e.g. "conv42"; None: the last'),
    Parameter("weight", Either(Float(minimum=0.0, maximum=_LARGEST_WEIGHT), Choice(UNCERTAINTY), Struct(SCHEDULE)), default=1.0,
              doc='factor of the task\'s loss: a number, a schedule {"start", "end", "first_step", "last_step"}, or '
                  '"uncertainty": learned (arXiv:1705.07115)'),
    Parameter("adversarial", Either(Bool(), Struct(REVERSAL)), default=False,
              doc='gradient reversal (arXiv:1505.07818): the encoder learns to make the target unpredictable; True or '
                  '{"strength", "steps"}'),
    Parameter("encoder_gradient_scale", Float(minimum=0.0, maximum=_LARGEST_WEIGHT), default=1.0,
              doc="factor of the task's gradient where it enters the encoder, e.g. 0.3 for data of another domain"),
)


class Tasks(Kind):
    """A dict from names of tasks to their keys."""

    description = "a dict from names of tasks to dicts"
    own_types = (dict,)
    item = Struct(TASK_PARAMETERS)

    def check(self, value, path, report):
        if not isinstance(value, dict):
            return self._expected(value, path, report)
        checked = {}
        for name, task in value.items():
            where = child_path(path, name)
            if not isinstance(name, str) or not _NAME.match(name):
                report.problem(where, "is not a name of a task; expected a lower-case letter, then letters, digits, underscores")
            elif not isinstance(task, dict):
                report.problem(where, "is %r (%s), expected a dict with the task's keys" % (task, type(task).__name__))
            else:
                checked[name] = self.item.check(task, where, report)
        return checked


class Metric(Kind):
    """"loss", "wer", or a metric of a task, e.g. "kyrgyz.wer"."""

    description = '"loss", "wer", or a metric of a task, e.g. "kyrgyz.wer"'

    def check(self, value, path, report):
        if isinstance(value, str) and "." in value:
            # which ones there are is checked with the tasks
            return value
        return Choice("loss", "wer").check(value, path, report)


PARAMETERS = (
    Parameter("tasks", Tasks(), default={},
              doc="outputs that are trained together, by name (docs/multi_task.md); {}: one, of the keys decoder and loss"),
    Parameter("main_task", String(), default=None,
              doc="the task that is evaluated, exported and used for transcripts without --task; None: the first of tasks"),
)


def main_task(params):
    """Name of the main task of checked params with tasks."""
    return params["main_task"] or next(iter(params["tasks"]))


def decoder_scope(params, name):
    """Variable scope of a task's decoder inside that of the model; "" for the main task, whose names are those without tasks."""
    return "" if name == main_task(params) else "task_" + name


def with_parts(params):
    """The checked tasks of ``params`` with the classes and params of their decoders and losses, where they are not given.

    Args:
      params: params whose top-level keys are checked.
    """
    filled = {}
    for name, task in params["tasks"].items():
        standard = {task_data.LABEL: {"decoder": UtteranceClassifier, "loss": CrossEntropyLoss},
                    task_data.FEATURES: {"decoder": FrameRegression, "loss": RegressionLoss}}.get(task["data"]["kind"], {})
        task = filled[name] = dict(task)
        for part in ("decoder", "loss"):
            own = task[part] or standard.get(part) or params.get(part)
            if own is params.get(part) and isinstance(params.get(part + "_params"), dict):
                task[part + "_params"] = dict(params[part + "_params"], **task[part + "_params"])
            task[part] = own
    return filled


def config_of_task(params, name=None, evaluation=True, classes=None):
    """The params of a model with one task only, as they would be written for a config without tasks.

    The task's variables have the names that they have in the model with all tasks. The config of a task with transcripts has no
    tasks; a task of another kind stays the only one in ``tasks``. ``selected_task`` is the name of the task, ``decoder_scope``
    the variable scope of its decoder.

    Args:
      params: checked params of a mode.
      name: of the task; None: the main task.
      evaluation: whether to read the data that the task is evaluated on, instead of those that it is trained on.
      classes: list of the names of the classes of a task of kind "label", as in the training; None: those of the config.

    Returns:
      A new dict; ``params`` if it has no tasks and ``name`` is None.

    Raises:
      UsageError: there is no such task.
    """
    tasks = params.get("tasks") or {}
    if not tasks or params.get("selected_task") is not None:
        if name not in (None, params.get("selected_task")):
            raise UsageError("--task=%s: the config has no tasks (docs/multi_task.md). Remove --task" % name)
        return params
    main = main_task(params)
    name = name or main
    if name not in tasks:
        raise UsageError("--task=%s is not a task of the config %s" % (name, did_you_mean(name, tasks)))
    task, encoder_params = tasks[name], params["encoder_params"]
    if task["layer"] is not None:
        encoder_params = params["encoder"].params_up_to(encoder_params, task["layer"])
    data = task["data"] if classes is None else dict(task["data"], classes=list(classes))
    data_params = task_data.data_layer_params_of(params["data_layer_params"], data)
    if evaluation:
        files = data["eval_files"] or params["data_layer_params"].get("dataset_files")
        data_params.update({} if files is None else {"dataset_files": files})
    found = dict(params, encoder_params=encoder_params, data_layer_params=data_params, selected_task=name,
                 decoder_scope=decoder_scope(params, name), main_task=main,
                 **{key: task[key] for key in ("decoder", "decoder_params", "loss", "loss_params")})
    if data["kind"] == task_data.TRANSCRIPT:
        return dict(found, tasks={})
    return dict(found, tasks={name: dict(task, layer=None, data=dict(data, dataset_files=None, eval_files=None))})


def evaluated_tasks(params):
    """Names of the tasks, the main task excepted, that have data to be evaluated on."""
    tasks = params.get("tasks") or {}
    return [name for name, task in tasks.items() if name != main_task(params) and task_data.is_evaluated(task["data"])]


def task_metrics(params):
    """What ``best_metric`` and ``stopping_metric`` can be besides "loss" and "wer": list of "TASK.METRIC" for all tasks."""
    tasks = params.get("tasks")
    return ["%s.%s" % (name, metric) for name, task in (tasks.items() if isinstance(tasks, dict) else ())
            for metric in METRICS_OF_KIND.get(_kind(task), ())]


def check_rules(params, mode, path, report):
    """Reports what is wrong with the tasks of checked params as a whole.

    Args:
      params: checked params; a value that is invalid by itself is skipped.
      mode: of the params.
      path: names the params in messages.
      report: receives the problems.
    """
    tasks = params.get("tasks")
    _check_metrics(params, mode, path, report)
    if not tasks or not isinstance(tasks, dict):
        if params.get("main_task") is not None:
            report.problem(child_path(path, "main_task"), 'is "%s", but the config has no tasks; remove it' % params["main_task"])
        return
    where = child_path(path, "tasks")
    main = params.get("main_task") or next(iter(tasks))
    if main not in tasks:
        report.problem(child_path(path, "main_task"), 'is "%s", which is not a task %s' % (main, did_you_mean(main, tasks)))
    elif _kind(tasks[main]) not in (None, task_data.TRANSCRIPT):
        report.problem(child_path(where, main), 'is the main task, and the kind of its data is "%s"; expected "transcript". Put '
                       "a task with transcripts first, or name it with main_task" % _kind(tasks[main]))
    for name, task in tasks.items():
        _check_task(task, params, mode, child_path(where, name), report)
    if all(task.get("weight") == 0.0 or _is_zero_schedule(task.get("weight")) for task in tasks.values()):
        report.problem(where, "has only weights of 0, so nothing would be trained; give a task a weight above 0")


def _check_metrics(params, mode, path, report):
    for key in ("best_metric", "stopping_metric"):
        value = params.get(key)
        if not isinstance(value, str) or "." not in value:
            continue
        known = task_metrics(params)
        if value not in known:
            report.problem(child_path(path, key), 'is "%s", which no evaluation measures %s' % (
                value, did_you_mean(value, ["loss", "wer"] + known)))
            continue
        name = value.partition(".")[0]
        # known metrics are those of tasks whose data are a dict; one of its values may be invalid, and is then absent
        data = {"dataset_files": None, "eval_files": None, **params["tasks"][name]["data"]}
        main = params.get("main_task") or next(iter(params["tasks"]))
        if mode == "eval" and name != main and not task_data.is_evaluated(data):
            report.problem(child_path(path, key), 'is "%s", and the task has no data to be evaluated on; give tasks["%s"]["data"]'
                           '["eval_files"]' % (value, name))


def _kind(task):
    return task["data"].get("kind") if isinstance(task.get("data"), dict) else None


def _is_zero_schedule(weight):
    return isinstance(weight, dict) and weight.get("start") == weight.get("end") == 0.0


def _check_task(task, params, mode, path, report):
    data = task.get("data")
    if isinstance(data, dict) and all(parameter.name in data for parameter in task_data.PARAMETERS):
        task_data.check_rules(data, child_path(path, "data"), report)
    encoder, layers = params.get("encoder"), None
    if task.get("layer") is not None and encoder is not None:
        if not hasattr(encoder, "layer_names"):
            report.problem(child_path(path, "layer"), 'is "%s", but the encoder %s does not name its layers; remove it: the task '
                           "then takes the last one's outputs" % (task["layer"], getattr(encoder, "__name__", encoder)))
        else:
            layers = _layer_names(encoder, params.get("encoder_params"))
    if layers is not None and task["layer"] not in layers:
        report.problem(child_path(path, "layer"), 'is "%s", which is not a layer of the encoder; it has %s' % (
            task["layer"], ", ".join(layers)))
    for part in ("decoder", "loss"):
        # one that does not declare it may be for any kind
        kind = getattr(task.get(part), "TARGETS", None)
        if None not in (kind, _kind(task)) and kind != _kind(task):
            report.problem(child_path(path, part), 'is %s, which is for data of kind "%s", and the kind of this task is "%s"; '
                           "remove it: the default fits the kind" % (task[part].__name__, kind, _kind(task)))
    weight, adversarial = task.get("weight"), task.get("adversarial")
    if isinstance(weight, dict):
        first, last = weight.get("first_step"), weight.get("last_step")
        if isinstance(first, int) and isinstance(last, int) and last <= first:
            report.problem(child_path(child_path(path, "weight"), "last_step"),
                           "is %d, expected more than first_step, which is %d" % (last, first))
    if mode != "train" or params.get("max_steps"):
        return
    if isinstance(weight, dict) and weight.get("last_step") is None:
        report.problem(child_path(child_path(path, "weight"), "last_step"), "is missing: a training of num_epochs does not "
                       "determine the step at which the weight reaches its end; give it, or max_steps")
    if adversarial is True or isinstance(adversarial, dict) and adversarial.get("steps") is None:
        report.problem(child_path(child_path(path, "adversarial"), "steps"), "is missing: a training of num_epochs does not "
                       'determine in how many steps the gradient reversal reaches its strength; write {"steps": 5000}, or give '
                       "max_steps")


def _layer_names(encoder, encoder_params):
    """Names of the encoder's layers; None if its params are invalid, which has been reported."""
    try:
        return encoder.layer_names(encoder_params)
    except (KeyError, TypeError):
        return None
