"""Streams: the same text for any blocks, latency, normalization, segments by voice activity, bad input."""
import sys

import numpy as np
import pytest

from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.transcription.stream_features import StreamNormalizer
from open_seq2seq.transcription.streaming import StreamingTranscriber
from tests.transcription.tone_network import ToneNetwork

WORDS = ["abc", "face", "bad", "hag", "bed", "cafe"]
GAPS = [0.6, 0.5, 0.9, 0.4, 1.2, 0.5, 1.0]


@pytest.fixture(scope="module")
def network(request):
    """The network of tones, fitted once."""
    from tests.transcription import conftest
    model = ToneNetwork(conftest)
    yield model
    model.close()


@pytest.fixture
def stream(network):
    with StreamingTranscriber(network, latency=0.5, voice_activity=False) as opened:
        yield opened


def fed(stream, samples, block, rate=None):
    """List of (seconds fed, StreamText) of samples in blocks."""
    events = []
    for start in range(0, len(samples), block):
        events += [(min(start + block, len(samples)) / (rate or stream.sample_rate), text)
                   for text in stream.feed(samples[start:start + block], rate)]
    return events + [(None, text) for text in stream.finish()]


def final_words(events):
    return [word for _, text in events if text.final for word in text.words]


def test_words_become_final_in_time_and_never_change(stream, tones):
    samples, times = tones.spoken(WORDS, GAPS)
    events = fed(stream, samples, 800)
    words = final_words(events)
    assert [word.text for word in words] == WORDS
    for word, (start, end) in zip(words, times):
        assert word.start == pytest.approx(start, abs=0.06) and word.end == pytest.approx(end, abs=0.08)
    final_at = {word.start: seconds for seconds, text in events if text.final for word in text.words}
    for word in words[:-1]:
        # the look-ahead of 0.5 s, a group of features and a block
        assert 0.5 <= final_at[word.start] - word.end <= 0.9
    partial = [text for _, text in events if not text.final]
    assert partial and {text.segment for _, text in events} == {0}
    # a word is shown before it is final
    assert any("face" in text.text for text in partial)
    assert [text.ends_segment for _, text in events].count(True) == 1 and events[-1][1].ends_segment


@pytest.mark.parametrize("latency", [0.1, 0.3, 1.0])
def test_the_sizes_of_blocks_change_nothing(network, tones, latency):
    samples, _ = tones.spoken(WORDS, GAPS)
    with StreamingTranscriber(network, latency=latency, voice_activity=False) as stream:
        whole = [text for _, text in fed(stream, samples, len(samples))]
        for block in (37, 1600, 50000):
            assert [text for _, text in fed(stream, samples, block)] == whole


@pytest.mark.parametrize("params", [{}, {"dynamic_range": 40.0, "statistics_range": 20.0, "min_std_dev": 2.0},
                                    {"features_mean": -8.0, "features_std_dev": 4.0, "gain": 1e-4}, {"norm_per_feature": False}])
def test_text_is_that_of_the_whole_recording_computed_at_once(tones, params):
    """The features of the whole recording, normalized with what is known at each step, and the whole network at each step."""
    with ToneNetwork(tones, **params) as network, StreamingTranscriber(network, latency=0.2, voice_activity=False) as stream:
        samples, _ = tones.spoken(WORDS, GAPS)
        features = np.concatenate([
            group for group in stream._features.add(samples) + [stream._features.end()] if group is not None])
        assert len(features) == network.extractor.num_frames(len(samples))
        stream.reset()
        normalizer = StreamNormalizer(network.description.feature_params, 800, 300)
        normalized, taken, labels = np.zeros([0, 64], np.float32), 0, []
        ends = list(range(64, len(features), 16))      # the first 0.5 s are normalized together
        for end in ends + [len(features)]:
            normalized = np.concatenate([normalized, normalizer(features[len(normalized):end])])
            logits, lengths = network.logits(normalized[np.newaxis], [end])
            final = lengths[0] if end == len(features) else max((end - 20) // 2, 0)
            labels += logits[0, taken:final].argmax(axis=1).tolist()
            taken = final
        found = []
        network_of_stream, take = stream._network, stream._network.take
        network_of_stream.take = lambda frames: (found.extend(network_of_stream.logits()[:frames].argmax(axis=1).tolist()),
                                                 take(frames))
        words = final_words(fed(stream, samples, 999))
        assert found == labels and len(labels) == -(-len(features) // 2)
        assert [word.text for word in words] == WORDS


def test_model_without_layers_gives_the_same_text_by_windows(network, stream, tones):
    samples, _ = tones.spoken(WORDS, GAPS)
    with ToneNetwork(tones, folds=False) as other, StreamingTranscriber(other, 0.5, voice_activity=False) as windows:
        assert type(windows._network).__name__ == "WindowNetwork"
        for (_, one), (_, two) in zip(fed(stream, samples, 4000), fed(windows, samples, 4000)):
            assert one[:2] == two[:2] and one[3:4] + one[5:] == two[3:4] + two[5:]


def test_rate_and_channels_may_change(stream, tones):
    samples, _ = tones.spoken(WORDS, GAPS)
    half = len(samples) // 2
    events = stream.feed(np.repeat(samples[:half], 2), 32000)
    events += stream.feed((np.repeat(samples[half:], 3) * 32767).astype(np.int16), 48000) + stream.finish()
    assert [word.text for text in events if text.final for word in text.words] == WORDS
    stereo = np.stack([samples, samples], axis=1).astype(np.float64)
    assert [word.text for word in final_words(fed(stream, stereo, 5000))] == WORDS


@pytest.mark.parametrize("samples, rate, message", [
    (np.full(100, np.nan), None, "NaN"), (np.zeros(100, np.int32), None, "int32"), (np.zeros([2, 2, 2]), None, "shape|expected"),
    (np.zeros(100), 0, "sample rate"), (np.zeros(100), 1e9, "sample rate"), (np.zeros(100), "fast", "sample rate")])
def test_bad_blocks(stream, samples, rate, message):
    with pytest.raises(DataError, match=message):
        stream.feed(samples, rate)


def test_empty_and_short_streams(stream, network):
    assert stream.finish() == [] and stream.feed(np.zeros(0)) == [] and stream.feed(np.zeros(10)) == []
    assert all(not text.words for text in stream.finish())
    with pytest.raises(UsageError, match="latency"):
        StreamingTranscriber(network, latency=0.0)


def test_hot_words_search(network, tones):
    pytest.importorskip("coqui_stt_ctcdecoder")
    samples, _ = tones.spoken(WORDS, GAPS)
    with StreamingTranscriber(network, 0.5, voice_activity=False, hot_words={"bad": 2.0}) as stream:
        assert [word.text for word in final_words(fed(stream, samples, 4000))] == WORDS
        assert "beam" in stream.decoding.lower()


def test_missing_detector_says_how_to_install_it(network, monkeypatch):
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(UsageError, match="pip install webrtcvad-wheels"):
        StreamingTranscriber(network)
