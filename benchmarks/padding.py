"""Fraction of padding in the batches of a LibriSpeech-like training set: one length, static shapes, length buckets, neither.

    python benchmarks/padding.py

No audio is needed: the durations of LibriSpeech's 281,241 training utterances are generated from quantiles. The quantiles were
fitted by least squares, so that a set of every utterance at speeds 0.9, 1 and 1.1 has the quantiles and the mean that
k2-fsa/icefall publishes for such sets (egs/librispeech/ASR/local/display_manifest_statistics.py); the largest deviation is
printed. The batches of an epoch then follow the data layer's order of training. Padding is every frame that the network computes
in addition to the utterances with a weight: the ends of rows, and the padding rows of a bucket's last batch. "relative" is the
number of computed frames for each valid one, relative to that of batches without buckets or length_pool.
"""
import argparse
import collections
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.data.speech2text.augmentation import changed_length, new_rate  # noqa: E402
from open_seq2seq.data.speech2text.bucket_order import BucketedOrder  # noqa: E402
from open_seq2seq.data.speech2text.buckets import BatchSizes, StaticShapes, make_buckets  # noqa: E402
from open_seq2seq.data.speech2text.packing import pack, single_rows  # noqa: E402
from open_seq2seq.data.speech2text.row_layout import RowLayout  # noqa: E402
from open_seq2seq.data.speech2text.training_batches import TrainingBatches  # noqa: E402

SAMPLE_FREQ, HOP = 16000, 160
PAD_TO = 16
MODEL_ZOO_FRAMES = 1664  # the Ascend ModelZoo port pads everything to this
SPEEDS = (0.9, 1.0, 1.1)
WITHOUT_BUCKETS = "each batch to its longest"

# durations in s at these quantiles of the original recordings
SHARES = (0, .001, .005, .01, .03, .06, .1, .15, .2, .25, .3, .4, .5, .6, .7, .8, .9, .95, .98, .995, 1)
# quantiles published for the sets at three speeds
PUBLISHED_SHARES = (.001, .005, .01, .05, .1, .25, .5, .75, .9, .95, .99, .995, .999)

Corpus = collections.namedtuple("Corpus", "name size durations published published_mean")
CORPORA = (
    Corpus("train-clean-100", 28539,
           (1.89, 1.95, 2.21, 2.54, 3.34, 4.63, 6.42, 8.46, 10.18, 11.86, 12.45, 13.35, 14.22, 14.62, 15.0, 15.31, 15.81, 16.08,
            16.4, 16.89, 16.95),
           (1.9, 2.2, 2.5, 4.2, 6.4, 11.4, 13.8, 15.3, 16.7, 17.3, 18.1, 18.4, 18.8), 12.8),
    Corpus("train-clean-360", 104014,
           (1.79, 1.85, 2.2, 2.55, 3.45, 4.57, 6.19, 8.28, 9.92, 11.68, 12.24, 13.22, 14.09, 14.51, 14.87, 15.36, 15.77, 16.08,
            16.4, 16.9, 16.95),
           (1.8, 2.2, 2.5, 4.2, 6.2, 11.2, 13.7, 15.3, 16.6, 17.3, 18.1, 18.4, 18.8), 12.7),
    Corpus("train-other-500", 148688,
           (1.66, 1.73, 2.14, 2.38, 2.86, 3.82, 5.01, 6.39, 8.13, 10.19, 10.87, 12.78, 13.87, 14.4, 14.79, 15.14, 15.81, 16.11,
            16.37, 16.98, 17.04),
           (1.7, 2.1, 2.3, 3.5, 5.0, 9.8, 13.4, 15.1, 16.5, 17.2, 18.1, 18.4, 18.9), 12.1),
)

Utterance = collections.namedtuple("Utterance", "index num_samples labels")


def durations_of(corpus, one_in=1):
    """float64 [size / one_in] s."""
    size = corpus.size // one_in
    return np.interp((np.arange(size) + 0.5) / size, SHARES, corpus.durations)


def largest_deviation():
    """The largest difference in s between the published figures and those of the generated durations."""
    deviations = []
    for corpus in CORPORA:
        durations = durations_of(corpus)
        changed = np.concatenate([durations / speed for speed in SPEEDS])
        deviations += list(np.quantile(changed, PUBLISHED_SHARES) - corpus.published) + [changed.mean() - corpus.published_mean]
    return float(np.abs(deviations).max())


def num_frames(num_samples):
    """The number of feature frames of that many samples with the librosa backend."""
    return num_samples // HOP + 1


def most_frames(num_samples, largest_ratio):
    return num_frames(changed_length(num_samples, SAMPLE_FREQ, new_rate(SAMPLE_FREQ, largest_ratio)))


def bucketed(utterances, arguments, static_shapes, join_shorter_than=0, ratios=(1.0,)):
    """(fraction of padding, description of the lengths) where every batch has one of a few lengths."""
    rows = single_rows(utterances)
    if join_shorter_than:
        rows = pack(utterances, join_shorter_than * SAMPLE_FREQ, (), lambda labels, num_samples: True)
    longest = [most_frames(row.num_samples, max(ratios)) for row in rows]
    global_batch = arguments.batch_size * arguments.workers
    buckets, numbers = make_buckets(longest, np.zeros(len(rows)), static_shapes, PAD_TO, global_batch)
    order = BucketedOrder(numbers, global_batch)
    # all speeds are equally likely
    frames = np.mean([[most_frames(row.num_samples, ratio) for row in rows] for ratio in ratios], 0)
    computed, valid = 0, 0.0
    for number in range(order.batches_per_epoch):
        batch = order.batch(number)
        computed += len(batch.indices) * buckets[order.bucket_of_batch(number)].frames
        valid += frames[batch.indices[batch.weights > 0]].sum()
    return 1 - valid / computed, " ".join("%d" % bucket.frames for bucket in buckets)


def unbucketed(utterances, arguments, num_buckets=0, batch_frames=0, length_pool=0, sortagrad=False, ratios=(1.0,)):
    """(fraction of padding, description of the buckets) where every worker pads each batch to its longest utterance."""
    sizes = BatchSizes(arguments.batch_size, batch_frames, arguments.workers)
    layout = RowLayout(single_rows(utterances), lambda num_samples: most_frames(num_samples, max(ratios)), PAD_TO,
                       StaticShapes(None, num_buckets) if num_buckets else None, sizes.of_all, is_static=False)
    frames = np.array([[most_frames(utterance.num_samples, ratio) for utterance in utterances] for ratio in ratios])
    layout.frames = frames[np.random.RandomState(0).randint(len(ratios), size=len(utterances)), np.arange(len(utterances))]
    params = {"shuffle": True, "shuffle_buffer": 0, "length_pool": length_pool, "sortagrad": sortagrad}
    batches = TrainingBatches(layout, params, sizes, seed=0)
    lengths = "" if layout.buckets is None else " ".join(
        "%d" % bucket.frames if not batch_frames else "%d:%d" % (bucket.frames, batches.rows_of(number))
        for number, bucket in enumerate(layout.buckets))
    return batches.padding_share(epoch=0), lengths


def measure(utterances, arguments):
    """List of (name, (fraction of padding, frames of the lengths))."""
    short = [utterance for utterance in utterances if num_frames(utterance.num_samples) <= MODEL_ZOO_FRAMES]
    rows = [
        ("all to %d frames (ModelZoo)" % MODEL_ZOO_FRAMES, bucketed(short, arguments, StaticShapes([MODEL_ZOO_FRAMES]))),
        (WITHOUT_BUCKETS, unbucketed(utterances, arguments)),
        ("length_pool 50", unbucketed(utterances, arguments, length_pool=50)),
    ]
    for count in (4, 8):
        rows.append(("%d buckets" % count, unbucketed(utterances, arguments, count)))
    longest = -(-max(num_frames(utterance.num_samples) for utterance in utterances) // PAD_TO) * PAD_TO
    rows += [("8 buckets, batch_frames %d" % (arguments.batch_size * longest),
              unbucketed(utterances, argparse.Namespace(batch_size=8 * arguments.batch_size, workers=arguments.workers), 8,
                         arguments.batch_size * longest)),
             ("8 buckets, sortagrad's first epoch", unbucketed(utterances, arguments, 8, sortagrad=True)),
             ("8 buckets, speeds 0.9, 1, 1.1", unbucketed(utterances, arguments, 8, ratios=SPEEDS)),
             ("length_pool 50, the same speeds", unbucketed(utterances, arguments, length_pool=50, ratios=SPEEDS))]
    for count in (1, 2, 4, 6, 8):
        rows.append(("1 length" if count == 1 else "%d lengths" % count,
                     bucketed(utterances, arguments, StaticShapes(None, count))))
    for seconds in (5.0, 7.0, 8.5):
        rows.append(("4 lengths, join_shorter_than %g" % seconds, bucketed(utterances, arguments, StaticShapes(), seconds)))
    rows += [("4 lengths, speeds 0.9, 1, 1.1", bucketed(utterances, arguments, StaticShapes(), ratios=SPEEDS)),
             ("the same, join_shorter_than 7", bucketed(utterances, arguments, StaticShapes(), 7.0, SPEEDS))]
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch_size", type=int, default=32, help="utterances in a batch of one worker (default %(default)s)")
    parser.add_argument("--workers", type=int, default=8, help="processes that share the data (default %(default)s)")
    parser.add_argument("--max_duration", type=float, default=16.7,
                        help="longer utterances (s) are skipped (default %(default)s)")
    parser.add_argument("--one_in", type=int, default=1, help="use only one in this many utterances (default %(default)s)")
    arguments = parser.parse_args()
    durations = np.concatenate([durations_of(corpus, arguments.one_in) for corpus in CORPORA])
    print("%d utterances, %.0f h, mean %.2f s; deviation from the published quantiles and means at most %.2f s" % (
        len(durations), durations.sum() / 3600, durations.mean(), largest_deviation()))
    kept = durations[durations <= arguments.max_duration]
    utterances = [Utterance(index, int(duration * SAMPLE_FREQ), ()) for index, duration in enumerate(kept)]
    print("%d of them are at most %g s long; %d workers with batches of %d" % (
        len(kept), arguments.max_duration, arguments.workers, arguments.batch_size))
    rows = measure(utterances, arguments)
    (plain, _), = [found for name, found in rows if name == WITHOUT_BUCKETS]
    print("%-34s %8s %9s  %s" % ("", "padding", "relative", "frames of the lengths"))
    for name, (share, lengths) in rows:
        print("%-34s %7.2f%% %9.3f  %s" % (name, 100 * share, (1 - plain) / (1 - share), lengths))
    print(json.dumps({"title": "padding", "utterances": len(utterances), "rows": [
        {"name": name, "padding_share": share, "relative_frames": (1 - plain) / (1 - share), "lengths": lengths}
        for name, (share, lengths) in rows]}))


if __name__ == "__main__":
    main()
