"""The one answer to what an audio file holds: the manifest scan, training, transcription and the web page all ask here."""
import collections
import contextlib
import functools
import io
import os
import stat

import soundfile

from open_seq2seq.data.audio import containers
from open_seq2seq.data.audio.containers import (
    START_BYTES,
    container_of,
    is_convertible,
    open_without_waiting,
    unsupported_sentence,
)
from open_seq2seq.data.audio.flac import inspect_flac
from open_seq2seq.data.audio.headers import inspect_aiff, inspect_au, inspect_caf, inspect_nist, inspect_voc
from open_seq2seq.data.audio.mpeg import begins_within_frame, behind_id3, inspect_mpeg
from open_seq2seq.data.audio.ogg import inspect_ogg
from open_seq2seq.data.audio.riff import inspect_riff, inspect_w64
from open_seq2seq.data.audio.source import ByteSource, PartFile
from open_seq2seq.data.audio.structure import MAX_MISSING_FRACTION, Checks, contradiction, damaged
from open_seq2seq.data.rejection import (
    EMPTY_AUDIO,
    MISSING_FILE,
    NOT_AUDIO,
    UNREADABLE,
    WRONG_RATE,
    RejectedData,
)

# Speech needs a few kHz; studio equipment goes up to 384 kHz. Other rates are damaged headers or data that is not sound.
LOWEST_RATE, HIGHEST_RATE = 2000, 384000
COMMON_RATES = frozenset((
    4000, 5512, 5513, 6000, 8000, 9600, 10000, 11000, 11025, 11127, 12000, 12500, 15000, 16000, 18900, 20000, 22000, 22050, 22254,
    22255, 24000, 25000, 30000, 32000, 37800, 40000, 44056, 44100, 47250, 48000, 50000, 50400, 64000, 88200, 96000, 176400,
    192000, 352800, 384000))
MAX_CHANNELS = 1024                # libsndfile's limit
MAX_SAMPLES_PER_BYTE = 8192        # a FLAC frame of 65,535 equal samples has more than 8 bytes; other encodings need more
FLOAT_SUBTYPES = ("FLOAT", "DOUBLE")

_INSPECTORS = {
    containers.WAV: inspect_riff, containers.RF64: inspect_riff, containers.W64: inspect_w64, containers.AIFF: inspect_aiff,
    containers.AU: inspect_au, containers.CAF: inspect_caf, containers.FLAC: inspect_flac, containers.OGG: inspect_ogg,
    containers.MP3: inspect_mpeg, containers.NIST: inspect_nist, containers.VOC: inspect_voc}


class Inspection(collections.namedtuple(
        "Inspection", "container sample_rate channels num_samples parts pcm16 contains_floats notes")):
    """What a file holds.

    Attributes:
      container: one of the names in ``containers``.
      sample_rate: Hz.
      channels: of the first part.
      num_samples: of each channel, what reading the file gives.
      parts: tuple of Part to decode one after the other.
      pcm16: offset of 16-bit little-endian samples, or None.
      contains_floats: the samples may be NaN.
      notes: tuple of sentences about what is wrong with the file although it is used.
    """

    __slots__ = ()

    @property
    def duration(self):
        """Seconds."""
        return self.num_samples / float(self.sample_rate)


@contextlib.contextmanager
def open_audio_file(path):
    """Opens a regular file for reading; errors of the file system, also later ones, become RejectedData."""
    try:
        with open(path, "rb", buffering=0, opener=open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RejectedData(NOT_AUDIO, "%s is a pipe or a device; expected a file" % path)
            yield file
    except (FileNotFoundError, NotADirectoryError):
        raise RejectedData(MISSING_FILE, "%s does not exist" % path)
    except OSError as error:
        raise RejectedData(UNREADABLE, "%s: %s" % (path, error.strerror or error))
    except ValueError as error:
        if "null byte" not in str(error):
            raise
        raise RejectedData(MISSING_FILE, "%s is not a file name: it contains a NUL character" % ascii(path))


def inspect_file(file, max_missing_fraction=MAX_MISSING_FRACTION):
    """Looks at the structure of an open file. Nothing is decoded; of MP3 and Ogg all bytes are read, of others the header.

    Args:
      file: binary file of :func:`open_audio_file`.
      max_missing_fraction: a file of which at most this part is missing is used, with a note.

    Returns:
      Inspection.

    Raises:
      RejectedData: it is not audio, is damaged, incomplete or empty, or has an impossible sample rate.
    """
    source = ByteSource(file)
    start = source.at(0, START_BYTES)
    if not start:
        raise RejectedData(EMPTY_AUDIO, "the file has 0 bytes")
    container = container_of(start)
    # of the containers that are read, Ogg may hold Speex
    sentence = unsupported_sentence(start) if container in (None, containers.OGG) else None
    if sentence is not None:
        # what a converter reads is named; anything else is shown
        raise RejectedData(NOT_AUDIO, sentence if is_convertible(start) else "the file begins with %s. %s" % (
            _shown(start), sentence))
    if container is None and begins_within_frame(source):
        container = containers.MP3
    if container is None:
        if os.fsencode(file.name).lower().endswith((b".raw", b".pcm")):
            raise RejectedData(NOT_AUDIO, "a file of raw samples does not state its rate and format; save it as WAV or FLAC")
        raise RejectedData(NOT_AUDIO, "the file begins with %s; expected WAV, FLAC, Ogg, MP3, AIFF or another format of "
                                      "docs/audio.md" % _shown(start))
    checks = Checks(max_missing_fraction)
    flac = _behind_id3(source, start)
    if flac:
        container, structure = containers.FLAC, inspect_flac(source, checks, flac)
    else:
        structure = _INSPECTORS[container](source, checks)
    rate, channels, samples = structure.sample_rate, structure.channels, structure.samples
    parts, floats = structure.parts, structure.contains_floats
    # FLAC states all of it, and every frame has a checksum
    if structure.pcm16 is None and container != containers.FLAC:
        rate, channels, parts, subtype = _ask_libsndfile(file, structure, checks)
        samples, floats = sum(part.samples for part in parts), floats or subtype in FLOAT_SUBTYPES
    if channels > MAX_CHANNELS:
        damaged("a file with %d channels; at most %d are possible" % (channels, MAX_CHANNELS))
    if not samples:
        raise RejectedData(EMPTY_AUDIO, "no samples")
    if samples > MAX_SAMPLES_PER_BYTE * source.size:
        damaged("a file of %d bytes cannot hold the %d samples that its header states" % (source.size, samples))
    _check_rate(rate, checks)
    return Inspection(container, rate, channels, samples, parts, structure.pcm16, floats, tuple(checks.notes))


def _behind_id3(source, start):
    """Where a FLAC file begins behind an ID3 tag; 0 when it is not one."""
    end = behind_id3(source, 0) if start.startswith(b"ID3") else None
    return end if end and source.at(end, 4) == b"fLaC" else 0


def _shown(start):
    return ascii(start[:40].decode("latin1"))


def _check_rate(rate, checks):
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise RejectedData(WRONG_RATE, "the header states a sample rate of %d Hz; recordings of speech have %d to %d Hz"
                           % (rate, LOWEST_RATE, HIGHEST_RATE))
    if rate not in COMMON_RATES and not checks.rate_is_rounded:
        checks.note("the sample rate of %d Hz is unusual; is the header damaged?" % rate)


def _ask_libsndfile(file, structure, checks):
    """(rate, channels, parts with their numbers of samples, subtype): libsndfile must see what the header's bytes say."""
    parts, rates, channels, subtype = [], set(), structure.channels, None
    for part in structure.parts:
        with open_part(file, part) as sound:
            rates.add(sound.samplerate)
            frames, subtype = sound.frames, sound.subtype
            if len(structure.parts) == 1 and channels is not None and channels != sound.channels:
                contradiction("it states %d channels, libsndfile finds %d" % (channels, sound.channels))
            channels = channels or sound.channels
        # libsndfile finds one sample less in a VOC file of an odd size
        if part.samples is not None and frames < part.samples - 1:
            checks.missing(part.samples, frames, "samples", "libsndfile finds no more")
        parts.append(part._replace(samples=frames if part.samples is None else min(frames, part.samples)))
    if structure.sample_rate is not None:
        rates.add(structure.sample_rate)
    if len(rates) > 1:
        contradiction("its parts have the sample rates %s Hz" % ", ".join(map(str, sorted(rates))))
    return rates.pop(), channels, tuple(parts), subtype


@contextlib.contextmanager
def open_part(file, part):
    """A ``soundfile.SoundFile`` of a part of an open file.

    Raises:
      RejectedData: libsndfile cannot read it.
    """
    with contextlib.ExitStack() as stack:
        if _is_plain(file, part):
            # libsndfile then reads without calls into Python, which would wait for other threads
            os.lseek(file.fileno(), 0, os.SEEK_SET)
            opened = functools.partial(soundfile.SoundFile, file.fileno(), closefd=False)
        else:
            opened = functools.partial(soundfile.SoundFile, stack.enter_context(
                io.BufferedReader(PartFile(file, part), 1 << 16)))
        try:
            sound = opened()
        except (RuntimeError, TypeError) as error:      # soundfile.LibsndfileError is a RuntimeError
            raise RejectedData(NOT_AUDIO, "libsndfile cannot read the file: %s" % str(error).split(": ", 1)[-1])
        with sound:
            yield sound


def _is_plain(file, part):
    """Whether a part is a whole FLAC file, unchanged, of a file without a buffer, whose position may change."""
    return (isinstance(file, io.FileIO) and part.start == 0 and not (part.prefix or part.patches or part.padding)
            and part.end == os.fstat(file.fileno()).st_size and os.pread(file.fileno(), 4, 0) == b"fLaC")
