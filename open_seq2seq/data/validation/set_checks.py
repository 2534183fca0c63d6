"""Checks of a set as a whole, and of two sets against each other: duplicates, outliers, rates, overlap."""
import collections
import math
import os

import numpy as np

from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import resampled_length
from open_seq2seq.data.speech2text.audio_profile import AudioProfile, differences
from open_seq2seq.data.speech2text.selection import check_limits
from open_seq2seq.data.validation.audio_files import duration_of
from open_seq2seq.data.validation.checks import CHECKS, Finding, found
from open_seq2seq.data.validation.row_checks import labels_of
from open_seq2seq.data.validation.rows import INFER, TRAIN
from open_seq2seq.errors import DataError

LEAST_ROWS = 20                        # with fewer, nothing is usual
MOST_CHARACTERS_PER_SECOND = 60.0      # nobody speaks so fast
RATE_DEVIATIONS = 5.0                  # robust standard deviations of the logarithm
RATE_DEVIATION = (0.1, 0.25)           # least and most, of the logarithm: almost equal rates, and a mixed corpus
LEAST_RATE_FACTOR = 2.0                # an unusual rate differs from the median by this factor
MAD_TO_DEVIATION = 1.4826              # of a normal distribution
DURATION_FACTOR = 3.0                  # beyond the 5 % and 95 % quantiles
BAND_FACTOR = 0.55                     # of the median of the set
SENTENCE_WORDS = 4                     # shorter texts are repeated by chance
SMALL_VOCABULARY = 100                 # different words; in digits and commands, equal texts are normal
SHOWN = 60                             # characters of a transcript in a message

_Lengths = collections.namedtuple("_Lengths", "duration num_samples")


def duplicate_findings(rows, groups):
    """Yields rows that are listed twice or whose audio another row has, under another name.

    Args:
      rows: list of Row of one set.
      groups: lists of paths of usable files with the same content.
    """
    seen_paths, seen_ids, order = {}, {}, {}
    for number, row in enumerate(rows):
        order[row.manifest, row.row] = number
        if row.problem is not None:
            continue
        first = seen_paths.setdefault(row.path, row)
        if first is not row:
            yield found("duplicate_id", row, "%s is also in row %s" % (row.wav_filename, place(first, row)))
        first = seen_ids.setdefault((row.manifest, row.id), row) if row.id else row
        if first is not row and first.path != row.path:
            yield found("duplicate_id", row, "the id %s is also in row %s" % (row.id[:SHOWN], place(first, row)))
    by_path = collections.OrderedDict()
    for row in rows:
        if row.problem is None:
            by_path.setdefault(row.path, []).append(row)
    for group in groups + [[path] for path in by_path]:
        alike = sorted((row for path in group for row in by_path.get(path, ())),
                       key=lambda row: order[row.manifest, row.row])
        if len({" ".join(row.transcript.split()) for row in alike}) > 1:
            for number, row in enumerate(alike):
                other = alike[0 if number else 1]
                yield found("conflicting_transcripts", row, "%r, but row %s has %r" % (
                    row.transcript[:SHOWN], place(other, row), other.transcript[:SHOWN]), len(alike))
        if len(group) > 1:
            listed = set()
            for row in alike:
                # the first row of each path; the others are listed twice
                if row.path != alike[0].path and row.path not in listed:
                    listed.add(row.path)
                    yield found("duplicate_audio", row, "the audio is that of row %s, %s" % (
                        place(alike[0], row), alike[0].wav_filename))


def manifest_findings(rows):
    """Yields manifests that may have been cut off: the last line has no line end, as every writer of CSV files gives it."""
    for path, last in collections.OrderedDict((row.manifest, row) for row in rows).items():
        with open(path, "rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read(1) not in b"\r\n":
                yield found("cut_off_manifest", last, "the last row is %r" % ",".join(last.raw.values())[-SHOWN:])


def speaker_findings(rows, data_set):
    """Yields speakers with several genders, and training data in which all rows have the same speaker."""
    first, reported = {}, set()
    for row in rows:
        if row.speaker and row.gender:
            other = first.setdefault(row.speaker, row)
            if other.gender.lower() != row.gender.lower() and row.speaker not in reported:
                reported.add(row.speaker)
                yield found("several_genders", row, "%s: %s, but %s in row %s" % (
                    row.speaker[:SHOWN], row.gender[:SHOWN], other.gender[:SHOWN], place(other, row)))
    speakers = {row.speaker for row in rows}
    if data_set.mode == TRAIN and len(rows) >= LEAST_ROWS and len(speakers) == 1 and rows[0].speaker:
        yield found("one_speaker", rows[0], "all %d rows are by %s" % (len(rows), rows[0].speaker[:SHOWN]))


def place(row, seen_from):
    """How a message about the Row ``seen_from`` names another one."""
    return "%d" % row.row if row.manifest == seen_from.manifest else "%s:%d" % (row.manifest, row.row)


def outlier_findings(rows, facts, data_set):
    """Yields rows whose duration or number of characters per second is unusual in the set, and those outside its limits.

    Args:
      rows: list of Row of one set.
      facts: dict from path to AudioFacts.
      data_set: DataSet.
    """
    usable = []
    for row in rows:
        if not _is_usable(row, facts):
            continue
        duration = duration_of(facts[row.path])
        exceeded = _exceeded_limit(row, facts[row.path], data_set)
        if exceeded is not None:
            yield found("beyond_limit", row, "%s: %s" % (exceeded.reason.name, exceeded), duration)
        else:
            usable.append((row, duration))
    if len(usable) >= LEAST_ROWS:
        low, middle, high = np.quantile([duration for _, duration in usable], (0.05, 0.5, 0.95))
        for row, duration in usable:
            if not low / DURATION_FACTOR <= duration <= high * DURATION_FACTOR:
                yield found("duration", row, "%.3f s; the median is %.3f s, 90 %% are from %.3f to %.3f s" % (
                    duration, middle, low, high), abs(math.log(duration / middle)))
    if data_set.mode != INFER:
        yield from _speaking_rate_findings(usable)


def _exceeded_limit(row, facts, data_set):
    """The RejectedData of a row that a limit of the config excludes, or None."""
    model, labels = data_set.model, ()
    if model.limits is None:
        return None
    if data_set.mode != INFER and not row.refusal:
        try:
            labels = labels_of(row.transcript, model)
        except DataError:      # is another finding
            pass
    try:
        check_limits(_Lengths(duration_of(facts), resampled_length(facts.num_samples, facts.sample_rate, model.sample_rate)),
                     labels, model.limits, model.feature_frames)
    except RejectedData as exceeded:
        return exceeded
    return None


def _speaking_rate_findings(usable):
    rated = [(row, characters_per_second(row, duration)) for row, duration in usable if row.transcript.strip()]
    if not rated:
        return
    logarithms = np.log([rate for _, rate in rated])
    middle = float(np.median(logarithms))
    deviation = float(np.clip(MAD_TO_DEVIATION * np.median(np.abs(logarithms - middle)), *RATE_DEVIATION))
    for (row, rate), logarithm in zip(rated, logarithms):
        difference = abs(logarithm - middle)
        score = difference / deviation
        is_unusual = len(rated) >= LEAST_ROWS and score > RATE_DEVIATIONS and difference > math.log(LEAST_RATE_FACTOR)
        if is_unusual or rate > MOST_CHARACTERS_PER_SECOND:
            yield found("speaking_rate", row, "%.1f characters per second; the median is %.1f: %r" % (
                rate, math.exp(middle), row.transcript[:SHOWN]), score)


def characters_per_second(row, duration):
    """Characters of a transcript, without spaces, per second."""
    return len("".join(row.transcript.split())) / duration


def band_and_rate_findings(rows, facts):
    """Yields rows whose sample rate differs from that of most rows, or whose audio has a narrower band."""
    usable = [row for row in rows if _is_usable(row, facts)]
    rates = collections.Counter(facts[row.path].sample_rate for row in usable)
    common = max(rates, key=lambda rate: (rates[rate], rate)) if rates else None
    for row in usable:
        rate = facts[row.path].sample_rate
        if rate != common:
            yield found("several_rates", row, "%d Hz; %d of %d rows have %d Hz" % (rate, rates[common], len(usable), common))
    bands = [(row, facts[row.path].band_hz) for row in usable if facts[row.path].band_hz is not None]
    if len(bands) >= LEAST_ROWS:
        middle = float(np.median([band for _, band in bands]))
        for row, band in bands:
            if band < BAND_FACTOR * middle:
                yield found("narrow_band", row, "nothing above %.1f kHz; the median of the set is %.1f kHz" % (
                    band / 1000, middle / 1000), middle / band)


def repetition_findings(rows, data_set):
    """Yields one finding about transcripts that several recordings share."""
    by_text = collections.OrderedDict()
    for row in rows:
        if row.transcript.strip():
            by_text.setdefault(row.transcript, {}).setdefault(row.path, row)
    shared = {text: paths for text, paths in by_text.items() if len(paths) > 1}
    if shared and data_set.mode != INFER:
        most = max(shared, key=lambda text: len(shared[text]))
        yield found("repeated_transcript", next(iter(shared[most].values())), "%d recordings share their transcript with others; "
                    "there are %d different transcripts; %d recordings of %r" % (
                        sum(map(len, shared.values())), len(by_text), len(shared[most]), most[:SHOWN]))


def overlap_findings(rows, others, groups):
    """Yields rows of one set whose speaker, audio or sentence is also in another one.

    Args:
      rows, others: lists of Row of the two sets; the findings are about ``rows``.
      groups: lists of paths of usable files with the same content.
    """
    number_of = {path: number for number, group in enumerate(groups) for path in group}
    keys = [lambda row: number_of.get(row.path, row.path) if row.problem is None else None, lambda row: row.speaker or None]
    words = {word for row in rows + others for word in row.transcript.split()}
    if len(words) >= SMALL_VOCABULARY:
        keys.append(lambda row: " ".join(row.transcript.split()) if len(row.transcript.split()) >= SENTENCE_WORDS else None)
    details = ("the audio is that of %s", "the speaker is that of %s", "the sentence is that of %s")
    for key, check, detail in zip(keys, ("audio_overlap", "speaker_overlap", "text_overlap"), details):
        there = {}
        for other in others:
            there.setdefault(key(other), other)
        there.pop(None, None)
        for row in rows:
            other = there.get(key(row))
            if other is not None:
                shown = {"speaker_overlap": ": %s" % row.speaker[:SHOWN], "text_overlap": ": %r" % row.transcript[:SHOWN]}
                yield found(check, row, detail % ("%s:%d (%s)" % (other.manifest, other.row, other.set)) + shown.get(check, ""))


def difference_findings(data_set, rows, other_set, others, facts):
    """Yields how the audio of two sets differs, see ``audio_profile.differences``; nothing where it was not decoded."""
    profiles = [_profile(chosen, facts) for chosen in (rows, others)]
    if None in profiles:
        return
    for sentence in differences(profiles[0], profiles[1], data_set.model.has_dynamic_range):
        yield Finding("audio_differs", CHECKS["audio_differs"].severity, other_set.name, others[0].manifest, None, "",
                      "%s against %s: %s" % (other_set.name, data_set.name, sentence))


def _profile(rows, facts):
    measured = [facts[row.path] for row in rows if _is_usable(row, facts) and facts[row.path].band_hz is not None]
    if len(measured) < LEAST_ROWS:
        return None
    durations = [duration_of(one) for one in measured]

    def median(name):
        return float(np.median([getattr(one, name) for one in measured]))

    return AudioProfile(len(measured), median("band_hz"), median("noise_floor_db"), median("level_db"),
                        float(np.mean([one.digital_silence for one in measured])), min(durations), max(durations),
                        median("offset"))


def _is_usable(row, facts):
    return row.problem is None and facts[row.path].reason is None
