"""Tar files of WebDataset: members with the same path up to the first dot of the name are one sample.

    python -m open_seq2seq.data.importers webdataset --corpus shards/train-*.tar --output corpus

A sample's audio is the member whose extension is one of an audio file, its transcript is in ``.txt`` or in a key of ``.json``.
Nothing is extracted under a name of the archive.
"""
import os
import sys

from open_seq2seq.cli import file_path
from open_seq2seq.data.audio.containers import AUDIO_EXTENSIONS
from open_seq2seq.data.importers.archives import EXTENSIONS, fingerprint, members_of, stem_of
from open_seq2seq.data.importers.corpus_paths import require_files
from open_seq2seq.data.importers.entries import (
    DUPLICATE_ID,
    NO_TRANSCRIPT,
    UNSAFE_MEMBER,
    Entry,
    Names,
    Recording,
    Skip,
    malformed,
)
from open_seq2seq.data.importers.frame import Importer
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.importers.json_lines import scalar_columns, text_of
from open_seq2seq.data.rejection import MISSING_FILE
from open_seq2seq.files import parsed_json

TEXT_KEYS = ("text", "transcript", "sentence", "transcription")


class WebDataset(Importer):
    name = "webdataset"
    summary = "Write a manifest CSV for tar files of WebDataset."

    def add_arguments(self, parser):
        parser.add_argument("--corpus", type=file_path, nargs="+", required=True,
                            help="the tar files of one set, compressed or not")
        parser.add_argument("--name", default="train", help="name of the manifest, without .csv")
        parser.add_argument("--text_key", help="key of the transcript in .json (default: %s)" % " or ".join(TEXT_KEYS))

    def units(self, options, note):
        require_files(options.corpus, EXTENSIONS)
        names, units = Names(), []
        manifest = Names().unique(options.name)
        for path in options.corpus:
            units.append((manifest, names.unique(stem_of(path))) + fingerprint(path))
        return units

    def read(self, unit, options, store):
        manifest, folder, path = unit[:3]
        names, key, sample = Names(), None, {}
        for member in members_of(path):
            place = "%s/%s" % (os.path.basename(path), member.name)
            if member.problem is not None:
                yield Skip(manifest, place, "", UNSAFE_MEMBER, member.problem)
                continue
            stem, _, extension = member.parts[-1].partition(".")
            own_key = "/".join(member.parts[:-1] + [stem])
            if own_key != key and sample:
                yield from _items(manifest, folder, path, key, sample, options.text_key, names)
                sample = {}
            key = own_key
            extension = extension.lower()
            if extension in sample:
                yield Skip(manifest, place, key, DUPLICATE_ID, "the sample %s has another .%s, which is used" % (key, extension))
            else:
                sample[extension] = member.read()
        if sample:
            yield from _items(manifest, folder, path, key, sample, options.text_key, names)


def _items(manifest, folder, path, key, sample, text_key, names):
    """Yields the Entry or Skip of a sample: dict extension -> content."""
    place = "%s/%s" % (os.path.basename(path), key)
    # "wav" before "clean.wav"
    audio = sorted((extension for extension in sample if "." + extension.rsplit(".", 1)[-1] in AUDIO_EXTENSIONS),
                   key=lambda extension: extension.count("."))
    if not audio:
        if any(extension in sample for extension in ("txt", "json")):
            yield Skip(manifest, place, key, MISSING_FILE, "the sample has no audio, only .%s" % " .".join(sorted(sample)))
        return
    if len(audio) > 1 and "." in audio[0]:
        yield malformed(manifest, place, "the sample has several audio files: .%s. Names end at their first dot, as in "
                        "WebDataset; replace the other dots of the names" % ", .".join(audio), key)
        return
    try:
        values = _values(sample.get("json"))
        if "txt" in sample and text_key is None:
            text = sample["txt"].decode("utf-8")
            used = ()
        else:
            used = tuple(name for name in ((text_key,) if text_key else TEXT_KEYS) if name in values)[:1]
            if not used:
                yield Skip(manifest, place, key, NO_TRANSCRIPT, "the sample has neither .txt nor a transcript in .json")
                return
            text = text_of(values, used[0])
    except ValueError as error:      # UnicodeDecodeError is one
        yield malformed(manifest, place, "its transcript cannot be read: %s" % error, key)
        return
    yield Entry(manifest, names.unique(folder, key.replace("/", "-")), place, Recording(path, sample[audio[0]]), text,
                scalar_columns(values, used))


def _values(data):
    values = {} if data is None else parsed_json(data.decode("utf-8"))
    if not isinstance(values, dict):
        raise ValueError(".json is not an object")
    return values


IMPORTER = WebDataset()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
