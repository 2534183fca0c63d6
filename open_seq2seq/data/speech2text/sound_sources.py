"""Other sounds for the augmentation: noise and impulse responses from files, and voices of the corpus itself."""
import os
import threading

import numpy as np

from open_seq2seq.data.audio.containers import AUDIO_EXTENSIONS
from open_seq2seq.data.effects.noise import active_power, excerpt
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import inspect_audio, read_audio
from open_seq2seq.errors import DataError
from open_seq2seq.files import files_below, printable

CACHED_BYTES = 256 << 20      # of float32 samples of one folder; what does not fit is read each time
SHORTEST_NOISE = 0.02         # s, a frame
BABBLE_SECONDS = 60
BABBLE_VOICES = 5
LOUDEST_VOICES_SPREAD = 6.0   # dB between the voices of a babble
ATTEMPTS = 20                 # at reading another utterance before the augmentation goes without


class SoundFolder:
    """The audio files of a folder and its sub-folders.

    Args:
      folder: path.
      sample_rate: Hz that they are resampled to.
      key: the config's key, for messages.
      require: function float32 [samples] -> a sentence that says what is wrong with the sound, or None.

    Raises:
      DataError: the folder is missing or holds no audio, or one of its files cannot be used; all unusable files are listed.
    """

    def __init__(self, folder, sample_rate, key, require=lambda samples: None):
        self._sample_rate, self._lock, self._cache, self._cached_bytes = sample_rate, threading.Lock(), {}, 0
        if not os.path.isdir(folder):
            raise DataError("%s: the folder %s does not exist; expected one with audio files" % (key, printable(folder)))
        links = []
        paths = sorted(path for path in files_below(folder, links.append) if path.lower().endswith(AUDIO_EXTENSIONS))
        if not paths:
            raise DataError("%s: %s holds no audio file; expected files that end in one of %s" % (
                key, printable(folder), ", ".join(sorted(AUDIO_EXTENSIONS))))
        self._paths, problems = paths, []
        for path in paths:
            try:
                info = inspect_audio(path, sample_rate)
                wrong = "%.3f s long, shorter than a frame of %g s" % (info.duration, SHORTEST_NOISE) * (
                    info.duration < SHORTEST_NOISE) or require(self._read(path))
            except RejectedData as rejected:
                wrong = "%s: %s" % (rejected.reason.name, rejected)
            if wrong:
                problems.append("%s is %s" % (printable(path), wrong))
        if problems:
            raise DataError("%s: %d of %d files in %s cannot be used; remove or replace them:\n  %s" % (
                key, len(problems), len(paths), printable(folder), "\n  ".join(problems[:20])))

    def __len__(self):
        return len(self._paths)

    def random_sound(self, random):
        """The samples of a random file: float32 [samples], read-only. Thread-safe."""
        return self._read(self._paths[random.randint(len(self._paths))])

    def _read(self, path):
        with self._lock:
            samples = self._cache.get(path)
        if samples is None:
            samples = read_audio(path, self._sample_rate)
            samples.flags.writeable = False
            with self._lock:
                if path not in self._cache and self._cached_bytes + samples.nbytes <= CACHED_BYTES:
                    self._cache[path] = samples
                    self._cached_bytes += samples.nbytes
        return samples


def wrong_with_response(samples):
    """What is wrong with an impulse response, or None."""
    return None if np.any(samples) else "all zeros, not an impulse response"


def wrong_with_noise(samples):
    """What is wrong with a recording of noise, or None."""
    return None if np.any(samples) else "digital silence, not noise"


class CorpusVoices:
    """Utterances of the training set as disturbing voices.

    Args:
      count: number of utterances.
      load: function int index -> float32 [samples]; raises RejectedData for an unusable file.
      sample_rate: Hz.
      seed: int; decides the babble.
    """

    def __init__(self, count, load, sample_rate, seed):
        self._count, self._load, self._sample_rate, self._seed = count, load, sample_rate, seed
        self._lock, self._babble = threading.Lock(), None

    def random_voice(self, random):
        """The samples of a random utterance: float32 [samples]; None if none of several could be read."""
        for _ in range(ATTEMPTS):
            try:
                samples = self._load(random.randint(self._count))
            except RejectedData:
                continue
            if len(samples) and active_power(samples, self._sample_rate) > 0:
                return samples
        return None

    def babble(self):
        """A minute of several voices at once: float32 [samples], read-only; None if the corpus cannot be read. Thread-safe."""
        with self._lock:
            if self._babble is None:
                self._babble = self._mix()
            return self._babble if len(self._babble) else None

    def _mix(self):
        random = np.random.RandomState((self._seed % 2 ** 32, BABBLE_VOICES))
        mixture = np.zeros(BABBLE_SECONDS * self._sample_rate, np.float32)
        for _ in range(BABBLE_VOICES):
            parts, length = [], 0
            while length < len(mixture):
                voice = self.random_voice(random)
                if voice is None:
                    return np.zeros(0, np.float32)
                parts.append(voice / np.float32(np.sqrt(active_power(voice, self._sample_rate))))
                length += len(voice)
            level = 10 ** (random.uniform(-LOUDEST_VOICES_SPREAD, 0) / 20)
            mixture += np.float32(level) * excerpt(np.concatenate(parts), len(mixture), random)
        mixture.flags.writeable = False
        return mixture
