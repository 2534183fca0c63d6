"""What the page shows, as JSON values: the overview, distributions, errors by word, and the columns of the utterances."""
import collections
import math
import os
import unicodedata
import urllib.parse

import numpy as np

from open_seq2seq.evaluation.analysis.intervals import bootstrap_interval
from open_seq2seq.evaluation.utterance_scores import finite
from open_seq2seq.evaluation.word_alignment import DELETION, INSERTION, SUBSTITUTION, align, aligned_words
from open_seq2seq.files import printable

WORD, CHARACTER = "word", "character"
MOST_WORDS = 100                       # rows of each table of words
MOST_LABEL_VALUES = 2000               # of a column of the manifest; more, and it is as good as a name
BARS = 8                               # of a distribution over lengths or rates
WER_LIMITS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

# beginnings of the Unicode names of letters of scripts that are written without spaces between words
_SCRIPTS_WITHOUT_SPACES = ("CJK ", "HIRAGANA ", "KATAKANA ", "THAI ", "LAO ", "KHMER ", "MYANMAR ", "TIBETAN ")


def unit_of(references):
    """What errors are counted in: words; or characters, if most letters are of scripts without spaces between words.

    Args:
      references: iterable of str.

    Returns:
      :data:`WORD` or :data:`CHARACTER`.
    """
    letters = collections.Counter()
    for reference in references:
        letters.update(reference)
    without = sum(times for letter, times in letters.items()
                  if unicodedata.name(letter, "").startswith(_SCRIPTS_WITHOUT_SPACES))
    return WORD if 2 * without <= sum(times for letter, times in letters.items() if letter.isalpha()) else CHARACTER


def counts_of(score, unit):
    """The ``EditCounts`` of a ``UtteranceScore`` in a unit."""
    return score.words if unit == WORD else score.characters


def operations_of(scores, unit):
    """The alignments of the units, a str for each of the scores."""
    if unit == WORD:
        return [score.operations for score in scores]
    return [align(single_spaces(score.reference), single_spaces(score.hypothesis)) for score in scores]


def _units(text, unit):
    """The words or characters of a text; a list or str."""
    return text.split() if unit == WORD else single_spaces(text)


def single_spaces(text):
    """The text with one space between words."""
    return " ".join(text.split())


def utterance_columns(scores, unit, operations):
    """The columns of the list of utterances: dict of lists."""
    other = CHARACTER if unit == WORD else WORD
    # a folder that all names begin with says nothing
    folder = os.path.commonprefix([score.id for score in scores]).rpartition("/")[0]
    return {"id": [printable(score.id[len(folder) + 1 if folder else 0:]) for score in scores],
            "reference": [single_spaces(score.reference) for score in scores],
            "hypothesis": [single_spaces(score.hypothesis) for score in scores],
            "operations": operations,
            "other_rate": [_rounded(counts_of(score, other).rate, 4) for score in scores],
            "duration": [_rounded(score.duration, 3) for score in scores],
            "loss": [_rounded(score.loss, 3) for score in scores],
            "entropy": [_rounded(score.entropy, 4) for score in scores]}


def _rounded(value, digits):
    return None if finite(value) is None else round(float(value), digits)


def label_columns(scores):
    """The other columns of the manifest by which utterances can be filtered and sorted.

    Returns:
      List of dicts: name; values, list of str; numbers, for each utterance that of its value. Columns with one value only,
      or with very many, are left out.
    """
    labels = []
    for name in collections.OrderedDict.fromkeys(name for score in scores for name in score.columns):
        values = [score.columns.get(name, "") for score in scores]
        distinct = {value: number for number, value in enumerate(collections.OrderedDict.fromkeys(values))}
        if 1 < len(distinct) <= min(MOST_LABEL_VALUES, max(2, len(scores) // 2)):
            labels.append({"name": name, "values": list(distinct), "numbers": [distinct[value] for value in values]})
    return labels


def audio_addresses(scores, folder):
    """Where the audio files are: addresses that work where the page was written, and where it was moved with the audio.

    Args:
      scores: list of ``UtteranceScore``.
      folder: that of the page.

    Returns:
      Dict: names, list of str or None; bases, list of str to put in front of a name, the first relative to the page.
    """
    paths = [None if score.audio_path is None else os.path.abspath(score.audio_path) for score in scores]
    known = [path for path in paths if path is not None]
    if not known:
        return {"names": paths, "bases": []}
    common = os.path.commonpath([os.path.dirname(path) for path in known])
    relative = os.path.relpath(common, os.path.abspath(folder))
    return {"names": [None if path is None else _quoted(os.path.relpath(path, common)) for path in paths],
            "bases": [_quoted(relative) + "/", "file://" + _quoted(os.path.join(common, ""))]}


def _quoted(path):
    # a file's name need not be valid UTF-8
    return urllib.parse.quote(os.fsencode(path))


# errors by word

def word_tables(scores, unit, operations):
    """The errors of each word (or character), the most frequent first.

    Returns:
      Dict of lists, each of at most :data:`MOST_WORDS` rows: confusions, [reference, hypothesis, times]; damaged, [word, errors,
      occurrences in the references]; deleted and inserted, [word, times].
    """
    confusions, deleted, inserted, damaged, occurrences = (collections.Counter() for _ in range(5))
    for score, aligned in zip(scores, operations):
        reference = _units(score.reference, unit)
        occurrences.update(reference)
        for operation, spoken, heard in aligned_words(aligned, reference, _units(score.hypothesis, unit)):
            if operation == SUBSTITUTION:
                confusions[spoken, heard] += 1
                damaged[spoken] += 1
            elif operation == DELETION:
                deleted[spoken] += 1
                damaged[spoken] += 1
            elif operation == INSERTION:
                inserted[heard] += 1

    def most(counter):
        # equally frequent ones in the order of the alphabet: the same errors give the same page
        return sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:MOST_WORDS]

    return {"confusions": [[spoken, heard, times] for (spoken, heard), times in most(confusions)],
            "damaged": [[word, errors, occurrences[word]] for word, errors in most(damaged)],
            "deleted": [[word, times] for word, times in most(deleted)],
            "inserted": [[word, times] for word, times in most(inserted)]}


# distributions

def distributions(scores, unit):
    """Bar charts: utterances by error rate; error rate by duration, and by speaking rate.

    Args:
      scores: list of ``UtteranceScore``.
      unit: see :func:`unit_of`.

    Returns:
      List of dicts, see charts.js.
    """
    errors = np.array([counts_of(score, unit).errors for score in scores], np.int64)
    lengths = np.array([counts_of(score, unit).length for score in scores], np.int64)
    durations = np.array([math.nan if score.duration is None else score.duration for score in scores])
    rate_name = "WER" if unit == WORD else "CER"
    charts = [_rate_chart(errors, lengths, rate_name)]
    with np.errstate(divide="ignore", invalid="ignore"):
        speaking = np.where(durations > 0, lengths / durations, math.nan)
    for key, values, label, of_bar in (
            ("duration", durations, "duration (s)", "s"),
            ("speaking_rate", speaking, "speaking rate (%ss per second)" % unit, "%ss per second" % unit)):
        bars = _bars(values, errors, lengths, unit)
        if len(bars) > 1:
            charts.append({"key": key, "title": "%s by %s" % (rate_name, label.split(" (")[0]), "x_label": label,
                           "y_label": rate_name + ", with 95 % interval", "unit": of_bar, "is_rate": True, "bars": bars})
    return charts


def _rate_chart(errors, lengths, rate_name):
    """How many utterances have which error rate."""
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.where(lengths > 0, errors / np.maximum(lengths, 1), np.where(errors > 0, math.inf, 0.0))
    smallest = np.nextafter(0.0, 1.0)
    limits = (0.0, smallest) + WER_LIMITS[:-1] + (1.0, math.inf)
    bars = []
    for low, high in zip(limits, limits[1:]):
        last = high == math.inf
        number = int(((rates >= low) & ((rates < high) | last)).sum())
        name = {0.0: "0 %", smallest: "above 0 to 10 %", 1.0: "100 % and more"}.get(low, "%g to %g %%" % (
            round(100 * low), round(100 * min(high, 1.0))))
        bars.append({"label": name, "tick": "0" if low == 0.0 else "%g" % round(100 * low), "at_edge": low != 0.0 and not last,
                     "height": number, "low": None, "high": None, "utterances": number, "value": "%d utterances" % number,
                     "from": float(low), "to": None if last else float(high)})
    bars[1]["tick"] = ""
    bars[-1]["tick"] = "≥100"
    return {"key": "rate", "title": "Utterances by %s" % rate_name, "x_label": "%s of the utterance (%%)" % rate_name,
            "y_label": "utterances", "unit": "", "is_rate": False, "bars": bars}


def _bars(values, errors, lengths, unit):
    """Bars of about equally many utterances each, whose limits are round numbers."""
    known = np.isfinite(values)
    if not known.any():
        return []
    limits = round_limits(values[known], BARS)
    values = np.where(known, values, limits[0])
    bars = []
    for number, low in enumerate(limits):
        high = limits[number + 1] if number + 1 < len(limits) else math.inf
        within = known & (values >= (low if number else -math.inf)) & (values < high)
        if not within.any():
            continue
        total, words = int(errors[within].sum()), int(lengths[within].sum())
        rate = total / words if words else 0.0
        low_rate, high_rate = bootstrap_interval(errors[within], lengths[within]) or (rate, rate)
        label = "%g and more" % low if high == math.inf else "%g to %g" % (low, high) if number else "below %g" % high
        bars.append({"label": label, "tick": "%g" % low if number else "", "at_edge": True, "height": rate,
                     "low": float(low_rate), "high": float(high_rate), "utterances": int(within.sum()),
                     "value": "%.1f %% of %d %ss, %d utterances" % (100 * rate, words, unit, within.sum()),
                     "from": float(low) if number else None, "to": None if high == math.inf else float(high)})
    return bars


def round_limits(values, most):
    """The lower limits of at most ``most`` ranges with about equally many of the values each.

    Args:
      values: float [n], finite.
      most: int.

    Returns:
      List of float, ascending; the first is the smallest value, the others are rounded.
    """
    limits = [float(values.min())]
    spread = float(values.max() - values.min())
    if spread == 0.0:
        return limits
    # two digits of the distance between limits
    digits = max(0, 1 - int(math.floor(math.log10(spread / most))))
    for part in np.quantile(values, np.arange(1, most) / float(most)):
        limit = round(float(part), digits)
        if limit > limits[-1] and limit <= values.max():
            limits.append(limit)
    return limits


def page_content(scores, folder, overview, embedded=(), comparison=None):
    """Everything that the page shows except for the recordings.

    Args:
      scores: list of ``UtteranceScore``, at least one.
      folder: that of the page.
      overview: dict: headline, list of dicts name, value, note; facts, list of [name, text]; notes, list of str; groups, list of
        dicts title, heads, rows.
      embedded: numbers of the utterances whose recordings are embedded.
      comparison: dict, see ``comparison.comparison_content``, or None.

    Returns:
      Dict of JSON values.
    """
    unit = unit_of(score.reference for score in scores)
    operations = operations_of(scores, unit)
    columns = utterance_columns(scores, unit, operations)
    comparison = dict(comparison) if comparison is not None else None
    if comparison is not None:
        columns.update(comparison.pop("columns"))
    return dict(overview, unit=unit, columns=columns, labels=label_columns(scores), audio=audio_addresses(scores, folder),
                distributions=distributions(scores, unit), embedded=sorted(embedded), comparison=comparison,
                **word_tables(scores, unit, operations))
