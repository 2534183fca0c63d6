"""How well each label is recognized: the share of its occurrences in the references that transcripts have at the same place.

Kaldi's ``nnet3-compute-prob --compute-per-dim-accuracy`` compares frames with their labels. Transcripts have no labels of frames,
so here the labels of a transcript are aligned with those of its reference.
"""
import numpy as np

from open_seq2seq.evaluation.word_alignment import CORRECT, INSERTION, align


def label_counts(vocabulary, references, transcripts):
    """Counts of each label.

    Args:
      vocabulary: a Vocabulary.
      references: list of sequences of labels.
      transcripts: list of str, as decoded.

    Returns:
      int64 [labels, 2]: how often it is recognized, and how often it occurs in the references.
    """
    counts = np.zeros([vocabulary.size, 2], np.int64)
    for reference, transcript in zip(references, transcripts):
        reference = list(reference)
        operations = align(reference, list(vocabulary.encode(transcript)))
        for label, operation in zip(reference, (letter for letter in operations if letter != INSERTION)):
            counts[label] += operation == CORRECT, 1
    return counts


def named_counts(vocabulary, counts):
    """Dict of label -> [recognized, occurrences], of the labels that occur, the most frequent first."""
    labels = [vocabulary.decode([label]) or "%d" % label for label in range(len(counts))]
    characters = getattr(vocabulary, "characters", None)
    if characters is not None and len(characters) == len(counts):
        labels = [str(character) for character in characters]
    order = sorted(np.flatnonzero(counts[:, 1]), key=lambda label: (-counts[label, 1], label))
    return {labels[label]: counts[label].tolist() for label in order}


def described(named, count=5):
    """A phrase on the labels with the lowest accuracy, for the log; "" if there are none."""
    worst = sorted(named.items(), key=lambda item: (item[1][0] / item[1][1], -item[1][1]))[:count]
    return ", ".join("%r %.0f %% of %d" % (label, 100.0 * right / total, total) for label, (right, total) in worst)
