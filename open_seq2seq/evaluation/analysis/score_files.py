"""Transcripts and evaluations in files: manifests, CSV files of --mode=infer, trn, Kaldi's text, eval.json."""
import collections
import csv
import io
import json
import os
import re
import unicodedata

from open_seq2seq.data.speech2text.manifest import AUDIO_COLUMN, SIZE_COLUMN, TRANSCRIPT_COLUMN
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.analysis.sclite_files import parse_trn
from open_seq2seq.evaluation.utterance_scores import score_as_dict, score_from_dict, score_utterance
from open_seq2seq.files import parsed_json, replaced_file
from open_seq2seq.text.text_file import read_text_file

FORMATS = ("csv", "trn", "kaldi", "json")
STRICT, PRESENT, ALL = MODES = ("strict", "present", "all")
"""What happens to a reference without a hypothesis, as in Kaldi: an error; it is skipped, as by sclite; it counts as empty."""

EVALUATION_FORMAT = 1

_PREDICTED = "predicted_transcript"
_TRN_END = re.compile(r"\([^()\s]+\)\s*$")
_MOST_NAMED = 5

class TranscriptFile(collections.namedtuple("TranscriptFile", "path format texts columns scores")):
    """A file of transcripts, a namedtuple.

    format: one of :data:`FORMATS`. texts: OrderedDict from id to str, in a file of format json the references. columns: dict
    from id to the dict of the other columns, e.g. speaker. scores: list of ``UtteranceScore`` in a file of format json, else
    None.
    """

    __slots__ = ()

    def in_lower_case(self):
        """The same with texts in lower case."""
        scores = self.scores and [score._replace(reference=score.reference.lower(), hypothesis=score.hypothesis.lower())
                                  for score in self.scores]
        texts = collections.OrderedDict((name, text.lower()) for name, text in self.texts.items())
        return self._replace(texts=texts, scores=scores)


def read_transcripts(path, format=None):
    """Reads a file of transcripts.

    The format is that of the extension .csv, .trn or .json, else that of the first line: with an id in parentheses at its end it
    is trn, else Kaldi's text (id, blank, words).

    Args:
      path: the file; of an evaluation also the run's folder or its folder ``report``.
      format: one of :data:`FORMATS`, or None.

    Returns:
      :class:`TranscriptFile`.

    Raises:
      DataError: the file cannot be read, is not of the format, or an id occurs twice.
    """
    path = _evaluation_in(path)
    text = read_text_file(path, "file of transcripts", "Expected trn, CSV, Kaldi's text or an eval.json")
    format = format or _format_of(path, text)
    if format == "json":
        scores = evaluation_from_json(text, path)
        rows = [(score.id, score.reference, score.columns) for score in scores]
    elif format == "csv":
        scores, rows = None, _csv_rows(text, path)
    elif format == "trn":
        scores, rows = None, [(name, words, {"speaker": re.split("[-_]", name)[0]}) for name, words in parse_trn(text, path)]
    else:
        scores, rows = None, [(line.split()[0], " ".join(line.split()[1:]), {}) for line in text.split("\n") if line.split()]
    if not rows:
        raise DataError("%s has no transcript; expected one on each line (format %s)" % (path, format))
    texts = collections.OrderedDict((name, words) for name, words, _ in rows)
    if len(texts) < len(rows):
        repeated = [name for name, times in collections.Counter(name for name, _, _ in rows).items() if times > 1]
        raise DataError("%s: %d ids occur more than once: %s. Remove all but one of each" % (
            path, len(repeated), named(repeated)))
    return TranscriptFile(path, format, texts, {name: columns for name, _, columns in rows}, scores)


def _evaluation_in(path):
    """The eval.json of a run's folder; the path itself if it is not a folder."""
    if not os.path.isdir(path):
        return path
    candidates = [os.path.join(path, *parts, "eval.json") for parts in ((), ("report",), ("logs", "report"))]
    for candidate in candidates:
        if os.path.isfile(candidate):
            return candidate
    raise DataError("%s has no evaluation; expected %s, which run.py --mode=eval writes" % (path, " or ".join(candidates[:2])))


def _format_of(path, text):
    extension = os.path.splitext(path)[1][1:].lower()
    if extension in FORMATS:
        return extension
    if extension == "txt" and text.lstrip("\ufeff").startswith(AUDIO_COLUMN):
        return "csv"  # the default name of --mode=infer's file
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith(";;")), "")
    if text.lstrip().startswith("{"):
        return "json"
    return "trn" if _TRN_END.search(first) else "kaldi"


def _csv_rows(text, path):
    """List of (wav_filename, transcript, other columns) of a manifest or of --mode=infer's file."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        rows = [(reader.line_num, fields) for fields in reader if any(field.strip() for field in fields)]
    except csv.Error as error:
        raise DataError("%s:%d: not a row of CSV: %s" % (path, reader.line_num, error))
    header = [name.strip() for name in rows[0][1]] if rows else []
    texts = [name for name in (_PREDICTED, TRANSCRIPT_COLUMN) if name in header]
    if AUDIO_COLUMN not in header or not texts:
        raise DataError("%s has the columns %r; expected %s and %s or %s" % (
            path, ",".join(header)[:200], AUDIO_COLUMN, TRANSCRIPT_COLUMN, _PREDICTED))
    found = []
    for line, fields in rows[1:]:
        if len(fields) != len(header):
            raise DataError("%s:%d: %d fields, the first line has %d. A field that contains a comma must be in double quotes" % (
                path, line, len(fields), len(header)))
        values = dict(zip(header, (field.strip() for field in fields)))
        others = {name: value for name, value in values.items()
                  if name not in (AUDIO_COLUMN, SIZE_COLUMN, TRANSCRIPT_COLUMN, _PREDICTED, "")}
        # as manifests are read: a model writes composed characters
        found.append((values[AUDIO_COLUMN], unicodedata.normalize("NFC", values[texts[0]]), others))
    return found


def write_evaluation(path, facts, summary, scores):
    """Writes an eval.json: one JSON object, with an utterance on each line of its list; atomic.

    Args:
      path: of the file.
      facts: dict of JSON values: what was evaluated.
      summary: dict of ``summary.summarize``.
      scores: list of ``UtteranceScore``.

    Raises:
      StorageError: the file cannot be written.
    """
    with replaced_file(path) as file:
        head = json.dumps(dict(facts, format=EVALUATION_FORMAT, summary=summary), ensure_ascii=False, indent=1)
        file.write(head[:head.rindex("\n")] + ',\n "utterances": [')
        separator = "\n"
        for score in scores:
            file.write(separator + json.dumps(score_as_dict(score), ensure_ascii=False))
            separator = ",\n"
        file.write("\n ]\n}\n")


def evaluation_from_json(text, path):
    """The list of ``UtteranceScore`` in the text of an eval.json; DataError if it is not one."""
    try:
        content = parsed_json(text)
        return [score_from_dict(values) for values in content["utterances"]]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise DataError("%s is not an evaluation (%s: %s); expected the eval.json that run.py --mode=eval writes" % (
            path, type(error).__name__, error))


def score_transcripts(references, hypotheses, mode=STRICT):
    """Scores a file of hypotheses against one of references.

    Ids have to be equal. Those of a CSV file are the names of the audio files, which an evaluation also has; between CSV and
    other files they are the names without folder and extension. Hypotheses without a reference are ignored, as by Kaldi.

    Args:
      references, hypotheses: :class:`TranscriptFile`.
      mode: one of :data:`MODES`.

    Returns:
      (list of ``UtteranceScore``, list of the ids of references without a hypothesis, number of ignored hypotheses)

    Raises:
      DataError: no id is in both files, or a hypothesis is missing and ``mode`` is strict.
    """
    names = list(references.texts)
    keys, texts = _keys(references, hypotheses.format), hypotheses.texts.values()
    if hypotheses.scores is not None:
        texts = [score.hypothesis for score in hypotheses.scores]
    texts = dict(zip(_keys(hypotheses, references.format), texts))
    missing = [name for name, key in zip(names, keys) if key not in texts]
    if len(missing) == len(names):
        raise DataError("no id of %s is in %s: the first ones are %s and %s. The ids of both files must be equal" % (
            references.path, hypotheses.path, named(keys[:2]), named(list(texts)[:2])))
    if missing and mode == STRICT:
        raise DataError("%s has no hypothesis for %d of %d references of %s: %s. Add them, or choose --mode present (skip them) "
                        "or --mode all (they count as empty)" % (hypotheses.path, len(missing), len(names), references.path,
                                                                 named(missing)))
    scores = [score_utterance(name, references.texts[name], texts.get(key, ""), columns=references.columns[name],
                              wav_filename=name if references.format == "csv" else None)
              for name, key in zip(names, keys) if mode == ALL or key in texts]
    return scores, missing, len(set(texts) - set(keys))


def _keys(file, other_format):
    """What the transcripts of a file are found by in a file of another format."""
    formats = {file.format, other_format}
    if formats == {"csv", "json"} and file.format == "json":
        keys = [score.wav_filename or score.id for score in file.scores]
    elif "csv" in formats and file.format == "csv" and not formats <= {"csv", "json"}:
        keys = [os.path.splitext(os.path.basename(name))[0] for name in file.texts]
    else:
        return list(file.texts)
    if len(set(keys)) < len(keys):
        repeated = [key for key, times in collections.Counter(keys).items() if times > 1]
        raise DataError("%s: %d audio files have the same name (%s), and the other file has no other ids. Use CSV for both" % (
            file.path, len(repeated), named(repeated)))
    return keys


def named(names):
    """The first of some names, for a message."""
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")
