"""What recorders, telephones and file formats do to speech: band limits, companding, codecs, lost packets."""
import io

import numpy as np
import scipy.fft
import soundfile
import soxr

from open_seq2seq.data.effects.level import rounded_to_16_bits

TELEPHONE_BAND = (300.0, 3400.0)    # Hz, ITU-T G.712
TELEPHONE_RATE = 8000               # Hz
LOWEST_EQUALIZED = 60.0             # Hz
MU = 255.0                          # ITU-T G.711
GSM_BLOCK = 0.005                   # s, a sub-frame of GSM 06.10
PACKET = 0.02                       # s

# name -> (libsndfile's format, its subtype)
FILE_CODECS = {"mp3": ("MP3", "MPEG_LAYER_III"), "vorbis": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS"), "gsm": ("WAV", "GSM610"),
               "mulaw": ("WAV", "ULAW")}


def missing_file_codecs():
    """Names of ``FILE_CODECS`` that this libsndfile does not have: list."""
    formats = soundfile.available_formats()
    return [name for name, (container, subtype) in sorted(FILE_CODECS.items())
            if container not in formats or subtype not in soundfile.available_subtypes(container)]


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
    there = soxr.resample(waveform, sample_rate, rate, quality=quality)
    return of_length(soxr.resample(there, rate, sample_rate, quality=quality), len(waveform)).astype(np.float32)


def band_limited(waveform, sample_rate, low, high, slope_db=24.0):
    """Reduces what is below ``low`` and above ``high`` Hz by ``slope_db`` dB per octave, without shifting anything.

    Args:
      low, high: Hz; 0 and half of the sample rate mean no limit.
    """
    if not len(waveform):
        return waveform
    size = scipy.fft.next_fast_len(len(waveform), real=True)
    frequencies = np.maximum(np.fft.rfftfreq(size, 1.0 / sample_rate), 1.0)
    octaves = np.maximum(np.log2(max(low, 1e-3) / frequencies), 0) + np.maximum(np.log2(frequencies / high), 0)
    response = (10 ** (-slope_db * octaves / 20)).astype(np.float32)
    return scipy.fft.irfft(scipy.fft.rfft(waveform, size) * response, size)[:len(waveform)]


def equalized(waveform, sample_rate, gains_db):
    """Changes the spectrum as a microphone does, by a smooth curve.

    Args:
      waveform: float32 [samples].
      sample_rate: Hz.
      gains_db: [points], dB at frequencies that are equally spaced on a logarithmic axis from 60 Hz to half of the sample rate.
    """
    if not len(waveform):
        return waveform
    size = scipy.fft.next_fast_len(len(waveform), real=True)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(size, 1.0 / sample_rate), LOWEST_EQUALIZED))
    points = np.linspace(np.log2(LOWEST_EQUALIZED), np.log2(sample_rate / 2), len(gains_db))
    response = (10 ** (np.interp(octaves, points, gains_db) / 20)).astype(np.float32)
    return scipy.fft.irfft(scipy.fft.rfft(waveform, size) * response, size)[:len(waveform)]


def companded(waveform):
    """To 8-bit mu-law and back."""
    limited = np.clip(waveform, -1, 1)
    code = np.round(np.log1p(MU * np.abs(limited)) / np.log1p(MU) * 127)
    return (np.sign(limited) * np.expm1(code / 127 * np.log1p(MU)) / MU).astype(np.float32)


def coarsely_quantized(waveform, sample_rate, bits=3):
    """Quantizes blocks of 5 ms to ``bits`` bits of each block's peak, as the residual coding of GSM 06.10 does."""
    block = max(int(GSM_BLOCK * sample_rate), 1)
    blocks = of_length(waveform, -(-len(waveform) // block) * block).reshape(-1, block)
    step = np.maximum(np.abs(blocks).max(axis=1, keepdims=True), 1e-9) / 2 ** (bits - 1)
    quantized = (np.floor(blocks / step) + 0.5) * step
    return np.where(np.abs(blocks).max(axis=1, keepdims=True) > 1e-9, quantized, 0).astype(np.float32).reshape(-1)[:len(waveform)]


def telephone(waveform, sample_rate, companding=True):
    """A telephone call: 300 to 3400 Hz at 8 kHz in mu-law."""
    narrow = soxr.resample(waveform, sample_rate, TELEPHONE_RATE, quality="HQ")
    narrow = band_limited(narrow, TELEPHONE_RATE, *TELEPHONE_BAND)
    if companding:
        narrow = companded(narrow)
    return of_length(soxr.resample(narrow, TELEPHONE_RATE, sample_rate, quality="HQ"), len(waveform)).astype(np.float32)


def through_file(waveform, sample_rate, codec, quality=None):
    """Encodes and decodes with a codec of libsndfile. The length stays.

    Args:
      waveform: float32 [samples]; limited to -1..1.
      sample_rate: Hz.
      codec: a key of ``FILE_CODECS``. "gsm" and "mulaw" are at 8 kHz, Opus and MP3 at 16 kHz where the rate is another.
      quality: 0 (best) to 1 (smallest), libsndfile's compression level; None: its default.

    Raises:
      ValueError: this libsndfile lacks the codec.
    """
    container, subtype = FILE_CODECS[codec]
    if codec in missing_file_codecs():
        raise ValueError("this libsndfile (%s) has no %s codec; it has %s" % (
            soundfile.__libsndfile_version__, codec, ", ".join(sorted(set(FILE_CODECS) - set(missing_file_codecs())))))
    rate = TELEPHONE_RATE if codec in ("gsm", "mulaw") else sample_rate if codec == "vorbis" else 16000
    samples = rounded_to_16_bits(waveform)
    if rate != sample_rate:
        samples = soxr.resample(samples, sample_rate, rate, quality="HQ")
    # the encoders fail on less than a frame, and the decoders of some return it late
    padded = of_length(np.clip(samples, -1, 1), len(samples) + rate // 4)
    stream = io.BytesIO()
    options = {} if quality is None or codec in ("gsm", "mulaw") else {"compression_level": quality}
    soundfile.write(stream, padded, rate, format=container, subtype=subtype, **options)
    stream.seek(0)
    decoded = soundfile.read(stream, dtype="float32")[0]
    if rate != sample_rate:
        decoded = soxr.resample(decoded, rate, sample_rate, quality="HQ")
    return of_length(decoded, len(waveform)).astype(np.float32)


def with_lost_packets(waveform, sample_rate, fraction, random):
    """Replaces packets of 20 ms by silence, as a bad connection without concealment does.

    Args:
      fraction: of packets that are lost, 0 to 1.
    """
    packet = max(int(PACKET * sample_rate), 1)
    lost = np.repeat(random.random_sample(-(-len(waveform) // packet)) < fraction, packet)[:len(waveform)]
    return np.where(lost, np.float32(0), waveform)
