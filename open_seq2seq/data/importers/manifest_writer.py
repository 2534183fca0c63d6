"""Writes manifests: CSV files with the columns that the data layer reads.

``wav_filename,wav_filesize,transcript``; audio paths are written relative to the CSV's own folder, so that a corpus can
be moved, and the file appears under its name only when it is whole.
"""
import collections
import csv
import os

from open_seq2seq.errors import DataError, StorageError

COLUMNS = ("wav_filename", "wav_filesize", "transcript")

ManifestRow = collections.namedtuple("ManifestRow", "audio_path transcript")
ManifestRow.__doc__ = "One utterance: path of its audio file (absolute, or relative to the working directory) and its text."


def write_manifest(path, rows):
    """Writes one manifest.

    Args:
      path: the CSV file; an older one is replaced in one step.
      rows: iterable of :class:`ManifestRow` whose audio files exist.

    Returns:
      The number of rows written.

    Raises:
      DataError: there are no rows, or an audio file is missing.
      StorageError: the file cannot be written.
    """
    folder = os.path.dirname(os.path.abspath(path))
    partial = path + ".partial"
    count = 0
    try:
        with open(partial, "w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            for row in rows:
                writer.writerow((os.path.relpath(row.audio_path, folder), _size(row.audio_path), row.transcript))
                count += 1
        if not count:
            raise DataError("%s would be empty: no utterance was found for it" % path)
        os.replace(partial, path)
    except OSError as error:
        raise StorageError("cannot write the manifest %s: %s" % (path, error.strerror))
    finally:
        if os.path.exists(partial):
            os.remove(partial)
    return count


def _size(audio_path):
    try:
        return os.path.getsize(audio_path)
    except OSError as error:
        raise DataError("audio file %s cannot be read: %s" % (audio_path, error.strerror))
