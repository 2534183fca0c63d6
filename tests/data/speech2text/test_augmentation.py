"""Augmentation: ranges, distributions and determinism."""
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.speech2text.augmentation import Augmentation, change_duration
from open_seq2seq.data.speech2text.random_streams import STREAMS, stream_seed
from open_seq2seq.errors import ConfigError


def augmentation(**given):
    report = Report()
    params = check_parameters(Augmentation.PARAMETERS, given, "augmentation", report)
    assert not report.problems, report.problems
    return Augmentation(params, 16000)


def repeated(method, value, count):
    """Results of ``method(value, seed)`` for ``count`` neighbouring seeds, each twice the same."""
    seed = tf.placeholder(tf.int32, [2])
    result = method(tf.constant(value), seed)
    with tf.Session() as session:
        results = [session.run(result, {seed: (7, position)}) for position in range(count)]
        np.testing.assert_array_equal(results[3], session.run(result, {seed: (7, 3)}))
    return results


def test_speed_ratio_is_uniform(graph):
    lengths = [len(changed) for changed in repeated(augmentation(speed_perturbation_ratio=0.2).waveform,
                                                    np.zeros(1600, np.float32), 300)]
    assert min(lengths) >= 1280 and max(lengths) <= 1920
    assert min(lengths) < 1300 and max(lengths) > 1900
    quarters = np.histogram(lengths, bins=4, range=(1280, 1920))[0]
    assert quarters.min() > 45  # 75 expected, standard deviation 7.5


def test_speed_ratio_is_one_of_a_list(graph):
    lengths = [len(changed) for changed in repeated(augmentation(time_stretch_ratio=[0.9, 1.0, 1.1]).waveform,
                                                    np.zeros(1600, np.float32), 200)]
    values, counts = np.unique(lengths, return_counts=True)
    np.testing.assert_array_equal(values, [1440, 1600, 1760])
    assert counts.min() > 40  # 67 expected, standard deviation 6.7


@pytest.mark.parametrize("ratio", [0.05, 0.1, 0.33, [0.9, 1.0, 1.1], [0.8, 0.95], None])
def test_most_samples_is_an_upper_bound(graph, ratio):
    changing = augmentation(speed_perturbation_ratio=ratio)
    for samples in (1, 160, 15999, 48001):
        most = changing.most_samples(samples)
        if isinstance(ratio, float):
            # the largest possible ratio, rounded up at every step
            drawn = np.nextafter(np.float32(1 + ratio), np.float32(9))
            longest = len(change_duration(np.zeros(samples, np.float32), 16000, drawn))
            assert longest <= most <= longest + 1 + samples // 16000
        else:
            longest = max([len(change_duration(np.zeros(samples, np.float32), 16000, np.float32(number))) for number in ratio]
                          if ratio else [samples])
            assert most == longest


def test_changed_duration_moves_the_pitch_and_keeps_the_level():
    waveform = np.sin(2 * np.pi * 1000 / 16000 * np.arange(16000)).astype(np.float32)
    for ratio in (0.8, 0.9, 1.1, 1.2):
        changed = change_duration(waveform, 16000, np.float32(ratio))
        assert changed.dtype == np.float32 and len(changed) == round(16000 * ratio)
        expected = np.sin(2 * np.pi * 1000 / ratio / 16000 * np.arange(len(changed)))
        assert np.abs(changed - expected)[500:-500].max() < 2e-3


@pytest.mark.parametrize("samples", [0, 1, 2, 17])
def test_changed_duration_of_very_short_waveforms(samples):
    changed = change_duration(np.ones(samples, np.float32), 16000, 0.5)
    assert len(changed) == (max(samples // 2, 1) if samples else 0)
    assert np.isfinite(changed).all()


def test_noise_has_the_drawn_level_below_the_peak(graph):
    waveform = np.zeros(4000, np.float32)
    waveform[0] = -0.5
    changed = repeated(augmentation(noise_level_min=-90, noise_level_max=-46).waveform, waveform, 200)
    levels = np.array([20 * np.log10(np.std(noisy[1:]) / 0.5) for noisy in changed])
    assert levels.min() > -90.3 and levels.max() < -45.7
    assert np.histogram(levels, bins=4, range=(-90, -46))[0].min() > 28  # 50 expected, standard deviation 6
    noise = changed[0][1:] / np.std(changed[0][1:])
    assert abs(noise.mean()) < 0.06 and abs(np.mean(noise ** 4) - 3) < 0.4
    assert abs(np.corrcoef(changed[0][1:], changed[1][1:])[0, 1]) < 0.06


def test_masks_have_the_ranges_of_openseq2seq(graph):
    """Widths 0 to the maximum inclusive; starts 0 to size - width - 1, so the last feature is never masked."""
    masked = repeated(augmentation(n_freq_mask=1, n_time_mask=1, width_freq_mask=3, width_time_mask=4).features,
                      np.ones((10, 6), np.float32), 400)
    seen = {"bands": [], "spans": []}
    for features in masked:
        for name, hidden in (("bands", (features == 0).all(axis=0)), ("spans", (features == 0).all(axis=1))):
            where = np.flatnonzero(hidden)
            seen[name].append((len(where), where[0] if len(where) else None))
            assert len(where) == 0 or where[-1] - where[0] + 1 == len(where)
        outside = features[np.ix_((features != 0).any(axis=1), (features != 0).any(axis=0))]
        np.testing.assert_array_equal(outside, np.ones_like(outside))
    for name, widest, size in (("bands", 3, 6), ("spans", 4, 10)):
        widths = np.bincount([width for width, _ in seen[name]], minlength=widest + 1)
        assert len(widths) == widest + 1 and widths.min() > 40
        for width in range(1, widest + 1):
            assert {start for w, start in seen[name] if w == width} == set(range(size - width))


def test_a_span_longer_than_the_utterance_is_dropped(graph):
    masked = repeated(augmentation(n_time_mask=2, width_time_mask=50).features, np.ones((3, 8), np.float32), 40)
    assert all((features != 0).any() for features in masked)


def test_the_defaults_change_nothing(graph):
    nothing = augmentation()
    value = tf.constant([0.5, -0.25])
    assert nothing.waveform(value, tf.constant([1, 2])) is value
    features = tf.zeros([3, 4])
    assert nothing.features(features, tf.constant([1, 2])) is features


def test_streams_of_neighbouring_utterances_are_different(graph):
    seed = tf.placeholder(tf.int32, [2])
    seeds = tf.stack([stream_seed(seed, stream) for stream in STREAMS])
    with tf.Session() as session:
        drawn = np.concatenate([session.run(seeds, {seed: (epoch, position)}) for epoch in range(5) for position in range(40)])
    assert len({tuple(pair) for pair in drawn}) == 5 * 40 * len(STREAMS)


@pytest.mark.parametrize("given,message", [
    (dict(noise_level_min=-90), "noise_level_min but no noise_level_max"),
    (dict(noise_level_max=-46), "noise_level_max but no noise_level_min"),
    (dict(noise_level_min=-46, noise_level_max=-90), "noise_level_min -46 above noise_level_max -90"),
])
def test_contradictory_levels_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        augmentation(**given)


def test_a_mask_wider_than_the_features_is_refused(graph):
    with pytest.raises(ConfigError, match="width_freq_mask is 8, expected less than num_audio_features = 8"):
        augmentation(n_freq_mask=1, width_freq_mask=8).features(tf.zeros([5, 8]), tf.constant([1, 2]))


@pytest.mark.parametrize("sample_freq, ratio", [(1, 0.01), (50, 0.01), (99, 0.010000000707805157)])
def test_the_lowest_rates_and_ratios_leave_a_sample(sample_freq, ratio):
    assert len(change_duration(np.ones(200, np.float32), sample_freq, np.float32(ratio))) >= 1
