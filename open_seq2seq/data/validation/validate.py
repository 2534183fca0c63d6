"""Runs all checks on sets of manifests."""
import collections

from open_seq2seq.data.validation.audio_files import duration_of, look_at_files, same_content
from open_seq2seq.data.validation.checks import CHECKS, ERROR, SEVERITIES, found
from open_seq2seq.data.validation.row_checks import alignment_findings, audio_findings, text_findings
from open_seq2seq.data.validation.rows import read_rows
from open_seq2seq.data.validation.set_checks import (
    band_and_rate_findings,
    difference_findings,
    duplicate_findings,
    manifest_findings,
    outlier_findings,
    overlap_findings,
    repetition_findings,
    speaker_findings,
)
from open_seq2seq.errors import DataError
from open_seq2seq.progress import ProgressBar

Validation = collections.namedtuple("Validation", "sets rows facts findings decoded")
Validation.__doc__ = """The result.

sets: list of DataSet. rows: dict from the name of a set to its Rows. facts: dict from path to AudioFacts. findings: list of
Finding in the order of the table of checks, the worst first. decoded: whether all audio was decoded.
"""


def validate(sets, pairs, decode=True, workers=None):
    """Checks sets.

    Args:
      sets: list of DataSet with different names.
      pairs: list of (name, name of the set of an evaluation): pairs that may not share audio, speakers and sentences. Findings
        are about rows of the first.
      decode: decode all audio instead of looking at headers.
      workers: number of processes; None: one for each core.

    Returns:
      Validation.

    Raises:
      DataError: none of the manifests can be read.
    """
    findings, rows = [], {}
    for data_set in sets:
        rows[data_set.name], unreadable = read_rows(data_set)
        findings.extend(unreadable)
    if not any(rows.values()):
        raise DataError("no manifest can be read:\n" + "\n".join(finding.detail for finding in findings))
    facts = _facts(sets, rows, decode, workers)
    groups = same_content([one for one in facts.values() if one.reason is None and not one.is_silent], decode)
    for data_set in sets:
        findings.extend(_findings_of_set(data_set, rows[data_set.name], facts, groups))
    by_name = {data_set.name: data_set for data_set in sets}
    for name, other in pairs:
        findings.extend(overlap_findings(rows[name], rows[other], groups))
        findings.extend(difference_findings(by_name[name], rows[name], by_name[other], rows[other], facts))
    return Validation(sets, rows, facts, _in_order(findings), decode)


def _facts(sets, rows, decode, workers):
    facts = {}
    # a file that is in two sets is read once
    fractions = collections.OrderedDict()
    for data_set in sets:
        for row in rows[data_set.name]:
            if row.problem is None:
                fractions.setdefault(row.path, data_set.model.max_missing_fraction)
    done = [0]
    with ProgressBar(len(fractions), description="validation", on_stderr=True) as bar:
        def advance(count):
            done[0] += count
            bar.update(done[0])

        for fraction in sorted(set(fractions.values())):
            paths = [path for path in fractions if fractions[path] == fraction]
            facts.update(look_at_files(paths, fraction, decode, workers, advance))
    return facts


def _findings_of_set(data_set, rows, facts, groups):
    model, mode = data_set.model, data_set.mode
    for row in rows:
        if row.problem is not None:
            yield found("malformed_row", row, row.problem)
            continue
        yield from audio_findings(row, facts[row.path], mode, model)
        yield from text_findings(row, mode, model)
        if facts[row.path].reason is None:
            yield from alignment_findings(row, facts[row.path], mode, model)
    yield from manifest_findings(rows)
    yield from speaker_findings(rows, data_set)
    yield from duplicate_findings(rows, groups)
    yield from outlier_findings(rows, facts, data_set)
    yield from band_and_rate_findings(rows, facts)
    yield from repetition_findings(rows, data_set)


def _in_order(findings):
    order = {name: number for number, name in enumerate(CHECKS)}
    return sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), order[finding.check], -finding.value))


def errors_of(validation):
    """The findings that are errors."""
    return [finding for finding in validation.findings if finding.severity == ERROR]


def hours_of(rows, facts):
    """Hours of the usable audio of rows."""
    usable = [facts[row.path] for row in rows if row.problem is None and facts[row.path].reason is None]
    return sum(map(duration_of, usable)) / 3600.0
