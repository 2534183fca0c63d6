"""Writes manifests for an unpacked LibriSpeech; the FLAC files are not changed.

    python -m open_seq2seq.data.importers.librispeech --corpus DIR/LibriSpeech --output data/librispeech

Tree: ``SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt`` (lines ``SPEAKER-CHAPTER-UTTERANCE TRANSCRIPT IN CAPITALS``) next
to the FLAC files that it names. Each subset gets ``librispeech-SUBSET.csv``, the name that OpenSeq2Seq's configs expect.
"""
import glob
import os
import sys

from open_seq2seq.cli import file_path, make_parser
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.importers.manifest_writer import ManifestRow, write_manifest
from open_seq2seq.errors import DataError
from open_seq2seq.text.text_file import printable, read_text_file

MODULE = "open_seq2seq.data.importers.librispeech"
TRANSCRIPTS = os.path.join("*", "*", "*.trans.txt")  # below a subset


def find_subsets(corpus):
    """dict name -> folder of every subset in ``corpus``, or in its sub-folder ``LibriSpeech``.

    Raises:
      DataError: there are none.
    """
    for root in (corpus, os.path.join(corpus, "LibriSpeech")):
        folders = sorted(glob.glob(os.path.join(glob.escape(root), "*")))
        found = {os.path.basename(f): f for f in folders if glob.glob(os.path.join(glob.escape(f), TRANSCRIPTS))}
        if found:
            return found
    raise DataError("--corpus %s: contains no subset of LibriSpeech; expected SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt, "
                    "for example dev-clean/84/121123/84-121123.trans.txt" % corpus)


def read_subset(folder):
    """All utterances of one subset, in the order of the chapters' names.

    Returns:
      list of ManifestRow with transcripts in lower case.

    Raises:
      DataError: a chapter has audio but no transcript file, a transcript file is not UTF-8, a line has no transcript, a
        transcript no audio, or audio no transcript.
      OSError: a chapter's folder cannot be read.
    """
    rows = []
    for chapter in sorted(filter(os.path.isdir, glob.glob(os.path.join(glob.escape(folder), "*", "*")))):
        names = os.listdir(chapter)
        audio = [name for name in names if name.endswith(".flac")]
        if audio and not any(name.endswith(".trans.txt") for name in names):
            raise DataError("%s: %d FLAC files, but no .trans.txt file; is the corpus unpacked completely?"
                            % (printable(chapter), len(audio)))
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), TRANSCRIPTS))):
        chapter = _read_chapter(path)
        expected = {row.audio_path for row in chapter}
        present = set(glob.glob(os.path.join(glob.escape(os.path.dirname(path)), "*.flac")))
        for kind, names in (("has no audio file", expected - present), ("has no transcript in it", present - expected)):
            if names:
                raise DataError("%s: %s %s%s; is the corpus unpacked completely?" % (
                    path, os.path.basename(min(names)), kind, " (nor have %d others)" % (len(names) - 1)
                    if len(names) > 1 else ""))
        rows.extend(chapter)
    return rows


def _read_chapter(path):
    rows = []
    for number, line in enumerate(read_text_file(path, "transcript file").splitlines(), 1):
        name, _, transcript = line.strip().partition(" ")
        if not transcript:
            raise DataError("%s:%d: the line is %r, expected an utterance's name, a space and its transcript"
                            % (path, number, line[:80]))
        rows.append(ManifestRow(os.path.join(os.path.dirname(path), name + ".flac"), transcript.lower()))
    return rows


def main(arguments=None):
    parser = make_parser(MODULE, "Write a manifest CSV for each subset of an unpacked LibriSpeech.")
    parser.add_argument("--corpus", type=file_path, required=True,
                        help="the folder LibriSpeech, or its parent folder")
    parser.add_argument("--output", type=file_path, required=True,
                        help="folder for librispeech-SUBSET.csv; created if missing")
    parser.add_argument("--subsets", nargs="+", metavar="SUBSET", help="only these, e.g. train-clean-100 dev-clean")
    options = parser.parse_args(arguments)
    subsets = find_subsets(options.corpus)
    missing = [name for name in options.subsets or () if name not in subsets]
    if missing:
        raise DataError("--subsets %s: not in %s, which contains %s" % (" ".join(missing), options.corpus, ", ".join(subsets)))
    contents = {name: read_subset(subsets[name]) for name in options.subsets or subsets}
    os.makedirs(options.output, exist_ok=True)
    for name, rows in contents.items():
        path = os.path.join(options.output, "librispeech-%s.csv" % name)
        print("%s: %d utterances" % (path, write_manifest(path, rows)))


if __name__ == "__main__":
    sys.exit(run_importer(main))
