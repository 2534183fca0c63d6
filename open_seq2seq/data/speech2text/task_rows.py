"""The targets that a task takes of the rows of manifests: labels of a transcript, a class, or the audio itself."""
import unicodedata

from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.language_tags import LanguageTags
from open_seq2seq.data.speech2text.selection import encoded
from open_seq2seq.data.speech2text.transcripts import normalized_rows
from open_seq2seq.data.speech2text.utterance_set import manifests_of
from open_seq2seq.data.tasks import FEATURES, IGNORE, LABEL, MOST_CLASSES, TRANSCRIPT, class_names, data_layer_params_of
from open_seq2seq.errors import DataError
from open_seq2seq.text.steps import Normalization
from open_seq2seq.text.vocabulary import Vocabulary

SHOWN_ROWS, SHOWN_CLASSES = 5, 10


class ClassNames:
    """The classes of a task of kind "label", in place of a vocabulary.

    Args:
      names: list of str, all different.

    Attributes:
      names: tuple of str; a class is an index into it.
      size: their number.
      characters: None.
    """

    characters = None

    def __init__(self, names):
        self.names, self.size = tuple(names), len(names)
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def number(self, name):
        """The class with this name, an int; None: it is not one of them."""
        return self._numbers.get(name)


class TaskRows:
    """What one task takes of the rows of its manifests.

    Args:
      task: TaskData.
      params: checked params of the data layer.
      mode: "train", "eval" or "infer".
      note: function that is called with a str for each note for the user.

    Attributes:
      task: as given. name, kind: of the task.
      manifests: list of the paths of its manifests.
      vocabulary: Vocabulary, ClassNames (None until :meth:`finish`), or None of kind "features".
      column: the column with its targets; None of kind "features".
      texts: dict from (manifest, row) to the normalized transcript, of kind "transcript".

    Raises:
      DataError: the vocabulary or the list of classes cannot be read.
    """

    def __init__(self, task, params, mode, note):
        self.task, self.name, self.kind, self._mode, self._note = task, task.name, task.kind, mode, note
        own = data_layer_params_of(params, task.params, evaluation=mode != "train")
        self.manifests, self.vocabulary, self.texts, self.column = manifests_of(own), None, {}, None
        self._values, self._missing, self._params = {}, [], own
        if self.kind == TRANSCRIPT:
            self.column = own["transcript_column"]
            self.vocabulary = Vocabulary.from_file(own["vocab_file"])
            for text in self.vocabulary.notes:
                note(text)
            self._normalization = Normalization.of(own, self.vocabulary)
            # the output of one language needs no tags
            self.tags = LanguageTags.of(own if task.is_main or self.vocabulary.languages else {}, self.vocabulary)
        elif self.kind == LABEL:
            self.column = task.params["column"]
            names = class_names(task.params)
            if names is None and mode != "train":
                raise DataError('task "%s": the classes of the training are not known; give their names with '
                                'tasks["%s"]["data"]["classes"]' % (self.name, self.name))
            self.vocabulary = None if names is None else ClassNames(names)

    def read(self, manifest, rows):
        """Finds the values of a manifest's rows.

        Args:
          manifest: path, one of ``manifests``.
          rows: list of ManifestRow, with the transcripts of the data layer's column.

        Returns:
          Dict from numbers of rows to the RejectedData of those that cannot be used.

        Raises:
          DataError: the manifest lacks the column.
        """
        if self.kind == FEATURES:
            self._values.update(((manifest, row.row), True) for row in rows)
        if self.kind == FEATURES or self._mode == "infer":
            return {}
        values = [row._replace(transcript=self._value(row)) for row in rows if row.problem is None]
        self._require_column(manifest, rows)
        # an empty transcript is rejected or scored as without tasks
        counts_empty = self._is_layers_column and self.task.params["missing"] != IGNORE
        present = [row for row in values if row.transcript or counts_empty]
        self._missing += [row for row in values if not row.transcript and not counts_empty]
        if self.kind == LABEL:
            self._values.update(((manifest, row.row), row.transcript) for row in present)
            return {}
        rejected = {}
        for row in normalized_rows(present, self._normalization, True, self._note):
            try:
                if row.problem is not None:
                    raise row.problem
                self._values[manifest, row.row] = self.tags.labels_of(row) + encoded(row, self._mode, self.vocabulary)
                self.texts[manifest, row.row] = row.transcript
            except RejectedData as error:
                rejected[row.row] = RejectedData(error.reason, 'task "%s": %s' % (self.name, error))
        return rejected

    def _value(self, row):
        if self._is_layers_column:
            return self.vocabulary.composed(row.transcript.strip())
        value = dict(row.columns).get(self.column, "")
        return self.vocabulary.composed(value) if self.kind == TRANSCRIPT else unicodedata.normalize("NFC", value)

    @property
    def _is_layers_column(self):
        return self.kind == TRANSCRIPT and self.task.params["column"] is None

    def _require_column(self, manifest, rows):
        columns = []
        for row in rows:
            columns += [name for name, _ in row.columns if name not in columns]
        if not self._is_layers_column and self.column not in columns:
            raise DataError('task "%s": %s has no column "%s" for its targets; it has %s. Correct tasks["%s"]["data"]["column"], '
                            "or add the column" % (self.name, manifest, self.column,
                                                   ", ".join(columns) or "only the audio and the transcript", self.name))

    def labels_of(self, key):
        """The labels of a row's transcript, () if the row has none; key: (manifest, row)."""
        return self._values.get(key, ()) if self.kind == TRANSCRIPT else ()

    def finish(self, utterances):
        """Determines the classes, and the targets of the accepted utterances.

        Args:
          utterances: list of Utterance.

        Returns:
          List with an item for each utterance: its labels (a tuple), its class (an int) or True; None without a target.

        Raises:
          DataError: values are missing, unless they are to be ignored; the task has no utterance; a class is not known; the
            column does not hold classes.
        """
        if self._mode == "infer":
            return [True if self.kind == FEATURES else None] * len(utterances)
        self._check_missing()
        values = [self._values.get((utterance.manifest, utterance.row)) for utterance in utterances]
        if self.kind == LABEL:
            values = self._classes_of(values, utterances)
        if all(value is None for value in values):
            raise DataError('task "%s" has no data: none of the utterances of %s %s. %s' % (
                self.name, ", ".join(self.manifests),
                "can be used" if self.column is None else 'has a usable value in the column "%s"' % self.column,
                'Correct its "dataset_files" and "column"' if self._mode == "train" else
                'tasks["%s"]["data"]["eval_files"] = [] excludes it from evaluations' % self.name))
        return values

    def _check_missing(self):
        if not self._missing:
            return
        text = 'task "%s": %d of %d rows have no value in the column "%s": %s%s' % (
            self.name, len(self._missing), len(self._missing) + len(self._values), self.column,
            ", ".join("%s:%d" % (row.manifest, row.row) for row in self._missing[:SHOWN_ROWS]),
            ", ..." if len(self._missing) > SHOWN_ROWS else "")
        if self.task.params["missing"] != IGNORE:
            raise DataError('%s. Fill the column, or set tasks["%s"]["data"]["missing"] to "ignore": these utterances then have '
                            "weight 0 in this task" % (text, self.name))
        self._note(text + "; they have weight 0 in this task")

    def _classes_of(self, values, utterances):
        names = {value for value in values if value is not None}
        if self.vocabulary is None:
            if not 2 <= len(names) <= MOST_CLASSES:
                raise DataError('task "%s": the column "%s" has %d different value%s in %s%s; expected 2 to %d classes' % (
                    self.name, self.column, len(names), "" if len(names) == 1 else "s", ", ".join(self.manifests),
                    " (%s)" % sorted(names)[0] if len(names) == 1 else "", MOST_CLASSES))
            self.vocabulary = ClassNames(sorted(names))
        numbers = [None if value is None else self.vocabulary.number(value) for value in values]
        unknown = [(value, utterance) for value, number, utterance in zip(values, numbers, utterances)
                   if value is not None and number is None]
        if unknown:
            self._report_unknown(unknown)
        absent = [name for name in self.vocabulary.names if name not in names]
        if absent and self._mode == "train":
            self._note('task "%s": %d of %d classes have no training utterance: %s' % (
                self.name, len(absent), self.vocabulary.size, _shortened(absent)))
        return numbers

    def _report_unknown(self, unknown):
        first = {}
        for value, utterance in unknown:
            first.setdefault(value, utterance.id)
        text = 'task "%s": %d utterances have a class that %s lacks: %s' % (
            self.name, len(unknown), '"classes"' if self._mode == "train" else "the training data",
            _shortened(["%s (%s)" % item for item in sorted(first.items())]))
        if self.task.params["missing"] != IGNORE:
            raise DataError('%s. Correct the column "%s", or add training utterances of these classes. tasks["%s"]["data"]'
                            '["missing"] = "ignore" excludes such utterances from this task%s' % (
                                text, self.column, self.name, "" if self._mode == "train" else
                                ', "eval_files" = [] the task from evaluations'))
        self._note(text + "; they have weight 0 in this task")


def _shortened(items):
    return ", ".join(items[:SHOWN_CLASSES]) + (", ... (%d more)" % (len(items) - SHOWN_CLASSES)
                                               if len(items) > SHOWN_CLASSES else "")
