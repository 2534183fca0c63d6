"""The frame labels of a data set's utterances, for training on cluster labels (HuBERT).

A data set's file ``corpus/train.csv`` (or ``.tsv``) has the labels ``km`` in ``FOLDER/train.km``: one line for each row, in the
same order, also for rows that the data layer skips. ``FOLDER`` also has the dictionary, ``dict.km.txt``.
"""
import os

import numpy as np

from open_seq2seq.data.fairseq_files.dictionary import LabelDictionary
from open_seq2seq.data.fairseq_files.frame_labels import (
    expected_labels,
    read_description,
    read_frame_labels,
    require_same_clusters,
)
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.errors import DataError

TOLERANCE = 2  # labels that an utterance may have more or fewer than its audio has frames


class UtteranceLabels:
    """One set of labels for all utterances of a data set, as indices of its dictionary.

    Args:
      manifests: list of the data set's files, CSV or TSV.
      name: of the label set, the extension of its files, e.g. "km".
      folder: of the files of labels and the dictionary; None: each manifest's own for the labels, the first one's for the
        dictionary.
      label_rate: labels per second; None: from the description that ``--mode=labels`` wrote.

    Attributes:
      label_rate: float.
      dictionary: LabelDictionary; an index is the place in it plus 4, as in fairseq.
      paths: list of the files of labels, one for each manifest.

    Raises:
      DataError: a file is missing or malformed, has another number of lines than its manifest has rows, contains a label that is
        not in the dictionary, has another rate than the given one, or the labels of two files come from different clusters.
    """

    def __init__(self, manifests, name, folder=None, label_rate=None):
        self.paths = [label_path(manifest, name, folder) for manifest in manifests]
        self.dictionary = LabelDictionary.read(dictionary_path(manifests[0], name, folder))
        require_same_clusters(self.paths)
        self.label_rate = _label_rate(self.paths, label_rate)
        self._labels = {}
        for manifest, path in zip(manifests, self.paths):
            rows, labels = [row.row for row in read_manifest(manifest, transcripts=False)], read_frame_labels(path)
            if len(rows) != len(labels):
                raise DataError("%s has %d lines, and %s has %d utterances; expected a line for each. Write the labels again "
                                "with --mode=labels, from features of this manifest" % (path, len(labels), manifest, len(rows)))
            labels.values = self._indices(labels)
            self._labels[manifest] = {row: place for place, row in enumerate(rows)}, labels

    def _indices(self, labels):
        """The dictionary's indices of all labels of a file."""
        values = labels.values
        largest = int(values.max()) if len(values) else 0
        table = np.array([-1 if index is None else index for index in map(self.dictionary.index, range(largest + 1))], np.int32)
        indices = table[values]
        unknown = np.flatnonzero(indices < 0)
        if len(unknown):
            raise DataError("%s:%d: the label %d is not in %s, which has %d labels (%d frames have such labels). Expected the "
                            "dictionary of the same clusters; --mode=labels writes it" % (
                                labels.path, labels.line_of(unknown[0]), values[unknown[0]], self.dictionary.path,
                                len(self.dictionary.symbols), len(unknown)))
        return indices.astype(np.min_scalar_type(len(self.dictionary)))

    def labels_of(self, utterance):
        """The labels of an Utterance (or ManifestRow): int32 [labels], indices of the dictionary."""
        places, labels = self._labels[utterance.manifest]
        return labels[places[utterance.row]].astype(np.int32)

    def check(self, utterances):
        """Compares the number of labels of each utterance with its audio.

        Args:
          utterances: list of Utterance.

        Raises:
          DataError: an utterance has more than 2 labels more or fewer than its audio has frames.
        """
        wrong = []
        for utterance in utterances:
            places, labels = self._labels[utterance.manifest]
            place = places[utterance.row]
            if abs(int(labels.lengths[place]) - expected_labels(utterance.duration, self.label_rate)) > TOLERANCE:
                wrong.append((utterance, labels, place))
        if wrong:
            utterance, labels, place = wrong[0]
            raise DataError("%s:%d has %d labels, and %s (%s, %.3f s) has %d frames at %g labels per second; %d of %d utterances "
                            "differ by more than %d. Check the label rate, and whether the labels belong to these audio files" % (
                                labels.path, place + 1, labels.lengths[place], utterance.wav_filename, utterance.id,
                                utterance.duration, expected_labels(utterance.duration, self.label_rate), self.label_rate,
                                len(wrong), len(utterances), TOLERANCE))


def label_path(manifest, name, folder=None):
    """The file of labels that belongs to a manifest: ``train.km`` for ``train.csv``."""
    split = os.path.splitext(os.path.basename(manifest))[0]
    return os.path.join(os.path.dirname(manifest) if folder is None else folder, "%s.%s" % (split, name))


def dictionary_path(manifest, name, folder=None):
    """The dictionary of the labels of a manifest: ``dict.km.txt``."""
    return os.path.join(os.path.dirname(manifest) if folder is None else folder, "dict.%s.txt" % name)


def _label_rate(paths, label_rate):
    for path in paths:
        description = read_description(path)
        if description is not None and label_rate is not None and abs(description.label_rate - label_rate) > 1e-6:
            raise DataError("%s has %g labels per second, and label_rate is %g; correct label_rate" % (
                path, description.label_rate, label_rate))
        if description is not None and label_rate is None:
            label_rate = description.label_rate
    if label_rate is None:
        raise DataError("%s does not say how many labels per second it has; set label_rate (100 for MFCC of 10 ms)" % paths[0])
    return float(label_rate)
