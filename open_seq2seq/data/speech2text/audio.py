"""Audio files at the model's sample rate: a scan of many files, and the samples of one.

docs/audio.md lists the containers and codecs; :mod:`open_seq2seq.data.audio` reads them. 16-bit PCM WAV, which is what speech
corpora hold, is read without libsndfile. (TensorFlow's own ``decode_raw`` inside the graph was measured against this in a
``tf.data`` map on 2 cores: no faster on 1.15, 150 us less for an utterance on 2.21, which is a few per cent of the features'
time; but a damaged file would end the whole pipeline.)
"""
import collections
import concurrent.futures
import os
import sys
import time

import soxr

from open_seq2seq.data.audio.inspection import inspect_file, open_audio_file
from open_seq2seq.data.audio.reading import Level, first_look, samples_of
from open_seq2seq.data.audio.structure import MAX_MISSING_FRACTION
from open_seq2seq.data.rejection import EMPTY_AUDIO, RejectedData

AudioInfo = collections.namedtuple("AudioInfo", "path duration num_samples is_silent notes file_samples")
AudioInfo.__doc__ = """What a scan finds. path: the one that exists. duration: s. num_samples: at the model's rate. is_silent: no
sample differs from another. notes: tuple of sentences about what is wrong with the file although it is used. file_samples: at the
file's own rate."""

SCAN_CHUNK = 256                   # files a thread takes at a time
PROGRESS_SECONDS = 5.0


def resampled_length(num_samples, from_rate, to_rate):
    """Samples that ``num_samples`` become at another rate: soxr's rounding."""
    return int(num_samples * to_rate / float(from_rate) + 0.5)


def read_audio(path, sample_rate, max_missing_fraction=MAX_MISSING_FRACTION):
    """Reads a file, mixes it down to one channel (mean) and resamples it (soxr, very high quality).

    Args:
      path: the file.
      sample_rate: samples per second wanted.
      max_missing_fraction: a file of which at most this part is missing is used.

    Returns:
      float32 [samples], -1..1 (float files may go beyond).

    Raises:
      RejectedData: the file cannot be read, is not audio, is empty, damaged or incomplete, has NaN in it, or its channels cancel
        each other.
    """
    with open_audio_file(path) as file:
        inspection = inspect_file(file, max_missing_fraction)
        samples = samples_of(file, inspection, max_missing_fraction)
    if inspection.sample_rate != sample_rate:
        samples = soxr.resample(samples, inspection.sample_rate, sample_rate, quality="VHQ")
    return samples


def inspect_audio(path, sample_rate, fallback=None, max_missing_fraction=MAX_MISSING_FRACTION):
    """Looks at a file's structure and at a few of its samples. Float files are read completely, as they may hold NaN.

    Args:
      path: the file.
      sample_rate: the model's rate.
      fallback: another path to try when the first does not exist.
      max_missing_fraction: as in :func:`read_audio`.

    Returns:
      AudioInfo.

    Raises:
      RejectedData: as :func:`read_audio`.
    """
    if fallback is not None and not os.path.exists(path) and os.path.exists(fallback):
        path = fallback
    with open_audio_file(path) as file:
        inspection = inspect_file(file, max_missing_fraction)
        num_samples, notes = inspection.num_samples, inspection.notes
        if inspection.contains_floats:
            level = Level(inspection)
            num_samples = len(samples_of(file, inspection, max_missing_fraction, level))
            is_silent, notes = level.is_silent, notes + level.notes
        else:
            is_silent = first_look(file, inspection)
    length = resampled_length(num_samples, inspection.sample_rate, sample_rate)
    if length == 0:
        raise RejectedData(EMPTY_AUDIO, "no samples")
    return AudioInfo(path, num_samples / float(inspection.sample_rate), length, is_silent, notes, num_samples)


def scan_audio(paths, sample_rate, show_progress=True, max_missing_fraction=MAX_MISSING_FRACTION):
    """Looks at many files with a pool of threads.

    Args:
      paths: list of (path, fallback or None).
      sample_rate: the model's rate.
      show_progress: print a line on stderr every few seconds.
      max_missing_fraction: as in :func:`read_audio`.

    Returns:
      List with an AudioInfo or a RejectedData for each path.
    """
    def scan_chunk(start):
        found = []
        for path, fallback in paths[start:start + SCAN_CHUNK]:
            try:
                found.append(inspect_audio(path, sample_rate, fallback, max_missing_fraction))
            except RejectedData as rejected:
                found.append(rejected)
        return found

    results, last_shown = [], time.monotonic()
    # the threads wait for a file system most of the time, so there are more of them than cores
    with concurrent.futures.ThreadPoolExecutor(max_workers=min(32, 4 * (os.cpu_count() or 1))) as pool:
        for chunk in pool.map(scan_chunk, range(0, len(paths), SCAN_CHUNK)):
            results.extend(chunk)
            if show_progress and time.monotonic() - last_shown > PROGRESS_SECONDS:
                last_shown = time.monotonic()
                sys.stderr.write("looked at %d of %d audio files\n" % (len(results), len(paths)))
    return results
