import csv
import os
import shutil

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.data.shards import shard_folder
from open_seq2seq.data.shards.shard_file import read_index
from open_seq2seq.data.speech2text.buckets import StaticShapes
from open_seq2seq.errors import ConfigError, DataError

RATE = 16000
BASE = {"num_audio_features": 16, "input_type": "logfbank", "backend": "librosa", "norm_per_feature": True,
        "vocab_file": "open_seq2seq/test_utils/toy_speech_data/vocab.txt", "pad_to": 8}
MASKS = {"n_freq_mask": 2, "width_freq_mask": 3, "n_time_mask": 2, "width_time_mask": 9, "adaptive_time_masks": 0.04}


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """A manifest of 11 utterances; the cache has 3 or more shards."""
    monkeypatch.setattr(shard_folder, "PER_SHARD", 4)
    return write_corpus(tmp_path, 11)


def write_corpus(folder, count, rate=RATE):
    random = np.random.RandomState(0)
    rows = []
    for number in range(count):
        samples = random.uniform(-0.5, 0.5, int(rate * (0.2 + 0.1 * number))) * np.hanning(int(rate * (0.2 + 0.1 * number)))
        soundfile.write(str(folder / ("%d.wav" % number)), samples, rate, subtype="PCM_16")
        rows.append(["%d.wav" % number, 1, "ab" * (number % 3 + 1)])
    path = str(folder / "train.csv")
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["wav_filename", "wav_filesize", "transcript"]] + rows)
    return path


def layer_of(path, mode="train", batch_size=3, options=None, **params):
    report = Report()
    checked = check_parameters(Speech2TextDataLayer.PARAMETERS, dict(BASE, dataset_files=path, **params), "params", report)
    assert not report.problems
    return Speech2TextDataLayer(checked, mode, batch_size, seed=5, **(options or {}))


def filled(path, **arguments):
    """A layer whose cache is complete."""
    layer = layer_of(path, cache_features=True, **arguments)
    layer.cache.fill()
    layer.cache.wait()
    return layer_of(path, cache_features=True, **arguments)


def batches_of(layer, count=9):
    static = layer.buckets is not None
    datasets = [lambda bucket=bucket: layer.training_dataset(2, bucket) if layer.mode == "train" else
                layer.evaluation_dataset(bucket=bucket) for bucket in (range(len(layer.buckets)) if static else [None])]
    found = []
    for dataset in datasets:
        with tf.Graph().as_default(), tf.Session() as session:
            iterator = tf.data.make_initializable_iterator(dataset().take(count))
            element = iterator.get_next()
            session.run(iterator.initializer)
            while True:
                try:
                    found.append(session.run(element))
                except tf.errors.OutOfRangeError:
                    break
    return found


def assert_same(batches, expected, tolerance=0.0):
    assert len(batches) == len(expected) > 1
    for batch, other in zip(batches, expected):
        for field, value, wanted in zip(batch._fields, batch, other):
            assert value.dtype == wanted.dtype and value.shape == wanted.shape, field
            if tolerance and field == "features":
                np.testing.assert_allclose(value, wanted, rtol=tolerance, atol=1e-6)
            else:
                assert (value == wanted).all(), field


@pytest.mark.parametrize("arguments", [
    {}, {"mode": "eval"}, {"augmentation": MASKS}, {"backend": "psf", "norm_per_feature": False},
    {"num_buckets": 2, "augmentation": MASKS}, {"options": {"static_shapes": StaticShapes(None, 2)}, "augmentation": MASKS},
    {"mode": "eval", "options": {"static_shapes": StaticShapes(None, 2)}},
    {"options": {"num_workers": 2, "worker_id": 1, "same_frames_on_all_workers": True}},
    {"cache_content": "audio", "dither": 1e-5, "augmentation": dict(MASKS, speed_perturbation_ratio=0.1, noise_level_min=-60.0,
                                                                    noise_level_max=-40.0)},
    {"feature_engine": "numpy", "input_type": "spectrogram", "backend": "psf", "norm_per_feature": False},
], ids=lambda arguments: "-".join(sorted(arguments)) or "train")
def test_batches_with_a_cache_are_those_without(manifest, arguments):
    expected = batches_of(layer_of(manifest, **arguments))
    first = layer_of(manifest, cache_features=True, **dict(arguments, options=dict(
        arguments.get("options", {}), worker_id=0, num_workers=1))) if "num_workers" in arguments.get("options", {}) else \
        layer_of(manifest, cache_features=True, **arguments)
    if "num_workers" not in arguments.get("options", {}):
        assert_same(batches_of(first), expected)       # while the cache is filled
    first.cache.fill()
    first.cache.wait()
    layer = layer_of(manifest, cache_features=True, **arguments)
    assert layer.cache.is_usable
    assert_same(batches_of(layer), expected)
