"""Ways in which the same speech reaches a model: the preparations that ``--mode=robustness`` compares.

A preparation depends only on the waveform and on the utterance's index, so every checkpoint is measured on the same audio.
"""
import collections
import zlib

import numpy as np

from open_seq2seq.data.effects import channel, level, noise, pauses, room, tempo

Preparation = collections.namedtuple("Preparation", "name description change longest exact codec")
Preparation.__doc__ = """One way to prepare audio.

name: as in reports and on the command line. description: a few words. change: function (float32 [samples], Hz, RandomState) ->
float32 [samples']. longest: function of a number of samples and the sample rate: the most that may result. exact: whether
exactly that many result. codec: what libsndfile has to have, or None.
"""
LEADING_SILENCE = 3.0         # s
SLOW, FAST = 1.2, 0.8         # new duration by old duration
LOUDER = 4.0
QUIETER = 0.3


def _prepared(name, description, change, longest=lambda samples, rate: samples, exact=True, codec=None):
    return Preparation(name, description, change, longest, exact, codec)


def _digital_silence(waveform, rate, random):
    return level.rounded_to_16_bits(pauses.with_pauses_of_noise(waveform, rate, 0.0, random))


def _silence_then(change):
    """``change`` after the pauses have become digital silence, as an editor leaves them; then 16-bit samples."""
    return lambda waveform, rate, random: level.rounded_to_16_bits(
        change(_digital_silence(waveform, rate, random), rate, random))


def _silence_and_noise(deviation):
    return _silence_then(lambda waveform, rate, random: noise.with_noise_floor(waveform, deviation, random))


def _four_times_louder(waveform, rate, random):
    # full scale first, so that the amount of clipping does not depend on the recording's level
    return level.rounded_to_16_bits(LOUDER * waveform * np.float32(1 / max(np.abs(waveform).max(), 1e-9)))


def _one_dead_channel(waveform, rate, random):
    stereo = np.stack([waveform, np.zeros_like(waveform)], axis=1)
    return level.rounded_to_16_bits(stereo.mean(axis=1))


def _reverberant(time, distance):
    def change(waveform, rate, random):
        return room.convolved(waveform, room.impulse_response(room.random_room(time, distance, random), rate, random))
    return change


def _codec(name):
    return _silence_then(lambda waveform, rate, random: channel.through_file(waveform, rate, name))


def _stretched(ratio):
    return (lambda waveform, rate, random: tempo.with_tempo(waveform, rate, ratio),
            lambda samples, rate: tempo.tempo_length(samples, ratio))


PREPARATIONS = (
    _prepared("unchanged", "as in the manifest", lambda waveform, rate, random: waveform),
    _prepared("digital_silence", "pauses are digital silence", _digital_silence),
    _prepared("noise_1e-4", "silent pauses, then white noise of 1e-4 (full scale 1)", _silence_and_noise(1e-4)),
    _prepared("noise_1e-3", "silent pauses, then white noise of 1e-3", _silence_and_noise(1e-3)),
    _prepared("noise_3e-3", "silent pauses, then white noise of 3e-3", _silence_and_noise(3e-3)),
    _prepared("ends_cut", "silent pauses, those at both ends cut off",
              _silence_then(lambda waveform, rate, random: pauses.without_outer_pauses(waveform, rate)), exact=False),
    _prepared("short_pauses", "pauses cut to 50 ms",
              lambda waveform, rate, random: pauses.with_shorter_pauses(waveform, rate, 0.05), exact=False),
    _prepared("quiet", "silent pauses, 0.3 of the level", _silence_then(lambda waveform, rate, random: QUIETER * waveform)),
    _prepared("very_quiet", "0.01 of the level", lambda waveform, rate, random: level.rounded_to_16_bits(0.01 * waveform)),
    _prepared("clipped", "silent pauses, four times louder than full scale, clipped", _silence_then(_four_times_louder)),
    _prepared("8_khz", "silent pauses, resampled to 8 kHz and back",
              _silence_then(lambda waveform, rate, random: channel.through_rate(waveform, rate, 8000))),
    _prepared("telephone", "silent pauses, 300 to 3400 Hz, mu-law at 8 kHz",
              _silence_then(lambda waveform, rate, random: channel.telephone(waveform, rate))),
    _prepared("mulaw", "silent pauses, mu-law at 8 kHz", _codec("mulaw"), codec="mulaw"),
    _prepared("gsm", "silent pauses, GSM 06.10 at 8 kHz", _codec("gsm"), codec="gsm"),
    _prepared("mp3", "silent pauses, MP3 and back", _codec("mp3"), codec="mp3"),
    _prepared("vorbis", "silent pauses, Ogg Vorbis and back", _codec("vorbis"), codec="vorbis"),
    _prepared("opus", "silent pauses, Opus and back", _codec("opus"), codec="opus"),
    _prepared("snr_20_db", "white noise 20 dB below the speech",
              lambda waveform, rate, random: noise.with_noise(waveform, "white", 20, rate, random)),
    _prepared("snr_10_db", "white noise 10 dB below the speech",
              lambda waveform, rate, random: noise.with_noise(waveform, "white", 10, rate, random)),
    _prepared("pink_10_db", "pink noise 10 dB below the speech",
              lambda waveform, rate, random: noise.with_noise(waveform, "pink", 10, rate, random)),
    _prepared("hum_50_hz", "mains hum 15 dB below the speech",
              lambda waveform, rate, random: noise.with_hum(waveform, 50, 15, rate, random)),
    _prepared("packet_loss", "3 % of the 20 ms packets lost",
              lambda waveform, rate, random: channel.with_lost_packets(waveform, rate, 0.03, random)),
    _prepared("slow", "20 % slower, same pitch", *_stretched(SLOW)),
    _prepared("fast", "20 % faster, same pitch", *_stretched(FAST)),
    _prepared("offset", "a constant of 0.1 of the peak added", lambda waveform, rate, random: level.with_offset(waveform, 0.1)),
    _prepared("leading_silence", "3 s of digital silence in front",
              lambda waveform, rate, random: np.concatenate([np.zeros(int(LEADING_SILENCE * rate), np.float32), waveform]),
              lambda samples, rate: samples + int(LEADING_SILENCE * rate)),
    _prepared("dead_channel", "stereo with one dead channel, mixed down", _one_dead_channel),
    _prepared("room", "a room with a reverberation time of 0.4 s, 1.5 m away", _reverberant(0.4, 1.5)),
)
NAMES = tuple(preparation.name for preparation in PREPARATIONS)


def preparation_named(name):
    """The :class:`Preparation` of a name in ``NAMES``."""
    return PREPARATIONS[NAMES.index(name)]


def prepared(preparation, waveform, sample_rate, index):
    """Prepares one utterance.

    Args:
      preparation: a :class:`Preparation`.
      waveform: float32 [samples].
      sample_rate: Hz.
      index: of the utterance; decides everything random.

    Returns:
      float32 [samples'], at least one sample; empty for an empty waveform.
    """
    if not len(waveform):
        return waveform
    random = np.random.RandomState((zlib.crc32(preparation.name.encode()), index))
    return np.ascontiguousarray(preparation.change(waveform, sample_rate, random), dtype=np.float32)
