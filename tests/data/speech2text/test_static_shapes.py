"""The data layer with batches of a few static shapes, or with equal lengths on all workers."""
import csv
import os

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.data.speech2text.buckets import Bucket, StaticShapes
from open_seq2seq.errors import DataError

RATE = 16000
BASE = {"num_audio_features": 16, "input_type": "logfbank", "backend": "librosa", "norm_per_feature": True, "dither": 1e-3,
        "vocab_file": "open_seq2seq/test_utils/toy_speech_data/vocab.txt", "pad_to": 8}
# seconds: three groups of lengths
DURATIONS = [0.2, 0.22, 0.24, 0.26, 0.6, 0.62, 0.64, 0.66, 0.68, 1.0, 1.02]


@pytest.fixture(scope="module")
def noise():
    return np.random.RandomState(0).uniform(-0.5, 0.5, RATE * 4)


@pytest.fixture
def manifest(tmp_path, noise):
    path = str(tmp_path / "train.csv")
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["wav_filename", "transcript"])
        for number, seconds in enumerate(DURATIONS):
            soundfile.write(str(tmp_path / ("%d.wav" % number)), noise[:int(seconds * RATE)], RATE, subtype="PCM_16")
            writer.writerow(["%d.wav" % number, "ab" * (1 + number)])
    return path


def layer_of(path, mode="train", batch_size=2, **options):
    params = {key: options.pop(key) for key in list(options) if key in
              [parameter.name for parameter in Speech2TextDataLayer.PARAMETERS]}
    report = Report()
    checked = check_parameters(Speech2TextDataLayer.PARAMETERS, dict(BASE, dataset_files=path, **params), "params", report)
    assert not report.problems
    return Speech2TextDataLayer(checked, mode, batch_size, **options)


def read(make_dataset, count=None):
    with tf.Graph().as_default(), tf.Session() as session:
        dataset = make_dataset()
        shapes = [shape.as_list() for shape in tf.data.get_output_shapes(dataset)]
        iterator = tf.data.make_initializable_iterator(dataset)
        element, batches = iterator.get_next(), []
        session.run(iterator.initializer)
        while count is None or len(batches) < count:
            try:
                batches.append(session.run(element))
            except tf.errors.OutOfRangeError:
                break
        return shapes, batches


def training_stream(layer, first, end):
    """Batches ``first`` to ``end`` - 1 in the order of a training loop, read from one dataset per bucket."""
    buckets = [layer.bucket_of_batch(number) for number in range(first, end)]
    streams = {}
    for bucket in set(buckets):
        shapes, batches = read(lambda bucket=bucket: layer.training_dataset(first, bucket), buckets.count(bucket))
        shape = layer.buckets[bucket]
        assert shapes == [[layer.batch_size, shape.frames, 16], [layer.batch_size], [layer.batch_size, shape.labels],
                          [layer.batch_size], [layer.batch_size], [layer.batch_size], [layer.batch_size]]
        streams[bucket] = iter(batches)
    return [next(streams[bucket]) for bucket in buckets]


def assert_same_batches(first, second):
    for one, other in zip(first, second):
        for name in one._fields:
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-4, err_msg=name)


def test_buckets_are_derived_from_the_data(manifest, capsys):
    layer = layer_of(manifest, static_shapes=StaticShapes(max_buckets=3), length_pool=4)
    # 0.26 s are 27 frames, 0.68 s 69, 1.02 s 103; 4, 9 and 11 utterances at most 8, 18 and 22 labels long
    assert layer.buckets == [Bucket(32, 8), Bucket(72, 24), Bucket(104, 24)]
    assert layer.batches_per_epoch == 2 + 3 + 1
    assert ("*** train data: 3 static shapes (frames x labels): 32 x 8, 72 x 24, 104 x 24; length_pool has no effect\n"
            in capsys.readouterr().out)
    assert layer_of(manifest, static_shapes=StaticShapes([64, 128])).buckets == [Bucket(64, 16), Bucket(128, 24)]
    assert layer_of(manifest).buckets is None


@pytest.mark.slow
def test_an_epoch_of_training_has_every_utterance_once(manifest):
    options = {"seed": 3, "static_shapes": StaticShapes(max_buckets=3)}
    workers = [layer_of(manifest, batch_size=1, num_workers=2, worker_id=worker, **options) for worker in range(2)]
    alone = layer_of(manifest, batch_size=2, **options)
    count = alone.batches_per_epoch
    assert [worker.batches_per_epoch for worker in workers] == [count, count] and workers[0].buckets == alone.buckets
    whole, parts = training_stream(alone, 0, count), [training_stream(worker, 0, count) for worker in workers]
    weighted = [index for batch in whole for index, weight in zip(batch.utterance_indices, batch.weights) if weight > 0]
    assert sorted(weighted) == list(range(len(DURATIONS)))
    assert sum(batch.weights.sum() for batch in whole) == 2 * count
    assert_same_batches(whole, [type(first)(*[np.concatenate(fields) for fields in zip(first, second)])
                                for first, second in zip(*parts)])
    for batch in whole:
        for row, index in enumerate(batch.utterance_indices):
            assert batch.feature_lengths[row] == int(DURATIONS[index] * RATE) // 160 + 1
            labels = alone.utterances[index].labels
            assert batch.labels[row].tolist() == list(labels) + [0] * (batch.labels.shape[1] - len(labels))


@pytest.mark.slow
def test_training_resumes_from_any_batch(manifest):
    options = {"seed": 5, "static_shapes": StaticShapes(max_buckets=3),
               "augmentation": {"speed_perturbation_ratio": 0.1, "noise_level_min": -90, "noise_level_max": -46,
                                "n_freq_mask": 1, "n_time_mask": 1, "width_freq_mask": 3, "width_time_mask": 4}}
    whole = training_stream(layer_of(manifest, **options), 0, 14)
    for first in (1, 6, 9):
        assert_same_batches(whole[first:], training_stream(layer_of(manifest, **options), first, 14))


@pytest.mark.slow
@pytest.mark.parametrize("ratio, most", [([0.9, 1.0, 1.1], 1.1), (0.2, 1.2)])
def test_speed_perturbation_fits_the_buckets(manifest, ratio, most):
    layer = layer_of(manifest, static_shapes=StaticShapes(max_buckets=3), augmentation={"speed_perturbation_ratio": ratio})
    longest = [int(seconds * RATE * most) // 160 + 1 for seconds in (0.26, 0.68, 1.02)]
    assert [bucket.frames for bucket in layer.buckets] == [-(-frames // 8) * 8 for frames in longest]
    lengths = np.concatenate([batch.feature_lengths for batch in training_stream(layer, 0, 4 * layer.batches_per_epoch)])
    assert lengths.max() > 103, "no utterance became longer"


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [1, 3])
@pytest.mark.parametrize("mode", ["eval", "infer"])
def test_evaluation_reads_everything_once_in_full_batches(manifest, mode, num_workers):
    plain = {batch.utterance_indices[0]: batch for batch in read(layer_of(manifest, mode, 1).evaluation_dataset)[1]}
    seen = []
    for worker in range(num_workers):
        layer = layer_of(manifest, mode, 4, num_workers=num_workers, worker_id=worker, static_shapes=StaticShapes(max_buckets=3))
        count = 0
        for bucket, (frames, labels) in enumerate(layer.buckets):
            shapes, batches = read(lambda layer=layer, bucket=bucket: layer.evaluation_dataset(bucket=bucket))
            assert shapes == [[4, frames, 16], [4], [4, labels], [4], [4], [4], [4]]
            count += len(batches)
            for batch in batches:
                there = batch.utterance_indices >= 0
                assert (batch.weights == there).all() and there.any()
                for field in (batch.feature_lengths, batch.label_lengths, batch.features, batch.labels):
                    assert (field[~there] == 0).all()
                for row in np.flatnonzero(there):
                    index, length = batch.utterance_indices[row], batch.feature_lengths[row]
                    np.testing.assert_allclose(batch.features[row, :length], plain[index].features[0, :length], atol=1e-4)
                seen.extend(batch.utterance_indices[there])
        assert layer.batches_per_epoch == count
    assert sorted(seen) == list(range(len(DURATIONS)))


def test_buckets_of_an_evaluation_do_not_depend_on_the_batch_size(manifest):
    shapes = [layer_of(manifest, "eval", batch_size, num_workers=workers, static_shapes=StaticShapes()).buckets
              for batch_size, workers in ((1, 1), (8, 1), (32, 8))]
    assert shapes[0] == shapes[1] == shapes[2] and len(shapes[0]) == 4


@pytest.mark.slow
@pytest.mark.parametrize("content", ["not audio", "longer"])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_file_that_becomes_unusable_gives_a_padding_row(manifest, tmp_path, noise, mode, content, capsys):
    layer = layer_of(manifest, mode, 2, shuffle=False, static_shapes=StaticShapes(max_buckets=3), max_rejected_fraction=0.3)
    if content == "longer":
        soundfile.write(str(tmp_path / "2.wav"), noise[:RATE], RATE, subtype="PCM_16")
    else:
        (tmp_path / "2.wav").write_bytes(b"<html>")
    if mode == "train":
        batches = training_stream(layer, 0, layer.batches_per_epoch)
    else:
        batches = [batch for bucket in range(3)
                   for batch in read(lambda bucket=bucket: layer.evaluation_dataset(bucket=bucket))[1]]
    assert len(batches) == layer.batches_per_epoch == 6
    rows = [(index, weight) for batch in batches for index, weight in zip(batch.utterance_indices, batch.weights)]
    assert sorted(index for index, weight in rows if weight > 0) == [0, 1] + list(range(3, len(DURATIONS)))
    assert (-1, 0.0) in rows
    assert [utterance.index for utterance in layer.run_time_rejections] == [2]
    reason = "wrong length in header: 3840 samples at the start of the run, 16000 now" if content == "longer" else "not audio"
    assert "skipped utterance %s: %s" % (layer.utterances[2].id, reason) in capsys.readouterr().err


def test_training_ends_when_all_files_are_deleted(manifest, tmp_path):
    layer = layer_of(manifest, static_shapes=StaticShapes(max_buckets=1), max_rejected_fraction=1.0)
    for number in range(len(DURATIONS)):
        os.unlink(str(tmp_path / ("%d.wav" % number)))
    with pytest.raises(tf.errors.OpError, match="DataError"):
        read(lambda: layer.training_dataset(0, 0), 20)
    with pytest.raises(DataError, match="missing file"):
        layer.raise_if_too_many_rejected()


def test_faults_found_by_other_workers_count(manifest):
    layer = layer_of(manifest, "eval", max_rejected_fraction=0.2)
    layer.raise_if_too_many_rejected(elsewhere=2)
    with pytest.raises(DataError, match="3 of 11 utterances .*: 3 found by other workers"):
        layer.raise_if_too_many_rejected(elsewhere=3)


def test_utterances_longer_than_the_configured_buckets_are_refused(manifest):
    with pytest.raises(DataError, match=r"2 of 11 utterances are longer than the longest bucket, 80 frames; utterance "
                                        r"\S*train.csv:12 has the most: 103 frames"):
        layer_of(manifest, static_shapes=StaticShapes([40, 80]))
    assert len(layer_of(manifest, static_shapes=StaticShapes([40, 80]), max_feature_length=80).utterances) == 9


@pytest.mark.parametrize("static, bucket", [(True, None), (True, 3), (True, -1), (False, 0)])
def test_the_bucket_must_be_given_with_static_shapes_only(manifest, static, bucket):
    layer = layer_of(manifest, static_shapes=StaticShapes(max_buckets=3) if static else None)
    for method in (lambda: layer.training_dataset(0, bucket), lambda: layer.evaluation_dataset(bucket=bucket)):
        with pytest.raises(ValueError, match="bucket is %r, expected %s" % (bucket, "0 to 2" if static else "None")):
            method()


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [None, [0.9, 1.0, 1.1]])
def test_all_workers_can_pad_to_the_longest_utterance_of_all(manifest, ratio):
    options = {"seed": 1, "same_frames_on_all_workers": True, "augmentation": {"speed_perturbation_ratio": ratio}}
    alone = read(layer_of(manifest, batch_size=4, **options).training_dataset, 6)[1]
    parts = [read(layer_of(manifest, batch_size=2, num_workers=2, worker_id=worker, **options).training_dataset, 6)[1]
             for worker in range(2)]
    own = 0
    for whole, first, second in zip(alone, *parts):
        assert whole.features.shape[1] == first.features.shape[1] == second.features.shape[1]
        np.testing.assert_allclose(whole.features, np.concatenate([first.features, second.features]), atol=1e-4)
        longest = [-(-part.feature_lengths.max() // 8) * 8 for part in (first, second)]
        own += longest[0] != longest[1]
        if ratio is None:
            assert whole.features.shape[1] == max(longest)
    assert own, "the workers' own batches had equal lengths"


def test_an_unusable_file_does_not_shift_the_workers_batches(manifest, tmp_path):
    options = {"shuffle": False, "same_frames_on_all_workers": True, "max_rejected_fraction": 0.3}
    layer = layer_of(manifest, batch_size=4, **options)
    (tmp_path / "5.wav").write_bytes(b"<html>")
    first, second = read(layer.training_dataset, 2)[1]
    assert first.utterance_indices.tolist() == [0, 1, 2, 3] and second.utterance_indices.tolist() == [4, -1, 6, 7]
    assert second.weights.tolist() == [1.0, 0.0, 1.0, 1.0] and first.weights.tolist() == [1.0] * 4


def test_packed_utterances_are_one_row(manifest, noise):
    """Utterances of 0.3 s and more get a row each; the others, 0.2 to 0.26 s, are one row, shorter than the longest (1.02 s)."""
    layer = layer_of(manifest, batch_size=1, shuffle=False, join_shorter_than=0.3, dither=0.0, static_shapes=StaticShapes())
    order = [3, 2, 1, 0]
    batches = training_stream(layer, 0, layer.batches_per_epoch)
    assert len(batches) == layer.batches_per_epoch == 8
    packed, = [batch for batch in batches if batch.utterance_indices[0] == order[0]]
    assert {batch.utterance_indices[0] for batch in batches} == {3} | set(range(4, 11))
    samples = [int(DURATIONS[index] * RATE) for index in order]
    assert packed.feature_lengths[0] == sum(samples) // 160 + 1 <= layer.buckets[-1].frames
    labels = []
    for index in order:
        labels += ([0] if labels else []) + list(layer.utterances[index].labels)
    assert packed.labels[0, :packed.label_lengths[0]].tolist() == labels and layer.vocabulary.decode([0]) == " "
    # the mean over the batch is one over four utterances
    assert packed.weights.tolist() == [0.25] and sum(batch.weights[0] for batch in batches) == 7.25
    waveform, _ = layer._load(3)
    expected = np.concatenate([noise[:count] for count in samples])
    np.testing.assert_allclose(waveform, expected, atol=2.0 ** -15)


def test_an_unusable_file_is_skipped_in_a_packed_row(manifest, tmp_path):
    layer = layer_of(manifest, batch_size=1, join_shorter_than=0.3, static_shapes=StaticShapes(), max_rejected_fraction=0.5)
    (tmp_path / "3.wav").write_bytes(b"<html>")
    waveform, labels = layer._load(3)
    assert len(waveform) == sum(int(DURATIONS[index] * RATE) for index in (2, 1, 0))
    assert layer.vocabulary.decode(labels) == "ababab abab ab"
    for number in (0, 1, 2):
        (tmp_path / ("%d.wav" % number)).unlink()
    assert [len(part) for part in layer._load(3)] == [0, 0]
    assert len(layer.run_time_rejections) == 4


def test_evaluation_does_not_pack(manifest):
    layer = layer_of(manifest, "eval", 1, join_shorter_than=0.3, static_shapes=StaticShapes())
    assert layer.batches_per_epoch == len(DURATIONS)


def test_a_packed_row_names_all_its_utterances(manifest):
    layer = layer_of(manifest, batch_size=1, join_shorter_than=0.3, static_shapes=StaticShapes())
    names = [[utterance.id for utterance in layer.utterances_of_row(index)] for index in (3, 10, -1)]
    assert names == [["%s:%d" % (manifest, row) for row in (5, 4, 3, 2)], ["%s:12" % manifest], []]


def test_a_subset_evaluates_with_static_shapes(manifest):
    layer = layer_of(manifest, batch_size=2, join_shorter_than=0.3, static_shapes=StaticShapes(max_buckets=2),
                     augmentation={"speed_perturbation_ratio": 0.2})
    subset = layer.subset(4, seed=0)
    assert subset.mode == "eval" and len(subset.utterances) == 4 and len(subset.buckets) <= 2
    batches = [batch for bucket in range(len(subset.buckets))
               for batch in read(lambda bucket=bucket: subset.evaluation_dataset(bucket=bucket))[1]]
    seen = [index for batch in batches for index in batch.utterance_indices]
    assert sorted(index for index in seen if index >= 0) == [0, 1, 2, 3]
    # the shapes are those of the utterances without speed perturbation
    longest = max(utterance.num_samples for utterance in subset.utterances)
    assert subset.buckets[-1].frames == -(-(longest // 160 + 1) // 8) * 8
    assert len(layer.utterances) == len(DURATIONS) and layer.mode == "train"
