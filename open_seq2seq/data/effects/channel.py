"""What recorders, telephones and file formats do to speech: band limits, companding, codecs, lost packets."""
import functools
import io
import math

import numpy as np
import scipy.fft
import soundfile
import soxr

from open_seq2seq.data.effects.level import FULL_SCALE, as_16_bits, rounded_to_16_bits

TELEPHONE_BAND = (300.0, 3400.0)    # Hz, ITU-T G.712
TELEPHONE_RATE = 8000               # Hz
LOWEST_EQUALIZED = 60.0             # Hz
MU = 255.0                          # ITU-T G.711
GSM_BLOCK = 0.005                   # s, a sub-frame of GSM 06.10
PACKET = 0.02                       # s
RINGING = 0.02                      # s of zeros after a waveform, where the filters end instead of at its beginning
WRITTEN_SAMPLES = 8192              # at once; see through_file

# name -> (libsndfile's format, its subtype, the sample rates that it encodes; None: any)
FILE_CODECS = {"mp3": ("MP3", "MPEG_LAYER_III", (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)),
               "vorbis": ("OGG", "VORBIS", None),
               "opus": ("OGG", "OPUS", (8000, 12000, 16000, 24000, 48000)),
               "gsm": ("WAV", "GSM610", (TELEPHONE_RATE,)),
               "mulaw": ("WAV", "ULAW", (TELEPHONE_RATE,))}
WITH_QUALITY = ("mp3", "vorbis", "opus")


@functools.lru_cache(maxsize=None)
def missing_file_codecs():
    """Names of ``FILE_CODECS`` that this libsndfile does not have: tuple."""
    formats = soundfile.available_formats()
    return tuple(name for name, (container, subtype, _) in sorted(FILE_CODECS.items())
                 if container not in formats or subtype not in soundfile.available_subtypes(container))


def of_length(waveform, length):
    """Cut or extended by zeros at its end: [length]."""
    if len(waveform) >= length:
        return waveform[:length]
    return np.pad(waveform, (0, length - len(waveform)), mode="constant")


def through_rate(waveform, sample_rate, rate, quality="HQ"):
    """Resamples to another rate and back, which removes what is above half of the lower rate. The length stays.

    Args:
      waveform: float32 [samples].
      sample_rate, rate: Hz.
      quality: of soxr: "QQ", "LQ", "MQ", "HQ" or "VHQ".
    """
    if rate == sample_rate or not len(waveform):
        return waveform
    there = _resampled(waveform, sample_rate, rate, quality)
    return of_length(_resampled(there, rate, sample_rate, quality), len(waveform))


def _resampled(waveform, sample_rate, rate, quality="HQ"):
    if rate == sample_rate:
        return waveform
    return soxr.resample(waveform.astype(np.float32, copy=False), sample_rate, rate, quality=quality)


def band_limited(waveform, sample_rate, low, high, slope_db=24.0):
    """Reduces what is below ``low`` and above ``high`` Hz by ``slope_db`` dB per octave, without shifting anything.

    Args:
      low, high: Hz; 0 and half of the sample rate mean no limit.
    """
    if not len(waveform):
        return waveform
    def response(frequencies):
        octaves = (np.maximum(math.log2(max(low, 1e-3)) - frequencies, 0)
                   + np.maximum(frequencies - math.log2(high), 0))
        return np.exp2(octaves * (-slope_db / 20 * math.log2(10)))
    return _filtered(waveform, sample_rate, response)


def _filtered(waveform, sample_rate, response):
    """Multiplies the spectrum: float32 [samples]; zero phase, so nothing is shifted.

    Args:
      response: function float32 [bins], log2 of Hz -> float32 [bins], factors.
    """
    size = scipy.fft.next_fast_len(len(waveform) + int(RINGING * sample_rate), real=True)
    frequencies = np.arange(size // 2 + 1, dtype=np.float32) * np.float32(sample_rate / size)
    # bin 0 as 1 Hz
    factors = response(np.log2(np.maximum(frequencies, np.float32(1))))
    spectrum = scipy.fft.rfft(waveform.astype(np.float32, copy=False), size)
    return scipy.fft.irfft(spectrum * factors.astype(np.float32, copy=False), size)[:len(waveform)]


def equalized(waveform, sample_rate, gains_db):
    """Changes the spectrum as a microphone does, by a smooth curve.

    Args:
      waveform: float32 [samples].
      sample_rate: Hz.
      gains_db: [points], dB at frequencies that are equally spaced on a logarithmic axis from 60 Hz to half of the sample rate.
    """
    if not len(waveform):
        return waveform
    points = np.linspace(math.log2(LOWEST_EQUALIZED), math.log2(sample_rate / 2), len(gains_db))
    factors = [gain / 20 * math.log2(10) for gain in gains_db]
    return _filtered(waveform, sample_rate, lambda frequencies: np.exp2(np.interp(frequencies, points, factors)))


def companded(waveform):
    """To 8-bit mu-law and back, from 16-bit samples."""
    return _companding_table()[as_16_bits(waveform) + int(FULL_SCALE)]


@functools.lru_cache(maxsize=None)
def _companding_table():
    """What mu-law makes of each 16-bit sample, from the most negative one: float32 [65536]."""
    samples = np.arange(-FULL_SCALE, FULL_SCALE) / FULL_SCALE
    code = np.round(np.log1p(MU * np.abs(samples)) / np.log1p(MU) * 127)
    table = (np.sign(samples) * np.expm1(code / 127 * np.log1p(MU)) / MU).astype(np.float32)
    table.flags.writeable = False
    return table


def coarsely_quantized(waveform, sample_rate, bits=3):
    """Quantizes blocks of 5 ms to ``bits`` bits of each block's peak, as the residual coding of GSM 06.10 does."""
    block = max(int(GSM_BLOCK * sample_rate), 1)
    blocks = of_length(waveform, -(-len(waveform) // block) * block).reshape(-1, block)
    step = np.abs(blocks).max(axis=1, keepdims=True) * np.float32(2 ** (1 - bits))
    # a block of zeros stays; a quantizer of so few bits has no level 0
    codes = np.floor(blocks / np.where(step > 0, step, np.float32(1)))
    codes = np.clip(codes, -2 ** (bits - 1), 2 ** (bits - 1) - 1) + np.float32(0.5)
    return (codes * step).reshape(-1)[:len(waveform)]


def telephone(waveform, sample_rate, companding=True):
    """A telephone call: 300 to 3400 Hz at 8 kHz in mu-law."""
    if not len(waveform):
        return waveform
    narrow = _resampled(waveform, sample_rate, TELEPHONE_RATE)
    narrow = band_limited(narrow, TELEPHONE_RATE, *TELEPHONE_BAND)
    if companding:
        narrow = companded(narrow)
    return of_length(_resampled(narrow, TELEPHONE_RATE, sample_rate), len(waveform))


def through_file(waveform, sample_rate, codec, quality=None):
    """Encodes and decodes with a codec of libsndfile. The length stays.

    Args:
      waveform: float32 [samples]; limited to -1..1.
      sample_rate: Hz.
      codec: a key of ``FILE_CODECS``. The waveform is resampled to the next higher rate that it encodes, "gsm" and "mulaw"
        to 8 kHz.
      quality: 0 (best) to 1 (smallest), libsndfile's compression level, of ``WITH_QUALITY``; None: its default.

    Returns:
      float32 [samples], not delayed: the decoders remove what their encoders put in front.

    Raises:
      ValueError: this libsndfile lacks the codec.
    """
    container, subtype, rates = FILE_CODECS[codec]
    if codec in missing_file_codecs():
        raise ValueError("this libsndfile (%s) has no %s codec; it has %s" % (
            soundfile.__libsndfile_version__, codec, ", ".join(sorted(set(FILE_CODECS) - set(missing_file_codecs())))))
    if not len(waveform):
        return waveform
    rate = sample_rate if rates is None else next((rate for rate in rates if rate >= sample_rate), rates[-1])
    samples = np.clip(_resampled(rounded_to_16_bits(waveform), sample_rate, rate), -1, 1)
    # the encoders fail on less than a frame, and lose a part of the last one
    samples = of_length(samples, len(samples) + rate // 4)
    stream = io.BytesIO()
    options = {} if quality is None or codec not in WITH_QUALITY else {"compression_level": quality}
    with soundfile.SoundFile(stream, "w", rate, 1, format=container, subtype=subtype, **options) as file:
        # libvorbis has all samples of a call on the stack of the thread: minutes of audio end the process
        for start in range(0, len(samples), WRITTEN_SAMPLES):
            file.write(samples[start:start + WRITTEN_SAMPLES])
    stream.seek(0)
    decoded = soundfile.read(stream, dtype="float32")[0]
    return of_length(_resampled(decoded, rate, sample_rate), len(waveform))


def with_lost_packets(waveform, sample_rate, fraction, random):
    """Replaces packets of 20 ms by silence, as a bad connection without concealment does.

    Args:
      fraction: of packets that are lost, 0 to 1.
    """
    packet = max(int(PACKET * sample_rate), 1)
    lost = np.repeat(random.random_sample(-(-len(waveform) // packet)) < fraction, packet)[:len(waveform)]
    return np.where(lost, np.float32(0), waveform)
