"""The augmentation's effects on waveforms: their parameters, and one call per utterance that applies those that are drawn.

Every effect is a dict with a probability and ranges. The order is that of the physical chain: the speaker (tempo, pitch, pauses),
the room (other voices, reverberation, noise), the recorder (microphone, level, clipping, noise floor), the transmission (band,
codec, packets), and the editor (offset, silence in front and behind).
"""
import hashlib
import threading

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Choice, FilePath, Float, List, Parameter, Report, Struct, child_path
from open_seq2seq.data.effects import channel, level, noise, pauses, room, tempo
from open_seq2seq.data.speech2text.augmentation_recipes import RECIPES
from open_seq2seq.data.speech2text.sound_sources import (
    SHORTEST_NOISE,
    CorpusVoices,
    SoundFolder,
    wrong_with_noise,
    wrong_with_response,
)

LARGEST_DB = 100.0
LONGEST_SHIFT = 60.0          # s
STORED_RESPONSES = 64         # rooms; each is computed when it is drawn for the first time
SHORTEST_TEMPO, LONGEST_TEMPO = 0.25, 4.0
NOISE_KINDS = ("white", "pink", "brown", "hum", "babble", "files")
BANDS = ("8khz", "telephone", "random")
CODECS = ("mulaw_fast", "gsm_like") + tuple(sorted(channel.FILE_CODECS))
PAUSES = ("silence", "noise", "cut")
EQUALIZER_POINTS = 8
MAINS_HZ = (50, 60)


def _probability():
    return Parameter("probability", Float(minimum=0.0, maximum=1.0), default=1.0, doc="of applying it to an utterance")


def _range(name, default, doc, minimum=None, maximum=None):
    return Parameter(name, List(Float(minimum=minimum, maximum=maximum), length=2), default=default,
                     doc="%s, [lowest, highest]" % doc)


def _kinds(name, choices, default, doc):
    return Parameter(name, List(Choice(*choices), minimum_length=1), default=list(default),
                     doc="%s, one of them is drawn: %s" % (doc, ", ".join(choices)))


def _effect(name, doc, *parameters):
    return Parameter(name, Struct((_probability(),) + parameters), default=None, doc=doc)


_EFFECTS = (
    _effect("tempo", "another tempo at the same pitch (WSOLA)",
            _range("ratio", [0.85, 1.15], "new duration by old duration", SHORTEST_TEMPO, LONGEST_TEMPO)),
    _effect("pitch", "another pitch at the same tempo, formants included", _range("semitones", [-2.0, 2.0], "up", -24.0, 24.0)),
    _effect("pauses", "other contents of pauses",
            _kinds("contents", PAUSES, PAUSES, "digital silence, white noise, or a cut to a random length"),
            _range("noise_deviation", [1e-5, 3e-3], "standard deviation of the noise, full scale 1", 0.0, 1.0),
            Parameter("longest", Float(minimum=0.0, maximum=LONGEST_SHIFT), default=0.1, doc="s, of a pause after a cut")),
    _effect("second_voice", "another utterance of the training set in the background",
            _range("snr_db", [10.0, 25.0], "dB that it is quieter", -LARGEST_DB, LARGEST_DB)),
    _effect("reverberation", "a room",
            _range("time", [0.1, 0.6], "reverberation time of rooms made by the image method, s", 0.03, 5.0),
            _range("distance", [0.3, 2.5], "of the speaker from the microphone, m", 0.05, 20.0),
            Parameter("folder", FilePath(), default=None, doc="impulse responses from audio files instead")),
    _effect("noise", "additive noise",
            _kinds("kinds", NOISE_KINDS, ("white", "pink", "brown", "hum", "babble"), "babble: voices of the training set"),
            _range("snr_db", [5.0, 40.0], "signal-to-noise ratio, dB", -LARGEST_DB, LARGEST_DB),
            Parameter("folder", FilePath(), default=None, doc="of the audio files for kind files")),
    _effect("microphone", "a smooth change of the spectrum",
            Parameter("deviation_db", Float(minimum=0.0, maximum=40.0), default=6.0,
                      doc="dB, standard deviation of the gains at 8 frequencies")),
    _effect("level", "another level, then rounding to 16 bits", _range("gain_db", [-40.0, 0.0], "dB", -LARGEST_DB, LARGEST_DB)),
    _effect("clipping", "clipping", _range("excess_db", [1.0, 15.0], "dB of the peak above the limit", 0.0, LARGEST_DB)),
    _effect("noise_floor", "white noise of an absolute level over everything",
            _range("deviation", [1e-5, 3e-3], "standard deviation, full scale 1", 0.0, 1.0)),
    _effect("band", "a band limit",
            _kinds("kinds", BANDS, BANDS, "8 kHz and back, 300 to 3400 Hz, random limits and resamplers")),
    _effect("codec", "a codec", _kinds("kinds", CODECS, ("mulaw_fast", "gsm_like", "gsm", "mp3", "vorbis"),
                                       "mulaw_fast and gsm_like cost little, opus much")),
    _effect("packet_loss", "packets of 20 ms lost", _range("fraction", [0.0, 0.05], "of the packets", 0.0, 1.0)),
    _effect("offset", "a constant added", _range("offset", [-0.1, 0.1], "in units of the peak", -10.0, 10.0)),
    _effect("shift", "silence in front and behind",
            _range("seconds", [0.0, 0.5], "on each side, s", 0.0, LONGEST_SHIFT)),
)
NAMES = tuple(parameter.name for parameter in _EFFECTS)
PARAMETERS = (
    Parameter("recipe", Choice(*sorted(RECIPES)), default=None,
              doc="a set of the effects below; those that are given replace the recipe's (docs/robustness.md); None: none but "
                  "those that are given"),
    Parameter("effects_probability", Float(minimum=0.0, maximum=1.0), default=None,
              doc="of applying the effects to an utterance, the others keep the waveform of the file; None: the recipe's, or 1"),
) + _EFFECTS


def with_recipe(params):
    """The checked params with the effects of their recipe: a dict of ``PARAMETERS`` without recipe."""
    recipe = RECIPES[params["recipe"]] if params["recipe"] is not None else {}
    probability = params["effects_probability"]
    completed = {"effects_probability": recipe.get("effects_probability", 1.0) if probability is None else probability}
    for parameter in _EFFECTS:
        value = params[parameter.name]
        if value is None and parameter.name in recipe:
            report = Report()
            value = parameter.kind.check(recipe[parameter.name], parameter.name, report)
            report.raise_problems()
        completed[parameter.name] = value
    return completed


def check_rules(params, path, report):
    """Reports contradictions between the checked params of the effects.

    Args:
      params: dict that holds ``PARAMETERS``, among others.
      path: how to name it in messages.
      report: receives the problems.
    """
    params = with_recipe(params)
    for name in NAMES:
        for key, value in (params[name] or {}).items():
            where = child_path(child_path(path, name), key)
            if isinstance(value, list) and [type(item) for item in value] == [float, float] and value[0] > value[1]:
                report.problem(where, "is [%g, %g], the lowest value first was expected; swap them" % tuple(value))
    drawn = params["noise"]
    if drawn and "files" in drawn["kinds"] and drawn["folder"] is None:
        report.problem(child_path(child_path(path, "noise"), "folder"), 'is missing; kind "files" needs a folder of audio files')
    if drawn and drawn["folder"] is not None and "files" not in drawn["kinds"]:
        report.problem(child_path(child_path(path, "noise"), "kinds"), 'is %r, without "files", so the folder %s would have no '
                       'effect. Add "files", or remove the folder' % (drawn["kinds"], drawn["folder"]))
    if params["codec"]:
        missing = [kind for kind in params["codec"]["kinds"] if kind in channel.missing_file_codecs()]
        if missing:
            report.problem(child_path(child_path(path, "codec"), "kinds"), "has %s, which libsndfile %s lacks; it has %s" % (
                ", ".join(missing), channel.soundfile.__libsndfile_version__,
                ", ".join(kind for kind in CODECS if kind not in channel.missing_file_codecs())))


class WaveformEffects:
    """The effects of a config.

    Args:
      params: checked dict that holds ``PARAMETERS``.
      sample_rate: of the waveforms, Hz.
      seed: int; decides the babble and the rooms.
      voices: (number of training utterances, function index -> float32 [samples]); None: kinds that need voices do nothing.

    Attributes:
      any: whether any effect is configured.

    Raises:
      DataError: a folder of noise or of impulse responses cannot be used.
    """

    def __init__(self, params, sample_rate, seed=0, voices=None):
        params = with_recipe(params)
        self._params, self._rate, self._seed = {name: params[name] for name in NAMES}, sample_rate, seed
        self._probability = params["effects_probability"]
        self.any = self._probability > 0 and any(effect is not None and effect["probability"] > 0
                                                 for effect in self._params.values())
        self._voices = None if voices is None else CorpusVoices(voices[0], voices[1], sample_rate, seed)
        has_files = params["noise"] is not None and "files" in params["noise"]["kinds"]
        self._noises = self._folder("noise", wrong_with_noise, SHORTEST_NOISE) if has_files else None
        self._responses = self._folder("reverberation", wrong_with_response)
        self._rooms = {}

    def _folder(self, effect, require, shortest=0.0):
        params = self._params[effect]
        if params is None or params["folder"] is None:
            return None
        return SoundFolder(params["folder"], self._rate, 'augmentation["%s"]["folder"]' % effect, require, shortest)

    def most_samples(self, num_samples):
        """The most samples that a waveform of ``num_samples`` can have afterwards."""
        if self._params["tempo"]:
            num_samples = max(num_samples, tempo.tempo_length(num_samples, self._params["tempo"]["ratio"][1]))
        if self._params["shift"]:
            num_samples += 2 * int(self._params["shift"]["seconds"][1] * self._rate)
        return num_samples

    def __call__(self, waveform, seed):
        """Adds the effects to the graph.

        Args:
          waveform: float32 [samples] tensor.
          seed: int32 [2] tensor.

        Returns:
          float32 [samples'] tensor.
        """
        if not self.any:
            return waveform
        changed = tf.numpy_function(self.apply, [waveform, seed], tf.float32)
        changed.set_shape([None])
        return changed

    def apply(self, waveform, seed):
        """Applies the effects that are drawn for a seed.

        Args:
          waveform: float32 [samples], a NumPy array; it is not changed.
          seed: int [2].

        Returns:
          float32 [samples'], at least one sample; empty for an empty waveform.
        """
        if not len(waveform):
            return waveform
        seed = tuple(int(number) for number in np.asarray(seed, np.int64).astype(np.uint32))
        if _fraction(seed, "any") >= self._probability:
            return waveform
        for name, number in _NUMBERS.items():
            params = self._params[name]
            # each effect has random numbers of its own, so one does not change what another one does
            if params is not None and _fraction(seed, name) < params["probability"]:
                waveform = getattr(self, "_" + name)(waveform, params, _seeded(seed + (number,)))
        return np.ascontiguousarray(waveform, dtype=np.float32)

    # the speaker

    def _tempo(self, waveform, params, random):
        return tempo.with_tempo(waveform, self._rate, random.uniform(*params["ratio"]))

    def _pitch(self, waveform, params, random):
        return tempo.with_pitch(waveform, self._rate, random.uniform(*params["semitones"]))

    def _pauses(self, waveform, params, random):
        contents = params["contents"][random.randint(len(params["contents"]))]
        if contents == "cut":
            return pauses.with_shorter_pauses(waveform, self._rate, params["longest"], random)
        deviation = _log_uniform(params["noise_deviation"], random) if contents == "noise" else 0.0
        return pauses.with_pauses_of_noise(waveform, self._rate, deviation, random)

    # the room

    def _second_voice(self, waveform, params, random):
        voice = self._voices.random_voice(random) if self._voices is not None else None
        if voice is None:
            return waveform
        return noise.mixed(waveform, noise.excerpt(voice, len(waveform), random), random.uniform(*params["snr_db"]), self._rate,
                           noise.active_power(voice, self._rate))

    def _reverberation(self, waveform, params, random):
        if self._responses is not None:
            return room.convolved(waveform, self._responses.random_sound(random))
        number = random.randint(STORED_RESPONSES)
        if number not in self._rooms:
            own = np.random.RandomState((self._seed % 2 ** 32, number))
            drawn = room.random_room(own.uniform(*params["time"]), own.uniform(*params["distance"]), own)
            # two threads may compute the same room; both find the same
            self._rooms[number] = room.impulse_response(drawn, self._rate, own)
        return room.convolved(waveform, self._rooms[number])

    def _noise(self, waveform, params, random):
        kind, snr_db = params["kinds"][random.randint(len(params["kinds"]))], random.uniform(*params["snr_db"])
        if kind == "hum":
            return noise.with_hum(waveform, MAINS_HZ[random.randint(len(MAINS_HZ))], snr_db, self._rate, random)
        if kind in noise.COLORS:
            return noise.with_noise(waveform, kind, snr_db, self._rate, random)
        if kind == "files":
            source = self._noises.random_sound(random)
        else:
            source = self._voices.babble() if self._voices is not None else None
        if source is None:
            return waveform
        return noise.mixed(waveform, noise.excerpt(source, len(waveform), random), snr_db, self._rate)

    # the recorder

    def _microphone(self, waveform, params, random):
        return channel.equalized(waveform, self._rate, params["deviation_db"] * random.standard_normal(EQUALIZER_POINTS))

    def _level(self, waveform, params, random):
        return level.rounded_to_16_bits(level.with_gain(waveform, random.uniform(*params["gain_db"])))

    def _clipping(self, waveform, params, random):
        return level.clipped(waveform, random.uniform(*params["excess_db"]))

    def _noise_floor(self, waveform, params, random):
        return noise.with_noise_floor(waveform, _log_uniform(params["deviation"], random), random)

    def _offset(self, waveform, params, random):
        return level.with_offset(waveform, random.uniform(*params["offset"]))

    # the transmission

    def _band(self, waveform, params, random):
        kind = params["kinds"][random.randint(len(params["kinds"]))]
        if kind == "8khz":
            return channel.through_rate(waveform, self._rate, channel.TELEPHONE_RATE, _QUALITIES[random.randint(len(_QUALITIES))])
        if kind == "telephone":
            return channel.telephone(waveform, self._rate, companding=random.random_sample() < 0.5)
        low, high = random.uniform(0, 400), random.uniform(0.2, 0.5) * self._rate
        return channel.band_limited(waveform, self._rate, low, high, random.uniform(12, 96))

    def _codec(self, waveform, params, random):
        kind = params["kinds"][random.randint(len(params["kinds"]))]
        if kind == "mulaw_fast":
            return channel.companded(waveform)
        if kind == "gsm_like":
            narrow = channel.through_rate(waveform, self._rate, channel.TELEPHONE_RATE, "MQ")
            return channel.coarsely_quantized(narrow, self._rate, random.randint(3, 6))
        return channel.through_file(waveform, self._rate, kind, random.uniform(0.0, 0.9))

    def _packet_loss(self, waveform, params, random):
        return channel.with_lost_packets(waveform, self._rate, random.uniform(*params["fraction"]), random)

    # the editor

    def _shift(self, waveform, params, random):
        before, after = (int(random.uniform(*params["seconds"]) * self._rate) for _ in range(2))
        return np.pad(waveform, (before, after), mode="constant")


# a new effect does not change the random numbers of the others
_NUMBERS = {name: int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), "little") for name in NAMES}
_QUALITIES = ("QQ", "LQ", "MQ", "HQ", "VHQ")


_local = threading.local()


def _fraction(seed, name):
    """A number in [0, 1) that depends only on the seed (a tuple of int) and a name."""
    digest = hashlib.blake2b(repr(seed).encode(), digest_size=7, person=name.encode()[:16]).digest()
    return int.from_bytes(digest, "little") / 2.0 ** 56


def _seeded(seed):
    """A RandomState of a seed (a tuple of int): this thread's, because making one takes longer than most effects."""
    if not hasattr(_local, "random"):
        _local.random = np.random.RandomState(0)
    _local.random.seed(seed)
    return _local.random


def _log_uniform(limits, random):
    """A number between two limits, each order of magnitude equally likely; uniform if the lower one is 0."""
    low, high = limits
    if low <= 0:
        return random.uniform(low, high)
    return float(np.exp(random.uniform(np.log(low), np.log(high))))
