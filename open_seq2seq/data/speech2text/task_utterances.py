"""The utterances of a training on several tasks, each with its targets."""
from open_seq2seq.data.rejection import Rejections
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.data.speech2text.selection import Labels
from open_seq2seq.data.speech2text.task_rows import TaskRows
from open_seq2seq.data.speech2text.utterance_set import UtteranceSet
from open_seq2seq.data.tasks import FEATURES, LABEL, TRANSCRIPT
from open_seq2seq.errors import DataError
from open_seq2seq.log_lines import log_line


class TaskUtterances(UtteranceSet):
    """An UtteranceSet of the manifests of all tasks. A manifest that several tasks name is read once.

    Args:
      found: UtteranceSet of the accepted utterances.
      tasks: list of TaskData.
      vocabularies: for each task a Vocabulary, ClassNames or None.
      manifests_of_tasks: for each task a frozenset of the paths of its manifests.
      targets: for each task a list with an item for each utterance, see :meth:`TaskRows.finish`.

    Attributes: those of UtteranceSet, where ``vocabulary`` is that of the main task, and the labels of an utterance are those of
      the main task; and the arguments.
    """

    def __init__(self, found, tasks, vocabularies, manifests_of_tasks, targets):
        super().__init__(found.manifests, found.vocabulary, found.utterances, found.rejections)
        self.tasks, self.vocabularies, self.targets = tasks, vocabularies, targets
        self.manifests_of_tasks = manifests_of_tasks

    def _of(self, chosen):
        return TaskUtterances(super()._of(chosen), self.tasks, self.vocabularies, self.manifests_of_tasks,
                              [[targets[old] for old in chosen] for targets in self.targets])

    def labels_of(self, index):
        """List of the Labels of an utterance that CTC aligns, of all tasks; index: of the utterance."""
        return [Labels(targets[index] or (), task.output_frames) for task, targets in zip(self.tasks, self.targets)
                if task.kind == TRANSCRIPT]

    def tasks_of(self, utterance):
        """Names of the tasks to which an utterance's manifest belongs: a tuple."""
        return tuple(task.name for task, manifests in zip(self.tasks, self.manifests_of_tasks) if utterance.manifest in manifests)


def read_task_utterances(tasks, params, mode, num_frames, rejected_file=None, is_first_worker=True):
    """Reads the manifests and vocabularies of tasks, and checks every row.

    Args:
      tasks: list of TaskData, at most one of them the main task.
      params: checked params of the data layer.
      mode, num_frames, rejected_file, is_first_worker: see :meth:`UtteranceSet.from_manifests`.

    Returns:
      TaskUtterances. A row that a task with a transcript cannot use is rejected for all tasks.

    Raises:
      DataError: see :meth:`UtteranceSet.from_manifests` and :class:`TaskRows`; too many rows of one task are faulty.
      StorageError: ``rejected_file`` cannot be written.
    """
    def note(text):
        if is_first_worker:
            log_line("Note: " + text)

    readers = [TaskRows(task, params, mode, note) for task in tasks]
    main = next((reader for reader in readers if reader.task.is_main), None)
    # the main task first: its transcripts are those of the utterances
    ordered = sorted(readers, key=lambda reader: reader is not main)
    manifests = list(dict.fromkeys(path for reader in readers for path in reader.manifests))
    rows = [row for path in manifests for row in _rows_of(path, [reader for reader in ordered if path in reader.manifests],
                                                          params, mode, note)]
    transcripts = [reader for reader in ordered if reader.kind == TRANSCRIPT]

    def labels_of(row):
        key = row.manifest, row.row
        own = Labels((), None) if main is None else Labels(main.labels_of(key), main.task.output_frames)
        return [own] + [Labels(reader.labels_of(key), reader.task.output_frames) for reader in transcripts if reader is not main]

    vocabulary = None if main is None else main.vocabulary
    found = UtteranceSet.from_rows(rows, params, mode, vocabulary, num_frames, None, rejected_file, is_first_worker,
                                   manifests=manifests, labels_of=labels_of)
    for reader in readers:
        _check_rejections(reader, rows, found.rejections, params["max_rejected_fraction"])
    targets = [reader.finish(found.utterances) for reader in readers]
    if main is None:
        found.vocabulary = next((reader.vocabulary for reader in readers if reader.vocabulary is not None), None)
    if is_first_worker:
        for reader, of_task in zip(readers, targets):
            log_line("%s data: %s" % (mode, _described(reader, of_task, mode)))
    return TaskUtterances(found, list(tasks), [reader.vocabulary for reader in readers],
                          [frozenset(reader.manifests) for reader in readers], targets)


def _rows_of(path, readers, params, mode, note):
    """The rows of a manifest; those that a task cannot use have a problem."""
    of_column = [reader for reader in readers if reader.kind == TRANSCRIPT and reader.task.params["column"] is None]
    try:
        rows = read_manifest(path, bool(of_column) and mode != "infer", of_column[0].vocabulary if of_column else None, note,
                             params["transcript_column"])
    except DataError as error:
        own = [reader.name for reader in readers if reader.task.params["dataset_files" if mode == "train" else "eval_files"]]
        raise DataError('task "%s": %s' % (own[0], error)) if own else error
    rejected, texts = {}, {}
    for reader in reversed(readers):
        rejected.update(reader.read(path, rows))
        texts.update(reader.texts)
    return [row._replace(problem=row.problem or rejected.get(row.row),
                         transcript=texts.get((path, row.row), row.transcript)) for row in rows]


def _check_rejections(reader, rows, rejections, fraction):
    """Raises DataError if too many rows of a task are faulty: a small data set must not be lost among the rows of a large one."""
    own = frozenset(reader.manifests)
    part = Rejections(sum(row.manifest in own for row in rows), fraction, rejections.path, reader.manifests)
    part.items = [item for item in rejections if item.manifest in own]
    try:
        part.raise_if_too_many()
    except DataError as error:
        raise DataError('task "%s": %s' % (reader.name, error))


def _described(reader, targets, mode):
    count = sum(target is not None for target in targets)
    what = {TRANSCRIPT: lambda: "%d labels" % reader.vocabulary.size, FEATURES: lambda: "features of the clean audio",
            LABEL: lambda: "%d classes of the column %s" % (reader.vocabulary.size, reader.column)}[reader.kind]()
    return "task %s: %s%s" % (reader.name, "" if mode == "infer" else "%d utterances, " % count, what)
