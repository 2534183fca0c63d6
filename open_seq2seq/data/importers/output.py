"""The files of an import: manifests, the list of what is skipped, the record that the import is complete."""
import collections
import contextlib
import csv
import hashlib
import os

from open_seq2seq.data.importers.manifest_writer import csv_bytes, manifest_bytes
from open_seq2seq.data.importers.work_folder import WorkFolder
from open_seq2seq.errors import DataError, StorageError, UsageError
from open_seq2seq.files import file_digest

AUDIO_FOLDER = "audio"
SKIPPED_COLUMNS = ("manifest", "place", "name", "reason", "detail")
SHOWN = 5                  # examples in a message
_FREE_OPTIONS = ("output", "workers", "max_skipped", "overwrite", "vocab", "download")      # do not change what is written


def audio_folder_of(output, name=AUDIO_FOLDER):
    """The absolute path of the folder into which an import with this ``--output`` writes audio.

    Args:
      output: a folder, or the path of a CSV file.
      name: ``audio_folder`` of the Importer.
    """
    return os.path.abspath(output[:-4] + "_audio" if _is_csv(output) else os.path.join(output, name))


def _is_csv(output):
    return output.lower().endswith(".csv")


def has_size(path, size):
    """Whether a file exists and has this size in bytes."""
    try:
        return os.path.getsize(path) == size
    except OSError:
        return False


class Output:
    """The files of an import.

    Attributes:
      base: the folder of the manifests.
      is_single: whether the output is one CSV file.
      audio_folder: where audio is written.
      skipped_path: the list of what is skipped.
      work: the WorkFolder; ``identity`` is its name.
    """

    def __init__(self, output, importer, options, units):
        self._output, self._importer = output, importer
        self.is_single, self.audio_folder = _is_csv(output), audio_folder_of(output, importer.audio_folder)
        if self.is_single:
            self.base, self.skipped_path = os.path.dirname(os.path.abspath(output)), output[:-4] + ".skipped.csv"
        else:
            self.base, self.skipped_path = os.path.abspath(output), os.path.join(output, "skipped.csv")
        self._options = {key: value for key, value in sorted(vars(options).items())
                         if key not in _FREE_OPTIONS + importer.source_options}
        self.identity = "%s-%s" % (importer.name, self._checksum(units))
        self.work = WorkFolder(self.base, self.identity)

    def _checksum(self, units):
        digest = hashlib.sha256(repr((self._importer.name, self._importer.version, self._options,
                                      os.path.basename(self._output) if self.is_single else "")).encode("utf-8", "replace"))
        for unit in units:
            digest.update(repr(unit).encode("utf-8", "backslashreplace"))
        return digest.hexdigest()[:16]

    def is_complete(self):
        """Whether this import has finished, its manifests are unchanged and their audio files have the sizes stated there."""
        record = self.work.read_record()
        manifests = record.get("manifests") if record else None
        if not isinstance(manifests, dict):
            return False
        for name, entry in manifests.items():
            path = os.path.join(self.base, name)
            if not isinstance(entry, dict) or not os.path.isfile(path) or file_digest(path) != entry.get("sha256"):
                return False
            with open(path, encoding="utf-8", newline="") as file:
                if not all(has_size(os.path.join(self.base, row["wav_filename"]), int(row["wav_filesize"]))
                           for row in csv.DictReader(file)):
                    return False
        return True

    def require_free(self, names, overwrite):
        """Raises StorageError if a manifest exists whose audio this import would replace by other audio.

        Args:
          names: see :meth:`Importer.generates`.
          overwrite: whether a manifest that an importer wrote may be replaced.
        """
        if self.work.is_started() or self.work.read_record():
            return
        for path in filter(os.path.exists, map(self._path_of, names)):
            if not self._is_recorded(path):
                raise StorageError("%s exists, and it is not as this version of the importers wrote it; choose another --output, "
                                   "or delete the corpus" % path)
            if not overwrite:
                raise StorageError("%s exists and was made with other options; choose another --output, or replace the corpus "
                                   "with --overwrite" % path)

    def remove_generated(self, names):
        """Removes manifests that an importer wrote with other options, and their audio in the folder of the audio."""
        own = os.path.join(self.audio_folder, "")
        for path in filter(self._is_recorded, map(self._path_of, names)):
            with open(path, encoding="utf-8", newline="") as file:
                audio = [os.path.abspath(os.path.join(self.base, row["wav_filename"])) for row in csv.DictReader(file)]
            for name in filter(lambda name: name.startswith(own), audio):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(name)
            os.remove(path)

    def _is_recorded(self, path):
        """Whether a manifest is as another import wrote it."""
        name = os.path.relpath(path, self.base)
        return os.path.exists(path) and any(record["manifests"].get(name, {}).get("sha256") == file_digest(path)
                                            for record in self.work.other_records())

    def _path_of(self, name):
        return os.path.abspath(self._output if self.is_single else os.path.join(self._output, name + ".csv"))

    def write_manifests(self, rows):
        """Writes a manifest for each name; returns an OrderedDict from its path to its rows."""
        by_name = collections.OrderedDict()
        for row in rows:
            by_name.setdefault(row.manifest, []).append(row)
        if not by_name:
            raise DataError("no utterance was found, so no manifest is written. python -m open_seq2seq.data.importers %s --help "
                            "describes its options, docs/importers.md the forms of every corpus" % self._importer.name)
        if self.is_single and len(by_name) > 1:
            raise UsageError("--output %s is one file, but the corpus has %d manifests (%s); give a folder"
                             % (self._output, len(by_name), ", ".join(list(by_name)[:SHOWN])))
        written = collections.OrderedDict()
        for name, own in by_name.items():
            path = self._output if self.is_single else os.path.join(self._output, name + ".csv")
            self.work.write(path, manifest_bytes([(row.path, row.size, row.transcript, row.columns) for row in own],
                                                 self._importer.columns))
            written[path] = own
        return written

    def _older_skipped(self):
        """The rows of an existing list; none if it is damaged."""
        try:
            with open(self.skipped_path, encoding="utf-8", newline="") as file:
                return [line for line in csv.reader(file) if len(line) == len(SKIPPED_COLUMNS) and line[0] != SKIPPED_COLUMNS[0]]
        except (OSError, UnicodeDecodeError, csv.Error):
            return []

    def write_skipped(self, rows, skips):
        """Writes the list of what is skipped; what an older list says of other manifests stays in it."""
        own = {row.manifest for row in rows} | {skip.manifest for skip in skips}
        lines = [line for line in self._older_skipped() if line[0] not in own]
        lines += [skip._replace(reason=skip.reason.name) for skip in skips]
        if lines:
            self.work.write(self.skipped_path, csv_bytes(SKIPPED_COLUMNS, lines))
        elif os.path.exists(self.skipped_path):
            os.remove(self.skipped_path)

    def record(self, rows, skips, sizes):
        """The description of the finished import."""
        return {"importer": self._importer.name, "version": self._importer.version,
                "options": {key: value for key, value in self._options.items()},
                "manifests": {os.path.relpath(path, self.base): {"sha256": file_digest(path), "utterances": len(own)}
                              for path, own in ((os.path.abspath(path), own) for path, own in sizes.items())},
                "skipped": dict(collections.Counter(skip.reason.name for skip in skips))}
