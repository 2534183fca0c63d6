"""Writes a manifest for a folder of audio files with a text file beside each: ``hello.wav`` and ``hello.txt``.

    python -m open_seq2seq.data.importers.folder --corpus DIR --output train.csv

Sub-folders are searched too. Audio stays where it is and as it is.
"""
import os
import sys

from open_seq2seq.cli import file_path, make_parser
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.importers.manifest_writer import ManifestRow, write_manifest
from open_seq2seq.errors import DataError

MODULE = "open_seq2seq.data.importers.folder"
AUDIO_EXTENSIONS = (".wav", ".flac")
SHOWN = 5  # names listed in an error


def find_audio(corpus):
    """Paths of all audio files in ``corpus`` and below, sorted.

    Raises:
      DataError: the folder is missing or has none.
    """
    if not os.path.isdir(corpus):
        raise DataError("--corpus %s: there is no such folder" % corpus)
    found = sorted(os.path.join(parent, name) for parent, _, names in os.walk(corpus) for name in names
                   if name.lower().endswith(AUDIO_EXTENSIONS) and not name.startswith("."))
    if not found:
        raise DataError("--corpus %s: no audio file in it or below; expected names ending in %s"
                        % (corpus, " or ".join(AUDIO_EXTENSIONS)))
    return found


def read_transcript(path, keep_case):
    """The text in ``path`` on one line, single spaces between words.

    Raises:
      DataError: it is empty or not UTF-8.
    """
    try:
        with open(path, encoding="utf-8-sig") as stream:
            text = " ".join(stream.read().split())
    except UnicodeDecodeError as error:
        raise DataError("%s is not UTF-8 text: %s" % (path, error))
    if not text:
        raise DataError("%s is empty; expected the transcript of the audio file beside it" % path)
    return text if keep_case else text.lower()


def read_folder(corpus, keep_case=False, skip_unpaired=False):
    """Returns (list of ManifestRow, number of audio files left out because they have no text file).

    Raises:
      DataError: see :func:`find_audio` and :func:`read_transcript`; or audio without text where ``skip_unpaired`` is False.
    """
    paired, unpaired = [], []
    for path in find_audio(corpus):
        text_path = os.path.splitext(path)[0] + ".txt"
        if os.path.exists(text_path):
            paired.append((path, text_path))
        else:
            unpaired.append(path)
    if unpaired and not (skip_unpaired and paired):
        raise DataError("%d of %d audio files have no transcript beside them (%s needs %s): %s%s%s" % (
            len(unpaired), len(unpaired) + len(paired), os.path.basename(unpaired[0]),
            os.path.basename(os.path.splitext(unpaired[0])[0] + ".txt"), ", ".join(unpaired[:SHOWN]),
            ", ..." if len(unpaired) > SHOWN else "", "; --skip_unpaired leaves them out" if paired else ""))
    return [ManifestRow(path, read_transcript(text_path, keep_case)) for path, text_path in paired], len(unpaired)


def main(arguments=None):
    parser = make_parser(MODULE, "Write a manifest CSV for a folder of WAV and FLAC files with a .txt file beside each.")
    parser.add_argument("--corpus", type=file_path, required=True, help="folder of the audio and text files")
    parser.add_argument("--output", type=file_path, required=True, help="the CSV to write")
    parser.add_argument("--keep_case", action="store_true", help="do not turn transcripts into lower case")
    parser.add_argument("--skip_unpaired", action="store_true", help="leave out audio files without a text file")
    options = parser.parse_args(arguments)
    rows, left_out = read_folder(options.corpus, options.keep_case, options.skip_unpaired)
    os.makedirs(os.path.dirname(os.path.abspath(options.output)), exist_ok=True)
    count = write_manifest(options.output, rows)
    print("%s: %d utterances%s" % (options.output, count, ", %d audio files left out" % left_out if left_out else ""))


if __name__ == "__main__":
    sys.exit(run_importer(main))
