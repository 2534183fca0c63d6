"""Length buckets in training: which utterances share a batch, how large it is, how its loss is weighted, how much is padding."""
import hashlib
import itertools

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.data.speech2text import buckets as buckets_module
from open_seq2seq.data.speech2text.batch_order import TrainingOrder
from open_seq2seq.data.speech2text.bucket_order import BucketedOrder
from open_seq2seq.data.speech2text.buckets import BatchSizes, StaticShapes, bucket_lengths
from open_seq2seq.errors import ConfigError
from open_seq2seq.npu_check.shapes_only import ShapesOnlyDataLayer

LENGTHS = np.random.RandomState(0).randint(1, 500, 97)
BUCKETS = np.random.RandomState(0).choice(3, 101, p=[0.1, 0.3, 0.6])


def digest(order, batches=60):
    """Of the batches' indices, positions and weights."""
    found = hashlib.sha256()
    for number in range(batches):
        batch = order.batch(number)
        found.update(np.asarray(batch.indices, "<i8").tobytes() + np.asarray(batch.positions, "<i8").tobytes()
                     + np.asarray(batch.weights, "<f4").tobytes())
    return found.hexdigest()[:16]


@pytest.mark.parametrize("shuffle, workers, expected", [
    (True, 1, ["f1aecc27c285db82", "c8c1c868bb7eaaeb", "daf7315dd8794cf5", "4e5ddff4de4e70c8"]),
    (True, 3, ["83bc40eb02d83bd8", "4dcddfeeb724bc69", "b883cd63204df35b", "6691f14978110c98"]),
    (False, 1, ["7c084d5f2c17cd36", "163d0ea88cf48dd2", "25ade5f99e2bb8d8", "2d90abadcd3f7073"]),
    (False, 3, ["f290c8d7b53f49a5", "39c658e9b2726488", "f16048a78f45d629", "ae8f4e3c37cd9e69"])])
def test_without_the_keys_of_buckets_the_batches_are_those_of_version_0_1(shuffle, workers, expected):
    options = 8, shuffle, 5, workers, workers - 1
    assert [digest(order) for order in (
        TrainingOrder(LENGTHS, *options), TrainingOrder(LENGTHS, *options, 4), BucketedOrder(BUCKETS, *options),
        BucketedOrder(BUCKETS, *options, 1 + np.arange(101) % 3))] == expected


def cost(frames, lengths, sizes):
    counts = np.bincount(np.searchsorted(lengths, frames), minlength=len(lengths))
    return sum(-(-count // sizes.of_all(length)) * sizes.of_all(length) * length for count, length in zip(counts, lengths))


@settings(deadline=None, max_examples=60)
@given(frames=st.lists(st.integers(1, 18), min_size=1, max_size=25), max_buckets=st.integers(1, 4),
       pad_to=st.sampled_from([1, 3]), sizes=st.builds(BatchSizes, st.integers(1, 8), st.integers(0, 60), st.integers(1, 2)))
def test_no_other_lengths_need_fewer_frames_when_longer_batches_are_smaller(frames, max_buckets, pad_to, sizes):
    lengths = bucket_lengths(frames, max_buckets, pad_to, sizes.of_all)
    # a bucket is as long as its longest utterance; with a longer one its batches would only be smaller
    ends = sorted({-(-length // pad_to) * pad_to for length in frames})
    best = min(cost(frames, list(shorter) + ends[-1:], sizes) for count in range(max_buckets)
               for shorter in itertools.combinations(ends[:-1], count))
    assert lengths[-1] == ends[-1] and len(lengths) <= max_buckets
    assert cost(frames, lengths, sizes) == best


def test_of_very_many_lengths_some_are_examined(monkeypatch):
    frames = np.random.RandomState(0).randint(1, 3000, 5000)
    exact = BatchSizes(1, 0, 1)
    best = cost(frames, bucket_lengths(frames, 5), exact)
    monkeypatch.setattr(buckets_module, "MOST_ENDS", 200)
    lengths = bucket_lengths(frames, 5)
    assert lengths[-1] == frames.max() and best <= cost(frames, lengths, exact) < 1.003 * best


def test_sizes_computed_by_hand():
    assert BatchSizes(32, 1000, 2).of_worker([20, 100, 333, 334, 1000, 2000]).tolist() == [32, 10, 3, 2, 1, 1]
    assert BatchSizes(32, 1000, 2).of_all(100) == 20
    assert BatchSizes(32, 0, 2).of_worker([20, 2000]).tolist() == [32, 32]


ORDERS = dict(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=80), rows=st.lists(st.integers(1, 6), min_size=3, max_size=3),
    seed=st.integers(0, 3), window=st.integers(1, 4), sortagrad=st.booleans(), equal_weights=st.booleans(), shuffle=st.booleans())


def orders_of(lengths, rows, workers, **options):
    """One order for each of ``workers``, whose global batches have twice ``rows`` utterances."""
    lengths = np.array(lengths)
    _, numbers = np.unique(np.searchsorted([20, 40, 60], lengths), return_inverse=True)
    sizes = 2 * np.array(rows[:numbers.max() + 1]) // workers
    return [BucketedOrder(numbers, sizes, num_workers=workers, worker_id=worker, lengths=lengths, **options)
            for worker in range(workers)]


@settings(deadline=None, max_examples=60)
@given(**ORDERS)
def test_every_epoch_has_every_utterance_once_on_one_or_two_workers(lengths, rows, **options):
    alone, = orders_of(lengths, rows, 1, **options)
    workers = orders_of(lengths, rows, 2, **options)
    losses, positions = np.random.RandomState(0).rand(len(lengths)), []
    for epoch in range(2):
        weighted, means = [], []
        for number in range(epoch * alone.batches_per_epoch, (epoch + 1) * alone.batches_per_epoch):
            whole, parts = alone.batch(number), [order.batch(number) for order in workers]
            for field, of_parts in zip(whole, zip(*parts)):
                assert (field == np.stack(of_parts, 1).reshape(-1)).all()
            assert (alone.of_workers(number) == whole.indices).all()
            assert (workers[0].of_workers(number) == [part.indices for part in parts]).all()
            own = whole.indices[whole.weights > 0]
            assert len(own) == alone.num_weighted(number) and (own == whole.indices[:len(own)]).all()
            weighted.extend(own)
            positions.extend(whole.positions)
            means.append(np.mean([np.sum(part.weights * losses[part.indices]) / len(part.indices) for part in parts]))
            if not options["equal_weights"]:
                assert means[-1] == pytest.approx(losses[own].mean(), rel=1e-5)
        assert sorted(weighted) == list(range(len(lengths)))
        if options["equal_weights"]:
            assert np.mean(means) == pytest.approx(losses.mean(), rel=1e-5)
        if options["sortagrad"] and epoch == 0:
            assert (np.diff(np.array(lengths)[weighted]) >= 0).all()
    assert len(set(positions)) == len(positions)


@settings(deadline=None, max_examples=30)
@given(first=st.integers(0, 40), **ORDERS)
def test_a_batch_does_not_depend_on_those_before_it(first, lengths, rows, **options):
    earlier, fresh = (orders_of(lengths, rows, 1, **options)[0] for _ in range(2))
    for number in range(first):
        earlier.batch(number)
    for one, other in zip(earlier.batch(first), fresh.batch(first)):
        assert (one == other).all()


def test_batches_are_shuffled_at_every_level():
    lengths = np.random.RandomState(1).randint(1, 1000, 2000)
    order = BucketedOrder(lengths // 500, 10, lengths=lengths, window=4)
    epochs = []
    for epoch in range(2):
        batches = [order.batch(epoch * order.batches_per_epoch + number) for number in range(order.batches_per_epoch)]
        buckets = [lengths[batch.indices[0]] // 500 for batch in batches]
        assert 70 < np.count_nonzero(np.diff(buckets)) < 130
        means = np.array([lengths[batch.indices].mean() for batch, bucket in zip(batches, buckets) if bucket == 0])
        assert 30 < np.count_nonzero(np.diff(means) < 0) < 70, "the batches of a bucket are in order of length"
        epochs.append({index: frozenset(batch.indices) for batch in batches for index in batch.indices})
    shared = np.mean([len(epochs[0][index] & epochs[1][index]) - 1 for index in range(2000)])
    # chance: 9 others from about 1000 / 4 similar ones
    assert shared < 1, "the same utterances share a batch again"
    padding = [1 - lengths[batch.indices].mean() / lengths[batch.indices].max() for batch in batches]
    assert np.mean(padding) < 0.2 < 1 - lengths.mean() / 1000


def test_sortagrad_without_buckets_begins_with_the_shortest():
    order = TrainingOrder(LENGTHS, 8, seed=2, sortagrad=True)
    stream = np.concatenate([order.batch(number).indices for number in range(25)])
    assert (np.diff(LENGTHS[stream[:97]]) >= 0).all() and (stream[97:194] != stream[:97]).any()
    assert sorted(stream[:97]) == sorted(stream[97:194]) == list(range(97))


RATE = 16000
# 34 to 39 frames, 66 to 71, 101 to 103; padded to 40, 72 and 104
SECONDS = np.concatenate([np.linspace(0.33, 0.385, 8), np.linspace(0.65, 0.705, 12), np.linspace(1.0, 1.02, 4)])
BASE = {"num_audio_features": 16, "input_type": "logfbank", "backend": "librosa", "norm_per_feature": True, "dither": 1e-3,
        "vocab_file": "open_seq2seq/test_utils/toy_speech_data/vocab.txt", "pad_to": 8}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    noise = np.random.RandomState(0).uniform(-0.5, 0.5, RATE * 2)
    rows = ["wav_filename,transcript"]
    for number, seconds in enumerate(SECONDS):
        soundfile.write(str(folder / ("%d.wav" % number)), noise[:int(seconds * RATE)], RATE, subtype="PCM_16")
        rows.append("%d.wav,%s" % (number, "ab" * (1 + number)))
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    return str(folder / "train.csv")


def checked(manifest, **params):
    report = Report()
    found = check_parameters(Speech2TextDataLayer.PARAMETERS, dict(BASE, dataset_files=manifest, **params), "params", report)
    Speech2TextDataLayer.check_rules(found, "params", report)
    return found, report.problems


def layer_of(manifest, batch_size=4, mode="train", num_workers=1, worker_id=0, static_shapes=None, **params):
    found, problems = checked(manifest, **params)
    assert not problems
    return Speech2TextDataLayer(found, mode, batch_size, 3, num_workers, worker_id, static_shapes=static_shapes)


def read(dataset_of, count):
    with tf.Graph().as_default(), tf.Session() as session:
        dataset = dataset_of()
        iterator = tf.data.make_initializable_iterator(dataset)
        element = iterator.get_next()
        session.run(iterator.initializer)
        return dataset, [session.run(element) for _ in range(count)]


@pytest.mark.parametrize("params", [{"num_buckets": 3}, {"num_buckets": 3, "batch_frames": 220, "sortagrad": True}])
def test_a_layer_reads_batches_of_one_bucket_each(manifest, params, capsys):
    layer = layer_of(manifest, **params)
    count, batches_of_length = layer.batches_per_epoch, {40: 0, 72: 0, 104: 0}
    assert layer.buckets is None, "these are static shapes"
    dataset, batches = read(layer.training_dataset, 2 * count)
    computed = valid = 0
    for number, batch in enumerate(batches):
        rows, frames = batch.features.shape[:2]
        assert frames == -(-batch.feature_lengths.max() // 8) * 8
        assert rows == (4 if "batch_frames" not in params else {40: 4, 72: 3, 104: 2}[frames])
        batches_of_length[frames] += 1
        if (number >= count) == ("sortagrad" in params):  # the sorted epoch is not typical
            computed, valid = computed + rows * frames, valid + batch.feature_lengths[batch.weights > 0].sum()
    assert list(batches_of_length.values()) == ([4, 6, 2] if "batch_frames" not in params else [4, 8, 4])
    for epoch in (batches[:count], batches[count:]):
        assert sorted(index for batch in epoch for index in batch.utterance_indices[batch.weights > 0]) == list(range(24))
    rows = tf.data.get_output_shapes(dataset).features.as_list()[0]
    assert rows == (None if "batch_frames" in params else 4)
    assert layer.padding_share == pytest.approx(1 - valid / computed)
    printed = capsys.readouterr().out
    assert "*** train data: padding: %.1f %% of the frames\n" % (100 * layer.padding_share) in printed
    expected = "40: 4, 72: 3, 104: 2" if rows is None else "40: 4, 72: 4, 104: 4"
    assert "train data: 3 length buckets (frames: utterances in a batch): %s\n" % expected in printed
    # another process resumes at any batch
    for first in (1, count):
        for one, other in zip(read(lambda first=first: layer_of(manifest, **params).training_dataset(first), 3)[1],
                              batches[first:]):
            for field, of_other in zip(one, other):
                np.testing.assert_array_equal(field, of_other)


def test_two_workers_share_the_global_batches(manifest):
    alone = read(layer_of(manifest, 4, num_buckets=3, batch_frames=432).training_dataset, 8)[1]
    parts = [read(layer_of(manifest, 2, num_workers=2, worker_id=worker, num_buckets=3, batch_frames=216).training_dataset, 8)[1]
             for worker in range(2)]
    for whole, first, second in zip(alone, *parts):
        for name in ("utterance_indices", "weights", "positions", "feature_lengths"):
            of_both = np.stack([getattr(first, name), getattr(second, name)], 1).reshape(-1)
            np.testing.assert_array_equal(getattr(whole, name), of_both, name)


def test_the_batch_for_the_memory_check_is_the_one_with_the_most_frames(manifest):
    # 7 x 72 frames are more than 4 x 104
    layer = layer_of(manifest, 100, num_buckets=3, batch_frames=510)
    assert [layer.training_batches.rows_of(bucket) for bucket in range(3)] == [12, 7, 4]
    rows, frames, labels = layer.longest_shape()
    assert (rows, frames, labels) == (7, 72, 40)
    batches = read(lambda: layer.longest_dataset(2), 2)[1]
    for batch in batches:
        assert batch.features.shape == (7, 72, 16) and batch.feature_lengths.max() == 71
        # the utterance of the bucket with the most labels
        assert 19 in batch.utterance_indices
    every = read(layer.training_dataset, 2 * layer.batches_per_epoch)[1]
    assert max(batch.features.shape[0] * batch.features.shape[1] for batch in every) <= 7 * 72


def test_batch_frames_may_limit_all_buckets_alike(manifest):
    layer = layer_of(manifest, num_buckets=1, batch_frames=220)
    dataset, (batch,) = read(layer.training_dataset, 1)
    assert tf.data.get_output_shapes(dataset).features.as_list()[0] == 2 == len(batch.weights) == layer.longest_shape()[0]


def test_static_shapes_have_their_own_numbers_of_rows(manifest, capsys):
    params = {"num_buckets": 3, "batch_frames": 220}
    layer = layer_of(manifest, static_shapes=StaticShapes(), **params)
    assert [bucket.frames for bucket in layer.buckets] == [40, 72, 104]
    assert "3 static shapes (utterances x frames x labels): 4 x 40 x 16, 3 x 72 x 40, 2 x 104 x 48" in capsys.readouterr().out
    weighted = []
    for bucket, rows in enumerate((4, 3, 2)):
        count = sum(layer.bucket_of_batch(number) == bucket for number in range(layer.batches_per_epoch))
        dataset, batches = read(lambda bucket=bucket: layer.training_dataset(0, bucket), count)
        assert tf.data.get_output_shapes(dataset).features.as_list() == [rows, layer.buckets[bucket].frames, 16]
        assert layer.longest_shape(bucket) == (rows,) + tuple(layer.buckets[bucket])
        weighted += [index for batch in batches for index in batch.utterance_indices[batch.weights > 0]]
    assert sorted(weighted) == list(range(24))
    # an evaluation has its own batch size
    shapes = tf.data.get_output_shapes(layer.subset(6, 0).evaluation_dataset(bucket=0))
    assert shapes.features.as_list()[0] == 4
    # the shapes for a check without data are the same
    found = dict(checked(manifest, **params)[0])
    absent = ShapesOnlyDataLayer(found, "train", 4, static_shapes=StaticShapes([40, 72, 104]))
    shapes = [tf.data.get_output_shapes(absent.training_dataset(0, bucket)) for bucket in range(3)]
    assert [of_bucket.features.as_list()[0] for of_bucket in shapes] == [4, 3, 2]


@pytest.mark.parametrize("params, words", [
    ({"num_buckets": 8, "length_pool": 50}, ("num_buckets", "length_pool is 50", "to 0")),
    ({"sortagrad": True, "length_pool": 50}, ("sortagrad", "length_pool", "num_buckets")),
    ({"batch_frames": 5000}, ("batch_frames", "needs num_buckets", "8", "at most 4")),
    ({"num_buckets": 1000}, ("num_buckets", "1000", "at most 64")),
    ({"batch_frames": -1, "num_buckets": 4}, ("batch_frames", "-1", "at least 0"))])
def test_contradictions_in_a_config_are_explained(manifest, params, words):
    problem, = checked(manifest, **params)[1]
    for word in words:
        assert word in problem


@pytest.mark.parametrize("params, static, words", [
    ({"num_buckets": 8}, StaticShapes(), ("num_buckets", "8", "at most 4")),
    ({"num_buckets": 3}, StaticShapes([80, 120]), ("num_buckets", "bucket_frames", "to 2", "remove the lengths")),
    ({"num_buckets": 3, "batch_frames": 100}, None, ("batch_frames", "100", "104 frames", "max_duration"))])
def test_what_the_device_or_the_data_contradict_is_explained(manifest, params, static, words):
    with pytest.raises(ConfigError) as raised:
        layer_of(manifest, static_shapes=static, **params)
    for word in words:
        assert word in str(raised.value)


def test_packing_and_evaluations_are_as_without_buckets(manifest, capsys):
    layer = layer_of(manifest, num_buckets=3, join_shorter_than=0.5)
    assert "join_shorter_than has no effect" in capsys.readouterr().out
    assert len(layer.utterances) == sum(len(layer.utterances_of_row(index)) for index in range(24)) == 24
    plain, bucketed = (layer_of(manifest, mode="eval", same_length_batches=True, **params)
                       for params in ({}, {"num_buckets": 3, "batch_frames": 220, "sortagrad": True}))
    assert plain.batches_per_epoch == bucketed.batches_per_epoch
    for one, other in zip(*[read(layer.evaluation_dataset, layer.batches_per_epoch)[1] for layer in (plain, bucketed)]):
        assert one.utterance_indices.tolist() == other.utterance_indices.tolist()


def test_an_unusable_file_becomes_a_padding_row(manifest, tmp_path):
    for number in range(len(SECONDS)):
        (tmp_path / ("%d.wav" % number)).write_bytes(open(manifest.replace("train.csv", "%d.wav" % number), "rb").read())
    (tmp_path / "train.csv").write_text(open(manifest).read())
    layer = layer_of(str(tmp_path / "train.csv"), num_buckets=3, batch_frames=220, max_rejected_fraction=0.5)
    expected = read(layer.training_dataset, layer.batches_per_epoch)[1]
    (tmp_path / "6.wav").write_bytes(b"<html>")
    for before, after in zip(expected, read(layer.training_dataset, layer.batches_per_epoch)[1]):
        usable = before.utterance_indices != 6
        assert after.utterance_indices.tolist() == np.where(usable, before.utterance_indices, -1).tolist()
        assert after.weights.tolist() == np.where(usable, before.weights, 0.0).tolist()
