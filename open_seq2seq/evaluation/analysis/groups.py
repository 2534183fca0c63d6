"""Error rates of groups of utterances: of each speaker, length, noise level, or value of a manifest's column."""
import collections
import math
import re

import numpy as np

from open_seq2seq.evaluation.analysis.intervals import bootstrap_interval
from open_seq2seq.evaluation.utterance_scores import finite
from open_seq2seq.evaluation.word_alignment import EditCounts

SPEAKER, LENGTH, NOISE = "speaker", "length", "noise"
"""Groupings that every evaluation has if it knows them."""

MOST_VALUES = 20
"""A column with more values than that is not a grouping by itself; numbers are grouped into quartiles then."""

_SPEAKER_COLUMNS = ("speaker", "speaker_id", "spk", "spk_id", "client_id")
_NOISE_COLUMNS = ("snr", "snr_db", "noise", "noise_level")
_LIBRISPEECH = re.compile(r"(\d+)-\d+-\d{4}(?:\.\w+)?$")  # speaker-chapter-utterance
_SECONDS, _WORDS, _DECIBELS = (2, 5, 10, 15, 20), (1, 2, 6, 11, 21), (0, 5, 10, 15, 20)

Group = collections.namedtuple("Group", "name utterances words characters wrong_sentences interval")
Group.__doc__ = """The errors of some utterances.

name: str. utterances: their number. words, characters: ``EditCounts``. wrong_sentences: number of utterances with an error.
interval: (low, high) of the word error rate, 95 %, by resampling utterances; None if no reference has words."""

Grouping = collections.namedtuple("Grouping", "by groups mean standard_deviation median")
Grouping.__doc__ = """Groups that together are all utterances.

by: str. groups: list of :class:`Group`. mean, standard_deviation (n - 1), median: of the groups' word error rates, fractions or
None; groups without reference words do not count."""


def counts_of(scores):
    """The counts of a list of ``UtteranceScore``: int64 [utterances, 8], ``EditCounts`` of words, then of characters."""
    return np.fromiter((number for score in scores for counts in (score.words, score.characters) for number in counts), np.int64,
                       8 * len(scores)).reshape(-1, 8)


def group_of(name, scores):
    """The :class:`Group` of a list of ``UtteranceScore``."""
    return group_of_counts(name, counts_of(scores))


def group_of_counts(name, counts):
    """The :class:`Group` of counts, see :func:`counts_of`."""
    errors, totals = counts[:, 1:4].sum(1), counts.sum(0).tolist()
    return Group(name, len(counts), EditCounts(*totals[:4]), EditCounts(*totals[4:]), int(np.count_nonzero(errors)),
                 bootstrap_interval(errors, counts[:, :3].sum(1)))


def grouping_of(by, counts, names):
    """The :class:`Grouping` of counts by names.

    Args:
      by: what the names are of.
      counts: see :func:`counts_of`.
      names: list of the name of each one's group: str, or tuples that end with a str and are sorted.
    """
    members = collections.defaultdict(list)
    for place, name in enumerate(names):
        members[name].append(place)
    groups = [group_of_counts(name if isinstance(name, str) else name[-1], counts[members[name]]) for name in sorted(members)]
    rates = [group.words.rate for group in groups if group.words.length]
    deviation = float(np.std(rates, ddof=1)) if len(rates) > 1 else None
    return Grouping(by, groups, float(np.mean(rates)) if rates else None, deviation, float(np.median(rates)) if rates else None)


def speaker_of(score):
    """The speaker of an utterance: the column of the manifest, or else the first number of a name as in LibriSpeech; or None."""
    for name in _SPEAKER_COLUMNS:
        if score.columns.get(name):
            return score.columns[name]
    found = _LIBRISPEECH.search(score.wav_filename or score.id)
    return found.group(1) if found else None


def speakers_of(scores):
    """List of the speaker of each utterance; None unless all are known and there are several."""
    speakers = [speaker_of(score) for score in scores]
    return speakers if all(speakers) and len(set(speakers)) > 1 else None


def groupings(scores, group_by=()):
    """The groupings of an evaluation.

    By speaker, length (in seconds, or else in words of the reference), noise level (the column snr, snr_db, noise or
    noise_level), every other column with 2 to :data:`MOST_VALUES` values, and the columns that are asked for.

    Args:
      scores: list of ``UtteranceScore``.
      group_by: names of columns.

    Returns:
      List of :class:`Grouping`.
    """
    found, speakers, counts = [], speakers_of(scores), counts_of(scores)
    if speakers is not None:
        found.append(grouping_of(SPEAKER, counts, speakers))
    if scores:
        found.append(grouping_of(LENGTH, counts, _length_classes(scores)))
    columns = {name for score in scores for name, value in score.columns.items() if value}
    noise = next((name for name in _NOISE_COLUMNS if name in columns), None)
    handled = set(_SPEAKER_COLUMNS if speakers is not None else ())
    for name in [noise] * (noise is not None) + list(group_by) + sorted(columns - {noise} - set(group_by)):
        values = [score.columns.get(name, "") for score in scores]
        is_useful = 2 <= len(set(values)) <= (len(scores) if name == noise else MOST_VALUES)
        if name in handled or not is_useful and name not in group_by:
            continue
        handled.add(name)
        classes = _noise_classes(set(values)) if name == noise else _classes(set(values))
        found.append(grouping_of(NOISE if name == noise else name, counts, [classes[value] for value in values]))
    return found


def _length_classes(scores):
    if all(score.duration is not None for score in scores):
        return [_class_of(score.duration, _SECONDS, "s") for score in scores]
    return [_word_class(score.words.length) for score in scores]


def _class_of(number, limits, unit):
    """(place, name) of the class of a number; the classes are half-open."""
    place = sum(number >= limit for limit in limits)
    if place == len(limits):
        return place, ">= %g %s" % (limits[-1], unit)
    if not place:
        return place, "< %g %s" % (limits[0], unit)
    return place, "%g to %g %s" % (limits[place - 1], limits[place], unit)


def _word_class(number):
    """(place, name) of the class of a number of words."""
    limits = (0,) + _WORDS
    place = sum(number >= limit for limit in _WORDS)
    low, high = limits[place], limits[place + 1] - 1 if place < len(_WORDS) else None
    numbers = "%d or more" % low if high is None else "%d" % low if low == high else "%d to %d" % (low, high)
    return place, "%s word%s" % (numbers, "" if numbers == "1" else "s")


def _noise_classes(values):
    """The classes of a set of signal-to-noise ratios: steps of 5 dB where there are many; other names as they are."""
    if len(values) <= MOST_VALUES:
        return _classes(values)
    numbers = {value: _number(value) for value in values}
    return {value: (math.inf, value or "(none)") if number is None else _class_of(number, _DECIBELS, "dB")
            for value, number in numbers.items()}


def _classes(values):
    """Dict from a set of values to (place, name): numbers in their order, in quartiles where there are many; then other names."""
    numbers = {value: _number(value) for value in values}
    finite_numbers = [number for number in numbers.values() if number is not None and math.isfinite(number)]
    limits = sorted(set(np.percentile(finite_numbers, [25, 50, 75]).tolist())) if len(finite_numbers) > MOST_VALUES else None
    return {value: ((1, 0.0), value or "(none)") if number is None else _numeric_class(number, value, limits)
            for value, number in numbers.items()}


def _numeric_class(number, value, limits):
    if limits is None:
        return (0, number), value
    place, name = _class_of(number, limits, "")
    return (0, place), name.strip()


def _number(value):
    """The number that a value begins with ("10", "-5 dB", "inf"), or None."""
    try:
        number = float(re.sub(r"\s*dB$", "", value, flags=re.IGNORECASE))
        return None if math.isnan(number) else number
    except ValueError:
        return None


def group_as_dict(group):
    """A :class:`Group` as JSON values: rates are fractions, or null where no reference has words."""
    return {"name": group.name, "utterances": group.utterances, "words": dict(group.words._asdict()),
            "characters": dict(group.characters._asdict()), "wer": finite(group.words.rate), "cer": finite(group.characters.rate),
            "ser": group.wrong_sentences / group.utterances if group.utterances else None,
            "wrong_sentences": group.wrong_sentences, "wer_interval": group.interval and list(group.interval)}


def grouping_as_dict(grouping):
    """A :class:`Grouping` as JSON values."""
    return {"by": grouping.by, "groups": [group_as_dict(group) for group in grouping.groups], "mean_wer": grouping.mean,
            "standard_deviation_of_wer": grouping.standard_deviation, "median_wer": grouping.median}
