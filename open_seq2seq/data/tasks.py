"""What the tasks of a multi-task training take of the data: their keys in a config, and their targets in a batch."""
import collections

from open_seq2seq.config.parameters import Choice, Either, FilePath, List, Parameter, String, child_path
from open_seq2seq.errors import DataError
from open_seq2seq.text import steps
from open_seq2seq.text.text_file import read_text_file

TRANSCRIPT, LABEL, FEATURES = KINDS = ("transcript", "label", "features")
REFUSE, IGNORE = "refuse", "ignore"
MOST_CLASSES = 10 ** 5  # a column with more different values than this does not hold classes
TARGETS_OF_KIND = {TRANSCRIPT: "transcripts", LABEL: "one class for each utterance", FEATURES: "the features of clean audio"}

PARAMETERS = (
    Parameter("kind", Choice(*KINDS), default=TRANSCRIPT,
              doc='"transcript": a sequence of labels for each utterance (CTC); "label": one class for each utterance, e.g. the '
                  'speaker; "features": the features of the audio before its augmentation (denoising)'),
    Parameter("column", String(), default=None,
              doc='column of the manifests with the task\'s targets; None: "transcript". Kind "label" needs one'),
    Parameter("dataset_files", Either(List(FilePath(), minimum_length=1), FilePath()), default=None,
              doc="the task's own manifests of training; None: dataset_files of data_layer_params"),
    Parameter("eval_files", Either(List(FilePath()), FilePath()), default=None,
              doc="manifests on which the task is evaluated; None: dataset_files of the evaluation's data_layer_params, or none "
                  "if the task has its own dataset_files; []: none"),
    Parameter("missing", Choice(REFUSE, IGNORE), default=REFUSE,
              doc='utterances without a value in the column, and in evaluations those of a class that the training data lacks: '
                  '"refuse": an error; "ignore": they have weight 0 in this task'),
    Parameter("vocab_file", FilePath(), default=None,
              doc='vocabulary of the task\'s transcripts; None: vocab_file of data_layer_params. Only for kind "transcript"'),
    Parameter("classes", Either(List(String(), minimum_length=2), FilePath()), default=None,
              doc='names of the classes, a list or a file with one in each line; None: those of the training data. Only for kind '
                  '"label"'),
) + steps.task_parameters()


STEPS = tuple(parameter.name for parameter in steps.task_parameters())


class TaskData(collections.namedtuple("TaskData", "name params is_main output_frames")):
    """The data of a task.

    name: of the task. params: checked dict of :data:`PARAMETERS`. is_main: whether the labels of the batch are those of this
    task; if none of the tasks is the main one, the batch has empty labels, and transcripts are not read. output_frames: function
    from a number of feature frames to the frames of the task's output, as the data layer's ``output_frames``.
    """

    __slots__ = ()

    @property
    def kind(self):
        """"transcript", "label" or "features"."""
        return self.params["kind"]


class TaskTargets(collections.namedtuple("TaskTargets", "labels label_lengths weights")):
    """The targets of a task in a batch of B rows.

    labels: kind "transcript": int32 [B, L], zero-padded; kind "label": int32 [B], the class; kind "features": float32 [B, T, F].
    label_lengths: int32 [B], valid labels or frames; kind "label": zeros.
    weights: float32 [B], factor of each row's loss; 0 for padding rows and for rows without a target of the task.
    """

    __slots__ = ()


def check_rules(params, path, report):
    """Reports invalid combinations of a task's checked data params."""
    if params["kind"] == LABEL and params["column"] is None:
        report.problem(child_path(path, "column"), 'is missing; kind "label" needs the column with the classes, e.g. "speaker"')
    for key, kind in (("vocab_file", TRANSCRIPT), ("classes", LABEL)):
        if params[key] is not None and params["kind"] != kind:
            report.problem(child_path(path, key), 'is given, but kind is "%s"; remove it, or set kind to "%s"' % (
                params["kind"], kind))


def data_layer_params_of(data_layer_params, task_params, evaluation=False):
    """``data_layer_params`` as a data layer without tasks needs them for the transcripts of one task.

    Args:
      data_layer_params: checked dict, possibly without dataset_files.
      task_params: checked dict of :data:`PARAMETERS`.
      evaluation: whether the params are those of an evaluation, which reads ``eval_files``.

    Returns:
      A new dict.

    Raises:
      ValueError: the task is not evaluated; see :func:`is_evaluated`.
    """
    if evaluation and not is_evaluated(task_params):
        raise ValueError("the task has no eval_files")
    own = {"dataset_files": task_params["eval_files" if evaluation else "dataset_files"]}
    own.update((key, task_params[key]) for key in ("vocab_file",) + STEPS)
    if task_params["kind"] == TRANSCRIPT:
        own["transcript_column"] = task_params["column"]
    return dict(data_layer_params, **{key: value for key, value in own.items() if value is not None})


def is_evaluated(task_params):
    """Whether a task has utterances to be evaluated on: its ``eval_files``, or those of the evaluation's data_layer_params."""
    files = task_params["eval_files"]
    return task_params["dataset_files"] is None if files is None else bool(files)


def class_names(task_params):
    """The names of the classes that a config gives for a task: a list of str, or None.

    Raises:
      DataError: the file cannot be read, or has fewer than two classes or one of them twice.
    """
    classes = task_params["classes"]
    if classes is None:
        return None
    source = "classes"
    if isinstance(classes, str):
        source = classes
        lines = read_text_file(classes, "list of classes", "Expected the name of a class in each line")
        classes = [line.strip() for line in lines.splitlines() if line.strip()]
    repeated = sorted({name for name in classes if classes.count(name) > 1}) if len(set(classes)) < len(classes) else []
    if repeated:
        raise DataError("%s: the class %r is there more than once; expected each once" % (source, repeated[0]))
    if len(classes) < 2:
        raise DataError("%s: %d class; expected at least two" % (source, len(classes)))
    return list(classes)
