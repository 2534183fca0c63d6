import csv
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq import modes
from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.data.shards import shard_folder
from open_seq2seq.data.speech2text.buckets import StaticShapes
from open_seq2seq.errors import ConfigError, DataError
from open_seq2seq.experiment.cache_building import build_caches
from open_seq2seq.experiment.loading import load_experiment
from tests.paths import REPOSITORY

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
    arguments = dict(arguments, cache_features=True)
    layer = layer_of(path, **arguments)
    layer.cache.fill()
    layer.cache.wait()
    return layer_of(path, **arguments)


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
    if "num_workers" not in arguments.get("options", {}):
        assert_same(batches_of(layer_of(manifest, cache_features=True, **arguments)), expected)     # while it is filled
    else:
        others = dict(arguments["options"], worker_id=0)
        filled(manifest, **dict(arguments, options=others))
    layer = filled(manifest, **arguments)
    assert layer.cache.is_usable
    assert_same(batches_of(layer), expected)


def test_float16_features_are_rounded_ones(manifest):
    expected = batches_of(layer_of(manifest, augmentation=MASKS))
    arguments = {"cache_features": True, "cache_dtype": "float16", "augmentation": MASKS}
    uncached = batches_of(layer_of(manifest, **arguments))
    # 11 bits; the values are normalized
    assert_same(uncached, expected, tolerance=2.0 ** -11)
    assert any((batch.features != other.features).any() for batch, other in zip(uncached, expected))
    assert_same(batches_of(filled(manifest, **arguments)), uncached)


def test_audio_of_another_rate_and_a_subset(tmp_path):
    manifest = write_corpus(tmp_path, 6, rate=22050)
    expected = batches_of(layer_of(manifest, mode="eval", backend="librosa", gain=1.0))
    layer = filled(manifest, mode="eval", cache_content="audio", gain=1.0)
    # resampled audio is rounded to 16 bits; the features of noise of full scale are within -5 to 5
    for batch, other in zip(batches_of(layer), expected):
        np.testing.assert_allclose(batch.features, other.features, atol=0.1)
    part, whole = layer.subset(4, seed=1), layer_of(manifest, mode="eval", gain=1.0).subset(4, seed=1)
    for batch, other in zip(batches_of(part), batches_of(whole)):
        assert (batch.utterance_indices == other.utterance_indices).all()
        np.testing.assert_allclose(batch.features, other.features, atol=0.1)


@pytest.mark.parametrize("arguments, reason", [
    ({"dither": 1e-5}, "dither is 1e-05"),
    ({"augmentation": {"speed_perturbation_ratio": 0.1}}, "speed_perturbation_ratio"),
    ({"augmentation": {"noise_level_min": -60.0, "noise_level_max": -40.0}}, "noise_level_min"),
    ({"augmentation": {"codec": {}, "level": {}}}, "level, codec"),
    ({"augmentation": {"recipe": "robust"}}, "recipe"),
    ({"join_shorter_than": 1.0, "options": {"static_shapes": StaticShapes(None, 2)}}, "join_shorter_than"),
])
def test_features_that_differ_each_time_are_not_cached(manifest, arguments, reason):
    with pytest.raises(ConfigError) as caught:
        layer_of(manifest, cache_features=True, **arguments)
    assert reason in str(caught.value) and '"cache_content"] to "audio"' in str(caught.value)
    assert filled(manifest, cache_content="audio", **arguments).cache.is_complete


def test_a_cache_of_other_parameters_is_refused_or_built_again(manifest):
    filled(manifest)
    for name, value, expected in (("window_stride", 5e-3, "window_stride was 0.01 and is 0.005"),
                                  ("cache_dtype", "float16", 'cache dtype was "float32" and is "float16"'),
                                  ("norm_per_feature", False, "norm_per_feature was true and is false"),
                                  ("feature_engine", "graph", 'feature_engine was "compiled" and is "graph"')):
        with pytest.raises(DataError) as caught:
            layer_of(manifest, cache_features=True, **{name: value})
        assert expected in str(caught.value) and "cache_regenerate" in str(caught.value)
    arguments = {"window_stride": 5e-3}
    expected = batches_of(layer_of(manifest, **arguments))
    assert_same(batches_of(filled(manifest, cache_regenerate=True, **arguments)), expected)
    layer = filled(manifest, **arguments)
    path = os.path.join(layer.cache.folder.path, "manifest.json")
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace("0.005", "0.01"))
    with pytest.raises(DataError, match="manifest.json, is damaged"):
        filled(manifest)


def test_a_changed_audio_file_is_read_again(manifest, tmp_path):
    layer = filled(manifest)
    before = files_of(layer)
    soundfile.write(str(tmp_path / "3.wav"), np.sin(np.arange(7777) / 9.0) / 2, RATE, subtype="PCM_16")
    expected = batches_of(layer_of(manifest))
    layer = layer_of(manifest, cache_features=True)
    assert not layer.cache.is_complete and len(layer.cache.folder.missing(layer.cache.plan())) == 1
    assert_same(batches_of(layer), expected)
    layer = filled(manifest)
    assert_same(batches_of(layer), expected)
    assert sum(content != before[name] for name, content in files_of(layer).items()) == 2      # a shard and its index


def test_utterances_that_only_another_run_uses_stay_in_the_cache(manifest):
    whole = files_of(filled(manifest))
    short = layer_of(manifest, cache_features=True, max_duration=0.7)
    assert len(short.utterances) == 6 and short.cache.is_usable
    assert_same(batches_of(short), batches_of(layer_of(manifest, max_duration=0.7)))
    # a record of the short run is lost
    shard = next(shard for shard, sources in enumerate(short.cache.plan()) if sources)
    os.remove(short.cache.folder.shard_path(shard) + ".index")
    short.cache.refresh()
    short.cache.fill()
    short.cache.wait()
    assert files_of(filled(manifest)) == whole


def test_an_unusable_audio_file_is_skipped_as_without_a_cache(manifest, tmp_path):
    wav = str(tmp_path / "4.wav")
    with open(wav, "rb") as file:
        content = file.read()
    samples, _ = soundfile.read(wav, dtype="float32")
    samples[5000] = np.nan
    for arguments in ({}, {"num_buckets": 2}, {"mode": "eval"}):
        with open(wav, "wb") as file:
            file.write(content)
        plain, layer = (layer_of(manifest, max_rejected_fraction=0.5, **dict(options, **arguments))
                        for options in ({}, {"cache_features": True, "cache_dir": str(tmp_path / str(len(arguments)))}))
        # it becomes unusable after the start
        soundfile.write(wav, samples, RATE, subtype="FLOAT")
        expected = batches_of(plain)
        assert_same(batches_of(layer), expected)
        layer.cache.wait()
        assert_same(batches_of(layer), expected)
        assert [utterance.wav_filename for utterance in layer.run_time_rejections] == ["4.wav"]


def test_a_run_does_not_need_a_cache_that_can_be_written(manifest, write_config, tmp_path, capfd):
    place = tmp_path / "file"
    place.write_text("not a folder")
    layer = layer_of(manifest, cache_features=True, cache_dir=str(place))
    assert_same(batches_of(layer), batches_of(layer_of(manifest)))
    warning = capfd.readouterr().err
    assert warning.count("Warning: the cache is not filled further: cannot write %s" % place) == 1 and "cache_dir" in warning
    config = write_config("""
base_params["data_layer_params"].update(cache_features=True, cache_dir=%r)
for section in (train_params, eval_params, infer_params):
    section["data_layer_params"]["dataset_files"] = [%r]
""" % (str(place), manifest))
    assert modes.main(["--config_file=" + config, "--mode=build_cache"]) == 3
    assert "cannot write %s" % place in capfd.readouterr().err


def files_of(layer):
    folder = layer.cache.folder.path
    found = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as file:
            found[name] = file.read()
    return found


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 16]))


@pytest.mark.parametrize("arguments", [{}, {"mode": "eval", "cache_content": "audio"}], ids=["features", "audio"])
def test_a_damaged_record_is_computed_again_or_refused(manifest, tmp_path, capfd, arguments):
    layer = filled(manifest, **arguments)
    before, expected = files_of(layer), batches_of(layer)
    shard = next(shard for shard, sources in enumerate(layer.cache.plan()) if len(sources) > 1)
    path, record = layer.cache.folder.shard_path(shard), layer.cache.folder.records_of(shard)[1]
    source = layer.cache.plan()[shard][1].path
    flip(path, int(record["offset"] + record["size"] // 2))
    assert_same(batches_of(layer), expected)
    warning = capfd.readouterr().err
    assert "record 1 of %s" % path in warning and "damaged" in warning and source in warning
    assert files_of(layer) == before
    assert_same(batches_of(filled(manifest, **arguments)), expected)

    tolerant = layer_of(manifest, cache_features=True, max_rejected_fraction=0.1, **arguments)
    index, = [utterance.index for utterance in layer.utterances if os.path.abspath(utterance.audio_path) == source]
    flip(path, int(record["offset"]))
    os.rename(source, source + ".gone")
    with pytest.raises((tf.errors.OpError, DataError)):
        batches_of(layer)
        layer.raise_if_too_many_rejected()
    with pytest.raises(DataError) as caught:
        layer.raise_if_too_many_rejected()
    assert "record 1 of %s" % path in str(caught.value) and "missing file" in str(caught.value)
    for batch, other in zip(batches_of(tolerant), expected):
        kept = other.utterance_indices != index
        rows = batch.utterance_indices >= 0
        assert batch.utterance_indices[rows].tolist() == other.utterance_indices[kept].tolist()
        frames = batch.features.shape[1]
        assert (batch.features[rows] == other.features[kept][:, :frames]).all() and (batch.weights == rows).all()
        assert not batch.features[~rows].any() and not batch.feature_lengths[~rows].any()

    os.rename(source + ".gone", source)
    flip(path + ".index", 200)
    layer = layer_of(manifest, cache_features=True, **arguments)
    assert "index %s.index is damaged" % path in capfd.readouterr().err
    assert layer.cache.folder.missing(layer.cache.plan()) == [shard]
    assert_same(batches_of(layer), expected)
    layer.cache.wait()
    assert files_of(layer) == before
    flip(path + ".index", 3)
    layer = layer_of(manifest, cache_features=True, **arguments)
    assert layer.cache.folder.missing(layer.cache.plan()) == [shard]
    assert "index %s.index is damaged: it lacks 'crc'" % path in capfd.readouterr().err


def test_damage_during_a_run_is_found_although_the_record_was_verified_before(manifest, tmp_path, capfd):
    layer = filled(manifest, max_rejected_fraction=0.1)
    assert layer.cache.is_usable
    before, expected = files_of(layer), batches_of(layer)
    shard = next(shard for shard, sources in enumerate(layer.cache.plan()) if sources)
    path, record = layer.cache.folder.shard_path(shard), layer.cache.folder.records_of(shard)[0]
    state = os.stat(path)
    flip(path, int(record["offset"]) + 1)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))  # as rsync --inplace --times does
    assert_same(batches_of(layer), expected)
    assert "damaged" in capfd.readouterr().err and files_of(layer) == before

    flip(path, int(record["offset"]) + 1)
    source = layer.cache.plan()[shard][0].path
    soundfile.write(source, np.sin(np.arange(7777) / 9.0) / 2, RATE, subtype="PCM_16")
    batches_of(layer)
    skipped, = layer.run_time_rejections
    assert os.path.abspath(skipped.audio_path) == source


_FILLED_FIRST = """
import os, sys
import tensorflow.compat.v1 as tf
from open_seq2seq.data.speech2text import feature_cache
from tests.data.shards.test_feature_cache import filled
feature_cache.usable_cores = lambda: 50
layer = filled(sys.argv[1], feature_engine="graph")
assert layer.cache.is_usable
tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=50))
print("threads", len(os.listdir("/proc/self/task")))
"""


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs Linux's list of threads")
def test_a_training_that_fills_its_cache_has_all_its_threads(manifest):
    found = subprocess.run([sys.executable, "-c", _FILLED_FIRST, manifest], stdout=subprocess.PIPE, check=True, cwd=REPOSITORY)
    assert int(found.stdout.split()[-1]) >= 50


def test_tensorflow_reads_the_shards(manifest):
    layer = filled(manifest, cache_dtype="float16")
    paths = [os.path.join(layer.cache.folder.path, name) for name in files_of(layer) if name.endswith(".tfrecord")]
    features = {"features": tf.FixedLenFeature([], tf.string), "shape": tf.FixedLenFeature([2], tf.int64),
                "samples": tf.FixedLenFeature([], tf.int64), "name": tf.FixedLenFeature([], tf.string)}
    with tf.Graph().as_default(), tf.Session() as session:
        element = tf.data.make_one_shot_iterator(tf.data.TFRecordDataset(paths)).get_next()
        parsed = tf.parse_single_example(element, features)
        array = tf.reshape(tf.decode_raw(parsed["features"], tf.float16), parsed["shape"])
        for _ in layer.utterances:
            example, value = session.run([parsed, array])
            index, = [utterance.index for utterance in layer.utterances
                      if os.path.abspath(utterance.audio_path) == example["name"].decode()]
            assert (value == layer.cache.array_of(index)[0]).all() and example["samples"] == layer.utterances[index].num_samples
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(element)


_KILLED = """
import os, signal, sys
sys.path.insert(0, os.getcwd())
import tensorflow.compat.v1 as tf
from open_seq2seq import modes
from open_seq2seq.data.shards import shard_folder
from open_seq2seq.experiment import cache_building
shard_folder.PER_SHARD = 4
cache_building.usable_cores = lambda: 1
folder, command = sys.argv[1], sys.argv[2:]

def build(kill=None):
    child = os.fork()
    if not child:
        count, replace = [0], os.replace
        def killed_replace(old, new):
            if kill == 2 * count[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            replace(old, new)
            if kill == 2 * count[0] + 1:
                os.kill(os.getpid(), signal.SIGKILL)
            count[0] += 1
        os.replace = killed_replace
        os._exit(modes.main(command))
    return os.waitpid(child, 0)[1]

def files():
    return {name: open(os.path.join(folder, name), "rb").read() for name in os.listdir(folder)}

assert build() == 0
undisturbed, folders, kills = files(), os.listdir(os.path.dirname(folder)), 0
assert len(undisturbed) >= 5 and folders == [os.path.basename(folder)], undisturbed
while True:
    for name in undisturbed:
        os.remove(os.path.join(folder, name))
    os.rmdir(folder)
    if build(kills) != signal.SIGKILL:
        break
    assert kills < len(undisturbed) or any(name.endswith(".index") for name in files())
    assert build() == 0 and files() == undisturbed, kills
    kills += 1
assert kills == 2 * len(undisturbed), kills
print("KILLED", kills)
"""


@pytest.mark.slow
def test_a_build_that_is_killed_and_repeated_gives_the_same_files(manifest, write_config, tmp_path):
    config = write_config("""
base_params["data_layer_params"]["cache_features"] = True
for section in (train_params, eval_params, infer_params):
    section["data_layer_params"]["dataset_files"] = [%r]
""" % manifest)
    folder = layer_of(manifest, cache_features=True).cache.folder.path
    assert not os.path.exists(folder)
    done = subprocess.run([sys.executable, "-c", _KILLED, folder, "--config_file=" + config, "--mode=build_cache"],
                          cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0 and "KILLED" in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
def test_the_command_checks_builds_and_repairs_in_parallel(manifest, write_config, capfd):
    config = write_config("""
base_params["data_layer_params"]["cache_features"] = True
for section in (train_params, eval_params, infer_params):
    section["data_layer_params"]["dataset_files"] = [%r]
""" % manifest)
    experiment = load_experiment(config, "build_cache")
    build_caches(experiment, workers=2)
    assert "11 of 11 utterances" in capfd.readouterr().out
    layer = layer_of(manifest, cache_features=True, backend="psf", norm_per_feature=False)
    before = files_of(layer)
    assert layer.cache.is_usable
    shard = next(shard for shard, sources in enumerate(layer.cache.plan()) if sources)
    path, record = layer.cache.folder.shard_path(shard), layer.cache.folder.records_of(shard)[0]
    # in an array, and in the bytes around it that only TFRecord's checksums cover
    for offset in (int(record["offset"]) + 5, int(record["offset"] + record["size"]) + 1, 9):
        flip(path, offset)
        build_caches(experiment, workers=1)
        captured = capfd.readouterr()
        assert "records of %s are damaged, the first is record 0" % path in captured.err
        assert "1 of them written now" in captured.out
        assert files_of(layer) == before
    with layer.cache.folder.lock(alone=False):
        assert modes.main(["--config_file=" + config, "--mode=build_cache"]) == 3
    assert "another process is writing the cache" in capfd.readouterr().err
