"""The content of manifests: CSV files with the columns that the data layer reads.

``wav_filename,wav_filesize,transcript``; audio paths are relative to the CSV's own folder, so that a corpus can be moved.
"""
import collections
import csv
import io

COLUMNS = ("wav_filename", "wav_filesize", "transcript")


def manifest_bytes(rows, order=()):
    """The content of a manifest.

    Args:
      rows: list of (path relative to the manifest, size in bytes, transcript, list of (column, value)).
      order: names of columns that come first, in this order; others follow as they occur. A column without any value is left out.
        A column with the name of one of :data:`COLUMNS` becomes ``source_NAME``.
    """
    present = collections.OrderedDict()
    for _, _, _, columns in rows:
        for name, value in columns:
            if name and value:
                present[name] = None
    names = [name for name in order if name in present] + [name for name in present if name not in order]
    titles = ["source_" + name if name in COLUMNS else name for name in names]
    lines = []
    for path, size, transcript, columns in rows:
        values = dict(columns)
        lines.append([path, size, transcript] + [values.get(name, "") for name in names])
    return csv_bytes(list(COLUMNS) + titles, lines)


def csv_bytes(columns, rows):
    """A CSV file as bytes."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return stream.getvalue().encode("utf-8")
