"""How well features predict the pitch or the speaker: a linear classifier that is trained on frozen features.

    python -m open_seq2seq.pretraining.probe features/before features/after --labels corpus/train.speaker

The features are those of ``--mode=features --layer``, e.g. of a checkpoint before and after adversarial training. For each folder
the table has the classifier's accuracy on frames of utterances that it was not trained on.
"""
import collections
import json
import sys
import warnings

import numpy as np

from open_seq2seq.cli import file_path, make_parser
from open_seq2seq.data.fairseq_files.feature_shards import FeatureShards
from open_seq2seq.data.fairseq_files.frame_labels import read_description, read_frame_labels
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.speech2text.frame_targets import aligned_targets
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.files import replaced_file
from open_seq2seq.progress import print_table

HELD_OUT = 0.2  # share of the utterances

Probe = collections.namedtuple("Probe", "features accuracy chance classes frames")
Probe.__doc__ = """features: the folder. accuracy: share of correct predictions on held-out utterances. chance: that of always
predicting the most frequent label. classes: labels that occur. frames: held-out frames."""


def main(arguments=None):
    parser = make_parser("open_seq2seq.pretraining.probe", "Measure how well a linear classifier predicts labels from features.")
    parser.add_argument("features", nargs="+", type=file_path, metavar="FOLDER", help="folder of features (--mode=features)")
    parser.add_argument("--labels", type=file_path, required=True, help="frame labels of the same utterances, e.g. train.speaker")
    parser.add_argument("--split", default="train", help="name of the features' manifest")
    parser.add_argument("--label_rate", type=float, help="labels per second, for files without a description")
    parser.add_argument("--frames", type=int, default=40000, help="frames to train on, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choice of held-out utterances and frames")
    parser.add_argument("--output", type=file_path, help="JSON file to write")
    options = parser.parse_args(arguments)
    if options.frames < 100:
        raise UsageError("--frames is %d, expected at least 100" % options.frames)
    probes = [probe(folder, options.split, options.labels, options.label_rate, options.frames, options.seed)
              for folder in options.features]
    print_table("linear probe of %s" % options.labels, ("features", "accuracy", "chance", "classes", "held-out frames"), [
        (one.features, "%.1f %%" % (100 * one.accuracy), "%.1f %%" % (100 * one.chance), str(one.classes), str(one.frames))
        for one in probes])
    if options.output is not None:
        with replaced_file(options.output) as file:
            json.dump([one._asdict() for one in probes], file, indent=1)


def probe(folder, split, label_file, label_rate=None, frames=40000, seed=0):
    """Trains a multinomial logistic regression and returns the :class:`Probe`.

    Args:
      folder: of the features.
      split: of the features.
      label_file: labels of the same utterances in the same order.
      label_rate: labels per second; None: as the file's description says.
      frames: frames to train on.
      seed: int.

    Raises:
      DataError: the features and labels are not of the same utterances, or the labels are all equal.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler
    shards, labels = FeatureShards(folder, split), read_frame_labels(label_file)
    description = read_description(label_file)
    rate = label_rate or (description.label_rate if description is not None else None)
    feature_rate = shards.description.frame_rate if shards.description is not None else 100.0
    if rate is None:
        raise DataError("%s does not say how many labels per second it has; give --label_rate" % label_file)
    lengths = np.concatenate(shards.lengths)
    if len(lengths) != len(labels):
        raise DataError("%s has %d lines, and the features in %s are of %d utterances; expected labels of the same manifest" % (
            label_file, len(labels), folder, len(lengths)))
    values = np.concatenate([shards.block(shard, 0, int(own.sum())) for shard, own in enumerate(shards.lengths)])
    targets = np.full([len(values)], -1, np.int64)
    begins = np.cumsum(lengths) - lengths
    for place, (begin, length) in enumerate(zip(begins, lengths)):
        own = aligned_targets(labels[place], round(rate / feature_rate, 9), int(length))
        targets[begin:begin + len(own)] = own
    random = np.random.RandomState(seed)
    is_held_out = np.repeat(random.rand(len(lengths)) < HELD_OUT, lengths)
    train, test = np.flatnonzero(~is_held_out & (targets >= 0)), np.flatnonzero(is_held_out & (targets >= 0))
    train, test = (random.permutation(part)[:frames] for part in (train, test))
    if not len(test) or len(np.unique(targets[train])) < 2:
        raise DataError("%s has %d different labels in %d frames to train on, and %d frames are held out; a probe needs at least "
                        "two labels and a few utterances" % (label_file, len(np.unique(targets[train])), len(train), len(test)))
    scaler = StandardScaler().fit(values[train])
    with warnings.catch_warnings():
        # the last digits of the weights do not change the accuracy
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = LogisticRegression(max_iter=200).fit(scaler.transform(values[train]), targets[train])
    found = classifier.predict(scaler.transform(values[test]))
    counts = np.bincount(targets[train])
    return Probe(folder, float((found == targets[test]).mean()), float((targets[test] == counts.argmax()).mean()),
                 int(np.count_nonzero(counts)), len(test))


if __name__ == "__main__":
    sys.exit(run_importer(main))
