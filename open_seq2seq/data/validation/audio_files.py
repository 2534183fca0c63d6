"""Looks at audio files, or decodes them, on all cores: what each holds, and what is wrong with it."""
import collections
import concurrent.futures
import hashlib
import multiprocessing
import os

import numpy as np

from open_seq2seq.cores import usable_cores
from open_seq2seq.data.audio.inspection import inspect_file, open_audio_file
from open_seq2seq.data.audio.reading import Level, first_look, samples_of
from open_seq2seq.data.rejection import EMPTY_AUDIO, RejectedData
from open_seq2seq.data.speech2text.audio_profile import LONGEST, measure_waveform
from open_seq2seq.errors import StorageError
from open_seq2seq.files import file_digest
from open_seq2seq.signals import follow_parent

CHUNK = 32                             # files that a process takes at a time
WORTH_PROCESSES = {False: 2000, True: 64}      # files; for fewer, starting processes takes longer than the work; key: decode
SAMPLED = 1 << 14                      # bytes of a first comparison of equally long files

# flat tops: this many equal samples in a row at the highest or lowest value, this often
FULL_SCALE = 0.97
LONG_RUN, SHORT_RUN = 5, 3             # of samples; the long one below full scale, where a coarse encoding repeats values, too
RUNS = {LONG_RUN: 5, SHORT_RUN: 3}
LEAST_PEAK = 0.1                       # of full scale; the highest values of quieter recordings are equal by chance

AudioFacts = collections.namedtuple("AudioFacts", (
    "path", "size", "container", "sample_rate", "channels", "num_samples", "is_silent", "notes", "reason", "detail", "clipped",
    "band_hz", "noise_floor_db", "level_db", "digital_silence", "offset", "checksum"))
AudioFacts.__new__.__defaults__ = (0, None, None, None, None, False, (), None, "", 0.0, None, None, None, None, None, None)
AudioFacts.__doc__ = """What is known of a file.

size: bytes. container, sample_rate, channels, num_samples (of each channel), notes: see ``inspection.Inspection``, None where it
is unknown. is_silent: no sample differs from another. reason: ``rejection.Reason`` why the file cannot be used, or None; detail:
what was found. The others are known when the file was decoded: clipped: share of the samples that are clipped. band_hz,
noise_floor_db, level_db, digital_silence, offset: see ``audio_profile.measure_waveform``. checksum: of rate and decoded samples.
"""


def duration_of(facts):
    """Seconds, or None if the length is unknown."""
    return facts.num_samples / float(facts.sample_rate) if facts.num_samples else None


class _RawChannels(Level):
    """A Level that also counts clipped samples of every channel, block by block."""

    def __init__(self, inspection):
        super().__init__(inspection)
        self.blocks = [] if inspection.channels > 1 or len(inspection.parts) > 1 else None

    def mono(self, block):
        if self.blocks is not None:
            self.blocks.append(block)
        return super().mono(block)


def look_at(path, max_missing_fraction, decode):
    """AudioFacts of a file.

    Args:
      path: the file.
      max_missing_fraction: as of the data layer.
      decode: decode all of it. Otherwise only its structure and a few samples are looked at; float files are read anyway.
    """
    facts = AudioFacts(path)
    try:
        with open_audio_file(path) as file:
            facts = facts._replace(size=os.fstat(file.fileno()).st_size)
            inspection = inspect_file(file, max_missing_fraction)
            facts = facts._replace(container=inspection.container, sample_rate=inspection.sample_rate,
                                   channels=inspection.channels, num_samples=inspection.num_samples, notes=inspection.notes)
            if not decode and not inspection.contains_floats:
                return facts._replace(is_silent=first_look(file, inspection))
            level = _RawChannels(inspection)
            samples = samples_of(file, inspection, max_missing_fraction, level)
    except RejectedData as rejected:
        return facts._replace(reason=rejected.reason, detail=str(rejected))
    if not len(samples):
        return facts._replace(reason=EMPTY_AUDIO, detail="no samples")
    facts = facts._replace(num_samples=len(samples), is_silent=level.is_silent, notes=facts.notes + level.notes)
    return facts if not decode else _measured(facts, samples, level.blocks)


def _measured(facts, samples, blocks):
    rate = facts.sample_rate
    if blocks is None:
        clipped = clipped_share(samples)
    else:
        count = max(block.shape[1] for block in blocks)
        clipped = max(clipped_share(np.concatenate([block[:, channel] for block in blocks if channel < block.shape[1]]))
                      for channel in range(count))
    digest = hashlib.blake2b(b"%d " % rate, digest_size=16)
    digest.update(np.ascontiguousarray(samples))
    facts = facts._replace(clipped=clipped, checksum=digest.hexdigest())
    measured = measure_waveform(samples[:int(LONGEST * rate)], rate)
    if measured is None:
        return facts
    band, floor, level, silence, offset = (float(value) for value in measured)
    return facts._replace(band_hz=band, noise_floor_db=floor, level_db=level, digital_silence=silence, offset=offset)


def clipped_share(samples):
    """The share of samples in flat tops: runs of equal samples at the highest or lowest value, or beyond full scale.

    Args:
      samples: float32 [n], n > 0.

    Returns:
      float, 0 to 1.
    """
    clipped = 0
    for value, edge in ((float(samples.max()), 1.0), (-float(samples.min()), -1.0)):
        if value < LEAST_PEAK:
            continue
        run = SHORT_RUN if value >= FULL_SCALE else LONG_RUN
        # decoders of lossy files give values beyond full scale, which a player clips
        at_top = samples * np.float32(edge) >= np.float32(min(value, 1.0))
        if at_top.sum() < run * RUNS[run]:
            continue
        changes = np.flatnonzero(np.diff(np.concatenate(([0], at_top.view(np.int8), [0]))))
        lengths = changes[1::2] - changes[::2]
        flat = lengths[lengths >= run]
        if len(flat) >= RUNS[run]:
            clipped += int(flat.sum())
    return clipped / float(len(samples))


def look_at_files(paths, max_missing_fraction, decode, workers=None, advance=None):
    """AudioFacts of many files.

    Args:
      paths: list of different paths.
      max_missing_fraction, decode: see :func:`look_at`.
      workers: number of processes; None: one for each core.
      advance: function that is called with the number of files of each finished chunk.

    Returns:
      Dict from path to AudioFacts.

    Raises:
      StorageError: a process was killed.
    """
    workers = min(workers or usable_cores(), -(-len(paths) // CHUNK))
    advance = advance or (lambda count: None)
    tasks = [(paths[start:start + CHUNK], max_missing_fraction, decode) for start in range(0, len(paths), CHUNK)]
    facts = {}

    def take(found):
        facts.update((one.path, one) for one in found)
        advance(len(found))

    if workers <= 1 or len(paths) < WORTH_PROCESSES[decode]:
        for task in tasks:
            take(_look_at_chunk(task))
        return facts
    # a forked child would inherit the locks and threads of the progress bar and of TensorFlow
    pool = concurrent.futures.ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), follow_parent, (os.getpid(),))
    try:
        for found in pool.map(_look_at_chunk, tasks):
            take(found)
    except concurrent.futures.process.BrokenProcessPool:
        raise StorageError("a process that reads audio was killed, perhaps because memory ran out. Use fewer processes with "
                           "--workers, or --headers")
    finally:
        pool.shutdown()
    return facts


def _look_at_chunk(task):
    paths, max_missing_fraction, decode = task
    return [look_at(path, max_missing_fraction, decode) for path in paths]


def same_content(facts, decode):
    """Which files have the same content.

    Args:
      facts: iterable of AudioFacts of usable files.
      decode: compare decoded samples. Otherwise bytes: only files of the same size are read, and completely only those that are
        equal in three places.

    Returns:
      List of lists of at least two paths with the same content.
    """
    if decode:
        return _alike([one.path for one in facts], {one.path: one.checksum for one in facts}.get)
    groups = []
    sizes = {one.path: one.size for one in facts}
    for equal_size in _alike(list(sizes), sizes.get):
        for similar in _alike(equal_size, _sampled_bytes):
            groups.extend(_alike(similar, _checksum_of_file))
    return groups


def _alike(paths, key):
    groups = collections.OrderedDict()
    for path in paths:
        value = key(path)
        if value is not None:
            groups.setdefault(value, []).append(path)
    return [group for group in groups.values() if len(group) > 1]


def _sampled_bytes(path):
    """Bytes of the beginning, the middle and the end of a file, hashed; None if it cannot be read any more."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.blake2b(digest_size=16)
            for place in (0, size // 2, max(0, size - SAMPLED)):
                file.seek(place)
                digest.update(file.read(SAMPLED))
        return digest.digest()
    except OSError:
        return None


def _checksum_of_file(path):
    try:
        return file_digest(path, "blake2b")
    except OSError:
        return None
