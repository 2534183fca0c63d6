"""Rows of manifests that are skipped: why, how many, which, and when there are too many of them to continue.

There are two kinds of reasons. A *filter* is something that the config asks for (``max_duration``): such rows are counted and
listed. A *fault* is something wrong with the data: it also counts against ``max_rejected_fraction``.
"""
import collections
import csv
import os

from open_seq2seq.errors import DataError
from open_seq2seq.files import replaced_file

Reason = collections.namedtuple("Reason", "name is_filter")

MALFORMED_ROW = Reason("malformed row", False)
MISSING_FILE = Reason("missing file", False)
NOT_AUDIO = Reason("not audio", False)
EMPTY_AUDIO = Reason("empty audio", False)
WRONG_HEADER = Reason("wrong length in header", False)
DAMAGED_HEADER = Reason("damaged header", False)
WRONG_RATE = Reason("impossible sample rate", False)
NOT_FINITE = Reason("non-finite samples", False)
CANCELLING_CHANNELS = Reason("channels cancel each other", False)
MISSING_CHANNEL = Reason("missing channel", False)
SILENT_AUDIO = Reason("silent audio with a transcript", False)
UNREADABLE = Reason("unreadable", False)
WRONG_SAMPLES = Reason("other samples than the list says", False)
EMPTY_TRANSCRIPT = Reason("empty transcript", False)
NOT_NORMALIZED = Reason("transcript that cannot be normalized", False)
UNKNOWN_CHARACTER = Reason("character outside the vocabulary", False)
UNKNOWN_LANGUAGE = Reason("language without a tag", False)
TOO_FEW_FRAMES = Reason("too few frames for CTC", False)
TOO_LONG = Reason("longer than max_duration", True)
TOO_SHORT = Reason("shorter than min_duration", True)
TOO_MANY_FEATURES = Reason("longer than max_feature_length", True)
TOO_MANY_LABELS = Reason("longer than max_label_length", True)

Rejection = collections.namedtuple("Rejection", "manifest row wav_filename reason detail")
Rejection.__doc__ = "One row that is skipped; ``reason`` is a :class:`Reason`, ``detail`` says what was found."

UsedWithWarning = collections.namedtuple("UsedWithWarning", "manifest row wav_filename detail")
UsedWithWarning.__doc__ = "One row that is used although something is wrong with its audio file; ``detail`` says what."

SHOWN_EXAMPLES = 5
SHOWN_WARNINGS = 2


class RejectedData(DataError):
    """A row cannot be used: ``reason`` is a :class:`Reason`, the message is the detail."""

    def __init__(self, reason, detail):
        super().__init__(detail)
        self.reason = reason


class Rejections:
    """The rows of a set of manifests that are skipped, and those that are used with a warning.

    Args:
      num_rows: rows of the manifests, good and bad.
      max_fraction: largest part of them that may be faulty.
      path: the CSV file that lists them, or None for none. It exists only when there is something to list.
      manifests: the manifests' paths. What the file says of other manifests (an evaluation's in the directory of a
        training run) stays in it.
    """

    def __init__(self, num_rows, max_fraction, path=None, manifests=()):
        self.num_rows, self.max_fraction, self.path, self._manifests = num_rows, max_fraction, path, set(manifests)
        self.items, self.warnings = [], []

    def __len__(self):
        return len(self.items)

    def __iter__(self):
        return iter(self.items)

    def add(self, row, reason, detail):
        """Adds a row (a ManifestRow or an Utterance) that is skipped."""
        self.items.append(Rejection(row.manifest, row.row, row.wav_filename, reason, detail))

    def warn(self, row, detail):
        """Adds a row that is used although something is wrong with its audio file."""
        self.warnings.append(UsedWithWarning(row.manifest, row.row, row.wav_filename, detail))

    @property
    def faults(self):
        """The rejections that count against the limit."""
        return [rejection for rejection in self.items if not rejection.reason.is_filter]

    def counts(self):
        """OrderedDict from the name of a reason to the number of rows, the most frequent first."""
        return collections.OrderedDict(
            collections.Counter(rejection.reason.name for rejection in self.items).most_common())

    def summary(self):
        """One line for a log, or "" when no row is skipped."""
        if not self.items:
            return ""
        return "%d of %d utterances skipped: %s%s" % (len(self.items), self.num_rows, self._counts_text(self.items),
                                                      "; listed in %s" % self.path if self.path else "")

    def warnings_summary(self):
        """One line for a log, or "" when there are no warnings."""
        if not self.warnings:
            return ""
        shown = ["%s:%d: %s: %s" % warning for warning in self.warnings[:SHOWN_WARNINGS]]
        more = len(self.warnings) - len(shown)
        return "%d of %d utterances are used with a warning: %s%s" % (
            len({warning[:2] for warning in self.warnings}), self.num_rows, "; ".join(shown),
            "; and %d more" % more if more else "")

    def write(self):
        """Writes ``manifest,row,wav_filename,reason,detail`` to ``path``; the write is atomic.

        Raises:
          StorageError: it cannot be written.
        """
        if self.path is None:
            return
        listed = [rejection._replace(reason=rejection.reason.name) for rejection in self.items]
        others = self._listed_of_other_manifests()
        if not listed and not others:
            if os.path.exists(self.path):
                os.remove(self.path)
            return
        with replaced_file(self.path, newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Rejection._fields)
            writer.writerows(others + listed)

    def _listed_of_other_manifests(self):
        """The rows of the file that belong to other manifests; none of a file that is damaged."""
        if not os.path.exists(self.path):
            return []
        own = self._manifests | {rejection.manifest for rejection in self.items}
        try:
            with open(self.path, encoding="utf-8", newline="") as file:
                return [row for row in csv.reader(file) if len(row) == len(Rejection._fields) and row[0] not in own
                        and tuple(row) != Rejection._fields]
        except (OSError, UnicodeDecodeError, csv.Error):
            return []

    def too_many(self, elsewhere=0):
        """Whether more than ``max_fraction`` of the rows are faulty, or all of them.

        Args:
          elsewhere: faults that only other workers have found.
        """
        num_faults = len(self.faults) + elsewhere
        return num_faults > self.max_fraction * self.num_rows or 0 < num_faults >= self.num_rows

    def raise_if_too_many(self, elsewhere=0):
        """Raises DataError when the faults are too many; ``elsewhere`` as in :meth:`too_many`."""
        if not self.too_many(elsewhere):
            return
        faults = self.faults
        num_faults = len(faults) + elsewhere
        counts = [self._counts_text(faults)] * bool(faults) + ["%d found by other workers" % elsewhere] * bool(elsewhere)
        percent = 100.0 * num_faults / self.num_rows
        if num_faults > self.max_fraction * self.num_rows:
            problem = "more than max_rejected_fraction allows (%g %%)" % (100.0 * self.max_fraction)
            remedy = 'Fix or remove these rows, or raise data_layer_params["max_rejected_fraction"] to continue without them'
        else:
            problem, remedy = "and none is left", "Fix these rows"
        raise DataError("%d of %d utterances (%.2f %%) cannot be used, %s: %s.\n%s\n%s%s" % (
            num_faults, self.num_rows, percent, problem, ", ".join(counts), self._examples(faults),
            "All of them are listed in %s. " % self.path if self.path else "", remedy))

    def raise_if_nothing_left(self, num_accepted):
        """Raises DataError when no utterance is left."""
        if num_accepted == 0:
            raise DataError("none of the %d utterances can be used: %s.\n%s\nFix the rows, or relax the limits in "
                            "data_layer_params" % (self.num_rows, self._counts_text(self.items), self._examples(self.items)))

    @staticmethod
    def _counts_text(rejections):
        counts = collections.Counter(rejection.reason.name for rejection in rejections)
        return ", ".join("%d %s" % (count, name) for name, count in counts.most_common())

    @staticmethod
    def _examples(rejections):
        """Lines with the first rejection of each reason before a second one of any reason."""
        seen, ranked = collections.Counter(), []
        for rejection in rejections:
            ranked.append((seen[rejection.reason.name], len(ranked), rejection))
            seen[rejection.reason.name] += 1
        lines = ["  %s:%d: %s: %s: %s" % (r.manifest, r.row, r.wav_filename, r.reason.name, r.detail)
                 for _, _, r in sorted(ranked)[:SHOWN_EXAMPLES]]
        if len(rejections) > SHOWN_EXAMPLES:
            lines.append("  ... and %d more" % (len(rejections) - SHOWN_EXAMPLES))
        return "\n".join(lines)
