"""Turns a CSV of labeled feature vectors, for the classification of frames, into TFRecord shards.

    python -m open_seq2seq.data.importers frame_csv train.csv --output frames/train
    python -m open_seq2seq.data.importers frame_csv dev.csv --output frames/dev --labels frames/train/labels.txt

Each row is a label and n numbers, ``label,f1,...,fn``; a first row of names is recognized by features that are not numbers.
Labels are any texts; their indices are those of the lines of --labels, or without it their order (numbers by value, texts by code
point). Rows that are wrong are an error; --max_skipped allows a share of them, which skipped.csv lists. An interrupted import
continues where it was. open_seq2seq/data/shards/frame_examples.py says how the shards are read.
"""
import argparse
import collections
import csv
import fcntl
import json
import os
import sys

import numpy as np

from open_seq2seq.cli import Parser, file_path, whole_number
from open_seq2seq.data.importers.frame import share
from open_seq2seq.data.importers.importer_command import progress_bar, run_importer
from open_seq2seq.errors import DataError, StorageError, UsageError
from open_seq2seq.files import file_digest, parsed_json, replaced_file
from open_seq2seq.progress import print_table
from open_seq2seq.text.text_file import read_text_file

SKIPPED, LABELS, PROGRESS, LOCK = "skipped.csv", "labels.txt", "progress.json", ".lock"
SHOWN = 5  # of the wrong rows, in an error

Row = collections.namedtuple("Row", "line label features problem")
Row.__doc__ = """A row of the CSV. line: its number, from 1. label: str. features: float32 [n]. problem: str why it is wrong, or
None; label and features are None then."""


def read_rows(path):
    """Yields a :class:`Row` for each row of a CSV except the names in the first one; empty lines are skipped.

    The number of features is that of the first row without a problem.

    Raises:
      DataError: the file cannot be read or is not UTF-8 text.
    """
    width, is_first = None, True
    try:
        # a byte order mark is not a part of the first label
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for fields in reader:
                if not fields:
                    continue
                row = _row(reader.line_num, fields, width)
                if is_first and row.problem and _are_names(fields):
                    is_first = False
                    width = len(fields) - 1
                    continue
                is_first = False
                if row.problem is None and width is None:
                    width = len(row.features)
                yield row
    except OSError as error:
        raise DataError("cannot read the CSV %s: %s" % (path, error.strerror or error))
    except UnicodeDecodeError as error:
        raise DataError("%s is not UTF-8 text (%s). Save it as UTF-8" % (path, error.reason))
    except csv.Error as error:
        raise DataError("%s:%d: the line is not CSV: %s. Expected label,f1,...,fn" % (path, reader.line_num, error))


def _are_names(fields):
    return len(fields) > 1 and all(_number(field) is None and field.strip() for field in fields[1:])


def _number(text):
    # Python also reads 1_000
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def _row(line, fields, width):
    label, values = fields[0].strip(), [_number(field) for field in fields[1:]]

    def wrong(problem):
        return Row(line, None, None, problem)

    if not label:
        return wrong("the label is empty")
    if "\n" in label or "\r" in label:
        return wrong("the label %r has a line end; a quotation mark is missing" % label[:30])
    if not values:
        return wrong("there is no feature; expected label,f1,...,fn")
    if width is not None and len(values) != width:
        return wrong("%d features, expected %d as in the first row" % (len(values), width))
    for number, (value, field) in enumerate(zip(values, fields[1:]), 1):
        if value is None:
            return wrong("feature %d is %r, expected a number" % (number, field[:30]))
    with np.errstate(over="ignore"):
        features = np.array(values, np.float32)
    finite = np.isfinite(features)
    if not finite.all():
        number = int(np.argmin(finite))
        return wrong("feature %d is %s, expected a finite number of float32" % (number + 1, fields[1 + number].strip()[:30]))
    return Row(line, label, features, None)


class _Facts:
    """What the first pass over a CSV finds: labels with counts, and the wrong rows."""

    def __init__(self, path, known):
        self.counts, self.problems, self.num_features = collections.Counter(), [], None
        for row in read_rows(path):
            problem = row.problem
            if problem is None and known is not None and row.label not in known:
                problem = "the label %r is not in the file of --labels" % row.label[:30]
            if problem is not None:
                self.problems.append((row.line, problem))
                continue
            self.counts[row.label] += 1
            self.num_features = len(row.features)

    @property
    def rows(self):
        return sum(self.counts.values())


def import_frames(options):
    """Imports a CSV.

    Args:
      options: argparse namespace of :func:`main`.

    Returns:
      ``FrameData``.

    Raises:
      DataError: the CSV or the file of labels is wrong. StorageError: the output cannot be written.
      UsageError: the folder has another import.
    """
    # TensorFlow takes a second to load
    from open_seq2seq.data.shards.frame_examples import MANIFEST, FrameData, Shard, open_frames, write_manifest
    known = _read_labels(options.labels) if options.labels else None
    source = {"csv": os.path.basename(options.csv), "sha256": _digest(options.csv), "labels": known,
              "rows_per_shard": options.rows_per_shard}
    os.makedirs(options.output, exist_ok=True)
    with open(os.path.join(options.output, LOCK), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StorageError("another process is importing to %s; wait until it has finished" % options.output)
        earlier = _earlier(os.path.join(options.output, MANIFEST)) or _earlier(os.path.join(options.output, PROGRESS))
        same = earlier is not None and earlier.get("source") == source
        if earlier is not None and not same and not options.overwrite:
            raise UsageError("%s has the import of another CSV, or of other --labels or --rows_per_shard. Choose another "
                             "--output, or replace it with --overwrite" % options.output)
        finished = {}
        if same and not options.overwrite:
            finished = {shard["file"]: Shard(**shard) for shard in earlier.get("shards", ())}
            finished = {name: shard for name, shard in finished.items() if _is_intact(options.output, shard)}
        facts = _Facts(options.csv, known)
        _refuse(options, facts)
        labels = known if known is not None else _ordered(facts.counts)
        if not finished:
            _remove(options.output, MANIFEST)
        shards = _write_shards(options, facts, labels, source, finished)
        data = FrameData(options.output, labels, [facts.counts[label] for label in labels], facts.num_features, shards)
        with replaced_file(os.path.join(options.output, LABELS)) as file:
            file.writelines(label + "\n" for label in labels)
        _write_skipped(options, facts)
        write_manifest(data, source)
        _remove(options.output, PROGRESS)
        names = {shard.file for shard in shards}
        for name in os.listdir(options.output):
            if name.startswith("frames-") and name not in names:
                os.remove(os.path.join(options.output, name))
    return open_frames(options.output)


def _write_shards(options, facts, labels, source, finished):
    from open_seq2seq.data.shards.frame_examples import shard_name, write_examples
    count, index_of = -(-facts.rows // options.rows_per_shard), {label: index for index, label in enumerate(labels)}
    shards, batch = [], []

    def write():
        name = shard_name(len(shards), count)
        shard = finished.get(name)
        if shard is None:
            shard = write_examples(os.path.join(options.output, name), np.array([index_of[row.label] for row in batch], np.int64),
                                   np.stack([row.features for row in batch]))
        shards.append(shard)
        with replaced_file(os.path.join(options.output, PROGRESS)) as file:
            json.dump({"source": source, "shards": [each._asdict() for each in shards]}, file)
        del batch[:]

    with progress_bar("shards", count) as advance:
        for row in read_rows(options.csv):
            if row.problem is None and row.label in index_of:
                batch.append(row)
            if len(batch) == options.rows_per_shard:
                write()
                advance()
        if batch:
            write()
            advance()
    return shards


def _digest(path):
    try:
        return file_digest(path)
    except OSError as error:
        raise DataError("cannot read the CSV %s: %s" % (path, error.strerror or error))


def _read_labels(path):
    lines = [line.strip() for line in read_text_file(path, "file of labels", "Expected one label per line").splitlines()]
    labels = [line for line in lines if line]
    repeated = [label for label, count in collections.Counter(labels).items() if count > 1]
    if not labels or repeated:
        raise DataError("%s: %s; expected every label once, one per line" % (
            path, "the label %r occurs twice" % repeated[0] if repeated else "there is no label"))
    return labels


def _ordered(counts):
    try:
        return sorted(counts, key=lambda label: (int(label), label))
    except ValueError:
        return sorted(counts)


def _earlier(path):
    try:
        with open(path, encoding="utf-8") as file:
            values = parsed_json(file.read())
        return values if isinstance(values, dict) else {}
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}


def _is_intact(folder, shard):
    path = os.path.join(folder, shard.file)
    return os.path.isfile(path) and os.path.getsize(path) == shard.bytes and file_digest(path) == shard.sha256


def _remove(folder, name):
    if os.path.exists(os.path.join(folder, name)):
        os.remove(os.path.join(folder, name))


def _refuse(options, facts):
    wrong, total = len(facts.problems), len(facts.problems) + facts.rows
    if not total:
        raise DataError("%s has no rows; expected label,f1,...,fn" % options.csv)
    if not facts.rows or wrong > options.max_skipped * total:
        raise DataError("%d of %d rows are wrong%s:\n%s%s" % (
            wrong, total, ", more than --max_skipped=%g allows; nothing was imported" % options.max_skipped if facts.rows else "",
            "\n".join("%s:%d: %s" % (options.csv, line, problem) for line, problem in facts.problems[:SHOWN]),
            "\n..." if wrong > SHOWN else ""))


def _write_skipped(options, facts):
    _remove(options.output, SKIPPED)
    if facts.problems:
        with replaced_file(os.path.join(options.output, SKIPPED), newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["line", "reason"])
            writer.writerows(facts.problems)
        print("Note: skipped %d rows; listed in %s" % (len(facts.problems), os.path.join(options.output, SKIPPED)),
              file=sys.stderr)


def main(arguments=None):
    """Runs the command line ``arguments`` (None: those of the process)."""
    parser = Parser(prog="python -m open_seq2seq.data.importers frame_csv", description=__doc__,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("csv", type=file_path, help="rows label,f1,...,fn")
    parser.add_argument("--output", type=file_path, required=True, metavar="FOLDER",
                        help="folder for the shards and their manifest")
    parser.add_argument("--labels", type=file_path, metavar="FILE",
                        help="the labels in the order of their indices, one per line; others are wrong (default: those of the "
                             "CSV)")
    parser.add_argument("--rows_per_shard", type=whole_number(1), default=100000, metavar="N", help="default: %(default)s")
    parser.add_argument("--max_skipped", type=share, default=0.0, metavar="SHARE",
                        help="skip wrong rows if they are at most this share of all (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace the import of another CSV, or import again")
    options = parser.parse_args(arguments)
    data = import_frames(options)
    print_table("Labels", ["label", "index", "rows", "%"], [
        [label, str(index), str(count), "%.2f" % (100.0 * count / max(sum(data.counts), 1))]
        for index, (label, count) in enumerate(zip(data.labels, data.counts))], left=("label",))
    missing = [label for label, count in zip(data.labels, data.counts) if not count]
    if missing:
        print("Note: %d labels have no row: %s" % (len(missing), ", ".join(missing[:10])), file=sys.stderr)
    print("%s: %d rows of %d features, %d labels, %d shards" % (
        options.output, sum(data.counts), data.num_features, len(data.labels), len(data.shards)))


if __name__ == "__main__":
    sys.exit(run_importer(main))
