import csv
import os

import numpy as np
import pytest
import soundfile
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data import Speech2TextDataLayer
from open_seq2seq.data.speech2text import speech2text
from open_seq2seq.data.speech2text.features import extract_features
from open_seq2seq.errors import DataError

RATE = 16000
VOCABULARY = "open_seq2seq/test_utils/toy_speech_data/vocab.txt"
BASE = {"num_audio_features": 16, "input_type": "logfbank", "backend": "librosa", "norm_per_feature": True,
        "vocab_file": VOCABULARY, "pad_to": 8}


def check(**params):
    report = Report()
    return check_parameters(Speech2TextDataLayer.PARAMETERS, dict(BASE, **params), "params", report), report


@pytest.fixture
def corpus(tmp_path):
    """A function that writes rows (transcript, seconds) or (transcript, bytes) and returns the manifest's path."""
    noise = np.random.RandomState(0).uniform(-0.5, 0.5, RATE * 4)

    def corpus(*rows, **options):
        path = tmp_path / options.get("name", "train.csv")
        with open(str(path), "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["wav_filename", "wav_filesize", "transcript"])
            for number, (transcript, audio) in enumerate(rows):
                wav = "%d.wav" % number
                if isinstance(audio, bytes):
                    (tmp_path / wav).write_bytes(audio)
                elif audio is not None:
                    soundfile.write(str(tmp_path / wav), noise[:int(audio * RATE)], RATE, subtype="PCM_16")
                writer.writerow([wav, 1, transcript])
        return str(path)
    return corpus


def layer_of(path, mode="train", batch_size=2, **options):
    params = dict({key: options.pop(key) for key in list(options) if key in
                   [parameter.name for parameter in Speech2TextDataLayer.PARAMETERS]}, dataset_files=path)
    checked, report = check(**params)
    assert not report.problems
    return Speech2TextDataLayer(checked, mode, batch_size, **options)


def read(dataset, count=None):
    with tf.Graph().as_default(), tf.Session() as session:
        iterator = tf.data.make_initializable_iterator(dataset())
        element, batches = iterator.get_next(), []
        session.run(iterator.initializer)
        while count is None or len(batches) < count:
            try:
                batches.append(session.run(element))
            except tf.errors.OutOfRangeError:
                break
        return batches


def reasons(layer):
    return [(rejection.row, rejection.reason.name, rejection.detail) for rejection in layer.rejections]


def test_a_batch_contains_the_features_and_labels_of_its_utterances(corpus):
    layer = layer_of(corpus(("ab", 0.5), ("it's", 1.0), ("hello you", 0.31)), "eval", batch_size=3)
    assert [(u.index, u.row, u.wav_filename, u.duration, u.num_samples) for u in layer.utterances] == [
        (0, 2, "0.wav", 0.5, 8000), (1, 3, "1.wav", 1.0, 16000), (2, 4, "2.wav", 0.31, 4960)]
    assert layer.utterances[1].labels == (9, 20, 27, 19)
    assert layer.utterances[1].id.endswith("train.csv:3")
    assert layer.total_duration == pytest.approx(1.81)
    assert (layer.num_audio_features, layer.vocabulary.size, layer.batches_per_epoch) == (16, 28, 1)
    batch, = read(layer.evaluation_dataset)
    assert batch.utterance_indices.tolist() == [1, 0, 2]
    assert batch.features.shape == (3, 104, 16)
    assert batch.feature_lengths.tolist() == [101, 51, 32]
    assert batch.labels.tolist() == [
        [9, 20, 27, 19, 0, 0, 0, 0, 0], [1, 2, 0, 0, 0, 0, 0, 0, 0], [8, 5, 12, 12, 15, 0, 25, 15, 21]]
    assert batch.label_lengths.tolist() == [4, 2, 9]
    waveform, _ = soundfile.read(layer.utterances[2].audio_path, dtype="float32")
    np.testing.assert_allclose(batch.features[2, :32], extract_features(waveform, check(dataset_files="")[0]), atol=2e-3)
    assert (batch.features[2, 32:] == 0).all()


def test_the_module_path_in_old_configs():
    assert speech2text.Speech2TextDataLayer is Speech2TextDataLayer


def test_several_manifests_are_one_data_set(corpus):
    first = corpus(("a", 0.5), name="a.csv")
    second = corpus(("b", 0.5), ("c", 0.5), name="b.csv")
    layer = layer_of([first, second], "eval")
    assert [(u.id, u.transcript) for u in layer.utterances] == [
        (first + ":2", "a"), (second + ":2", "b"), (second + ":3", "c")]


def test_audio_is_found_from_the_working_directory_too(corpus, tmp_path, monkeypatch):
    path = corpus(("a", 0.5), name="train.csv")
    os.makedirs(str(tmp_path / "manifests"))
    os.rename(path, str(tmp_path / "manifests" / "train.csv"))
    monkeypatch.chdir(tmp_path)
    assert layer_of("manifests/train.csv").utterances[0].audio_path == "0.wav"


@pytest.mark.parametrize("name, value, message", [
    ("noise_files", "noise.csv", "is 'noise.csv', which is not supported (only None is): noise from files"),
    ("dataset_files", [], "expected a list"),
    ("max_rejected_fraction", 2.0, "expected a number at least 0.0 and at most 1.0"),
    ("max_durations", 2.0, 'did you mean "max_duration"?'),
])
def test_unsupported_values_are_refused(name, value, message):
    _, report = check(**dict({"dataset_files": ["a.csv"]}, **{name: value}))
    assert len(report.problems) == 1 and message in report.problems[0]


def test_bpe_requires_a_sentencepiece_model():
    for name, count in ((VOCABULARY, 1), ("pieces.model", 0)):
        params, report = check(dataset_files=["a.csv"], vocab_file=name, bpe=True)
        Speech2TextDataLayer.check_rules(params, "params", report)
        assert len(report.problems) == count
    assert check(dataset_files=["a.csv"], bpe="yes")[1].problems


def test_params_of_public_configs_are_accepted_and_those_without_effect_are_noted():
    params, report = check(
        dataset_files=["a.csv"], window="hanning", precompute_mel_basis=True, sample_freq=16000, dither=1e-5, bpe=False,
        autoregressive=False, syn_enable=False, syn_subdirs=["a"], noise_files=None, max_duration=16.7, min_duration=-1.0,
        shuffle=False, dtype=tf.float32, cache_features=True, cache_format="hdf5", cache_regenerate=False, interactive=False,
        repeat=False, mode="train", batch_size=8, augmentation={"n_freq_mask": 2, "n_time_mask": 2, "width_freq_mask": 6,
                                                                "width_time_mask": 6})
    assert not report.problems
    noted = {note.split('"')[1] for note in report.notes}
    assert noted == {"precompute_mel_basis", "syn_subdirs", "dtype", "cache_format",
                     "repeat", "mode", "batch_size"}
    assert params["augmentation"]["n_freq_mask"] == 2


def test_every_bad_row_is_listed_with_its_reason(corpus, tmp_path):
    header = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data"
    path = corpus(("good", 1.0), ("x", None), ("x", b"<html>not found</html>"), ("x", header + b"\0\0\0\0"),
                  ("x", header + b"\x10\x27\0\0" + b"\0" * 100), ("Upper", 1.0), ("", 1.0), ("much too much text", 0.1),
                  ("book", 0.03), ("x", 3.5), ("x", 0.01), ("long label", 2.0), ("fine", 2.0), ("x", 2.9))
    rejected = tmp_path / "rejected.csv"
    layer = layer_of(path, max_rejected_fraction=0.9, max_duration=3, min_duration=0.02, max_label_length=9,
                     max_feature_length=280, output_frames=lambda frames: -(-frames // 2), rejected_file=str(rejected))
    assert [utterance.row for utterance in layer.utterances] == [2, 14]
    found = {row: (reason, detail) for row, reason, detail in reasons(layer)}
    assert found[3] == ("missing file", "%s does not exist" % (tmp_path / "1.wav"))
    assert found[4][0] == "not audio" and "begins with '<html>not found</html>'" in found[4][1]
    assert found[5] == ("empty audio", "a WAV file without samples")
    assert found[6][0] == "wrong length in header" and "declares 10000 bytes of samples, the file holds 100" in found[6][1]
    assert found[7][0] == "character outside the vocabulary"
    assert "'U' (LATIN CAPITAL LETTER U) in 'Upper' is not in the vocabulary; the lower-case character is" in found[7][1]
    assert found[8] == ("empty transcript", "there is nothing to learn from it")
    assert found[9] == ("longer than max_label_length", "18 labels, the limit is 9")
    assert found[10] == ("too few frames for CTC", "4 frames, 2 after the encoder, but 4 labels with 1 repeats need 5: 'book'")
    assert found[11] == ("longer than max_duration", "3.500 s, the limit is 3 s")
    assert found[12] == ("shorter than min_duration", "0.010 s, the limit is 0.02 s")
    assert found[13] == ("longer than max_label_length", "10 labels, the limit is 9")
    assert found[15] == ("longer than max_feature_length", "291 frames, the limit is 280")
    with open(str(rejected), newline="", encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert [(int(row["row"]), row["reason"], row["detail"]) for row in listed] == reasons(layer)
    assert {row["manifest"] for row in listed} == {path}


def test_summary_is_printed(corpus, capsys):
    layer_of(corpus(("a", 1.0), ("b", 2.0), ("c", 2.5)), max_duration=1.5)
    assert "*** train data: 2 of 3 utterances skipped: 2 longer than max_duration\n" in capsys.readouterr().out


def test_too_many_faults_are_refused_and_listed(corpus, tmp_path):
    rows = [("a", 0.1)] * 49 + [("b", None)]
    path = corpus(*rows)
    rejected = tmp_path / "rejected.csv"
    with pytest.raises(DataError) as error:
        layer_of(path, "eval", rejected_file=str(rejected))
    assert "1 of 50 utterances (2.00 %) cannot be used, more than max_rejected_fraction allows (1 %): 1 missing file" in str(
        error.value)
    assert "%s:51: 49.wav: missing file" % path in str(error.value)
    assert str(rejected) in str(error.value) and rejected.exists()
    assert len(layer_of(path, "eval", max_rejected_fraction=0.02).utterances) == 49


def test_limits_that_exclude_everything_are_refused(corpus):
    with pytest.raises(DataError, match="none of the 2 utterances can be used: 2 longer than max_duration"):
        layer_of(corpus(("a", 1.0), ("b", 2.0)), max_duration=0.5)


def test_values_that_mean_no_limit(corpus):
    layer = layer_of(corpus(("a", 1.0)), max_duration=-1.0, min_duration=-1.0, max_feature_length=0, max_label_length=-1)
    assert len(layer.utterances) == 1


def test_evaluation_accepts_what_training_rejects(corpus):
    path = corpus(("", 1.0), ("much too much text", 0.1))
    with pytest.raises(DataError, match="2 of 2 utterances"):
        layer_of(path, "train", output_frames=lambda frames: frames // 2, max_rejected_fraction=1.0)
    layer = layer_of(path, "eval", output_frames=lambda frames: frames // 2)
    assert [len(utterance.labels) for utterance in layer.utterances] == [0, 18]
    batch, = read(layer.evaluation_dataset)
    assert batch.label_lengths.tolist() == [0, 18]


def test_inference_checks_the_audio_only(corpus):
    layer = layer_of(corpus(("Not IN the Vocabulary 5", 1.0), ("", 1.0)), "infer")
    assert [(utterance.labels, utterance.transcript) for utterance in layer.utterances] == [
        ((), "Not IN the Vocabulary 5"), ((), "")]
    batch, = read(layer.evaluation_dataset)
    assert batch.labels.shape == (2, 0)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [3, 32])
@pytest.mark.parametrize("same_length_batches", [False, True])
def test_evaluation_reads_everything_once_and_the_same_at_any_batch_size(corpus, batch_size, same_length_batches):
    path = corpus(*[("a" * (number + 1), 0.2 + 0.03 * number) for number in range(11)])
    layers = [layer_of(path, "eval", batch_size, dither=1e-3, num_workers=2, worker_id=worker) for worker in range(2)]
    rows = {}
    for layer in layers:
        batches = read(lambda layer=layer: layer.evaluation_dataset(same_length_batches=same_length_batches))
        assert len(batches) == layer.batches_per_epoch
        for batch in batches:
            assert len(batch.features) <= batch_size
            if same_length_batches:
                assert len({-(-length // 8) for length in batch.feature_lengths}) == 1
            for row, index in enumerate(batch.utterance_indices):
                assert index not in rows
                rows[index] = batch.features[row, :batch.feature_lengths[row]]
    assert sorted(rows) == list(range(11))
    alone = read(layer_of(path, "eval", 1, dither=1e-3).evaluation_dataset)
    for batch in alone:
        np.testing.assert_allclose(batch.features[0, :batch.feature_lengths[0]], rows[batch.utterance_indices[0]], atol=1e-5)


@pytest.mark.slow
def test_training_is_the_same_for_any_number_of_workers_and_from_any_batch(corpus):
    path = corpus(*[("a" * (number + 1), 0.2 + 0.03 * number) for number in range(7)])
    options = {"augmentation": {"speed_perturbation_ratio": 0.1, "noise_level_min": -90, "noise_level_max": -46,
                                "n_freq_mask": 1, "n_time_mask": 1, "width_freq_mask": 3, "width_time_mask": 4},
               "dither": 1e-3, "length_pool": 2, "seed": 5}
    alone = read(layer_of(path, batch_size=4, **options).training_dataset, 5)
    workers = [layer_of(path, batch_size=2, num_workers=2, worker_id=worker, **options) for worker in range(2)]
    assert workers[0].batches_per_epoch == 1
    shared = [read(worker.training_dataset, 5) for worker in workers]
    resumed = read(lambda: layer_of(path, batch_size=4, **options).training_dataset(first_batch=3), 2)
    for number, batch in enumerate(alone):
        for row in range(4):
            others = [(shared[row // 2][number], row % 2)] + ([(resumed[number - 3], row)] if number >= 3 else [])
            for other, other_row in others:
                assert batch.utterance_indices[row] == other.utterance_indices[other_row]
                length = batch.feature_lengths[row]
                assert length == other.feature_lengths[other_row]
                np.testing.assert_allclose(batch.features[row, :length], other.features[other_row, :length], atol=1e-4)
    again = [batch.features[row, :5] for batch in alone for row in range(4) if batch.utterance_indices[row] == 0]
    assert len(again) >= 2 and not np.allclose(again[0], again[1], atol=0.05), "two epochs have the same augmentation"


def test_augmentation_is_for_training_only(corpus):
    path = corpus(("a", 1.0))
    plain, = read(layer_of(path, "eval").evaluation_dataset)
    augmented, = read(layer_of(path, "eval", augmentation={"n_freq_mask": 2, "width_freq_mask": 8}).evaluation_dataset)
    np.testing.assert_array_equal(plain.features, augmented.features)


def test_a_file_that_becomes_unusable_is_skipped_listed_and_counted(corpus, tmp_path, capsys):
    rejected = tmp_path / "rejected.csv"
    layer = layer_of(corpus(*[("a", 0.2)] * 4), "eval", rejected_file=str(rejected), max_rejected_fraction=0.3)
    assert not rejected.exists()
    (tmp_path / "2.wav").write_bytes(b"<html>")
    for _ in range(2):
        batches = read(layer.evaluation_dataset)
        assert sorted(np.concatenate([batch.utterance_indices for batch in batches])) == [0, 1, 3]
    assert [utterance.index for utterance in layer.run_time_rejections] == [2]
    assert [row[:2] for row in reasons(layer)] == [(4, "not audio")]
    assert "4,2.wav,not audio" in rejected.read_text()
    assert "skipped utterance %s: not audio" % layer.utterances[2].id in capsys.readouterr().err
    layer.raise_if_too_many_rejected()
    (tmp_path / "3.wav").unlink()
    read(layer.evaluation_dataset)
    with pytest.raises(DataError, match="2 of 4 utterances .* 1 not audio, 1 missing file"):
        layer.raise_if_too_many_rejected()


@pytest.mark.parametrize("max_rejected_fraction", [0.3, 1.0])
def test_training_ends_when_all_files_are_deleted(corpus, tmp_path, max_rejected_fraction):
    layer = layer_of(corpus(*[("a", 0.2)] * 4), max_rejected_fraction=max_rejected_fraction)
    for number in range(4):
        (tmp_path / ("%d.wav" % number)).unlink()
    with pytest.raises(tf.errors.OpError, match="DataError"):
        # the first batches have padding rows, until no utterance is left
        read(layer.training_dataset, 4)
    with pytest.raises(DataError, match="missing file"):
        layer.raise_if_too_many_rejected()


def test_bit_depths_channels_and_rates_give_the_same_samples(tmp_path):
    tone = 0.4 * np.sin(2 * np.pi * 300 * np.arange(24000) / 24000.0)
    forms = [("a.wav", 24000, "PCM_U8"), ("b.wav", 24000, "PCM_24"), ("c.wav", 24000, "FLOAT"), ("d.flac", 24000, "PCM_16")]
    with open(str(tmp_path / "m.csv"), "w") as file:
        file.write("wav_filename,transcript\n")
        for name, rate, subtype in forms:
            soundfile.write(str(tmp_path / name), np.stack([tone, tone], 1), rate, subtype=subtype)
            file.write("%s,a\n" % name)
    layer = layer_of(str(tmp_path / "m.csv"), "eval", 4)
    assert [utterance.num_samples for utterance in layer.utterances] == [16000] * 4
    waveforms = [layer._load(index)[0] for index in range(4)]
    for waveform in waveforms:
        np.testing.assert_allclose(waveform, waveforms[2], atol=0.01)


@pytest.mark.parametrize("options", [{}, {"length_pool": 3}, {"num_buckets": 2}])
def test_every_epoch_begins_with_another_frame(corpus, options):
    rows = [("ab", 0.5), ("it's", 1.0), ("hello you", 0.31), ("a", 0.4), ("to be or not to be it isa", 0.24)]
    path = corpus(*rows)
    shapes = dict(output_frames=lambda frames: -(-frames // 1), dither=0.0)
    plain, shifted = layer_of(path, **dict(shapes, **options)), layer_of(path, frame_shifts=2, **dict(shapes, **options))
    seen = {}
    for before, after in zip(read(plain.training_dataset, 10), read(lambda: shifted.training_dataset(0), 10)):
        assert (before.utterance_indices == after.utterance_indices).all() and before.features.shape == after.features.shape
        for row, (index, weight) in enumerate(zip(before.utterance_indices, before.weights)):
            removed = int(before.feature_lengths[row] - after.feature_lengths[row])
            length = after.feature_lengths[row]
            np.testing.assert_array_equal(after.features[row, :length], before.features[row, removed:removed + length])
            assert not after.features[row, length:].any()
            if weight:
                seen.setdefault(int(index), []).append(removed)
    # the last one has only as many frames as its transcript needs
    assert set(seen.pop(4)) == {0}
    for shifts in seen.values():
        # a pool of batches that are sorted by length mixes its epochs
        alternate = [number % 2 for number in range(len(shifts))]
        assert shifts == alternate or options.get("length_pool") and 0.2 < np.mean(shifts) < 0.8
    # a resumed run and a range of batches have the same shifts
    later = read(lambda: shifted.training_dataset(5), 3)
    for one, other in zip(later, read(lambda: shifted.training_dataset(0), 8)[5:]):
        np.testing.assert_array_equal(one.features, other.features)
