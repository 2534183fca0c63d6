"""Data sets of Hugging Face on the disk: Parquet or Arrow files with the audio inside, or audio files with metadata.

    python -m open_seq2seq.data.importers huggingface --corpus DIR --output corpus

Parquet and Arrow are read by pyarrow (``bash scripts/setup.sh --data`` installs it). The name of a split comes from the file's or
the folder's name, e.g. ``data/train-00000-of-00002.parquet``. Metadata is ``metadata.csv`` or ``metadata.jsonl``.
"""
import collections
import csv
import glob
import io
import os
import re
import sys

from open_seq2seq.cli import file_path
from open_seq2seq.data.importers.archives import fingerprint
from open_seq2seq.data.importers.entries import BAD_NAME, NO_TRANSCRIPT, Entry, Names, Recording, Skip, malformed
from open_seq2seq.data.importers.frame import Importer, chunked
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.importers.json_lines import read_json_lines, scalar_columns, text_of
from open_seq2seq.data.rejection import MISSING_FILE
from open_seq2seq.errors import ConfigError, DataError
from open_seq2seq.text.text_file import read_text_file

AUDIO_KEY = "audio"
TEXT_KEYS = ("text", "sentence", "transcription", "transcript", "normalized_text", "raw_transcription")
SPLITS = ("train", "validation", "valid", "dev", "test")
METADATA = ("metadata.csv", "metadata.jsonl")
_SHARD = re.compile(r"(.+?)-[0-9]{5}-of-[0-9]{5}(-[0-9a-f]+)?$")
_ROWS = 64      # read at a time


class HuggingFace(Importer):
    name = "huggingface"
    summary = "Write a manifest CSV for each split of a data set of Hugging Face on the disk."
    columns = ("speaker", "gender", "language")

    def add_arguments(self, parser):
        parser.add_argument("--corpus", type=file_path, required=True,
                            help="folder of .parquet or .arrow files, or of audio files with metadata.csv or metadata.jsonl")
        parser.add_argument("--audio_key", default=AUDIO_KEY, help="column of the audio")
        parser.add_argument("--text_key", help="column of the transcript (default: %s)" % " or ".join(TEXT_KEYS))

    def units(self, options, note):
        if not os.path.isdir(options.corpus):
            raise DataError("--corpus %s: the folder does not exist" % options.corpus)
        found = {kind: sorted(glob.glob(os.path.join(glob.escape(options.corpus), "**", kind), recursive=True))
                 for kind in ("*.parquet", "*.arrow") + METADATA}
        tables = found["*.parquet"] or [path for path in found["*.arrow"] if not os.path.basename(path).startswith("cache-")]
        if tables:
            names = Names()
            return [unit for path in tables for unit in _units_of(path, options, names)]
        metadata = found["metadata.csv"] + found["metadata.jsonl"]
        if not metadata:
            raise DataError("--corpus %s: contains no .parquet, .arrow, metadata.csv or metadata.jsonl, nor do folders in it"
                            % options.corpus)
        return chunked(item for path in metadata for item in _audiofolder(path, options))

    def read(self, unit, options, store):
        return _rows_of(unit, options) if unit[0] == "table" else iter(unit)


def split_of(path, corpus):
    """The name of a split: that of the file without the number of the shard, or that of the next folder with a usual name."""
    folders, name = os.path.split(os.path.relpath(path, corpus))
    stem = os.path.splitext(name)[0]
    match = _SHARD.match(stem)
    stem = match.group(1) if match else stem
    for candidate in [stem] + folders.split(os.sep)[::-1]:
        if candidate in SPLITS:
            return candidate
    if stem in ("data", "metadata") or re.match(r"[0-9]+$", stem) or match is None and stem.startswith("data-"):
        return os.path.basename(folders) or "train"
    return stem


def _pyarrow():
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
        return pyarrow
    except ImportError:
        raise ConfigError("Parquet and Arrow files are read by the package pyarrow, which is not installed; install it with: "
                          "bash scripts/setup.sh --data")


def _units_of(path, options, names):
    """A unit for each row group of a Parquet file, or one for an Arrow file."""
    pyarrow = _pyarrow()
    manifest = Names().unique(split_of(path, options.corpus))
    folder = names.unique(manifest, os.path.splitext(os.path.basename(path))[0])
    try:
        if path.endswith(".parquet"):
            file = pyarrow.parquet.ParquetFile(path)
            groups, present = range(file.num_row_groups), file.schema_arrow.names
        else:
            groups = [None]
            with _arrow_batches(pyarrow, path) as reader:
                present = reader.schema.names
    except (pyarrow.ArrowException, OSError) as error:
        raise _unreadable(pyarrow, path, error)
    text_key = options.text_key or next((key for key in TEXT_KEYS if key in present), None)
    for key, option in ((options.audio_key, "--audio_key"), (text_key, "--text_key")):
        if key not in present:
            raise DataError("%s: has no column %s; choose one with %s: %s" % (
                path, key or "of the transcript", option, ", ".join(present)))
    return [("table", manifest, folder, group, text_key) + fingerprint(path) for group in groups]


def _unreadable(pyarrow, path, error):
    text = " ".join(str(error).split())[:300]
    # what version 12 says about float16
    half = (". pyarrow %s cannot open files with a half-precision column (float16). Convert the column where a newer pyarrow is "
            "installed, or drop it" % pyarrow.__version__ if re.search("half|float16|LogicalType", text, re.I) else "")
    return DataError("pyarrow cannot read %s: %s%s" % (path, text, half))


def _arrow_batches(pyarrow, path):
    """A reader of batches of an Arrow file; ``datasets`` writes the stream format."""
    source = pyarrow.memory_map(path)
    try:
        return pyarrow.ipc.open_stream(source)
    except pyarrow.ArrowInvalid:
        source.seek(0)
        return _FileBatches(pyarrow.ipc.open_file(source))


class _FileBatches:
    """The batches of the random-access format, with the interface of those of the stream format."""

    def __init__(self, reader):
        self._reader, self.schema = reader, reader.schema

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def __iter__(self):
        return (self._reader.get_batch(number) for number in range(self._reader.num_record_batches))


def _rows_of(unit, options):
    """Yields an Entry or Skip for each row of a unit."""
    _, manifest, folder, group, text_key, path = unit[:6]
    pyarrow, names, number = _pyarrow(), Names(), 0
    prefix = folder if group is None else "%s-%03d" % (folder, group)
    where = os.path.basename(path) + ("" if group is None else ":group %d" % group)
    batches = _batches_of(pyarrow, path, group)
    while True:
        try:
            batch = next(batches, None)
        except (pyarrow.ArrowException, OSError) as error:
            raise _unreadable(pyarrow, path, error)
        if batch is None:
            return
        for row in _dicts(batch, options.audio_key, text_key):
            audio, text = row.pop(options.audio_key), row.pop(text_key)
            yield _table_item(manifest, "%s:row %d" % (where, number), (prefix, "%06d" % number), audio, text, row, path, names)
            number += 1


def _batches_of(pyarrow, path, group):
    """Yields the rows of a unit, a few at a time."""
    if group is not None:
        yield from pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=_ROWS, row_groups=[group])
        return
    with _arrow_batches(pyarrow, path) as reader:
        for batch in reader:
            for start in range(0, batch.num_rows, _ROWS):
                yield batch.slice(start, _ROWS)


def _dicts(batch, audio_key, text_key):
    """The rows of a batch as dicts of the audio, the text and columns that are texts, numbers or classes."""
    names = [name for name in batch.schema.names
             if name in (audio_key, text_key) or not _is_nested(batch.schema.field(name).type)]
    columns = [batch.column(batch.schema.get_field_index(name)).to_pylist() for name in names]
    return [dict(zip(names, values)) for values in zip(*columns)]


def _is_nested(kind):
    return str(kind).startswith(("list", "large_list", "fixed_size_list", "struct", "map", "binary", "large_binary"))


def _table_item(manifest, place, target, audio, text, columns, path, names):
    """The Entry or Skip of a row; ``target`` is the folder and the name of audio that has no name of its own."""
    prefix, number = target
    data = audio.get("bytes") if isinstance(audio, dict) else audio
    stored = audio.get("path") if isinstance(audio, dict) else None
    stem = os.path.splitext(os.path.basename(stored or ""))[0] or number
    if not isinstance(data, bytes) or not data:
        return Skip(manifest, place, stem, MISSING_FILE, "the row has no bytes of audio%s" % (
            ", only the path %s; save the data set with its audio, e.g. with save_to_disk of a current version of datasets"
            % ascii(stored) if stored else ""))
    if not isinstance(text, str):
        return Skip(manifest, place, stem, NO_TRANSCRIPT, "the transcript is %s" % ascii(text)[:80])
    return Entry(manifest, names.unique(*(prefix.split("/") + [stem])), place, Recording(path, data), text,
                 scalar_columns(columns))


def _audiofolder(path, options):
    """Yields an Entry or Skip for each row of metadata.csv or metadata.jsonl next to audio files."""
    folder = os.path.dirname(path)
    split = split_of(path, options.corpus)
    manifest = Names().unique("train" if split in (".", "metadata") else split)
    names = Names()
    for number, row, problem in _metadata_rows(path):
        place = "%s:%d" % (os.path.relpath(path, options.corpus), number)
        if problem:
            yield malformed(manifest, place, problem)
            continue
        name = row.get("file_name")
        if not isinstance(name, str) or not name:
            yield malformed(manifest, place, "there is no file_name")
            continue
        if os.path.isabs(name) or ".." in name.split("/") or "\0" in name:
            yield Skip(manifest, place, name, BAD_NAME, "file_name leads out of the folder")
            continue
        text_key = options.text_key or next((key for key in TEXT_KEYS if row.get(key) is not None), None)
        if row.get(text_key) is None:
            yield Skip(manifest, place, name, NO_TRANSCRIPT, "there is no %s" % (text_key or " or ".join(TEXT_KEYS)))
            continue
        try:
            text = text_of(row, text_key)
        except ValueError as error:
            yield malformed(manifest, place, str(error), name)
            continue
        yield Entry(manifest, names.unique(manifest, os.path.splitext(name)[0].replace("/", "-")), place,
                    Recording(os.path.join(folder, name)), text, scalar_columns(row, ("file_name", text_key)))


def _metadata_rows(path):
    """Yields (number of the line, dict or None, problem)."""
    if path.endswith(".jsonl"):
        yield from read_json_lines(path, "metadata")
        return
    text = read_text_file(path, "metadata")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for row in reader:
            if None in row or None in row.values():
                yield reader.line_num, None, "the row has another number of fields than the first line"
            else:
                yield reader.line_num, collections.OrderedDict(row), None
    except csv.Error as error:
        raise DataError("%s:%d: not a row of CSV: %s" % (path, reader.line_num, error))


IMPORTER = HuggingFace()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
