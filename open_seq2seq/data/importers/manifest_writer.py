"""Writes manifests: CSV files with the columns that the data layer reads.

``wav_filename,wav_filesize,transcript``; audio paths are relative to the CSV's own folder, so that a corpus can be moved. The
write is atomic.
"""
import collections
import csv
import os

from open_seq2seq.errors import DataError
from open_seq2seq.files import replaced_file
from open_seq2seq.text.text_file import printable, require_utf8_path

COLUMNS = ("wav_filename", "wav_filesize", "transcript")

ManifestRow = collections.namedtuple("ManifestRow", "audio_path transcript")
ManifestRow.__doc__ = "One utterance: path of its audio file (absolute, or relative to the working directory) and its text."


def write_manifest(path, rows):
    """Writes one manifest.

    Args:
      path: the CSV file; an older one is replaced.
      rows: iterable of :class:`ManifestRow` whose audio files exist.

    Returns:
      The number of rows written.

    Raises:
      DataError: there are no rows, an audio file is missing, or its name is not valid UTF-8.
      StorageError: the file cannot be written.
    """
    folder = os.path.dirname(os.path.abspath(path))
    count = 0
    with replaced_file(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            relative = os.path.relpath(row.audio_path, folder)
            require_utf8_path(relative)
            writer.writerow((relative, _size(row.audio_path), row.transcript))
            count += 1
        if not count:
            raise DataError("%s would be empty: no utterance was found for it" % path)
    return count


def _size(audio_path):
    try:
        return os.path.getsize(audio_path)
    except OSError as error:
        raise DataError("audio file %s cannot be read: %s" % (printable(audio_path), error.strerror))
