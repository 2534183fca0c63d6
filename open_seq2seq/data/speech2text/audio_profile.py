"""What the audio of a data set sounds like, in a few numbers, and how two data sets differ.

A model fails on audio that is unlike its training data in ways that nobody hears: digital silence between words, nothing above
4 kHz, a lower noise floor. So a training stores the profile of its audio, and an evaluation compares its own with that.
"""
import collections
import concurrent.futures
import json
import os

import numpy as np

from open_seq2seq.cores import usable_cores
from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.files import parsed_json, replaced_file

FILE_NAME = "audio_profile.json"
UTTERANCES = 32                 # that are measured, at regular intervals of the data set
FRAME = 0.02                    # s
LONGEST = 20.0                  # s of an utterance that are measured
BAND_LIMIT_DB = 50.0            # below the loudest third of an octave
QUIET_PERCENTILE = 10           # of the frames' levels: the noise floor
SILENCE_DB = -150.0             # stands for digital silence

AudioProfile = collections.namedtuple("AudioProfile", (
    "utterances", "band_hz", "noise_floor_db", "level_db", "digital_silence", "shortest", "longest", "offset"))
AudioProfile.__new__.__defaults__ = (0.0,)
AudioProfile.__doc__ = """Medians over utterances, unless it says otherwise.

utterances: how many were measured. band_hz: the frequency above which every third of an octave is more than 50 dB below the
loudest one. noise_floor_db: level of the quietest tenth of the frames that are not digital silence, against the peak, dB.
level_db: the peak against full scale, dB. digital_silence: part of the frames without any sound, mean. shortest, longest:
durations of all utterances, s. offset: the constant in the waveform, as a part of the peak.
"""


def measure_profile(utterances, sample_rate, max_missing_fraction):
    """Measures some utterances of a data set.

    Args:
      utterances: list of Utterance.
      sample_rate: the model's, Hz.
      max_missing_fraction: see :func:`~open_seq2seq.data.speech2text.audio.read_audio`.

    Returns:
      AudioProfile, or None if none of them could be read.
    """
    chosen = [utterances[index] for index in np.unique(np.linspace(0, len(utterances) - 1, UTTERANCES).astype(int))]

    def measured(utterance):
        try:
            waveform = read_audio(utterance.audio_path, sample_rate, max_missing_fraction)
        except RejectedData:
            return None
        return measure_waveform(waveform[:int(LONGEST * sample_rate)], sample_rate)

    with concurrent.futures.ThreadPoolExecutor(max_workers=usable_cores()) as pool:
        found = [values for values in pool.map(measured, chosen) if values is not None]
    if not found:
        return None
    band, floor, level, silence, offset = (np.array(values) for values in zip(*found))
    durations = [utterance.duration for utterance in utterances]
    return AudioProfile(len(found), float(np.median(band)), float(np.median(floor)), float(np.median(level)),
                        float(np.mean(silence)), float(min(durations)), float(max(durations)), float(np.median(offset)))


def measure_waveform(waveform, sample_rate):
    """Measures one waveform.

    Returns:
      (band limit in Hz, noise floor in dB against the peak, peak in dB of full scale, part of the frames that are digital
      silence, offset as a part of the peak); None for digital silence only, or less than a frame.
    """
    frame = int(FRAME * sample_rate)
    count, peak = len(waveform) // frame, float(np.abs(waveform).max()) if len(waveform) else 0.0
    if not count or not peak:
        return None
    frames = waveform[:count * frame].reshape(count, frame)
    sounding = frames.any(axis=1)
    # the median, because the mean of loud speech differs from 0 by more than quiet noise
    offset = float(np.median(frames[sounding]))
    # a constant is neither noise nor a part of the band
    frames = frames[sounding] - np.float32(offset)
    powers, loudest = np.mean(np.square(frames), axis=1), max(float(np.abs(frames).max()), 1e-10)
    floor = 10 * np.log10(max(np.percentile(powers, QUIET_PERCENTILE), 1e-30) / loudest ** 2)
    return (_band_limit(frames, sample_rate), max(floor, SILENCE_DB), 20 * np.log10(peak), 1 - sounding.mean(),
            abs(offset) / peak)


def _band_limit(frames, sample_rate):
    spectrum = np.mean(np.square(np.abs(np.fft.rfft(frames * np.hanning(frames.shape[1]).astype(np.float32)))), axis=0)
    frequencies = np.fft.rfftfreq(frames.shape[1], 1.0 / sample_rate)
    edges = 2 ** np.arange(np.log2(200), np.log2(sample_rate / 2) + 1e-6, 1 / 3.0)
    bands = [spectrum[(frequencies >= low) & (frequencies < high)].mean() for low, high in zip(edges, edges[1:])]
    audible = np.flatnonzero(np.array(bands) > max(bands) * 10 ** (-BAND_LIMIT_DB / 10))
    return edges[audible[-1] + 1]


def differences(training, evaluation, has_dynamic_range=False):
    """How the audio of an evaluation differs from that of the training, in ways that make recognition worse.

    Args:
      training, evaluation: AudioProfile.
      has_dynamic_range: whether the features have a ``dynamic_range``, which makes up for less band, digital silence, low levels
        and low noise.

    Returns:
      List of sentences without a full stop, each with what to do.
    """
    found = []
    if evaluation.band_hz < 0.7 * training.band_hz and not has_dynamic_range:
        found.append("nothing above %.1f kHz (training: %.1f kHz); train with augmentation band" % (
            evaluation.band_hz / 1000, training.band_hz / 1000))
    elif evaluation.band_hz > 1.4 * training.band_hz:
        found.append("sound up to %.1f kHz (training: %.1f kHz); train with audio of that band" % (
            evaluation.band_hz / 1000, training.band_hz / 1000))
    more_silence = evaluation.digital_silence > training.digital_silence + 0.05
    if more_silence and not has_dynamic_range:
        found.append("%.0f %% digital silence (training: %.0f %%); set dynamic_range, or train with augmentation pauses" % (
            100 * evaluation.digital_silence, 100 * training.digital_silence))
    louder_db = evaluation.noise_floor_db - training.noise_floor_db
    # without its pauses, the quietest frames of an utterance are quiet speech and not noise
    if louder_db > 15 and not more_silence or louder_db < -15 and not has_dynamic_range:
        found.append("a noise floor %.0f dB below the peak (training: %.0f dB); train with augmentation noise" % (
            -evaluation.noise_floor_db, -training.noise_floor_db))
    if evaluation.offset > 0.1 and evaluation.offset > 2 * training.offset:
        found.append("a constant of %.2f of the peak (training: %.2f); remove it, or train with augmentation offset" % (
            evaluation.offset, training.offset))
    if not has_dynamic_range and evaluation.level_db < -40 and evaluation.level_db < training.level_db - 10:
        found.append("peaks of %.0f dB of full scale (training: %.0f dB), so that rounding to 16 bits is heard; record louder, "
                     "or train with augmentation level" % (evaluation.level_db, training.level_db))
    if evaluation.longest > 1.5 * training.longest:
        found.append("utterances of up to %.1f s (training: up to %.1f s); cut them at pauses" % (
            evaluation.longest, training.longest))
    if evaluation.shortest < 0.5 * training.shortest:
        found.append("utterances of only %.2f s (training: at least %.2f s); train with shorter ones, too" % (
            evaluation.shortest, training.shortest))
    return found


def write_profile(directory, profile):
    """Stores the profile of the training set next to the checkpoints; nothing for None.

    Raises:
      StorageError: it cannot be written.
    """
    if profile is None:
        return
    with replaced_file(os.path.join(directory, FILE_NAME)) as file:
        json.dump(profile._asdict(), file, indent=1, sort_keys=True)
        file.write("\n")


def read_profile(directory):
    """The stored AudioProfile of the training set; None if there is none that can be read."""
    try:
        with open(os.path.join(directory, FILE_NAME), encoding="utf-8") as file:
            values = parsed_json(file.read())
        profile = AudioProfile(**values)
        return profile if all(isinstance(value, (int, float)) for value in profile) else None
    except (OSError, ValueError, TypeError):
        return None
