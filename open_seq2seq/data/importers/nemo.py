"""Manifests of NeMo: on each line a JSON object with audio_filepath, text, and perhaps duration and offset in seconds.

    python -m open_seq2seq.data.importers nemo --corpus train_manifest.json dev_manifest.json --output corpus

Other texts and numbers of an object become columns.
"""
import os
import sys

from open_seq2seq.cli import file_path
from open_seq2seq.data.importers.corpus_paths import require_files
from open_seq2seq.data.importers.entries import LENIENT, NO_TRANSCRIPT, Entry, Names, Recording, Segment, Skip, malformed
from open_seq2seq.data.importers.frame import Importer, chunked
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.importers.json_lines import number_of, read_json_lines, scalar_columns, text_of

_USED = ("audio_filepath", "audio_file", "text", "duration", "offset", "text_filepath")


class Nemo(Importer):
    name = "nemo"
    summary = "Write a manifest CSV for each manifest of NeMo (a JSON object on each line)."
    columns = ("speaker", "lang")

    def add_arguments(self, parser):
        parser.add_argument("--corpus", type=file_path, nargs="+", required=True,
                            help="manifests; paths in them are relative to the manifest's folder")
        parser.add_argument("--text_key", default="text", help="key of the transcript")

    def units(self, options, note):
        require_files(options.corpus, (".json", ".jsonl"))
        items, manifests = [], Names()
        for path in options.corpus:
            manifest, names = manifests.unique(os.path.splitext(os.path.basename(path))[0]), Names()
            for number, values, problem in read_json_lines(path, "manifest"):
                place = "%s:%d" % (os.path.basename(path), number)
                items.append(malformed(manifest, place, problem) if problem else
                             _item(manifest, place, values, os.path.dirname(path), options.text_key, names))
        return chunked(items)


def _item(manifest, place, values, folder, text_key, names):
    """The Entry or Skip of one object."""
    try:
        audio = text_of(values, next((key for key in ("audio_filepath", "audio_file") if key in values), "audio_filepath"))
        offset, duration = number_of(values, "offset", 0.0), number_of(values, "duration")
        if not audio or "\0" in audio:
            raise ValueError("audio_filepath is %s, expected a path" % ascii(audio))
        if text_key not in values:
            return Skip(manifest, place, os.path.basename(audio), NO_TRANSCRIPT, "there is no key %s" % text_key)
        text = text_of(values, text_key)
    except ValueError as error:
        return malformed(manifest, place, str(error))
    # a duration of 0 or less is not known, as in NeMo
    end = offset + duration if duration is not None and duration > 0 else None
    segment = Segment(offset, end, None, LENIENT) if offset or end is not None else None
    stem = os.path.splitext(os.path.basename(audio))[0]
    return Entry(manifest, names.unique(manifest, stem), place, Recording(os.path.join(folder, os.path.expanduser(audio))), text,
                 scalar_columns(values, _USED + (text_key,)), segment)


IMPORTER = Nemo()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
