"""The utterances of a set of manifests: which rows are accepted, and which are rejected at the start or while the run reads."""
import collections
import sys
import threading

import numpy as np

from open_seq2seq.data.rejection import UNKNOWN_CHARACTER, Rejections
from open_seq2seq.data.speech2text.language_tags import LanguageTags
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.data.speech2text.selection import Labels, encoded, select_utterances
from open_seq2seq.data.speech2text.transcripts import normalized_rows
from open_seq2seq.errors import DataError
from open_seq2seq.log_lines import log_line
from open_seq2seq.text.steps import Normalization
from open_seq2seq.text.vocabulary import Vocabulary

SHOWN_EMPTY = 5
LARGEST_SHARE = 0.5  # of the rows of one of several manifests that may be faulty


class UtteranceSet:
    """Accepted utterances and rejected rows.

    Args:
      manifests: list of the manifests' paths.
      vocabulary: Vocabulary of the labels.
      utterances: list of Utterance; each one's ``index`` is its place in the list.
      rejections: Rejections, the rows rejected so far. It decides how many more may follow.

    Attributes: the arguments, and
      run_time_rejections: list of the Utterances whose files became unusable after the start; they are among the rejections.
    """

    def __init__(self, manifests, vocabulary, utterances, rejections):
        self.manifests, self.vocabulary, self.utterances, self.rejections = manifests, vocabulary, utterances, rejections
        self.run_time_rejections = []
        self._lock = threading.Lock()

    @classmethod
    def from_manifests(cls, params, mode, num_frames, output_frames=None, rejected_file=None, is_first_worker=True):
        """Reads the vocabulary and the manifests that ``params`` name and checks every row.

        Args:
          params: the data layer's checked params.
          mode: "train", "eval" or "infer".
          num_frames, output_frames: see :func:`~open_seq2seq.data.speech2text.selection.select_utterances`.
          rejected_file: path of the CSV that lists the rejected rows; None: not written.
          is_first_worker: all workers find the same rows; only the first one prints and writes.

        Raises:
          DataError: a vocabulary or manifest cannot be read, too many rows are faulty, or none is left.
          StorageError: ``rejected_file`` cannot be written.
        """
        def note(text):
            if is_first_worker:
                log_line("Note: " + text)

        vocabulary = Vocabulary.from_file(params["vocab_file"])
        for text in vocabulary.notes:
            note(text)
        manifests = manifests_of(params)
        rows = [row for path in manifests
                for row in read_manifest(path, mode != "infer", vocabulary, note, params["transcript_column"])]
        rows = normalized_rows(rows, Normalization.of(params, vocabulary), mode != "infer", note)
        tags = LanguageTags.of(params, vocabulary)

        def labels_of(row):
            return [Labels(() if mode == "infer" else tags.labels_of(row) + encoded(row, mode, vocabulary), output_frames)]

        found = cls.from_rows(rows, params, mode, vocabulary, num_frames, output_frames, rejected_file, is_first_worker,
                              labels_of=labels_of)
        if mode == "eval":
            _require_references(manifests, found.utterances, note)
        return found

    @classmethod
    def from_rows(cls, rows, params, mode, vocabulary, num_frames, output_frames=None, rejected_file=None, is_first_worker=True,
                  name=None, manifests=None, labels_of=None):
        """Checks the rows of the manifests that ``params`` name.

        Args:
          rows: list of ManifestRow.
          vocabulary: Vocabulary; None in mode "infer".
          name: of the data for the log; None: ``mode``.
          manifests: list of the manifests' paths; None: those that ``params`` name.
          labels_of: see :func:`~open_seq2seq.data.speech2text.selection.select_utterances`.
          others: see :meth:`from_manifests`.

        Raises:
          DataError, StorageError: see :meth:`from_manifests`.
        """
        manifests = manifests_of(params) if manifests is None else manifests
        rejections = Rejections(len(rows), params["max_rejected_fraction"], rejected_file if is_first_worker else None,
                                manifests=manifests)
        utterances = select_utterances(rows, params, mode, vocabulary, num_frames, output_frames, rejections,
                                       show_progress=is_first_worker, labels_of=labels_of)
        rejections.write()
        rejections.raise_if_too_many()
        rejections.raise_if_nothing_left(len(utterances))
        _check_manifests(rows, rejections)
        if is_first_worker and rejections.items:
            log_line("%s data: %s" % (name or mode, rejections.summary()))
        return cls(manifests, vocabulary, utterances, rejections)

    def subset(self, count, seed):
        """Another set with some of the utterances, in the same order.

        Args:
          count: how many utterances; all, if the set has fewer.
          seed: int that decides which ones.

        Returns:
          UtteranceSet in which any number of files may become unusable.
        """
        return self._of(np.sort(np.random.RandomState(seed).permutation(len(self.utterances))[:count]))

    def _of(self, chosen):
        """The set of the utterances with these indices."""
        utterances = [self.utterances[old]._replace(index=new) for new, old in enumerate(chosen)]
        return UtteranceSet(self.manifests, self.vocabulary, utterances,
                            Rejections(len(utterances), 1.0, manifests=self.manifests))

    def reject_at_run_time(self, utterance, rejected, must_go_on):
        """Counts, lists and reports an utterance whose file became unusable. Thread-safe.

        Args:
          utterance: the Utterance.
          rejected: RejectedData, the reason.
          must_go_on: whether the reader needs a usable utterance in its place, as the endless stream of training does.

        Raises:
          DataError: with ``must_go_on``, when too many rows are faulty or no utterance is left.
          StorageError: the list cannot be written.
        """
        with self._lock:
            if utterance not in self.run_time_rejections:
                self.run_time_rejections.append(utterance)
                self.rejections.add(utterance, rejected.reason, str(rejected))
                sys.stderr.write("skipped utterance %s: %s: %s\n" % (utterance.id, rejected.reason.name, rejected))
                self.rejections.write()
            if must_go_on:
                self.rejections.raise_if_too_many()
                self.rejections.raise_if_nothing_left(len(self.utterances) - len(self.run_time_rejections))


def manifests_of(params):
    """The paths of the manifests that a data layer's params name: a list of str."""
    files = params["dataset_files"]
    return [files] if isinstance(files, str) else files


def _check_manifests(rows, rejections):
    """DataError if most rows of one of several manifests are faulty, however small it is compared with the others."""
    counts, faults = collections.Counter(row.manifest for row in rows), collections.defaultdict(list)
    for fault in rejections.faults:
        faults[fault.manifest].append(fault)
    for manifest, of_manifest in faults.items():
        if len(counts) > 1 and len(of_manifest) > LARGEST_SHARE * counts[manifest]:
            first, unknown = of_manifest[0], sum(fault.reason == UNKNOWN_CHARACTER for fault in of_manifest)
            raise DataError("%d of %d utterances of %s cannot be used; the first is on line %d: %s: %s. %s" % (
                len(of_manifest), counts[manifest], manifest, first.row, first.reason.name, first.detail,
                "The vocabulary does not fit this manifest: make one of all manifests with scripts/make_vocab.py"
                if unknown > len(of_manifest) / 2 else "Fix the rows, or remove the manifest"))


def _require_references(manifests, utterances, note):
    """DataError if no transcript has a word; a note on the utterances whose transcript is empty."""
    empty = [utterance.id for utterance in utterances if not utterance.transcript.split()]
    if len(empty) == len(utterances):
        raise DataError("the references are missing: none of the %d utterances of %s has a transcript. An evaluation needs them "
                        "in the column transcript; --mode=infer transcribes without" % (len(utterances), ", ".join(manifests)))
    if empty:
        note("%d of %d utterances have an empty transcript, so each word that is recognized in them is an insertion: %s%s" % (
            len(empty), len(utterances), ", ".join(empty[:SHOWN_EMPTY]), ", ..." if len(empty) > SHOWN_EMPTY else ""))
