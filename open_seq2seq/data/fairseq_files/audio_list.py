"""Lists of audio files as fairseq's ``wav2vec_manifest.py`` writes them: ``train.tsv``, ``valid.tsv``.

The first line is the root folder; each other line has a path below it, a tab and the number of samples of the file, at the file's
own sample rate.
"""
import collections
import os

from open_seq2seq.errors import DataError
from open_seq2seq.files import replaced_file
from open_seq2seq.text.text_file import read_text_file, require_utf8_path

EXTENSION = ".tsv"

AudioList = collections.namedtuple("AudioList", "path root entries")
AudioList.__doc__ = """A list of audio files.

path: the TSV file. root: the folder that the entries' paths start from. entries: list of :class:`AudioEntry`."""

AudioEntry = collections.namedtuple("AudioEntry", "row name path num_samples")
AudioEntry.__doc__ = """One file. row: number of the line in the TSV file, from 1. name: the path as written there. path: with the
root. num_samples: int, at the file's own rate."""


def is_audio_list(path):
    """Whether a data set's file is a TSV list and not a manifest CSV, from its name."""
    return path.lower().endswith(EXTENSION)


def read_audio_list(path, root=None):
    """Reads a TSV list.

    Args:
      path: the file.
      root: folder of the audio files, for files that were moved; None: the first line of the file. A relative one starts from the
        list's folder.

    Returns:
      AudioList.

    Raises:
      DataError: the file cannot be read, the root is not a folder, a line is malformed, a path occurs twice, or there are none.
    """
    require_utf8_path(path)
    lines = lines_of(read_text_file(path, "list of audio files", "Expected a TSV file: the root folder in the first line, then a "
                                                                 "path, a tab and a number of samples in each line"))
    if not lines or not lines[0].strip():
        raise DataError("%s:1: the root folder is missing; expected the folder of the audio files in the first line" % path)
    if "\t" in lines[0]:
        raise DataError("%s:1: the first line is %r; expected the folder of the audio files, without a number" % (
            path, lines[0][:80]))
    folder = os.path.join(os.path.dirname(path), root or lines[0].strip())
    if not os.path.isdir(folder):
        raise DataError("%s:1: the root %s is not a folder. If the audio files were moved, write the list with their new root: "
                        "python -m open_seq2seq.pretraining.manifest %s --root FOLDER --dest %s" % (path, folder, path, path))
    entries, first = [], {}
    for row, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if len(fields) != 2 or not fields[0] or not fields[1].strip().isdigit() or not fields[1].isascii():
            raise DataError("%s:%d: found %r; expected a path, a tab and a number of samples" % (path, row, line[:80]))
        if first.setdefault(fields[0], row) != row:
            raise DataError("%s:%d: %s is also in line %d; remove one of the lines, and its labels" % (
                path, row, fields[0], first[fields[0]]))
        entries.append(AudioEntry(row, fields[0], os.path.join(folder, fields[0]), int(fields[1])))
    if not entries:
        raise DataError("%s has no audio files; expected a path, a tab and a number of samples in each line after the first"
                        % path)
    return AudioList(path, folder, entries)


def write_audio_list(path, root, entries):
    """Writes a TSV list; the write is atomic.

    Args:
      path: the file.
      root: first line.
      entries: iterable of (path below the root, number of samples).

    Raises:
      DataError: a path contains a tab or a line end.
      StorageError: the file cannot be written.
    """
    with replaced_file(path, newline="\n") as file:
        file.write("%s\n" % root)
        for name, num_samples in entries:
            if any(character in name for character in "\t\r\n"):
                raise DataError("%r has a tab or a line end in its name, which a TSV list cannot contain; rename the file" % name)
            file.write("%s\t%d\n" % (name, num_samples))


def lines_of(text):
    """The lines of a text file without their ends; a line end at the end of the file does not begin another line."""
    lines = text.split("\n")
    return [line[:-1] if line.endswith("\r") else line for line in (lines[:-1] if lines[-1] == "" else lines)]
