"""Where there is speech in a stream: WebRTC's detector (package webrtcvad-wheels), which is given speech of one level.

The detector's answer depends on the level of the audio, and on the audio before: it takes quiet speech for noise. Therefore each
frame is amplified by the level of the loudest speech so far, and every stream has a detector of its own.
"""
import numpy as np

from open_seq2seq.decoding.sound_levels import levels_of
from open_seq2seq.errors import UsageError
from open_seq2seq.transcription.audio_stream import Resampler

RATES = (8000, 16000, 32000, 48000)     # those of the detector, Hz
FRAME_SECONDS = 0.02
AGGRESSIVENESS = 2          # of 0 (most is speech) to 3
TARGET_LEVEL = -20.0        # dB below full scale, of the loudest frames
FIRST_LEVEL = -55.0         # assumed before speech was heard: the gain is then 35 dB
LOWEST_LEVEL = -70.0        # quieter frames are not amplified further: they are the noise of a microphone
FALL_PER_SECOND = 3.0       # dB by which the level follows speech that becomes quieter


def require_webrtcvad(instead=""):
    """The module webrtcvad.

    Args:
      instead: the end of the message: what works without the package.

    Raises:
      UsageError: it is not installed.
    """
    try:
        import webrtcvad
    except ImportError as error:
        raise UsageError("voice activity needs the package webrtcvad-wheels (%s); install it: python -m pip install "
                         "webrtcvad-wheels%s" % (error, instead))
    return webrtcvad


class VoiceActivity:
    """The detector of one stream.

    Args:
      sample_rate: samples per second of the stream.

    Raises:
      UsageError: webrtcvad is not installed.
    """

    def __init__(self, sample_rate):
        self._detector = require_webrtcvad().Vad(AGGRESSIVENESS)
        self._rate = sample_rate if sample_rate in RATES else 16000
        self._resampler = Resampler(sample_rate, self._rate, "the stream")
        self._frame = int(self._rate * FRAME_SECONDS)
        self._samples, self._level = np.zeros([0], np.float32), FIRST_LEVEL
        self._flags = []
        self._dropped = 0

    def add(self, samples):
        """Takes float32 [samples]."""
        self._samples = np.concatenate([self._samples, self._resampler(samples)])
        frames = len(self._samples) // self._frame
        whole, self._samples = self._samples[:frames * self._frame], self._samples[frames * self._frame:]
        for frame, level in zip(whole.reshape(frames, self._frame), levels_of(whole, self._frame)):
            self._level = max(level, self._level - FALL_PER_SECOND * FRAME_SECONDS, LOWEST_LEVEL)
            gain = 10 ** ((TARGET_LEVEL - self._level) / 20)
            scaled = np.clip((frame - frame.mean()) * (gain * 32768), -32768, 32767).astype("<i2")
            self._flags.append(bool(self._detector.is_speech(scaled.tobytes(), self._rate)))

    def speech(self, start, end):
        """Whether there is speech between ``start`` and ``end``, in s from the start of the stream; times never go back.

        The frames before ``start`` are forgotten. Where nothing was decided yet, the latest decision counts.
        """
        first, last = int(start / FRAME_SECONDS + 1e-6), int(np.ceil(end / FRAME_SECONDS - 1e-6))
        forget = min(max(first - self._dropped, 0), max(len(self._flags) - 1, 0))
        del self._flags[:forget]
        self._dropped += forget
        flags = self._flags[max(first - self._dropped, 0):last - self._dropped]
        return any(flags) if flags else bool(self._flags and self._flags[-1])
