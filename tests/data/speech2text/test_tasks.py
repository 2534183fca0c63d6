"""Data of several tasks: targets, several data sets, and what is refused."""
import csv
import os

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.data import tasks as task_data
from open_seq2seq.data.speech2text.buckets import StaticShapes
from open_seq2seq.data.speech2text.denoising import without_noise
from open_seq2seq.errors import ConfigError, DataError
from open_seq2seq.experiment.cache_building import build_caches
from open_seq2seq.experiment.data_validation import validate_data
from open_seq2seq.experiment.loading import load_experiment

RATE = 16000
NOISE = {"noise_level_min": -30.0, "noise_level_max": -10.0, "speed_perturbation_ratio": 0.1, "n_time_mask": 1,
         "width_time_mask": 8}


def checked(parameters, values, owner):
    report = Report()
    found = check_parameters(parameters, values, "params", report)
    if not report.problems:
        owner.check_rules(found, "params", report)
    assert not report.problems
    return found


def task(name, is_main=False, **values):
    return task_data.TaskData(name, checked(task_data.PARAMETERS, values, task_data), is_main, lambda frames: frames // 2)


class Corpus:
    """Manifests in a folder."""

    def __init__(self, folder):
        self.folder, self._noise = str(folder), np.random.RandomState(0).uniform(-0.5, 0.5, 2 * RATE)

    def path(self, name):
        return os.path.join(self.folder, name)

    def manifest(self, name, rows, columns=("transcript", "speaker", "phones")):
        for number in range(len(rows)):
            audio = self._noise[number * 100:][:int((0.3 + 0.04 * (number % 7)) * RATE)]
            soundfile.write(self.path("%s_%d.wav" % (name, number)), audio, RATE, subtype="PCM_16")
        with open(self.path(name + ".csv"), "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["wav_filename", "wav_filesize", *columns])
            writer.writerows([["%s_%d.wav" % (name, number), 1, *row] for number, row in enumerate(rows)])

    def vocabulary(self, name, lines):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in lines)
        return self.path(name)

    def layer(self, tasks, mode="train", batch_size=4, static=None, seed=0, workers=(1, 0), **params):
        values = {"num_audio_features": 8, "input_type": "logfbank", "backend": "librosa", "norm_per_feature": True, "pad_to": 8,
                  "dataset_files": self.path("ky.csv"), "vocab_file": self.path("ky.txt")}
        values = checked(Speech2TextDataLayer.PARAMETERS, dict(values, **params), Speech2TextDataLayer)
        return Speech2TextDataLayer(values, mode, batch_size, seed, *workers, tasks=tasks, static_shapes=static)


@pytest.fixture
def corpus(tmp_path):
    made = Corpus(tmp_path)
    made.vocabulary("ky.txt", " ab")
    made.vocabulary("tr.txt", "cde")
    made.manifest("ky", [["ab"[number % 2] * (1 + number % 3), "anna" if number % 2 else "bek", "a" * (2 + number % 4)]
                         for number in range(10)])
    made.manifest("tr", [["cde"[:1 + number % 3], "can", "b"] for number in range(24)])
    return made


def read(layer, count, first=0, bucket=None):
    with tf.Graph().as_default(), tf.Session() as session:
        dataset = layer.training_dataset(first, bucket) if layer.mode == "train" else layer.evaluation_dataset(bucket=bucket)
        iterator = tf.data.make_initializable_iterator(dataset)
        element, batches = iterator.get_next(), []
        session.run(iterator.initializer)
        while len(batches) < count:
            try:
                batches.append(session.run(element))
            except tf.errors.OutOfRangeError:
                break
        return batches


def languages(corpus):
    return [task("kyrgyz", True), task("turkish", dataset_files=corpus.path("tr.csv"), vocab_file=corpus.path("tr.txt")),
            task("speaker", kind="label", column="speaker", dataset_files=[corpus.path("ky.csv"), corpus.path("tr.csv")])]


def arrays(batch):
    """The arrays of a TaskBatch."""
    return list(batch[:7]) + [array for targets in batch.targets for array in targets]


def expected_of(corpus, utterance):
    """(labels of kyrgyz, labels of turkish, class) of an utterance, from the file; None without a target."""
    with open(utterance.manifest, encoding="utf-8") as file:
        row = list(csv.DictReader(file))[utterance.row - 2]
    speaker = ["anna", "bek", "can"].index(row["speaker"])
    if utterance.manifest == corpus.path("ky.csv"):
        return [" ab".index(letter) for letter in row["transcript"]], None, speaker
    return None, ["cde".index(letter) for letter in row["transcript"]], speaker


@pytest.mark.parametrize("static, params", [
    (None, {}), (None, {"num_buckets": 2, "sampling_temperature": 3}), (None, {"mix": "batch", "sampling_temperature": 3.0}),
    (StaticShapes(None, 2), {"sampling_temperature": 2}), (StaticShapes(None, 2), {"mix": "batch"}),
    (None, {"cache_features": True, "augmentation": {"n_time_mask": 1}})])
def test_batches_have_the_targets_of_every_task_with_weight_0_for_rows_of_others(corpus, static, params):
    layer = corpus.layer(languages(corpus), static=static, **params)
    assert layer.task_outputs == {"kyrgyz": 3, "turkish": 3, "speaker": 3}
    assert layer.task_vocabularies["speaker"].names == ("anna", "bek", "can")
    rows, sets = 0, []
    buckets = range(len(layer.buckets)) if static else [None]
    for batch in [batch for bucket in buckets for batch in read(layer, 4, bucket=bucket)]:
        main, turkish, speaker = batch.targets
        if static:
            assert batch.features.shape[1:2] + batch.labels.shape[1:] + turkish.labels.shape[1:] in [
                (bucket.frames, bucket.labels, 8) for bucket in layer.buckets]
        of_batch = set()
        for row, index in enumerate(batch.utterance_indices):
            utterance, weight = layer.utterances[index], batch.weights[row]
            of_batch.add(utterance.manifest)
            for targets, expected in zip((main, turkish), expected_of(corpus, utterance)):
                assert targets.labels[row][:targets.label_lengths[row]].tolist() == (expected or [])
                assert targets.weights[row] == (0 if expected is None else weight)
            assert speaker.labels[row] == expected_of(corpus, utterance)[2] and speaker.weights[row] == weight
            assert batch.labels[row][:batch.label_lengths[row]].tolist() == main.labels[row][:main.label_lengths[row]].tolist()
            rows += 1
        sets.append(len(of_batch))
    assert rows >= 16
    assert max(sets) == (1 if params.get("mix") == "batch" else 2)


def test_training_resumes_exactly_and_ranks_share_the_batches(corpus):
    params = {"sampling_temperature": 4.0, "augmentation": dict(NOISE)}
    whole = read(corpus.layer(languages(corpus), **params), 6)
    again = read(corpus.layer(languages(corpus), **params), 3, first=3)
    ranks = [read(corpus.layer(languages(corpus), batch_size=2, workers=(2, rank), **params), 6) for rank in range(2)]
    for one, other in zip(whole[3:], again):
        for value, expected in zip(arrays(other), arrays(one)):
            np.testing.assert_array_equal(value, expected)
    for number, batch in enumerate(whole):
        assert np.concatenate([rank[number].targets[2].labels for rank in ranks]).tolist() == batch.targets[2].labels.tolist()
        assert np.concatenate([rank[number].utterance_indices for rank in ranks]).tolist() == batch.utterance_indices.tolist()


@pytest.mark.parametrize("params", [{}, {"num_buckets": 2}, {"length_pool": 2}])
def test_a_layer_with_one_data_set_has_the_batches_of_a_layer_without_tasks(corpus, params):
    plain, with_task = (read(corpus.layer(tasks, **params), 5) for tasks in (None, [task("kyrgyz", True)]))
    assert not hasattr(plain[0], "targets")
    for batch, other in zip(plain, with_task):
        for value, expected in zip(other[:7], batch):
            np.testing.assert_array_equal(value, expected)


def test_columns_and_other_vocabularies_of_the_same_audio(corpus):
    capitals = {"vocab_file": corpus.vocabulary("upper.txt", "AB"), "normalization": [{"map": {"a": "A", "b": "B"}}]}
    layer = corpus.layer([task("letters", True), task("phones", column="phones"), task("capitals", **capitals)])
    for batch in read(layer, 2):
        for row, index in enumerate(batch.utterance_indices):
            utterance = layer.utterances[index]
            texts = [layer.task_vocabularies[name].decode(targets.labels[row][:targets.label_lengths[row]])
                     for name, targets in zip(layer.task_outputs, batch.targets)]
            assert texts == [utterance.transcript, dict(utterance.columns)["phones"], utterance.transcript.upper()]


@pytest.mark.parametrize("params", [{}, {"cache_features": True}, {"input_type": "mfcc"}])
def test_denoising_has_the_features_of_the_audio_without_its_noise(corpus, params):
    masks_only = "cache_features" in params
    augmentation = {"n_time_mask": 2, "width_time_mask": 10} if masks_only else dict(NOISE, tempo={"ratio": [0.8, 1.2]})
    batch, = read(corpus.layer([task("text", True), task("clean", kind="features")], augmentation=augmentation, **params), 1)
    quiet = None if masks_only else {"speed_perturbation_ratio": 0.1, "tempo": {"ratio": [0.8, 1.2]}}
    expected, = read(corpus.layer([task("text", True)], augmentation=quiet, **params), 1)
    clean = batch.targets[1]
    assert batch.utterance_indices.tolist() == expected.utterance_indices.tolist()
    np.testing.assert_allclose(clean.labels, expected.features, atol=1e-4)
    assert clean.label_lengths.tolist() == batch.feature_lengths.tolist() == expected.feature_lengths.tolist()
    assert batch.features.shape == clean.labels.shape and np.abs(batch.features - clean.labels).mean() > 0.02


@pytest.mark.parametrize("static, params", [(None, {}), (StaticShapes(None, 2), {}), (None, {"cache_features": True})])
def test_evaluations_of_denoising_have_noisy_input_which_is_the_same_for_any_batches(corpus, static, params):
    masks = {"n_time_mask": 2, "width_time_mask": 10}
    augmentation = masks if params else dict(NOISE, tempo={"ratio": [0.5, 0.6]})
    clean, = read(corpus.layer([task("text", True)], "eval", batch_size=10, **params), 1)
    rows = {}
    for batch_size in (10, 3):
        layer = corpus.layer([task("clean", kind="features")], "eval", batch_size, static, augmentation=augmentation, **params)
        for bucket in ([None] if static is None else range(len(layer.buckets))):
            for batch in read(layer, 10, bucket=bucket):
                for index, frames, noisy, target in zip(batch.utterance_indices, batch.feature_lengths, batch.features,
                                                        batch.targets[0].labels):
                    rows.setdefault(index, []).append((noisy[:frames], target[:frames]))
    rows.pop(-1, None)
    assert sorted(rows) == list(range(10))
    for index, (first, second) in rows.items():
        place = clean.utterance_indices.tolist().index(index)
        np.testing.assert_allclose(first[1], clean.features[place][:clean.feature_lengths[place]], atol=1e-4)
        np.testing.assert_allclose(first, second, atol=1e-4)
    assert np.mean([np.abs(first[0] - first[1]).mean() for first, _ in rows.values()]) > 0.02
    # an evaluation of transcripts has no noise
    text, = read(corpus.layer([task("text", True)], "eval", batch_size=10, augmentation=augmentation, **params), 1)
    np.testing.assert_array_equal(text.features, clean.features)


def test_an_evaluation_reads_its_own_files_and_the_classes_of_the_training(corpus):
    corpus.manifest("dev", [["a", "bek", "a"], ["b", "anna", "b"], ["ab", "stranger", "b"]])
    own = {"kind": "label", "column": "speaker", "classes": ["anna", "bek"], "eval_files": corpus.path("dev.csv")}
    with pytest.raises(DataError, match="stranger.*dev.csv:4.*missing"):
        corpus.layer([task("speaker", **own)], "eval")
    layer = corpus.layer([task("speaker", **dict(own, missing="ignore"))], "eval")
    batch, = read(layer, 2)
    assert sorted(zip(batch.utterance_indices.tolist(), batch.targets[0].labels.tolist(), batch.targets[0].weights.tolist())) == [
        (0, 1, 1.0), (1, 0, 1.0), (2, 0, 0.0)]
    assert batch.label_lengths.tolist() == [0, 0, 0]
    part, = read(layer.subset(2, 0), 2)
    assert part.targets[0].weights.tolist() == [batch.targets[0].weights[batch.utterance_indices.tolist().index(
        layer.subset(2, 0).utterances[index].row - 2)] for index in part.utterance_indices]
    with pytest.raises(DataError, match="classes of the training are not known"):
        corpus.layer([task("speaker", **dict(own, classes=None))], "eval")


@pytest.mark.parametrize("own, files, used", [
    ({}, "dev.csv", "dev.csv"), ({"eval_files": "own.csv"}, "dev.csv", "own.csv"), ({"eval_files": []}, "dev.csv", None),
    ({"dataset_files": "tr.csv"}, "dev.csv", None), ({"dataset_files": "tr.csv", "eval_files": "t.csv"}, "dev.csv", "t.csv")])
def test_data_layer_params_of_an_evaluation(own, files, used):
    params = task("name", column="phones", vocab_file="phones.txt", **own).params
    assert task_data.is_evaluated(params) == (used is not None)
    if used is not None:
        found = task_data.data_layer_params_of({"dataset_files": files, "vocab_file": "v", "bpe": False}, params, evaluation=True)
        assert (found["dataset_files"], found["vocab_file"], found["transcript_column"]) == (used, "phones.txt", "phones")


def missing_speakers(corpus):
    corpus.manifest("ky", [["a", "anna", "a"], ["b", "", "a"], ["a", "bek", "a"], ["b", "", "a"]])


@pytest.mark.parametrize("prepare, name, own, message", [
    (missing_speakers, "voice", {"kind": "label", "column": "speaker"},
     '"voice": 2 of 4 rows .*"speaker".*ky.csv:3.*ky.csv:5.*"ignore"'),
    (None, "accent", {"kind": "label", "column": "accent"}, 'no column "accent".*speaker, phones'),
    (None, "phones", {"column": "fones"}, 'no column "fones".*speaker, phones'),
    (None, "phones", {"column": "speaker"}, "outside the vocabulary"),
    (None, "one", {"kind": "label", "column": "speaker", "dataset_files": "tr.csv"}, "1 different value.*can"),
    (None, "listed", {"kind": "label", "column": "speaker", "classes": ["anna", "cem"]}, r"bek \(.*ky.csv:2"),
    (lambda corpus: corpus.manifest("no", [["a", "", ""]] * 3), "no",
     {"column": "phones", "dataset_files": "no.csv", "missing": "ignore"}, '"no" has no data'),
])
def test_bad_data_is_named_before_training(corpus, prepare, name, own, message):
    if prepare is not None:
        prepare(corpus)
    own = {key: corpus.path(value) if key == "dataset_files" else value for key, value in own.items()}
    with pytest.raises(DataError, match="(?s)" + message):
        corpus.layer([task("text", True), task(name, **own)])


def test_missing_values_have_weight_0_if_asked(corpus):
    missing_speakers(corpus)
    layer = corpus.layer([task("text", True), task("speaker", kind="label", column="speaker", missing="ignore")])
    for batch in read(layer, 2):
        for index, weight in zip(batch.utterance_indices, batch.targets[1].weights):
            assert weight == (index in (0, 2))


def test_empty_transcripts_are_rejected_as_without_tasks(corpus):
    corpus.manifest("ky", [["a", "x", "b"]] * 9 + [["", "x", "b"]])
    for tasks in (None, [task("text", True), task("phones", column="phones")]):
        layer = corpus.layer(tasks, max_rejected_fraction=0.1)
        assert [(rejection.row, rejection.reason.name) for rejection in layer.rejections] == [(11, "empty transcript")]


def test_a_small_data_set_that_does_not_fit_its_vocabulary_is_not_lost_among_others(corpus):
    corpus.manifest("ky", [["a", "x", ""]] * 20)
    corpus.manifest("other", [["q", "x", ""]])
    with pytest.raises(DataError, match="(?s)1 of 1 .*other.csv.*make_vocab"):
        corpus.layer(None, dataset_files=[corpus.path("ky.csv"), corpus.path("other.csv")], max_rejected_fraction=0.1)
    with pytest.raises(DataError, match="(?s)other.csv"):
        corpus.layer([task("text", True), task("other", dataset_files=corpus.path("other.csv"))], max_rejected_fraction=0.1)


@pytest.mark.parametrize("static, params, second, message", [
    (StaticShapes(None, 2), {"join_shorter_than": 1.0}, {"column": "phones"}, "join_shorter_than"),
    (None, {}, {"kind": "features"}, "augmentation"),
    (None, {"augmentation": {"speed_perturbation_ratio": 0.1}}, {"kind": "features"}, "augmentation"),
])
def test_what_does_not_fit_tasks_is_refused(corpus, static, params, second, message):
    with pytest.raises(ConfigError, match=message):
        corpus.layer([task("text", True), task("other", **second)], static=static, **params)


def test_utterances_of_several_data_sets_are_not_packed(corpus):
    with pytest.raises(ConfigError, match="join_shorter_than"):
        corpus.layer(None, dataset_files=[corpus.path("ky.csv"), corpus.path("tr.csv")], static=StaticShapes(None, 2),
                     vocab_file=corpus.vocabulary("all.txt", " abcde"), sampling_temperature=2, join_shorter_than=1.0)


def test_frame_shifts_and_the_longest_batch_regard_the_transcripts_of_all_tasks(corpus):
    tasks = [task("letters", True), task("phones", column="phones")]

    def layer(phones):
        corpus.manifest("two", [["ab", "x", phones if number == chosen else "a"] for number in range(7)])
        return corpus.layer(tasks, batch_size=7, dataset_files=corpus.path("two.csv"), frame_shifts=2)

    def frames(layer, epoch):
        batch = read(layer, 2)[epoch]
        return dict(zip(batch.utterance_indices.tolist(), batch.feature_lengths.tolist()))

    chosen = 0
    before = frames(layer("a"), 0)
    assert frames(layer("a"), 1) == {index: length - 1 for index, length in before.items()}
    chosen = next(index for index, length in before.items() if length % 2 == 0)
    # without its first frame the task's output, of every second frame, would be too short
    full = layer(("ab" * before[chosen])[:before[chosen] // 2])
    assert frames(full, 1) == {index: length - (index != chosen) for index, length in before.items()}
    assert full.training_batches.longest_request().indices[-1] == chosen


def test_noise_is_removed_from_recipes_but_not_what_changes_the_length():
    values = {"dataset_files": ["a"], "vocab_file": "v", "num_audio_features": 8, "input_type": "logfbank"}
    augmentation = checked(Speech2TextDataLayer.PARAMETERS, dict(values, augmentation={"recipe": "robust"}),
                           Speech2TextDataLayer)["augmentation"]
    kept = without_noise(augmentation)
    assert {name for name, value in kept.items() if isinstance(value, dict)} <= {"tempo", "pitch", "pauses", "shift"}
    assert kept["recipe"] is None and kept["effects_probability"] > 0


@pytest.mark.parametrize("of_column", [True, False])
def test_language_tags_are_labels_but_not_text(corpus, of_column):
    joint = corpus.vocabulary("joint.txt", list(" abcde") + ["<can>", "<ky>"])
    corpus.manifest("ky", [["ab", "ky", ""]] * 4)
    files = [corpus.path("ky.csv"), corpus.path("tr.csv")]
    tags = "speaker" if of_column else dict(zip(files, ["ky", "can"]))
    layer = corpus.layer(None, dataset_files=files, vocab_file=joint, language_tags=tags, sampling_temperature=2)
    for utterance in layer.utterances:
        assert utterance.labels[0] == (7 if utterance.manifest == files[0] else 6)
        assert layer.vocabulary.decode(utterance.labels) == utterance.transcript
    assert sorted(np.unique(layer.training_batches.data_sets.numbers, return_counts=True)[1]) == [4, 24]
    with pytest.raises(DataError, match="no tag"):
        corpus.layer(None, vocab_file=joint, language_tags={files[0]: "kk"})
    with pytest.raises(DataError, match="make_vocab"):
        corpus.layer(None, language_tags="speaker")


@pytest.mark.slow
def test_caches_and_validation_include_the_manifests_of_tasks(corpus, write_config, tmp_path, capfd):
    corpus.manifest("dev", [["cd", "can", "b"]] * 3)
    config = write_config("""
ky, tr, dev = %r, %r, %r
base_params["data_layer_params"].update(cache_features=True, vocab_file=%r)
base_params["tasks"] = {"kyrgyz": {"data": {}}, "speaker": {"data": {"kind": "label", "column": "speaker"}},
                        "turkish": {"data": {"dataset_files": tr, "eval_files": dev, "vocab_file": %r}}}
for section in (train_params, eval_params, infer_params):
    section["data_layer_params"]["dataset_files"] = [ky]
""" % tuple(corpus.path(name) for name in ("ky.csv", "tr.csv", "dev.csv", "ky.txt", "tr.txt")))
    build_caches(load_experiment(config, "build_cache"), workers=1)
    printed = capfd.readouterr().out
    for count in (34, 10, 3):
        assert "%d of %d utterances" % (count, count) in printed
    try:
        validate_data(load_experiment(config, "validate_data"), str(tmp_path / "validation"))
    except DataError:
        pass  # the noise of this corpus is not speech, which is an error of some checks
    printed = capfd.readouterr().out
    assert "train_turkish" in printed and "eval_turkish" in printed
