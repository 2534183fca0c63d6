"""The report of an evaluation: what is collected while it runs, and the page that is written at its end."""
import contextlib
import os

from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.analysis.comparison import matched
from open_seq2seq.evaluation.analysis.score_files import read_transcripts
from open_seq2seq.evaluation.report.comparison import comparison_content
from open_seq2seq.evaluation.report.content import counts_of, page_content, unit_of
from open_seq2seq.evaluation.report.overview import group_tables, headline
from open_seq2seq.evaluation.report.page import write_page
from open_seq2seq.evaluation.report.posteriors import PosteriorCollector
from open_seq2seq.evaluation.report.recordings import chosen_utterances, embedded_recordings, random_utterances
from open_seq2seq.evaluation.report.views import NetworkViews
from open_seq2seq.evaluation.utterance_scores import score_utterance
from open_seq2seq.files import replaced_file
from open_seq2seq.log_lines import log_line

PAGE = "eval.html"


class EvaluationReport:
    """Collects what the report needs while an evaluation runs, and writes it.

    Every rank makes one; the ranks other than the first collect nothing.

    Args:
      params: the checked config of the model.
      layer: the data layer of the evaluation. Recordings are embedded if it is a ``Speech2TextDataLayer``.
      most_recordings: recordings that are embedded in the page at most.
      most_bytes: space that they take at most.
      is_first: whether this is the first rank.
      compare: path of another evaluation, see ``read_transcripts``, or None.

    Raises:
      DataError: the other evaluation cannot be read, or is of other utterances.
    """

    def __init__(self, params, layer, most_recordings, most_bytes, is_first=True, compare=None):
        self._params, self._layer, self._most_bytes = params, layer, most_bytes
        self._most_recordings = most_recordings if isinstance(layer, Speech2TextDataLayer) else 0
        self._unit = unit_of(utterance.transcript for utterance in layer.utterances)
        self._other = None if compare is None else _read_other(compare, layer.utterances)
        self._compare = compare
        most = self._most_recordings if is_first else 0
        self._collector = PosteriorCollector(
            layer.utterances, most, random_utterances(len(layer.utterances))[:most], self._unit)

    @property
    def collect(self):
        """The function that is called with each batch, see ``scoring.run_evaluation``; None if no logits are needed.

        It is the same on all ranks: their devices run the same graphs.
        """
        return self._collector.add if self._most_recordings else None

    def write(self, folder, scores, summary, facts):
        """Writes ``eval.html``.

        Args:
          folder: an existing folder.
          scores: list of ``UtteranceScore``, of all utterances, at least one.
          summary: dict of ``analysis.summary.summarize``.
          facts: ``overview.Facts``.

        Returns:
          Path of the page, which is written atomically.

        Raises:
          StorageError: it cannot be written.
        """
        recordings = self._recordings(scores) if self._most_recordings else []
        comparison = None if self._other is None else comparison_content(scores, self._other, self._compare)
        content = page_content(scores, folder, {
            "headline": headline(summary, self._unit), "facts": facts.rows, "notes": facts.notes,
            "groups": group_tables(summary)}, [number for number, _ in recordings], comparison)
        path = os.path.join(folder, PAGE)
        with replaced_file(path) as file:
            write_page(file, facts.title, facts.subtitle, content, recordings)
        return path

    def _recordings(self, scores):
        index_of = {utterance.id: utterance.index for utterance in self._layer.utterances}
        chosen = chosen_utterances([counts_of(score, self._unit) for score in scores], self._most_recordings)
        with contextlib.ExitStack() as stack:
            try:
                views = stack.enter_context(contextlib.closing(NetworkViews(
                    self._params, self._layer.vocabulary.characters, lambda number: self._collector.get(
                        index_of[scores[number].id]))))
            except ImportError:
                log_line("The report has no pictures: Pillow is not installed. Install it with pip install -r requirements.txt")
                views = _no_views
            return embedded_recordings(scores, chosen, self._params["data_layer_params"]["sample_freq"], self._most_bytes, views)


def _no_views(number, samples):
    return {}


def _read_other(path, utterances):
    """The list of ``UtteranceScore`` of another evaluation; DataError before this one if they cannot be compared."""
    file = read_transcripts(path)
    if file.scores is None:
        raise DataError("--compare: %s has hypotheses only; expected an eval.json, which run.py --mode=eval writes into report/, "
                        "or the folder of a run that has one" % file.path)
    matched(file.scores, [score_utterance(utterance.id, utterance.transcript, "", getattr(utterance, "wav_filename", None))
                          for utterance in utterances])
    return file.scores
