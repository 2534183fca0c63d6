"""Repaired copies of manifests: composed transcripts, single spaces, without duplicates and unusable rows."""
import collections
import csv
import os

from open_seq2seq.data.speech2text.manifest import AUDIO_COLUMN, SIZE_COLUMN
from open_seq2seq.data.validation.checks import CHECKS, ERROR
from open_seq2seq.data.validation.row_checks import alignment_findings, repaired_transcript, text_findings
from open_seq2seq.data.validation.rows import INFER, normalized
from open_seq2seq.errors import UsageError
from open_seq2seq.files import replaced_file

DROPPED_FILE = "dropped.csv"
DROPPED_COLUMNS = ("set", "manifest", "row", "wav_filename", "reason", "detail")
# not errors, but a repaired set lacks these rows, too
_ALSO_DROPPED = ("duplicate_audio",)
_OF_TRANSCRIPT = ("empty_transcript", "not_normalized", "unknown_character", "too_few_frames")

Repair = collections.namedtuple("Repair", "path kept changed dropped")
Repair.__doc__ = """A repaired set. path: the CSV file; None: no row is left, and no file was written. kept, changed, dropped:
numbers of rows; the changed ones are among the kept ones."""


def fixed_name(name, is_only):
    """The file name of the repaired copy of the set ``name``; ``is_only``: no other set is repaired."""
    return "fixed.csv" if is_only else "fixed-%s.csv" % name


def refuse_overwriting(folder, names, manifests):
    """Raises UsageError if a file with one of the names in a folder is one of the manifests."""
    for name in names:
        path = os.path.join(folder, name)
        for manifest in manifests:
            if os.path.realpath(path) == os.path.realpath(manifest):
                raise UsageError("%s would overwrite the manifest that is validated; choose another folder with --output" % path)


def write_repaired(folder, validation, names):
    """Writes a repaired copy of each set, and the list of the rows that they lack. Files of an earlier validation are replaced.

    Args:
      folder: an existing folder.
      validation: Validation.
      names: of the sets to repair.

    Returns:
      OrderedDict from the name of a set to its Repair.

    Raises:
      StorageError: a file cannot be written.
    """
    reasons = collections.OrderedDict()
    for finding in validation.findings:
        if finding.row is not None and (finding.severity == ERROR or finding.check in _ALSO_DROPPED):
            reasons.setdefault((finding.set, finding.manifest, finding.row), []).append(finding)
    for data_set in validation.sets:
        for row in validation.rows[data_set.name]:
            _forget_repaired(row, data_set, validation.facts, reasons)
    repairs, dropped = collections.OrderedDict(), []
    for data_set in validation.sets:
        if data_set.name not in names:
            continue
        rows = validation.rows[data_set.name]
        kept = [row for row in rows if (row.set, row.manifest, row.row) not in reasons]
        path = os.path.join(folder, fixed_name(data_set.name, len(names) == 1))
        changed = _write_set(path, kept, data_set, validation.facts)
        repairs[data_set.name] = Repair(path if kept else None, len(kept), changed, len(rows) - len(kept))
        dropped.extend((row, finding) for row in rows for finding in reasons.get((row.set, row.manifest, row.row), ()))
    _write_or_remove(os.path.join(folder, DROPPED_FILE), DROPPED_COLUMNS, [
        (row.set, row.manifest, row.row, row.wav_filename, CHECKS[finding.check].title, finding.detail)
        for row, finding in dropped])
    return repairs


def _forget_repaired(row, data_set, facts, reasons):
    """Replaces what was found in a transcript by what is found after its repair."""
    if row.problem is not None or data_set.mode == INFER:
        return
    transcript = repaired_transcript(row.raw.get(data_set.model.transcript_column, ""), data_set.model)
    if transcript == row.raw.get(data_set.model.transcript_column, "").strip():
        return
    raw = collections.OrderedDict(row.raw)
    raw[data_set.model.transcript_column] = transcript
    transcript, refusal = normalized(transcript, data_set.model)
    repaired = row._replace(transcript=transcript, raw=raw, refusal=refusal)
    found = list(text_findings(repaired, data_set.mode, data_set.model))
    if facts[row.path].reason is None:
        found.extend(alignment_findings(repaired, facts[row.path], data_set.mode, data_set.model))
    key = row.set, row.manifest, row.row
    left = [finding for finding in reasons.pop(key, ()) if finding.check not in _OF_TRANSCRIPT]
    left.extend(finding for finding in found if finding.severity == ERROR)
    if left:
        reasons[key] = left


def _write_set(path, rows, data_set, facts):
    """Writes a manifest; returns the number of rows whose fields are not those of the file it was read from."""
    folder = os.path.dirname(os.path.abspath(path))
    columns = [AUDIO_COLUMN, SIZE_COLUMN]
    if data_set.mode != INFER or any(data_set.model.transcript_column in row.raw for row in rows):
        columns.append(data_set.model.transcript_column)
    others = collections.OrderedDict.fromkeys(name for row in rows for name in row.raw if name and name not in columns)
    changed, lines = 0, []
    for row in rows:
        raw = row.raw.get(data_set.model.transcript_column, "")
        transcript = repaired_transcript(raw, data_set.model) if data_set.mode != INFER else raw
        changed += transcript != raw or row.wav_filename != row.raw[AUDIO_COLUMN]
        audio = os.path.relpath(os.path.abspath(row.path), folder)
        lines.append([audio, facts[row.path].size] + [transcript] * (len(columns) - 2)
                     + [row.raw.get(name, "").strip() for name in others])
    _write_or_remove(path, columns + list(others), lines)
    return changed


def _write_or_remove(path, columns, rows):
    if not rows:
        if os.path.exists(path):
            os.remove(path)
        return
    with replaced_file(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
