"""A validation from its sets to its files: the table on the terminal, validation.json, validation.html, repaired manifests."""
import collections
import json
import os

from open_seq2seq.data.validation.checks import CHECKS, ERROR, INFO, WARNING, made_checks
from open_seq2seq.data.validation.histograms import histograms_of
from open_seq2seq.data.validation.page import verdict, write_page
from open_seq2seq.data.validation.repair import DROPPED_FILE, fixed_name, refuse_overwriting, write_repaired
from open_seq2seq.data.validation.validate import errors_of, hours_of, validate
from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.files import printable, replaced_file
from open_seq2seq.progress import print_table

DEFAULT_OUTPUT = "validation"
JSON_FILE, PAGE_FILE = "validation.json", "validation.html"
_STYLES = {ERROR: "bold red", WARNING: "yellow", INFO: "cyan"}


def run_validation(sets, pairs, output, repaired, decode=True, workers=None):
    """Validates sets, prints the result and writes it into a folder.

    Args:
      sets: list of DataSet.
      pairs: see ``validate.validate``.
      output: the folder; it is made if it does not exist. Files of an earlier validation are replaced.
      repaired: names of the sets of which a repaired copy is written.
      decode: see ``validate.validate``.
      workers: number of processes; None: one for each core.

    Returns:
      Validation.

    Raises:
      UsageError: a repaired copy would overwrite a manifest.
      DataError: errors were found, after everything was written; or no manifest can be read.
      StorageError: a file cannot be written.
    """
    manifests = [path for data_set in sets for path in data_set.manifests]
    refuse_overwriting(output, [fixed_name(name, len(repaired) == 1) for name in repaired] + [DROPPED_FILE], manifests)
    try:
        os.makedirs(output, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot make the folder %s: %s; choose another one with --output" % (output, error.strerror))
    validation = validate(sets, pairs, decode, workers)
    repairs = write_repaired(output, validation, repaired)
    with replaced_file(os.path.join(output, JSON_FILE)) as file:
        json.dump(as_dict(validation, repairs), file, indent=1, ensure_ascii=True)
        file.write("\n")
    with replaced_file(os.path.join(output, PAGE_FILE)) as file:
        write_page(file, validation, repairs)
    _print(validation, repairs, output)
    errors = errors_of(validation)
    if errors:
        written = [repair.path for repair in repairs.values() if repair.path]
        raise DataError("%d error%s found in the data; %s lists %s%s" % (
            len(errors), " was" if len(errors) == 1 else "s were", os.path.join(output, PAGE_FILE),
            "it" if len(errors) == 1 else "them",
            ". What can be used is in %s" % ", ".join(written) if written else ""))
    return validation


def as_dict(validation, repairs):
    """The result as JSON values.

    Returns:
      Dict: version; depth, "headers" or "full"; sets, list of dicts name, mode, manifests, rows, hours, histograms and repaired;
      checks, list of dicts check, severity, count, title, advice of all checks that were made; findings, list of dicts with the
      fields of ``checks.Finding``.
    """
    counts = collections.Counter(finding.check for finding in validation.findings)
    sets = []
    for data_set in validation.sets:
        rows, repair = validation.rows[data_set.name], repairs.get(data_set.name)
        sets.append({"name": data_set.name, "mode": data_set.mode, "manifests": list(data_set.manifests), "rows": len(rows),
                     "hours": hours_of(rows, validation.facts), "repaired": None if repair is None else dict(repair._asdict()),
                     "histograms": {chart.name: [list(bar) for bar in zip(chart.labels, chart.counts)]
                                    for chart in histograms_of(rows, validation.facts, data_set)}})
    return {"version": 1, "depth": "full" if validation.decoded else "headers", "sets": sets,
            "checks": [{"check": check.name, "severity": check.severity, "count": counts[check.name], "title": check.title,
                        "advice": check.advice} for check in made_checks(validation.decoded)],
            "findings": [dict(finding._asdict(), value=float(finding.value)) for finding in validation.findings]}


def _print(validation, repairs, output):
    first, counts = collections.OrderedDict(), collections.Counter()
    for finding in validation.findings:
        first.setdefault(finding.check, finding)
        counts[finding.check] += 1
    rows = []
    for name, finding in first.items():
        row = "" if finding.row is None else "%s:%d: " % (finding.manifest, finding.row)
        rows.append([(finding.severity, _STYLES[finding.severity]), CHECKS[name].title, "%d" % counts[name],
                     printable(row + finding.detail), CHECKS[name].advice])
    if rows:
        print_table("Validation", ("severity", "check", "count", "example", "what to do"), rows,
                    left=("severity", "check", "example", "what to do"), fold=True)
    print(verdict(validation))
    for data_set in validation.sets:
        own = validation.rows[data_set.name]
        print("%s: %d rows, %.2f hours of usable audio" % (data_set.name, len(own), hours_of(own, validation.facts)))
    for repair in repairs.values():
        if repair.path is not None and (repair.changed or repair.dropped):
            print("%s: %d rows, %d changed, %d dropped (listed in %s)" % (
                repair.path, repair.kept, repair.changed, repair.dropped, os.path.join(output, DROPPED_FILE)))
    print("Report: %s" % os.path.join(output, PAGE_FILE))
