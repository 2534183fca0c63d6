"""Frame labels, ``train.km``: in each line the labels of one utterance, integers separated by blanks.

``--mode=labels`` writes ``train.km.json`` next to it: the labels per second, the digest of the clusters, and what was clustered.
fairseq's files have no such description.
"""
import collections
import json
import math
import os

import numpy as np

from open_seq2seq.errors import DataError
from open_seq2seq.files import parsed_json, replaced_file

_BLOCK = 1 << 24  # bytes that are parsed at a time
_MOST_DIGITS = 6
_DIGITS = np.array([48 <= byte <= 57 for byte in range(256)])
_LEGAL = _DIGITS | np.array([byte in b" \n" for byte in range(256)])

WINDOW_SECONDS = 0.025

LabelDescription = collections.namedtuple("LabelDescription", "label_rate clusters num_clusters features identity")
LabelDescription.__doc__ = """The description of a file of labels.

label_rate: labels per second. clusters: SHA-256 of the centroids, hexadecimal. num_clusters: int. features: str, what was
clustered, e.g. "mfcc" or "layer conv53, checkpoint 0123456789abcdef"; None if not known. identity: digest of the features and
their data."""


class FrameLabels:
    """The labels of many utterances.

    Args:
      values: integer array, the labels of all utterances one after the other.
      lengths: int array, labels of each utterance.
      path: the file, for messages.

    Attributes: the arguments.
    """

    def __init__(self, values, lengths, path="labels"):
        self.values, self.lengths, self.path = values, np.asarray(lengths, np.int64), path
        self._ends = np.cumsum(self.lengths)

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, place):
        """The labels of utterance ``place``, counted from 0: int array [labels], a view."""
        return self.values[self._ends[place] - self.lengths[place]:self._ends[place]]

    def line_of(self, position):
        """The number of the line, from 1, in which ``values[position]`` is."""
        return int(np.searchsorted(self._ends, position, "right")) + 1

    def counts(self):
        """Dict from label to its number of frames, only of labels that occur."""
        counts = np.bincount(self.values) if len(self.values) else np.zeros([0], int)
        return {int(label): int(counts[label]) for label in np.flatnonzero(counts)}


def read_frame_labels(path):
    """Reads a file of labels.

    Args:
      path: the file.

    Returns:
      FrameLabels whose values have the smallest type of unsigned integers that holds them.

    Raises:
      DataError: the file cannot be read, is empty, or contains something other than integers.
    """
    values, lengths, line = [], [], 1
    try:
        with open(path, "rb") as file:
            for block in _whole_lines(file):
                block = block.replace(b"\r\n", b"\n")
                values.append(_parsed(path, block, line))
                lengths.append(_counts_per_line(block))
                line += len(lengths[-1])
    except OSError as error:
        raise DataError("cannot read the labels %s: %s. --mode=labels writes them" % (path, error.strerror or error))
    if not lengths:
        raise DataError("%s is empty; expected a line of labels for each utterance" % path)
    largest = max(int(block.max()) if len(block) else 0 for block in values)
    values = np.concatenate([block.astype(np.min_scalar_type(largest)) for block in values])
    return FrameLabels(values, np.concatenate(lengths), path)


def _whole_lines(file):
    """Yields a file's content in blocks that end with a line end."""
    rest = b""
    while True:
        block = file.read(_BLOCK)
        if not block:
            if rest:
                yield rest + b"\n"
            return
        block, end, new_rest = (rest + block).rpartition(b"\n")
        if end:
            yield block + end
        rest = new_rest if end else block + new_rest


def _parsed(path, block, first_line):
    """The integers of a block: int32 array."""
    characters = np.frombuffer(block, np.uint8)
    illegal = np.flatnonzero(~_LEGAL[characters])
    if len(illegal):
        number = block.count(b"\n", 0, int(illegal[0]))
        raise DataError("%s:%d: found %r; expected the labels of an utterance, integers separated by blanks" % (
            path, first_line + number, block.split(b"\n")[number].decode("utf-8", "replace")[:80]))
    is_digit = _DIGITS[characters]
    long = np.flatnonzero(np.convolve(is_digit, np.ones(_MOST_DIGITS + 1, int), "valid") > _MOST_DIGITS) \
        if len(is_digit) > _MOST_DIGITS else ()
    if len(long):
        raise DataError("%s:%d: a label has more than %d digits; expected numbers of clusters" % (
            path, first_line + block.count(b"\n", 0, int(long[0])), _MOST_DIGITS))
    return np.fromstring(block, np.int32, sep=" ") if block.strip() else np.zeros([0], np.int32)


def _counts_per_line(block):
    characters = np.frombuffer(block, np.uint8)
    is_digit = _DIGITS[characters]
    begins = is_digit.copy()
    begins[1:] &= ~is_digit[:-1]
    through = np.cumsum(begins)[np.flatnonzero(characters == 10)]
    return np.diff(np.concatenate([[0], through]))


def label_lines(labels, lengths):
    """The text of utterances' labels.

    Args:
      labels: int array, of all utterances.
      lengths: ints, labels of each.

    Returns:
      bytes, a line for each utterance.
    """
    if not len(labels):
        return b"\n" * len(lengths)
    table = np.array([b"%d" % label for label in range(int(labels.max()) + 1)], object)
    words, lines, end = table[labels].tolist(), [], 0
    for length in lengths:
        lines.append(b" ".join(words[end:end + length]))
        end += length
    return b"\n".join(lines) + b"\n"


def write_frame_labels(path, labels, lengths):
    """Writes a file of labels; the write is atomic.

    Args: see :func:`label_lines`.
    """
    with replaced_file(path, "wb") as file:
        file.write(label_lines(np.asarray(labels), lengths))


def description_path(path):
    """The file that describes a file of labels."""
    return path + ".json"


def read_description(path):
    """The :class:`LabelDescription` of the file of labels ``path``; None if it has none.

    Raises:
      DataError: it is damaged.
    """
    try:
        with open(description_path(path), encoding="utf-8") as file:
            values = parsed_json(file.read())
        return LabelDescription(**values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DataError("%s is damaged: %s. Write the labels again with --mode=labels" % (description_path(path), error))


def write_description(path, description):
    """Writes the :class:`LabelDescription` of the file of labels ``path``; the write is atomic."""
    with replaced_file(description_path(path)) as file:
        json.dump(description._asdict(), file, indent=1)
        file.write("\n")


def expected_labels(seconds, label_rate):
    """The labels of an utterance: one for each window of 25 ms that fits into it, ``label_rate`` windows per second; int."""
    # half a microsecond against rounding
    return max(0, 1 + int(math.floor((seconds - WINDOW_SECONDS + 5e-7) * label_rate)))


def require_same_clusters(paths):
    """Checks that files of labels, e.g. of training and validation, come from the same clusters.

    Args:
      paths: list of files of labels.

    Raises:
      DataError: they do not. Files without a description are not compared.
    """
    known = [(path, description) for path, description in ((path, read_description(path)) for path in paths)
             if description is not None]
    for path, description in known[1:]:
        first_path, first = known[0]
        if (description.clusters, description.label_rate) != (first.clusters, first.label_rate):
            raise DataError("%s and %s come from different clusters (%s..., %g labels/s; %s..., %g labels/s), so the same label "
                            "has different meanings in them. Compute the clusters once, from the training data, and apply "
                            "them to both: --mode=labels --clusters_file=%s" % (
                                first_path, path, first.clusters[:12], first.label_rate, description.clusters[:12],
                                description.label_rate, os.path.join(os.path.dirname(path), "clusters.npz")))
