"""Other sounds for the augmentation: noise and impulse responses from files, and voices of the corpus itself."""
import concurrent.futures
import os
import threading

import numpy as np

from open_seq2seq.cores import usable_cores
from open_seq2seq.data.audio.containers import AUDIO_EXTENSIONS
from open_seq2seq.data.effects.noise import active_power, excerpt
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.errors import DataError
from open_seq2seq.files import files_below, printable
from open_seq2seq.log_lines import log_line

CACHED_BYTES = 256 << 20      # of float32 samples of one folder; what does not fit is read each time
SHORTEST_NOISE = 0.02         # s, a frame
SHOWN_PROBLEMS = 20
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
      require: function float32 [samples] -> a few words that complete "The file is ...", if it cannot be used, or None.
      shortest: s; shorter files cannot be used.

    Raises:
      DataError: the folder is missing or holds no audio, or some of its files cannot be used; they are listed.
    """

    def __init__(self, folder, sample_rate, key, require=lambda samples: None, shortest=0.0):
        self._sample_rate, self._lock, self._cache, self._cached_bytes = sample_rate, threading.Lock(), {}, 0
        if not os.path.isdir(folder):
            raise DataError("%s: %s %s; expected a folder with audio files" % (
                key, printable(folder), "is a file" if os.path.exists(folder) else "does not exist"))
        found = sorted(files_below(folder, lambda link, first: None))
        self._paths = [path for path in found if path.lower().endswith(AUDIO_EXTENSIONS)]
        if not self._paths:
            raise DataError("%s: %s %s; expected files that end in one of %s" % (
                key, printable(folder), "has %d files, but none of them is audio" % len(found) if found else "is empty",
                ", ".join(sorted(AUDIO_EXTENSIONS))))
        with concurrent.futures.ThreadPoolExecutor(max_workers=usable_cores()) as pool:
            checked = list(pool.map(lambda path: self._check(path, require, shortest), self._paths))
        problems = ["%s: %s" % (printable(path), wrong) for path, (_, wrong) in zip(self._paths, checked) if wrong]
        if problems:
            raise DataError("%s: %d of the %d audio files in %s cannot be used. Remove or replace them:\n  %s%s" % (
                key, len(problems), len(self._paths), printable(folder), "\n  ".join(problems[:SHOWN_PROBLEMS]),
                "\n  and %d more" % (len(problems) - SHOWN_PROBLEMS) if len(problems) > SHOWN_PROBLEMS else ""))
        log_line("%s: %d audio files, %.1f min" % (key, len(self._paths), sum(seconds for seconds, _ in checked) / 60))

    def _check(self, path, require, shortest):
        """(duration in s, what is wrong with a file or None)."""
        try:
            samples = self._read(path)
        except RejectedData as rejected:
            return 0.0, "%s (%s)" % (rejected.reason.name, rejected)
        seconds = len(samples) / float(self._sample_rate)
        if seconds < shortest:
            return seconds, "it is %.1f ms long, shorter than a frame of %g ms" % (1000 * seconds, 1000 * shortest)
        wrong = require(samples)
        return seconds, wrong and "it is " + wrong

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
    return None if np.any(samples) else "all zeros, which is not an impulse response"


def wrong_with_noise(samples):
    """What is wrong with a recording of noise, or None."""
    return None if len(samples) and np.ptp(samples) > 0 else "constant, not noise"


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
