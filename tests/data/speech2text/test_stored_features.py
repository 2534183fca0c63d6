"""Stored features in batches: repeated to the rate of the audio's features, masked like them, and what is refused."""
import importlib.util
import os

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.fairseq_files.feature_shards import FeatureDescription, shard_path, write_keyed_shard, write_shard
from open_seq2seq.data.keyed_features import key_of
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
from open_seq2seq.errors import ConfigError, DataError

RATE, SIZE, COUNT = 8000, 3, 6
HAS_KALDIIO = importlib.util.find_spec("kaldiio") is not None


def _features(number, frames):
    return number + np.arange(frames * SIZE, dtype=np.float32).reshape(frames, SIZE) / 1000


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """train.csv, vocab.txt, and the features of train.csv, 50 frames per second, in npy/, npz/ and scp/."""
    folder = tmp_path_factory.mktemp("stored")
    random, rows, stored = np.random.RandomState(0), [], []
    for number in range(COUNT):
        samples = 2000 + 400 * number
        name = "%d.wav" % number
        soundfile.write(str(folder / name), random.randn(samples) * 0.1, RATE, subtype="PCM_16")
        rows.append("%s,%d,ab" % (name, os.path.getsize(str(folder / name))))
        # one frame of difference, as a network with another padding has
        stored.append(_features(number, -(-samples // 160) - number % 2))
    (folder / "train.csv").write_text("\n".join(["wav_filename,wav_filesize,transcript"] + rows) + "\n")
    (folder / "vocab.txt").write_text("a\nb\n")
    description = FeatureDescription("layer conv11", 50.0, SIZE, "0", None)
    for kind in ("npy", "npz") + ("scp",) * HAS_KALDIIO:
        (folder / kind).mkdir()
        for rank in range(2):
            path = os.path.splitext(shard_path(str(folder / kind), "train", rank, 2))[0] + "." + kind
            own = range(rank * 3, rank * 3 + 3)
            if kind == "npy":
                write_shard(path, [(np.concatenate([stored[number] for number in own]), [len(stored[number]) for number in own])],
                            description)
            else:
                write_keyed_shard(path, ((key_of("%d.wav" % number), stored[number]) for number in own), description)
    return folder


def _layer(corpus, mode="train", stored=None, **changes):
    values = dict({"dataset_files": [str(corpus / "train.csv")], "vocab_file": str(corpus / "vocab.txt"), "num_audio_features": 8,
                   "sample_freq": RATE, "dither": 0.0, "shuffle": False, "pad_to": 4,
                   "stored_features": dict({"files": str(corpus / "npy"), "size": SIZE}, **(stored or {}))}, **changes)
    report = Report()
    params = check_parameters(Speech2TextDataLayer.PARAMETERS, values, "data_layer_params", report)
    Speech2TextDataLayer.check_rules(params, "data_layer_params", report)
    report.raise_problems()
    return Speech2TextDataLayer(params, mode, 2, seed=1)


def _rows(layer, count=3):
    """Dict from the numbers of utterances to (features, position) of their rows in the first batches."""
    found = {}
    with tf.Graph().as_default(), tf.Session() as session:
        dataset = layer.training_dataset() if layer.mode == "train" else layer.evaluation_dataset()
        iterator = tf.data.make_initializable_iterator(dataset)
        batch = iterator.get_next()
        assert batch.features.shape.as_list()[2] == layer.num_audio_features
        session.run(iterator.initializer)
        for _ in range(count):
            values = session.run(batch)
            for features, length, index in zip(values.features, values.feature_lengths, values.utterance_indices):
                assert not features[length:].any()
                found[int(layer.utterances[index].wav_filename.split(".")[0])] = features[:length]
    return found


def _stored(number, frames):
    own = _features(number, -(-(2000 + 400 * number) // 160) - number % 2)
    return own[np.minimum(np.arange(frames) // 2, len(own) - 1)]


@pytest.mark.parametrize("files", ["npy", "npz", "npz files", pytest.param("scp", marks=pytest.mark.skipif(
    not HAS_KALDIIO, reason="bash scripts/setup.sh --data installs kaldiio"))])
def test_stored_features_are_repeated_and_appended(corpus, files):
    names = str(corpus / files)
    if files == "npz files":
        names = [str(corpus / "npz" / ("train_%d_2.npz" % rank)) for rank in range(2)]
    for mode in ("train", "eval"):
        plain = _rows(_layer(corpus, mode, {}, stored_features=None))
        appended = _rows(_layer(corpus, mode, {"files": names}))
        assert sorted(appended) == list(range(COUNT))
        for number, features in appended.items():
            np.testing.assert_allclose(features[:, :8], plain[number], atol=1e-6)
            np.testing.assert_array_equal(features[:, 8:], _stored(number, len(features)))


def test_alone_and_with_masks(corpus):
    alone = _rows(_layer(corpus, stored={"use": "alone"}))
    np.testing.assert_array_equal(alone[4], _stored(4, len(alone[4])))
    masks = {"n_freq_mask": 2, "width_freq_mask": 6, "n_time_mask": 2, "width_time_mask": 10}
    masked = _rows(_layer(corpus, augmentation=masks))
    spans = 0
    for number, features in masked.items():
        # spans of time are those of the audio's features; bands are not masked
        is_masked = ~features[:, :8].any(1)
        stored = _stored(number, len(features))
        np.testing.assert_array_equal(features[:, 8:], np.where(is_masked[:, None], 0.0, stored))
        spans += is_masked.sum()
    assert spans > 0


def test_what_is_refused(corpus, tmp_path):
    def refused(kind, *words, **options):
        with pytest.raises(kind) as caught:
            _layer(corpus, **options)
        assert all(word in str(caught.value) for word in words), caught.value

    refused(DataError, "3 values", "size is 4", stored={"size": 4})
    refused(ConfigError, "50 frames per second", "76.9", window_stride=0.013)
    refused(DataError, "features of dev", stored={"files": str(corpus / "npz")}, dataset_files=[_copied(corpus, tmp_path, "dev")])
    refused(DataError, "train.csv", "6", "5", dataset_files=[_copied(corpus, tmp_path, "train", rows=5)])
    keyed = [str(corpus / "npz" / "train_0_2.npz")]
    refused(DataError, "missing: 3 of 6", "3.wav", stored={"files": keyed})
    refused(DataError, "differ by more than 2", "0.wav", stored={"frame_rate": 100.0})
    refused(ConfigError, "speed_perturbation_ratio", augmentation={"speed_perturbation_ratio": 0.1})
    refused(ConfigError, "join_shorter_than", join_shorter_than=1.0)
    refused(ConfigError, "features.txt", stored={"files": ["features.txt"]})


def _copied(corpus, folder, name, rows=COUNT):
    """A manifest of the first utterances, in another folder."""
    lines = (corpus / "train.csv").read_text().splitlines()[:rows + 1]
    path = folder / (name + ".csv")
    path.write_text("\n".join(lines[:1] + ["%s/%s" % (corpus, line) for line in lines[1:]]) + "\n")
    return str(path)
