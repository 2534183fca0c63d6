"""Writes a manifest for a folder of audio files, each with a text file of the same name: ``hello.wav`` and ``hello.txt``.

    python -m open_seq2seq.data.importers folder --corpus DIR --output train.csv

Sub-folders and links to folders are searched too. The audio files are not changed. What is skipped is reported.
"""
import collections
import os
import sys

from open_seq2seq.cli import file_path
from open_seq2seq.data.audio.containers import AUDIO_EXTENSIONS, CONVERTIBLE_EXTENSIONS, audio_by_content
from open_seq2seq.data.importers.entries import BAD_TEXT, Entry, Names, Recording, Skip
from open_seq2seq.data.importers.frame import Importer, chunked
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.importers.output import SHOWN, audio_folder_of
from open_seq2seq.errors import DataError
from open_seq2seq.files import files_below
from open_seq2seq.text.text_file import printable, read_text_file

MODULE = "open_seq2seq.data.importers.folder"
TEXT_EXTENSION = ".txt"


class Folder(Importer):
    name = "folder"
    summary = "Write a manifest CSV for a folder of audio files, each with a .txt file of the same name."
    lower_case = True

    def add_arguments(self, parser):
        parser.add_argument("--corpus", type=file_path, required=True, help="folder of the audio and text files")
        parser.add_argument("--skip_unpaired", action="store_true", help="skip audio files without a text file")

    def units(self, options, note):
        names = Names()
        return chunked((path, names.unique(*os.path.relpath(os.path.splitext(path)[0], options.corpus).split(os.sep)))
                       for path in read_folder(options.corpus, options.skip_unpaired, note, audio_folder_of(options.output)))

    def read(self, unit, options, store):
        manifest = os.path.basename(os.path.abspath(options.corpus))
        for path, name in unit:
            place = os.path.relpath(path, options.corpus)
            try:
                text = read_text_file(_text_path(path), "transcript")
            except DataError as error:
                yield Skip(manifest, place, "", BAD_TEXT, str(error))
                continue
            yield Entry(manifest, name, place, Recording(path), text)


def read_folder(corpus, skip_unpaired, note, without=None):
    """Finds the pairs of audio and text files in a folder and below it.

    Args:
      corpus: path of the folder.
      skip_unpaired: skip audio files without a text file.
      note: function that is called with a str for each kind of file that is skipped.
      without: absolute path of a folder that is ignored: what an import has written.

    Returns:
      List of the paths of the audio files, sorted.

    Raises:
      DataError: the folder cannot be read, has no audio files or audio files without text.
    """
    audio, others = _find_audio(corpus, note, without)
    unpaired = [path for path in audio if not os.path.exists(_text_path(path))]
    if unpaired and not (skip_unpaired and len(unpaired) < len(audio)):
        raise DataError("%d of %d audio files have no transcript next to them (%s needs %s): %s%s" % (
            len(unpaired), len(audio), os.path.basename(unpaired[0]), os.path.basename(_text_path(unpaired[0])),
            _listed(unpaired), "; --skip_unpaired skips them" if len(unpaired) < len(audio) else ""))
    if unpaired:
        note("skipped %d audio files without a transcript: %s" % (len(unpaired), _listed(unpaired)))
    _report_skipped(audio, others, note)
    missing = set(unpaired)
    return [path for path in audio if path not in missing]


def _find_audio(corpus, note, without):
    """(list of the audio files, list of all other files), both sorted; see :func:`read_folder`."""
    if not os.path.isdir(corpus):
        raise DataError("--corpus %s: the folder does not exist" % corpus)
    audio, others = {}, []
    for path in sorted(files_below(corpus, lambda link, read_as: note(
            "skipped the link %s: its folder was already read as %s" % (printable(link), printable(read_as))))):
        if without is not None and os.path.abspath(path).startswith(without + os.sep):
            continue
        stem, extension = os.path.splitext(path)
        if extension.lower() in AUDIO_EXTENSIONS:
            audio.setdefault(stem, []).append(path)
        else:
            others.append(path)
    if not audio:
        found = collections.Counter(os.path.splitext(path)[1].lower() or "other" for path in others)
        raise DataError("--corpus %s: no audio file in it or below; expected names ending in %s%s" % (
            corpus, " ".join(AUDIO_EXTENSIONS),
            "; found %s" % ", ".join("%d %s files" % (count, kind) for kind, count in found.most_common(SHOWN)) if found else ""))
    chosen = []
    for paths in audio.values():
        # of several files with the same name, the first of the formats is used
        paths.sort(key=lambda path: AUDIO_EXTENSIONS.index(os.path.splitext(path)[1].lower()))
        chosen.append(paths[0])
        others.extend(paths[1:])
    return sorted(chosen), others


def _report_skipped(audio, others, note):
    """Reports the files that are not used and that a user could expect to be: other audio formats, text without audio."""
    used = {os.path.splitext(path)[0] for path in audio}
    skipped, unread = collections.defaultdict(list), set()
    for path in sorted(others, key=lambda path: path.lower().endswith(TEXT_EXTENSION)):      # texts last
        stem, extension = os.path.splitext(path)
        extension = extension.lower()
        if stem in used and (extension in AUDIO_EXTENSIONS or extension in CONVERTIBLE_EXTENSIONS):
            skipped[extension, "another audio file of the same name is used"].append(path)
        elif extension in CONVERTIBLE_EXTENSIONS:
            unread.add(stem)
            skipped[extension, "the format cannot be read here; convert them to WAV first, e.g. ffmpeg -i INPUT "
                               "OUTPUT.wav"].append(path)
        elif extension == TEXT_EXTENSION:
            if stem not in used and stem not in unread:
                skipped[extension, "there is no audio file of the same name"].append(path)
        elif audio_by_content(path) is not None:
            unread.add(stem)
            skipped[extension, "the content is audio, but the extension is not one of an audio file; rename or convert "
                               "them"].append(path)
    for (extension, reason), paths in sorted(skipped.items()):
        kind = "%s files" % printable(extension) if extension else "files without an extension"
        note("skipped %d %s: %s (%s)" % (len(paths), kind, _listed(paths), reason))


def _listed(paths):
    return ", ".join(printable(path) for path in paths[:SHOWN]) + (", ..." if len(paths) > SHOWN else "")


def _text_path(audio_path):
    return os.path.splitext(audio_path)[0] + TEXT_EXTENSION


IMPORTER = Folder()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
