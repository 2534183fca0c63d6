"""Histograms of a set: durations, characters per second, levels, sample rates; as numbers and as SVG."""
import collections
import html

import numpy as np

from open_seq2seq.data.validation.audio_files import duration_of
from open_seq2seq.data.validation.rows import INFER
from open_seq2seq.data.validation.set_checks import characters_per_second

BARS = 24
MOST_RATES = 12
_TAIL = 0.5                            # per cent of the values in the last bar, and in the first
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 420, 190, 46, 10, 14, 34

Histogram = collections.namedtuple("Histogram", "name title unit labels counts ticks")
Histogram.__doc__ = """name: in validation.json. title: str. unit: of the values. labels, counts: str and int for each bar.
ticks: list of (place in bars, str) below the axis."""


def histograms_of(rows, facts, data_set):
    """List of Histogram of the usable rows of a set; those of levels only where audio was decoded."""
    usable = [row for row in rows if row.problem is None and facts[row.path].reason is None]
    durations = [duration_of(facts[row.path]) for row in usable]
    charts = [_histogram("duration", "Duration", "s", durations)]
    if data_set.mode != INFER:
        charts.append(_histogram("characters_per_second", "Characters per second", "/s", [
            characters_per_second(row, duration) for row, duration in zip(usable, durations) if row.transcript.strip()]))
    charts.append(_histogram("level", "Peak level", "dB of full scale", [
        facts[row.path].level_db for row in usable if facts[row.path].level_db is not None]))
    rates = collections.Counter(facts[row.path].sample_rate for row in usable)
    # the least frequent ones share the last bar
    shown = sorted(rate for rate, _ in rates.most_common(MOST_RATES))
    labels, counts = ["%d Hz" % rate for rate in shown], [rates[rate] for rate in shown]
    if len(rates) > MOST_RATES:
        labels.append("other rates")
        counts.append(sum(rates.values()) - sum(counts))
    charts.append(Histogram("sample_rate", "Sample rate", "kHz", labels, counts, [
        (place + 0.5, label.replace(" Hz", "") if not label[0].isdigit() else "%g" % (int(label.split()[0]) / 1000))
        for place, label in enumerate(labels)]) if rates else None)
    return [chart for chart in charts if chart is not None]


def _histogram(name, title, unit, values):
    """Bars of equal width; the first and the last also count what is beyond them. None without values."""
    if not values:
        return None
    values = np.asarray(values, float)
    low, high = np.percentile(values, (_TAIL, 100 - _TAIL))
    step = _round_step((high - low) / BARS) if high > low else _round_step(max(abs(high), 1.0) / BARS)
    first = np.floor(low / step)
    number = int(np.floor(high / step) - first) + 1
    places = np.clip(np.floor(values / step) - first, 0, number - 1).astype(int)
    counts = np.bincount(places, minlength=number).tolist()
    edges = [(first + place) * step for place in range(number + 1)]
    labels = ["%.4g to %.4g %s" % (edges[place], edges[place + 1], unit) for place in range(number)]
    if values.min() < edges[0]:
        labels[0] = "below %.4g %s" % (edges[1], unit)
    if values.max() >= edges[-1]:
        labels[-1] = "%.4g %s and more" % (edges[-2], unit)
    every = -(-number // 6)
    return Histogram(name, title, unit, labels, counts, [(place, "%.4g" % edges[place]) for place in range(0, number + 1, every)])


def _round_step(step):
    """1, 2 or 5 times a power of 10, at least ``step``."""
    power = 10.0 ** np.floor(np.log10(step))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= step * 0.999)


def svg(histogram, name):
    """The histogram as an SVG element of a page; ``name``: of the set, for screen readers."""
    most, bars = max(histogram.counts), len(histogram.counts)
    width = (_WIDTH - _LEFT - _RIGHT) / float(bars)
    bottom = _HEIGHT - _BOTTOM
    parts = ['<svg viewBox="0 0 %d %d" role="img" aria-label="%s">' % (_WIDTH, _HEIGHT, html.escape(
        "%s of %s: %d bars, the highest has %d rows" % (histogram.title, name, bars, most)))]
    for share in (0, 0.5, 1):
        y = bottom - share * (bottom - _TOP)
        parts.append('<line x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>' % (_LEFT, _WIDTH - _RIGHT, y, y))
        if share != 0.5 or most > 1:
            parts.append('<text x="%d" y="%.1f" text-anchor="end">%s</text>' % (_LEFT - 5, y + 4, "{:,.4g}".format(share * most)))
    for place, (label, count) in enumerate(zip(histogram.labels, histogram.counts)):
        height = max((bottom - _TOP) * count / float(most), 1.5 if count else 0)
        gap = min(0.12 * width, 3)
        parts.append('<rect x="%.2f" y="%.2f" width="%.2f" height="%.2f"><title>%s: %d</title></rect>' % (
            _LEFT + place * width + gap, bottom - height, width - 2 * gap, height, html.escape(label), count))
    for place, text in histogram.ticks:
        parts.append('<text x="%.1f" y="%d" text-anchor="middle">%s</text>' % (
            _LEFT + place * width, bottom + 15, html.escape(text)))
    parts.append('<text x="%d" y="%d" text-anchor="end">%s</text></svg>' % (_WIDTH - _RIGHT, _HEIGHT - 4, html.escape(
        histogram.unit)))
    return "".join(parts)
