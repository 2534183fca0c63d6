"""Speed of pre-training: MFCC, k-means, labels, and a training step.

    python benchmarks/pretraining.py

One hour of synthetic audio (random sequences of 60 spectra, voiced or not, of random lengths). Figures:

- MFCC: audio seconds per second, of all cores.
- k-means: seconds to compute 100 clusters of the hour's MFCC; at most 60 on 2 cores.
- labels: frames per second of ``--mode=labels``, and of scikit-learn's ``predict``, an utterance at a time, with the same
  clusters in the same process, in turns; at least 20 times as many. The labels are compared. A call of ``predict`` takes most of
  a millisecond before it computes, so the ratio depends on the length of the utterances: those of spoken digits (0.43 s), of
  sequences of digits (2.5 s), of LibriSpeech (12 s). The limit is the speed of the matrix product alone, on all cores.
- step: milliseconds of a training step of the encoder of configs/speech2text/jasper_mini_digits.py, in pre-training and with CTC,
  and the shares of the speed of a plain matrix product. Pre-training is to reach at least the share of CTC.

``--parts`` chooses some of them. The same figures follow as one JSON object.
"""
import argparse
import concurrent.futures
import json
import os
import sys
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import numpy as np  # noqa: E402

from open_seq2seq.cores import usable_cores  # noqa: E402
from open_seq2seq.data.fairseq_files.feature_shards import FeatureDescription, FeatureShards, write_shard  # noqa: E402
from open_seq2seq.pretraining.clusters import Clusters  # noqa: E402
from open_seq2seq.pretraining.kmeans import fit  # noqa: E402
from open_seq2seq.pretraining.labels import labels_of_shard, single_threaded_products  # noqa: E402
from open_seq2seq.pretraining.mfcc import Mfcc  # noqa: E402

RATE, UTTERANCE_SECONDS, SPECTRA, CLUSTERS = 16000, 12.0, 60, 100
LENGTHS = (0.43, 2.5, 12.0)  # s
LABEL_RATIO, KMEANS_SECONDS = 20.0, 60.0
TURNS = 3


def utterances(count, seed=0):
    """List of float32 [samples]."""
    random = np.random.RandomState(seed)
    period = RATE // 100
    kernels = [_kernel(random) for _ in range(SPECTRA)]
    made = []
    for _ in range(count):
        parts, length = [], 0
        while length < UTTERANCE_SECONDS * RATE:
            samples = random.randint(4, 20) * period
            if random.rand() < 0.7:
                source = np.zeros(samples, np.float32)
                source[::random.randint(60, 200)] = 1.0
            else:
                source = 0.1 * random.randn(samples)
            parts.append(np.convolve(source, kernels[random.randint(SPECTRA)], "same") * random.uniform(0.02, 0.2))
            length += samples
        waveform = np.concatenate(parts)[:int(UTTERANCE_SECONDS * RATE)]
        made.append((waveform + 1e-3 * random.randn(len(waveform))).astype(np.float32))
    return made


def _kernel(random):
    """The impulse response of three resonances."""
    times = np.arange(200) / float(RATE)
    kernel = sum(random.uniform(0.2, 1.0) * np.exp(-times * random.uniform(200, 800)) * np.cos(2 * np.pi * frequency * times)
                 for frequency in random.uniform((200, 800, 2000), (900, 2500, 6000)))
    return kernel / np.abs(kernel).max()


def measure_mfcc(folder, hours):
    """Writes the shard; returns audio seconds per second."""
    waveforms, mfcc = utterances(int(hours * 3600 / UTTERANCE_SECONDS)), Mfcc()
    seconds = sum(map(len, waveforms)) / float(RATE)
    began = time.perf_counter()
    batches = [mfcc(waveforms[start:start + 16]) for start in range(0, len(waveforms), 16)]
    took = time.perf_counter() - began
    write_shard(os.path.join(folder, "train_0_1.npy"), batches, FeatureDescription("mfcc", 100.0, mfcc.size, "", None))
    return seconds / took


def measure_labels(shards, model):
    """Figures of the best of some turns, in frames per second."""
    clusters, features = Clusters(model.cluster_centers_), np.array(shards.features(0))
    seconds, labels = {"label": [], "limit": []}, {}
    for _ in range(TURNS):
        seconds["label"].append(_seconds(lambda: labels.update(ours=labels_of_shard(shards, 0, clusters))))
        seconds["limit"].append(_seconds(lambda: _products(features, clusters)))
        for length in LENGTHS:
            frames = int(100 * length)
            seconds.setdefault("sklearn_%g" % length, []).append(_seconds(lambda: labels.update(theirs=np.concatenate(
                [model.predict(features[first:first + frames]) for first in range(0, len(features), frames)]))))  # noqa: B023
    speeds = {name + "_frames_per_second": len(features) / min(values) for name, values in seconds.items()}
    for length in LENGTHS:
        speeds["ratio_%g" % length] = speeds["label_frames_per_second"] / speeds["sklearn_%g_frames_per_second" % length]
    return dict(speeds, equal_labels=float((labels["ours"] == labels["theirs"]).mean()))


def _seconds(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def _products(features, clusters):
    """The matrix product of all frames with the clusters, and nothing else."""
    transposed = np.ascontiguousarray(clusters.centroids.T)
    with single_threaded_products(), concurrent.futures.ThreadPoolExecutor(usable_cores()) as pool:
        list(pool.map(lambda first: (features[first:first + 4096] @ transposed).shape, range(0, len(features), 4096)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0, help="hours of audio")
    parser.add_argument("--parts", nargs="+", choices=("kmeans", "labels", "step"),
                        default=["kmeans", "labels", "step"])
    options = parser.parse_args()
    result = {"cores": usable_cores(), "hours": options.hours}
    if "step" in options.parts:
        from pretraining_step import measure_step, step_text
        result.update(measure_step())
        print(step_text(result))
        if options.parts == ["step"]:
            print(json.dumps(result))
            return
    with tempfile.TemporaryDirectory() as folder:
        result["mfcc_audio_seconds_per_second"] = measure_mfcc(folder, options.hours)
        shards = FeatureShards(folder, "train")
        features = shards.block(0, 0, shards.frames)
        began = time.perf_counter()
        # for the labels alone, rough clusters suffice
        model = fit(features if "kmeans" in options.parts else features[:20000], CLUSTERS, np.random.RandomState(0))
        if "kmeans" in options.parts:
            result["kmeans_seconds"] = time.perf_counter() - began
            result["kmeans_frames"] = len(features)
        if "labels" in options.parts:
            result.update(measure_labels(shards, model))
    print(_text(result))
    print(json.dumps(result))


def _text(result):
    lines = ["%d cores, %g hours of audio" % (result["cores"], result["hours"]),
             "MFCC: %.0f audio seconds per second" % result["mfcc_audio_seconds_per_second"]]
    if "kmeans_seconds" in result:
        lines.append("k-means: %d clusters of %d frames in %.1f s (at most %.0f s)" % (
            CLUSTERS, result["kmeans_frames"], result["kmeans_seconds"], KMEANS_SECONDS))
    if "equal_labels" in result:
        lines.append("labels: %.2f million frames per second (limit %.2f); %.4f %% equal to scikit-learn's" % (
            result["label_frames_per_second"] / 1e6, result["limit_frames_per_second"] / 1e6, 100 * result["equal_labels"]))
        lines.extend("  predict, utterances of %g s: %.3f million frames per second, ratio %.1f (at least %.0f)" % (
            length, result["sklearn_%g_frames_per_second" % length] / 1e6, result["ratio_%g" % length], LABEL_RATIO)
            for length in LENGTHS)
    return "\n".join(lines)


if __name__ == "__main__":
    main()
