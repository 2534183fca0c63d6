"""Where recordings are cut: at pauses, on the grid, within limits; and what is skipped."""
import numpy as np
import pytest

from open_seq2seq.transcription.segmentation import FOR_FILES, FOR_MICROPHONE, Segmentation, Segmenter, quiet_frames

RATE, GRID = 16000, 320


def noise(seconds, level, seed=0):
    return (10 ** (level / 20.0) * np.random.RandomState(seed).normal(size=int(seconds * RATE))).astype(np.float32)


def speech(*parts):
    """Alternately s of sound and s of silence, 50 dB apart."""
    return np.concatenate([noise(seconds, -70 if i % 2 else -20, i) for i, seconds in enumerate(parts)])


def windows_of(samples, segmentation=FOR_FILES, block=4096, capacity=None):
    segmenter = Segmenter(segmentation, RATE, GRID, capacity)
    windows = []
    for start in range(0, len(samples), block):
        windows += segmenter.add(samples[start:start + block])
    return windows + segmenter.end()


def cuts_of(windows):
    return [round(window.cut / RATE, 2) for window in windows if window.cut is not None]


def test_a_short_recording_is_one_window():
    samples = speech(3, 1, 11)
    window, = windows_of(samples)
    assert window.start == 0 and window.cut is None and not window.connected and np.array_equal(window.samples, samples)


def test_the_longest_pause_is_cut_in_its_middle():
    samples = speech(6, 0.2, 2, 0.5, 3, 0.3, 8)
    first, second = windows_of(samples)
    assert first.cut / RATE == pytest.approx(8.45, abs=0.03)
    assert len(first.samples) == first.cut + RATE and second.start == first.cut - RATE and second.connected
    assert np.array_equal(second.samples, samples[second.start:])


def test_of_pauses_that_are_long_enough_the_last_is_cut():
    assert cuts_of(windows_of(speech(5, 0.9, 5, 0.7, 9))) == [pytest.approx(11.25, abs=0.03)]


def test_a_stop_consonant_is_no_pause_while_there_is_a_better_place():
    assert cuts_of(windows_of(speech(5, 0.08, 4, 0.15, 12))) == [pytest.approx(9.155, abs=0.03)]


def test_without_a_pause_the_quietest_point_is_cut():
    samples = noise(20, -20)
    samples[int(10 * RATE):int(10.12 * RATE)] *= 0.8
    assert cuts_of(windows_of(samples)) == [pytest.approx(10.06, abs=0.06)]


@pytest.mark.parametrize("segmentation", [FOR_FILES, FOR_MICROPHONE, Segmentation(1.0, 2.0, 5.0, False)])
@pytest.mark.parametrize("capacity", [None, 12 * RATE, 2 * RATE])
@pytest.mark.parametrize("seed", range(4))
def test_every_sample_is_in_a_window_and_three_windows_never_meet(segmentation, capacity, seed):
    generator = np.random.RandomState(seed)
    samples = speech(*np.stack([generator.uniform(0.2, 6, 12), generator.uniform(0.05, 2, 12)], 1).ravel())
    windows = windows_of(samples, segmentation, block=generator.randint(500, 90000), capacity=capacity)
    assert windows[0].start == 0 and windows[-1].start + len(windows[-1].samples) == len(samples)
    for before, after in zip(windows, windows[1:]):
        assert after.connected and after.start % GRID == 0 and before.cut % GRID == 0
        assert after.start < before.cut < before.start + len(before.samples)
    for first, third in zip(windows, windows[2:]):
        assert first.start + len(first.samples) <= third.start
    for window in windows:
        assert np.array_equal(window.samples, samples[window.start:window.start + len(window.samples)])
        assert capacity is None or len(window.samples) <= capacity


@pytest.mark.parametrize("block", [1000, 50000, 1 << 22])
def test_the_cuts_do_not_depend_on_the_blocks(block):
    generator = np.random.RandomState(7)
    samples = speech(*generator.uniform(0.2, 3, 60))
    assert cuts_of(windows_of(samples, block=block)) == cuts_of(windows_of(samples, block=16000))


@pytest.mark.parametrize("spoken", np.arange(0.5, 3.0, 0.125))
def test_silence_that_is_kept_fits_into_a_small_window(spoken):
    windows = windows_of(speech(spoken, 10, spoken, 10, 1, 5), block=1 << 16, capacity=3 * RATE // 2)
    assert max(len(window.samples) for window in windows) <= 3 * RATE // 2
    assert sum(not window.connected for window in windows) > 1


def test_long_silence_is_left_out_but_for_half_a_second_or_so():
    first, second = windows_of(speech(2, 10, 2, 30))
    assert not second.connected and first.cut is None
    assert len(first.samples) / RATE == pytest.approx(2.5, abs=0.02)
    assert 11.0 <= second.start / RATE <= 11.5
    assert (second.start + len(second.samples)) / RATE == pytest.approx(14.5, abs=0.02)


def test_silence_alone_gives_no_window():
    assert windows_of(np.zeros(40 * RATE, np.float32)) == []
    assert windows_of(noise(40, -80)) == []


def test_noise_at_the_level_of_quiet_speech_is_kept():
    assert sum(len(window.samples) for window in windows_of(noise(10, -50))) == 10 * RATE


def test_a_constant_offset_is_silence():
    assert windows_of(noise(10, -80) + np.float32(0.3)) == []


def test_in_speech_of_one_loudness_no_frame_is_quiet():
    assert not quiet_frames(np.full(100, -20.0)).any() and len(quiet_frames(np.zeros(0))) == 0
    assert quiet_frames(np.array([-20.0] * 20 + [-60.0] * 5)).tolist() == [False] * 20 + [True] * 5


def test_the_microphone_need_not_wait_for_the_longest_window():
    samples = speech(3, 1.5, 3, 1.5, 3)
    segmenter = Segmenter(FOR_MICROPHONE, RATE, GRID)
    arrived = [start / RATE for start in range(0, len(samples), 1600) for _ in segmenter.add(samples[start:start + 1600])]
    assert arrived == [pytest.approx(3.6, abs=0.15), pytest.approx(8.1, abs=0.15)]


def test_the_microphone_in_a_silent_room_asks_the_model_nothing():
    segmenter = Segmenter(FOR_MICROPHONE, RATE, GRID)
    assert [window for i in range(600) for window in segmenter.add(noise(0.1, -75, i))] == []
