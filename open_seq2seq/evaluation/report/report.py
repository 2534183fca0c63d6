"""The report of an evaluation: what is collected while it runs, and the page that is written at its end."""
import collections
import contextlib
import os

from open_seq2seq.errors import StorageError
from open_seq2seq.evaluation.report.content import counts_of, page_content, unit_of
from open_seq2seq.evaluation.report.overview import group_tables, headline
from open_seq2seq.evaluation.report.page import write_page
from open_seq2seq.evaluation.report.posteriors import PosteriorCollector
from open_seq2seq.evaluation.report.recordings import chosen_utterances, embedded_recordings, random_utterances
from open_seq2seq.evaluation.report.views import NetworkViews
from open_seq2seq.files import replaced_file

FOLDER, PAGE = "report", "eval.html"

Facts = collections.namedtuple("Facts", "title subtitle rows notes")
Facts.__doc__ = """What the page says about the evaluation as a whole.

title, subtitle: str. rows: list of (name, text): checkpoint, data, decoder. notes: list of sentences."""


class EvaluationReport:
    """Collects what the report needs while an evaluation runs, and writes it.

    Args:
      params: the checked config of the model.
      layer: the data layer of the evaluation.
      most_recordings: recordings that are embedded in the page at most.
      most_bytes: space that they take at most.
    """

    def __init__(self, params, layer, most_recordings, most_bytes):
        self._params, self._layer = params, layer
        self._most_recordings, self._most_bytes = most_recordings if most_bytes else 0, most_bytes
        self._unit = unit_of(utterance.transcript for utterance in layer.utterances)
        self._collector = PosteriorCollector(layer.utterances, self._most_recordings, random_utterances(
            len(layer.utterances))[:self._most_recordings], self._unit)

    def add(self, values):
        """Takes a batch into account, a dict as of ``Evaluation.batches`` with logits."""
        self._collector.add(values)

    def write(self, directory, scores, summary, facts, comparison=None):
        """Writes ``report/eval.html``.

        Args:
          directory: the run's folder.
          scores: list of ``UtteranceScore``, of all utterances.
          summary: dict of ``analysis.summary.summarize``.
          facts: :class:`Facts`.
          comparison: see ``content.page_content``.

        Returns:
          Path of the page, which is written atomically.

        Raises:
          StorageError: it cannot be written.
        """
        folder = os.path.join(directory, FOLDER)
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise StorageError("cannot create %s: %s. Free some space or fix the permissions" % (folder, error.strerror))
        recordings = self._recordings(scores) if self._most_recordings else []
        content = page_content(scores, folder, {
            "headline": headline(summary, self._unit), "facts": [list(row) for row in facts.rows], "notes": facts.notes,
            "groups": group_tables(summary)}, [number for number, _ in recordings], comparison)
        path = os.path.join(folder, PAGE)
        with replaced_file(path) as file:
            write_page(file, facts.title, facts.subtitle, content, recordings)
        return path

    def _recordings(self, scores):
        index_of = {utterance.id: utterance.index for utterance in self._layer.utterances}
        counts = [counts_of(score, self._unit) for score in scores]
        with contextlib.closing(NetworkViews(self._params, self._layer.vocabulary.characters, lambda number: self._collector.get(
                index_of.get(scores[number].id)))) as views:
            return embedded_recordings(scores, chosen_utterances(counts, self._most_recordings),
                                       self._params["data_layer_params"]["sample_freq"], self._most_bytes, views)
