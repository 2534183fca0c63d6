"""Manifests of fairseq: ``train.tsv`` (the root, then path and number of samples) with ``train.wrd``, ``.txt`` or ``.ltr``.

    python -m open_seq2seq.data.importers fairseq --corpus train.tsv dev.tsv --output corpus

Line n + 1 of the TSV file has its transcript in line n of the other.
"""
import os
import sys

from open_seq2seq.cli import file_path
from open_seq2seq.data.importers.corpus_paths import require_files
from open_seq2seq.data.importers.entries import UNSUPPORTED, Entry, Names, Recording, Skip, malformed
from open_seq2seq.data.importers.frame import Importer, chunked
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.errors import DataError
from open_seq2seq.text.text_file import read_text_file

LABELS = ("wrd", "txt", "ltr")


class Fairseq(Importer):
    name = "fairseq"
    summary = "Write a manifest CSV for each TSV file of fairseq (wav2vec, HuBERT)."

    def add_arguments(self, parser):
        parser.add_argument("--corpus", type=file_path, nargs="+", required=True, help="TSV files")
        parser.add_argument("--root", type=file_path, help="folder of the audio files, instead of the first line of the TSV file")
        parser.add_argument("--labels", choices=LABELS,
                            help="extension of the transcripts: wrd and txt words, ltr letters with | between words (default: "
                                 "the first of them that exists)")

    def units(self, options, note):
        require_files(options.corpus, (".tsv",))
        items, manifests = [], Names()
        for path in options.corpus:
            manifest = manifests.unique(os.path.splitext(os.path.basename(path))[0])
            items.extend(_items(path, manifest, options.root, options.labels))
        return chunked(items)


def _items(path, manifest, root, labels):
    """Yields an Entry or Skip for each row of one TSV file."""
    stem, name = os.path.splitext(path)[0], os.path.basename(path)
    extension = labels or next((label for label in LABELS if os.path.exists("%s.%s" % (stem, label))), None)
    if extension is None:
        raise DataError("%s has no transcripts: expected %s next to it" % (
            path, " or ".join("%s.%s" % (os.path.basename(stem), label) for label in LABELS)))
    rows, texts = _lines(path, "TSV file"), _lines("%s.%s" % (stem, extension), "file of transcripts")
    if not rows or len(rows) - 1 != len(texts):
        raise DataError("%s has %d rows below the root, %s.%s has %d lines; both must be the same utterances in the same order"
                        % (path, len(rows) - 1, stem, extension, len(texts)))
    root, names = root or _root_of(path, rows[0].strip()), Names()
    for number, (row, text) in enumerate(zip(rows[1:], texts), 2):
        place, fields = "%s:%d" % (name, number), row.split("\t")
        if len(fields) != 2 or not fields[0] or not fields[1].strip().isdigit():
            yield malformed(manifest, place, "expected a path, a tab and a number of samples, found %r" % row[:80])
            continue
        audio = fields[0]
        file = os.path.join(root, audio)
        if ".zip:" in audio or not os.path.exists(file) and audio.count(":") == 2:
            yield Skip(manifest, place, audio, UNSUPPORTED, "audio inside of a ZIP file; unpack it and use its files")
            continue
        text = "".join(text.split()).replace("|", " ") if extension == "ltr" else text
        yield Entry(manifest, names.unique(manifest, os.path.splitext(audio)[0].replace("/", "-")), place, Recording(file), text)


def _root_of(path, root):
    """The folder that the first line of a TSV file names, relative to the file or, as in fairseq, to the working directory."""
    beside = os.path.join(os.path.dirname(path), root)
    return root if not os.path.isdir(beside) and os.path.isdir(root) else beside


def _lines(path, kind):
    lines = read_text_file(path, kind).split("\n")
    return [line.rstrip("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]


IMPORTER = Fairseq()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
