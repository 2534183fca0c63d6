"""A trained network on streams of speech: the words of whole recordings, at any level, with silence between segments skipped."""
import csv

import numpy as np
import pytest
import soundfile

from open_seq2seq.evaluation.error_rates import transcript_errors
from open_seq2seq.export import load_model
from open_seq2seq.transcription import Transcriber
from open_seq2seq.transcription.streaming import StreamingTranscriber

pytestmark = pytest.mark.slow
pytest.importorskip("webrtcvad")
RATE, PAUSE = 16000, 3.0


@pytest.fixture(scope="module")
def model(trained_digits):
    with load_model(str(trained_digits.run)) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def recordings(trained_digits):
    """List of (samples, transcript)."""
    with open(str(trained_digits.folder / "dev.csv"), newline="") as file:
        rows = list(csv.DictReader(file))[:12]
    return [(soundfile.read(str(trained_digits.folder / row["wav_filename"]), dtype="float32")[0], row["transcript"])
            for row in rows]


def errors(recordings, texts):
    """Number of wrong words."""
    return transcript_errors([reference for _, reference in recordings], texts).word_error_rate.edits


def streamed(stream, samples, block=1600):
    events = []
    for start in range(0, len(samples), block):
        events += stream.feed(samples[start:start + block])
    return events + stream.finish()


def text_of(events):
    return " ".join(event.text for event in events if event.final and event.text)


def test_a_stream_of_each_recording_has_its_words(model, recordings):
    transcriber = Transcriber(model)
    expected = errors(recordings, [transcriber.transcribe(samples).text for samples, _ in recordings])
    words = sum(len(reference.split()) for _, reference in recordings)
    with StreamingTranscriber(transcriber, latency=1.0) as stream:
        for level in (1.0, 0.1, 0.01):
            found = errors(recordings, [text_of(streamed(stream, level * samples)) for samples, _ in recordings])
            # a few words differ, because a stream does not know the mean of what follows
            assert abs(found - expected) <= max(2, 0.1 * words), level


def test_silence_ends_segments_and_is_not_computed(model, recordings):
    noise = np.random.RandomState(0)
    pieces, spans, position = [], [], 0
    for samples, _ in recordings[:5]:
        pieces += [samples, (1e-4 * noise.normal(size=int(PAUSE * RATE))).astype(np.float32)]
        spans.append((position / RATE, (position + len(samples)) / RATE))
        position += len(samples) + len(pieces[-1])
    samples = np.concatenate(pieces)
    with StreamingTranscriber(model, latency=0.5) as stream:
        computed, add = [], stream._network.add
        stream._network.add = lambda features: (computed.append(len(features)), add(features))
        events = streamed(stream, samples)
        ends = [event.end for event in events if event.ends_segment]
        words = [word for event in events if event.final for word in event.words]
    assert len(ends) == len({event.segment for event in events}) >= len(spans)
    for start, end in spans:
        assert any(start - 0.2 <= word.start < end for word in words)
    # 0.7 s after speech and 0.3 s before it belong to segments
    assert sum(computed) * 0.01 < len(samples) / RATE - (PAUSE - 1.3) * len(spans)
    # a stream of its own: the same text again
    with StreamingTranscriber(model, latency=0.5) as stream:
        assert [event.text for event in streamed(stream, samples, 7777)] == [event.text for event in events]
