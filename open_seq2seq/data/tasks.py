"""What the tasks of a multi-task training take of the data: their keys in a config, and their targets in a batch."""
import collections

from open_seq2seq.config.parameters import Choice, Either, FilePath, List, Parameter, String, child_path

TRANSCRIPT, LABEL, FEATURES = KINDS = ("transcript", "label", "features")
TARGETS_OF_KIND = {TRANSCRIPT: "transcripts", LABEL: "one class for each utterance", FEATURES: "the features of clean audio"}

PARAMETERS = (
    Parameter("kind", Choice(*KINDS), default=TRANSCRIPT,
              doc='"transcript": a sequence of labels for each utterance (CTC); "label": one class for each utterance, e.g. the '
                  'speaker; "features": the features of the audio before its augmentation (denoising)'),
    Parameter("column", String(), default=None,
              doc='column of the manifests with the task\'s targets; None: "transcript". Kind "label" needs one'),
    Parameter("dataset_files", Either(List(FilePath(), minimum_length=1), FilePath()), default=None,
              doc="the task's own manifests; None: dataset_files of data_layer_params"),
    Parameter("vocab_file", FilePath(), default=None,
              doc='vocabulary of the task\'s transcripts; None: vocab_file of data_layer_params. Only for kind "transcript"'),
    Parameter("classes", Either(List(String(), minimum_length=2), FilePath()), default=None,
              doc='names of the classes, a list or a file with one in each line; None: those of the training data. Only for kind '
                  '"label"'),
)


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


def data_layer_params_of(data_layer_params, task_params):
    """``data_layer_params`` as a data layer without tasks needs them for the transcripts of one task.

    Args:
      data_layer_params: checked dict, possibly without dataset_files.
      task_params: checked dict of :data:`PARAMETERS`.
    """
    return dict(data_layer_params, **{key: task_params[key] for key in ("dataset_files", "vocab_file")
                                      if task_params[key] is not None})
