"""Speech with a known text: each word is a sequence of tones, and a model that recognizes tones and behaves like a network."""
import types

import numpy as np
import pytest

from open_seq2seq.export.runtime.features import FeatureExtractor

RATE = 16000
HOP = 160
SUBSAMPLING = 2
VOCABULARY = list(" abcdefgh")
BLANK = len(VOCABULARY)
TONE_SECONDS = 0.08
FRAME = HOP * SUBSAMPLING
FEATURE_PARAMS = {"num_audio_features": 16, "input_type": "logfbank", "backend": "librosa", "norm_per_feature": True,
                  "sample_freq": RATE, "pad_to": 16, "dither": 1e-5}


def tone_of(character):
    return 400.0 * (1 + VOCABULARY.index(character))


def spoken(words, gaps, level=0.3, noise=1e-3, seed=0):
    """Samples of words with ``gaps`` [len(words) + 1] s of silence around them; the first samples of each word, and its end."""
    generator = np.random.RandomState(seed)
    pieces, times, position = [], [], 0
    for word, gap in zip(words, gaps):
        silence = int(gap * RATE)
        time = np.arange(int(TONE_SECONDS * RATE)) / RATE
        samples = np.concatenate([level * np.sin(2 * np.pi * tone_of(character) * time) for character in word])
        pieces += [np.zeros(silence), samples]
        times.append(((position + silence) / RATE, (position + silence + len(samples)) / RATE))
        position += silence + len(samples)
    pieces.append(np.zeros(int(gaps[-1] * RATE)))
    samples = np.concatenate(pieces)
    return (samples + noise * generator.normal(size=len(samples))).astype(np.float32), times


class ToneModel:
    """Recognizes the tones of :func:`spoken` and behaves like a network: spikes of one or two frames, some frames away from their
    place in another window; a space somewhere in a pause; wrong output at the ends of a window, where context is missing.

    Args:
      frames: number of frames of a static shape, or None.
      jitter: number of frames by which spikes move from window to window.
      blind_frames: number of frames at both ends of a window, unless they are silent, with random output.
      threshold: least amplitude of a tone.
    """

    def __init__(self, frames=None, jitter=0, blind_frames=0, threshold=0.04):
        self.description = types.SimpleNamespace(
            feature_params=FEATURE_PARAMS, sample_rate=RATE, vocabulary=VOCABULARY, blank=BLANK, subsampling=SUBSAMPLING,
            frames=frames)
        self.extractor = FeatureExtractor(FEATURE_PARAMS)
        self.window_seconds = []
        self._jitter, self._blind_frames, self._threshold = jitter, blind_frames, threshold

    def logits_of_audio(self, waveforms):
        waveform, = waveforms
        if self.description.frames is not None:
            assert self.extractor.num_frames(len(waveform)) <= self.description.frames
        self.window_seconds.append(len(waveform) / RATE)
        heard = _heard(waveform, self._threshold)
        logits = np.zeros([1, len(heard), BLANK + 1], np.float32)
        generator = np.random.RandomState(len(self.window_seconds))
        labels = np.full(len(heard), BLANK)
        runs = _runs(heard)
        for position, (label, first, end) in enumerate(runs):
            if label != BLANK:
                labels[min(first + generator.randint(0, self._jitter + 1), end - 1)] = label
            # the pauses at the ends of an utterance have no space
            elif end - first > 3 and 0 < position < len(runs) - 1:
                labels[generator.randint(first + 1, end - 1)] = 0
        for end in ([0, self._blind_frames], [len(heard) - self._blind_frames, len(heard)]):
            if self._blind_frames and (heard[end[0]:end[1]] != BLANK).any():
                labels[end[0]:end[1]] = generator.randint(0, BLANK + 1, self._blind_frames)
        logits[0, np.arange(len(heard)), labels] = 8.0
        return logits, np.array([len(heard)])

    def close(self):
        self.extractor.close()


def _heard(waveform, threshold):
    """The label of each output frame: of the strongest tone, or the blank."""
    frames = -(-(1 + len(waveform) // HOP) // SUBSAMPLING)
    padded = np.zeros(frames * FRAME)
    padded[:len(waveform)] = waveform[:len(padded)]
    blocks = padded.reshape(frames, FRAME)
    phase = 2j * np.pi * np.arange(FRAME)[:, np.newaxis] / RATE
    power = np.abs(blocks @ np.exp(phase * [tone_of(character) for character in VOCABULARY[1:]]))
    return np.where(power.max(axis=1) > threshold / 2 * FRAME, 1 + np.argmax(power, axis=1), BLANK)


def _runs(labels):
    """List of (label, first, end)."""
    borders = [0] + (np.flatnonzero(np.diff(labels)) + 1).tolist() + [len(labels)]
    return [(labels[first], first, end) for first, end in zip(borders, borders[1:])]


@pytest.fixture
def tones():
    """This module's names for tests: ``spoken``, ``ToneModel`` and the constants."""
    return types.SimpleNamespace(spoken=spoken, ToneModel=ToneModel, RATE=RATE, FRAME=FRAME, FEATURE_PARAMS=FEATURE_PARAMS,
                                 TONE_SECONDS=TONE_SECONDS, VOCABULARY=VOCABULARY, BLANK=BLANK)
