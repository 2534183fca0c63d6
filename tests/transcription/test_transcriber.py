"""Long recordings: no word lost or duplicated at a seam, correct times, bounded memory."""
import itertools
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr

from open_seq2seq.errors import CheckpointError, DataError
from open_seq2seq.transcription import Transcriber
from open_seq2seq.transcription.segmentation import FOR_FILES, FOR_MICROPHONE, Segmentation

UNSPLIT = Segmentation(1000.0, 10000.0, 1.0, False)


def random_words(seed, count):
    """Words of 2 to 6 characters that differ from their neighbors, so that each tone is distinct from the previous one."""
    generator = np.random.RandomState(seed)
    words = []
    for _ in range(count):
        characters = [generator.randint(0, 8)]
        for _ in range(generator.randint(1, 6)):
            characters.append((characters[-1] + generator.randint(1, 8)) % 8)
        words.append("".join("abcdefgh"[i] for i in characters))
    return words


def gaps_of(seed, count, shortest, longest):
    return np.random.RandomState(seed).uniform(shortest, longest, count + 1).round(2)


@pytest.mark.slow
@pytest.mark.parametrize("segmentation", [FOR_FILES, FOR_MICROPHONE, Segmentation(2.0, 3.0, 0.5, False)])
@pytest.mark.parametrize("shortest,longest", [(0.12, 0.3), (0.12, 1.2), (1.0, 2.5)])
def test_a_split_recording_has_the_text_of_the_whole(tones, segmentation, shortest, longest):
    seed = int(100 * (segmentation.longest + longest))      # other words for each case
    words = random_words(seed, 150)
    samples, _ = tones.spoken(words, gaps_of(seed, 150, shortest, longest), seed=seed)
    model = tones.ToneModel(jitter=2, blind_frames=5)
    split = Transcriber(model, segmentation=segmentation).transcribe(samples)
    windows = len(model.window_seconds)
    unsplit = Transcriber(model, segmentation=UNSPLIT).transcribe(samples)
    assert len(model.window_seconds) == windows + 1 and windows >= len(samples) / tones.RATE / 18
    assert split.text == unsplit.text == " ".join(words)
    assert split.duration == pytest.approx(len(samples) / tones.RATE, abs=1e-3)


@pytest.mark.parametrize("seed", range(2))
def test_speech_without_any_pause_is_joined_within_words(tones, seed):
    word = "".join(random_words(seed, 200)).replace("aa", "a")
    word = "".join(a for a, b in zip(word, word[1:] + " ") if a != b)
    samples, _ = tones.spoken([word], [0.2, 0.2])
    model = tones.ToneModel(jitter=1, blind_frames=8)
    assert Transcriber(model).transcribe(samples).text == word
    assert len(model.window_seconds) > 2 and max(model.window_seconds) <= 16 + 2


def test_long_silence_is_skipped_and_ends_a_word(tones):
    samples, times = tones.spoken(["abc", "bad", "cab"], [7.0, 40.0, 90.0, 20.0])
    model = tones.ToneModel()
    transcript = Transcriber(model).transcribe(samples)
    assert transcript.text == "abc bad cab" and len(transcript.segments) == 3
    assert sum(model.window_seconds) < 12 and transcript.duration == pytest.approx(157.72, abs=0.01)
    for word, (start, end) in zip(transcript.words, times):
        assert word.start == pytest.approx(start, abs=0.03) and word.end == pytest.approx(end, abs=0.05)


def test_a_window_of_noise_joins_no_words(tones):
    samples, _ = tones.spoken(["abc", "bad"], [0.5, 40.0, 0.5], level=0.02, noise=1e-3)
    model = tones.ToneModel(threshold=0.003)
    # too loud for silence that is skipped
    assert Transcriber(model).transcribe(samples).text == "abc bad" and sum(model.window_seconds) > 40


def test_quiet_speech_is_not_skipped_as_silence(tones):
    quiet, _ = tones.spoken(["abc", "bad"], [1.0, 1.0, 4.0], level=0.01, noise=2e-5)
    loud, _ = tones.spoken(["fa", "had"], [4.0, 1.0, 4.0], level=0.3, noise=2e-5)
    transcript = Transcriber(tones.ToneModel(threshold=0.002)).transcribe(np.concatenate([loud, quiet, loud]))
    assert transcript.text == "fa had abc bad fa had"


@pytest.mark.parametrize("segmentation", [FOR_FILES, FOR_MICROPHONE])
def test_times_are_relative_to_the_recording_in_every_window(tones, segmentation):
    words = random_words(3, 120)
    samples, times = tones.spoken(words, gaps_of(3, 120, 0.15, 0.8))
    transcript = Transcriber(tones.ToneModel(), segmentation=segmentation).transcribe(samples)
    assert [word.text for word in transcript.words] == words
    starts = np.array([word.start for word in transcript.words]) - [start for start, _ in times]
    ends = np.array([word.end for word in transcript.words]) - [end for _, end in times]
    assert np.abs(starts).max() <= 0.03 and np.abs(ends).max() <= 0.05
    assert all(a.end <= b.start for a, b in zip(transcript.words, transcript.words[1:]))


def test_the_confidence_is_the_probability_of_the_characters(tones):
    samples, _ = tones.spoken(["abc"], [0.3, 0.3])
    word, = Transcriber(tones.ToneModel()).transcribe(samples).words
    assert word.confidence == pytest.approx(np.exp(8) / (np.exp(8) + tones.BLANK), rel=1e-5)


@pytest.mark.parametrize("frames", [160, 400, 2336])
def test_windows_fit_into_a_graph_of_static_shape(tones, frames):
    words = random_words(4, 60)
    samples, _ = tones.spoken(words, gaps_of(4, 60, 0.2, 0.8))
    model = tones.ToneModel(frames=frames)
    assert Transcriber(model).transcribe(samples).text == " ".join(words)
    assert len(model.window_seconds) >= len(samples) / tones.RATE / (frames * 0.01)


def test_a_graph_of_less_than_a_second_is_refused(tones):
    with pytest.raises(CheckpointError, match="80 feature frames"):
        Transcriber(tones.ToneModel(frames=80))


@pytest.mark.parametrize("rate,channels,subtype,extension", [
    (16000, 1, "PCM_16", "wav"), (44100, 2, "PCM_24", "flac"), (8000, 1, "FLOAT", "wav"), (48000, 6, "DOUBLE", "w64"),
    (22050, 1, "VORBIS", "ogg")])
def test_files_of_any_format_rate_and_number_of_channels(tones, tmp_path, rate, channels, subtype, extension):
    words = ["abc", "bad", "face"] * 8
    samples, times = tones.spoken(words, [0.4] * 25)
    path = str(tmp_path / ("speech." + extension))
    soundfile.write(path, np.stack([soxr.resample(samples, tones.RATE, rate)] * channels, axis=1), rate, subtype=subtype)
    transcript = Transcriber(tones.ToneModel()).transcribe(path)
    assert transcript.text == " ".join(words)
    assert transcript.words[-1].start == pytest.approx(times[-1][0], abs=0.03)


def test_arrays_of_other_types_rates_and_channels(tones):
    samples, _ = tones.spoken(["abc", "bad"], [0.3, 0.3, 0.3])
    transcriber = Transcriber(tones.ToneModel())
    assert transcriber.transcribe((samples * 32767).astype(np.int16)).text == "abc bad"
    assert transcriber.transcribe(samples.astype(np.float64)[:, np.newaxis]).text == "abc bad"
    assert transcriber.transcribe(np.repeat(samples, 2), sample_rate=32000).text == "abc bad"
    assert transcriber.transcribe(np.zeros(1, np.float32)).words == []


@pytest.mark.parametrize("samples,message", [
    (np.zeros([0], np.float32), "no samples"), (np.zeros([2, 2, 2]), r"shape \(2, 2, 2\)"), (np.zeros(4, np.int32), "int32"),
    (np.zeros([2, 16000]), "transpose"),
    (np.array([0, 0, np.nan, 0]), "NaN or infinite at 0.000 s")])
def test_invalid_arrays(tones, samples, message):
    with pytest.raises(DataError, match=message):
        Transcriber(tones.ToneModel()).transcribe(samples)


@pytest.mark.parametrize("rate", [0, -16000, float("nan")])
def test_invalid_sample_rates(tones, rate):
    with pytest.raises(DataError, match="the sample rate is"):
        Transcriber(tones.ToneModel()).transcribe(np.zeros(100), sample_rate=rate)


def test_a_path_may_be_a_pathlib_path(tones, tmp_path):
    soundfile.write(str(tmp_path / "a.wav"), tones.spoken(["abc"], [0.3, 0.3])[0], tones.RATE)
    assert Transcriber(tones.ToneModel()).transcribe(tmp_path / "a.wav").text == "abc"
    with pytest.raises(CheckpointError, match="nothing"):
        Transcriber(tmp_path / "nothing")


def test_logits_that_are_not_finite_are_refused(tones):
    model = tones.ToneModel()
    model.logits_of_audio = lambda waveforms: (np.full([1, 3, tones.BLANK + 1], np.nan), np.array([3]))
    with pytest.raises(DataError, match="talk.wav: the model's logits are not finite"):
        Transcriber(model).transcribe(tones.spoken(["abc"], [0.3, 0.3])[0], name="talk.wav")


@pytest.mark.slow
def test_at_most_a_window_is_in_memory(tones):
    """An hour of audio, made while it is read: the segmenter's buffer stays at a window's length."""
    samples, _ = tones.spoken(["abc", "bad", "face", "cab"], [0.5] * 5)
    repeats = int(3600 * tones.RATE / len(samples))
    transcriber = Transcriber(tones.ToneModel())
    tracemalloc.start()
    words = sum(len(some) for some in transcriber.stream(itertools.repeat(samples, repeats)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert words == 4 * repeats
    assert peak < 40e6 < 4 * repeats * len(samples)


def test_progress_is_reported_and_may_end_the_work(tones):
    samples, _ = tones.spoken(["abc", "bad", "face"] * 40, [0.4] * 121)
    seen = []
    Transcriber(tones.ToneModel()).transcribe(samples, progress=seen.append)
    assert len(seen) > 4 and seen == sorted(seen) and seen[-1] == pytest.approx(len(samples) / tones.RATE, abs=0.01)

    def stop(seconds):
        raise KeyboardInterrupt
    model = tones.ToneModel()
    with pytest.raises(KeyboardInterrupt):
        Transcriber(model).transcribe(samples, progress=stop)
    assert len(model.window_seconds) == 1
