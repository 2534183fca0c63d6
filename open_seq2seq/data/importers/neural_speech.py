"""Spoken digits by a neural voice, with other vocal tracts, pitches, paces and accents: as many talkers as wanted.

The voice is that of the wheel ``hibari-tts`` (Apache 2.0), an American woman. For every 12.5 ms its network computes the pitch
and the spectral envelopes of the voiced and of the unvoiced part. They are changed before they become a waveform: the frequency
axis is stretched piecewise (length and shape of the vocal tract), pitch, pitch range and durations are others, and so are breath
and tilt of the voice. The waveform is the sum of pulses and noise, each filtered by its envelope (short-time Fourier transform,
overlap-add). Accents are other phonemes, e.g. "sree" for "three".
"""
import collections
import hashlib
import importlib.util
import json
import os
import threading

import numpy as np
import scipy.fft

from open_seq2seq.errors import DataError

SAMPLE_RATE = 16000  # Hz
N_FFT, HOP = 800, 200  # 50 ms, 12.5 ms: the time and frequency steps of the network's frames
BINS = N_FFT // 2 + 1
OVERLAP = N_FFT // HOP
WINDOW = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)
FREQUENCIES = np.arange(BINS) * (SAMPLE_RATE / N_FFT)
OCTAVES = np.log2(np.maximum(FREQUENCIES, 500) / 500).astype(np.float32)[:, None]  # above 500 Hz
PER_DECIBEL = np.log(10) / 20  # natural logarithm of a factor of 1 dB
VOICED = 40.0  # Hz; a lower pitch means that a frame is not voiced
HIGHEST_HARMONIC = 7800.0  # Hz
NOISE_GAIN = 0.2  # natural logarithm: a shorter window than the network's 1200 samples of 24 kHz sums noise less coherently

MODEL_SHA256 = "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"
OPSET = (b"B\x02\x10\x11r\x1f", b"B\x02\x10\x0fr\x1f")  # ONNX's opset_import of version 17, and 15
INSTALL = "bash scripts/setup.sh --voices installs it"

# phonemes in the voice's alphabet (capital letters are diphthongs); the first pronunciation is the American one
PRONUNCIATIONS = collections.OrderedDict((
    ("zero", ("zˈɪɹO", "zˈiɹO", "zˈɪɹə", "sˈɪɹO", "zˈɛɹO", "zˈɪɹɔ", "zˈiɹo", "sˈiɹO", "zˈIɹO")),
    ("one", ("wˈʌn", "wˈɑn", "vˈʌn", "wˈɔn", "ʌˈʌn", "wˈæn", "vˈɑn", "wˈɛn", "wˈʌm")),
    ("two", ("tˈu", "tˈuː", "tjˈu", "tˈʊ", "tʃˈu", "ʧˈu", "dˈu", "tˈɪu", "tsˈu")),
    ("three", ("θɹˈi", "sɹˈi", "tɹˈi", "fɹˈi", "θɹˈɪ", "ʃɹˈi", "zɹˈi", "θɹˈiː", "tʃɹˈi")),
    ("four", ("fˈɔɹ", "fˈɔ", "fˈɔː", "fˈOɹ", "fˈOə", "vˈɔɹ", "fˈɔə", "fˈɑɹ", "fˈɔɹə")),
    ("five", ("fˈIv", "fˈIf", "vˈIf", "fˈAv", "fˈYv", "fˈɑv", "fˈIvə")),
    ("six", ("sˈɪks", "sˈiks", "zˈɪks", "sˈɛks", "sˈɪkʃ", "sˈɪkəs", "zˈiks", "sˈIks")),
    ("seven", ("sˈɛvən", "sˈɛfən", "zˈɛvən", "sˈɛbən", "sˈævən", "sˈɛvɪn", "sˈAvən", "sˈɛvɛn", "zˈɛfən")),
    ("eight", ("ˈAt", "ˈAtʰ", "ˈɛt", "ˈit", "ˈAd", "ˈIt", "hˈAt", "ˈAtə", "ˈɛɪt")),
    ("nine", ("nˈIn", "nˈɑn", "nˈAn", "nˈYn", "nˈænd", "nˈInə", "nˈIm", "nˈɛn")),
))
INTONATIONS = (".", ",", "?")
SPEEDS = (0.9, 1.15)

KNOTS = np.array([0.0, 500.0, 1500.0, 2800.0, 4500.0, 8000.0])  # Hz; between them the frequency axis is stretched linearly
KNOT_SPREADS = np.array([0.04, 0.05, 0.04, 0.03, 0.03, 0.03])

Frames = collections.namedtuple("Frames", "voiced unvoiced pitch")
Frames.__doc__ = """Natural logarithms of the magnitudes of a word's voiced and unvoiced parts, float32 [BINS, F], and the pitch
in Hz [F], below VOICED where the word is not voiced."""

Talker = collections.namedtuple("Talker", ("pitch", "pitch_range", "stretches", "tilt", "breath", "friction", "pace", "jitter",
                                           "intonation", "has_accent"))
Talker.__doc__ = """How a talker differs from the voice: mean pitch (Hz), factor of the pitch's excursions, factors of the
frequencies at KNOTS, tilt (dB an octave), breath and friction (dB), factor of durations, jitter of the pitch, most frequent
intonation, and whether words may have a foreign pronunciation."""


def draw_talker(random):
    """A random :class:`Talker`; two thirds have the pitch of a man."""
    is_low = random.uniform() < 0.65
    tract = random.uniform(0.78, 0.95) if is_low else random.uniform(0.9, 1.12)
    return Talker(pitch=random.uniform(85, 150) if is_low else random.uniform(150, 260),
                  pitch_range=random.uniform(0.4, 1.5),
                  stretches=tract * np.exp(KNOT_SPREADS * random.normal(size=len(KNOTS))),
                  tilt=2 * random.normal(), breath=random.uniform(-40, -8), friction=4 * random.normal(),
                  pace=random.uniform(0.75, 1.35), jitter=random.uniform(0, 0.02),
                  intonation=INTONATIONS[random.randint(len(INTONATIONS))], has_accent=random.uniform() < 0.6)


class NeuralVoice:
    """The voice of ``hibari-tts``; several threads may use one.

    Raises:
      DataError: a package is missing, or it is another version.
    """

    def __init__(self):
        self._session, self._ids = _load()
        self._frames, self._lock = {}, threading.Lock()

    def speak(self, word, talker, random):
        """One word: float32 [samples] at ``SAMPLE_RATE``, without silence around it."""
        pronunciations = PRONUNCIATIONS[word]
        is_foreign = talker.has_accent and random.uniform() < 0.7
        phonemes = pronunciations[random.randint(len(pronunciations)) if is_foreign else 0]
        intonation = talker.intonation if random.uniform() < 0.7 else INTONATIONS[random.randint(len(INTONATIONS))]
        frames = self.frames(phonemes + intonation, SPEEDS[random.randint(len(SPEEDS))])
        return _waveform(_paced(frames, talker, random), talker, random)

    def frames(self, phonemes, speed):
        """The :class:`Frames` of phonemes, cut to where they sound."""
        with self._lock:
            if (phonemes, speed) not in self._frames:
                self._frames[phonemes, speed] = self._compute(phonemes, speed)
            return self._frames[phonemes, speed]

    def _compute(self, phonemes, speed):
        ids = [0] + [self._ids[phoneme] for phoneme in phonemes] + [0]
        voiced, unvoiced, pitch = (output[0] for output in self._session.run(
            ["lh", "lr", "f0"], {"ids": np.array([ids], np.int64), "speed": np.array([speed], np.float32)}))
        voiced, unvoiced = np.minimum(voiced[:BINS], 7), np.minimum(unvoiced[:BINS], 7)
        power = np.exp(2 * unvoiced).sum(axis=0) + np.exp(2 * voiced).sum(axis=0) * (pitch > VOICED)
        loud = np.flatnonzero(power > 1e-4 * power.max())
        part = slice(max(loud[0] - 2, 0), loud[-1] + 3)
        return Frames(voiced[:, part].copy(), unvoiced[:, part].copy(), pitch[part].copy())


def _load():
    """(onnxruntime's session, dict from phoneme to number)."""
    package = importlib.util.find_spec("hibari")
    if package is None:
        raise DataError("the package hibari-tts, the neural voice, is missing; %s" % INSTALL)
    try:
        import onnxruntime
    except ImportError as error:
        raise DataError("onnxruntime, which runs the neural voice, cannot be imported (%s); %s" % (error, INSTALL))
    assets = os.path.join(list(package.submodule_search_locations)[0], "assets")
    try:
        with open(os.path.join(assets, "hibari.onnx"), "rb") as stream:
            content = stream.read()
        with open(os.path.join(assets, "vocab.json"), encoding="utf-8") as stream:
            ids = json.load(stream)
    except (OSError, ValueError) as error:
        raise DataError("hibari-tts in %s is incomplete (%s); %s again after pip uninstall hibari-tts" % (
            os.path.dirname(assets), error, INSTALL))
    if hashlib.sha256(content).hexdigest() != MODEL_SHA256:
        raise DataError("hibari-tts in %s is another version than this importer is for; %s" % (os.path.dirname(assets), INSTALL))
    if tuple(int(number) for number in onnxruntime.__version__.split(".")[:2]) < (1, 12):
        # it knows opset 15 at most (1.10 is the last for Python 3.7 with NumPy 1.18), and the layer normalization of opset 17 by
        # another definition of the same meaning
        content = content.replace(*OPSET)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"]), ids


def _paced(frames, talker, random):
    """The frames with the talker's durations and vocal tract, and a little of both that differs from word to word."""
    count = len(frames.pitch)
    length = max(8, int(round(count * talker.pace * np.exp(0.08 * random.normal()))))
    times = np.linspace(0, 1, length)
    times += random.uniform(-0.25, 0.25) * times * (1 - times)  # one end of the word is slower than the other
    stretches = talker.stretches * np.exp(0.015 * random.normal(size=len(KNOTS)))
    at_time = _Positions(times * (count - 1), count)
    at_bin = _Positions(FREQUENCIES / np.interp(FREQUENCIES, KNOTS, stretches) * N_FFT / SAMPLE_RATE, BINS)
    voiced, unvoiced = (at_bin.rows(at_time.rows(part.T).T) for part in (frames.voiced, frames.unvoiced))
    return Frames(voiced, unvoiced, frames.pitch[at_time.nearest()])


class _Positions:
    """Positions between the rows of a matrix of ``count`` rows, for linear interpolation."""

    def __init__(self, positions, count):
        positions = np.clip(positions, 0, count - 1)
        self._lower = np.minimum(positions.astype(int), count - 2)
        self._weight = (positions - self._lower).astype(np.float32)

    def rows(self, matrix):
        weight = self._weight[:, None]
        return matrix[self._lower] * (1 - weight) + matrix[self._lower + 1] * weight

    def nearest(self):
        return np.where(self._weight < 0.5, self._lower, self._lower + 1)


def _waveform(frames, talker, random):
    is_voiced = frames.pitch > VOICED
    mean = np.median(frames.pitch[is_voiced]) if is_voiced.any() else 200.0
    excursions = talker.pitch_range * np.log(np.maximum(frames.pitch, VOICED) / mean)
    excursions += 0.06 * random.normal() + talker.jitter * random.normal(size=len(excursions))
    pitch = np.where(is_voiced, np.maximum(talker.pitch * np.exp(excursions), VOICED + 1), 0.0)
    voiced = np.exp(frames.voiced + np.float32(talker.tilt * PER_DECIBEL) * OCTAVES)
    unvoiced = np.exp(frames.unvoiced + np.float32(talker.friction * PER_DECIBEL + NOISE_GAIN))
    # breath is stronger at high frequencies
    unvoiced += voiced * is_voiced * np.sqrt(FREQUENCIES / FREQUENCIES[-1]).astype(np.float32)[:, None] * np.float32(
        10 ** (talker.breath / 20))
    # every harmonic has the amplitude of the envelope, so a lower voice, which has more of them, would be louder
    spectrum = _spectrum(_pulses(pitch), len(pitch)) * (voiced * np.float32(np.sqrt(talker.pitch / mean)))
    noise = np.random.Generator(np.random.PCG64(random.randint(2 ** 31))).standard_normal((BINS, 2 * len(pitch)), np.float32)
    spectrum += noise.view(np.complex64) * (unvoiced * np.float32(np.sqrt(0.5)))
    return _overlap_add(spectrum)


def _pulses(pitch):
    """Band-limited pulses: the sum of all harmonics up to HIGHEST_HARMONIC with amplitude 1, 0 where ``pitch`` [F] is."""
    frames = (np.arange(len(pitch) * HOP) + 0.5) / HOP - 0.5
    pitch = np.interp(frames, np.arange(len(pitch)), pitch)
    is_voiced = pitch > VOICED
    pitch = np.maximum(pitch, VOICED)
    phases = 2 * np.pi * (np.cumsum(pitch) / SAMPLE_RATE % 1.0)
    # 1 / 2 + cos(p) + ... + cos(H p) = sin((H + 1 / 2) p) / (2 sin(p / 2))
    harmonics = np.floor(HIGHEST_HARMONIC / pitch) + 0.5
    divisor = 2 * np.sin(phases / 2)
    at_peak = np.abs(divisor) < 2e-3
    divisor[at_peak] = 1
    values = np.where(at_peak, harmonics, np.sin(harmonics * phases) / divisor)
    return ((values - 0.5) * is_voiced).astype(np.float32)


def _spectrum(samples, count):
    """Short-time Fourier transform, complex64 [BINS, count]; a cosine of amplitude 1 has the magnitude 1."""
    samples = np.pad(samples, N_FFT // 2, mode="reflect")
    step = samples.strides[0]
    frames = np.lib.stride_tricks.as_strided(samples, (count, N_FFT), (step * HOP, step), writeable=False)
    return scipy.fft.rfft(frames * (WINDOW * np.float32(4 / N_FFT)), axis=1).T


def _overlap_add(spectrum):
    """Inverse of :func:`_spectrum` up to a factor: complex64 [BINS, F] -> float32 [F * HOP]."""
    count = spectrum.shape[1]
    frames = (scipy.fft.irfft(spectrum.T, N_FFT, axis=1) * WINDOW).reshape(count, OVERLAP, HOP)
    weights = (WINDOW ** 2).reshape(OVERLAP, HOP)
    samples = np.zeros((count + OVERLAP - 1, HOP), np.float32)
    sums = np.full(samples.shape, 1e-8, np.float32)
    for part in range(OVERLAP):
        samples[part:part + count] += frames[:, part]
        sums[part:part + count] += weights[part]
    return (samples / sums).reshape(-1)[N_FFT // 2:N_FFT // 2 + count * HOP]
