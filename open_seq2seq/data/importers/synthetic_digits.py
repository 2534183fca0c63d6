"""Makes a corpus of synthetic speech: spoken digit strings in many voices, without network access.

    python -m open_seq2seq.data.importers synthetic_digits --output corpus/synthetic --train 3000 --dev 300 --test 300 --seed 1

A voice is an accent of the language with a variant of espeak-ng (the shape of the vocal tract and the voice source). Rate, pitch,
pitch range, level and additive noise differ between utterances; in style "people" also rooms, microphones, bands, codecs, pauses,
the length of the vocal tract, and in train the accent. Variants take the role of speakers: train, dev and test share none. Equal
parameters give equal bytes.
"""
import collections
import functools
import sys

import numpy as np
import soxr

from open_seq2seq.cli import whole_number
from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.data.effects.pauses import without_outer_pauses
from open_seq2seq.data.importers import espeak
from open_seq2seq.data.importers.audio_store import WAV, as_pcm16
from open_seq2seq.data.importers.digit_strings import (
    DIGIT_WORDS,
    GERMAN_DIGIT_WORDS,
    LONGEST_STRING,
    SHORTEST_STRING,
    transcript_of,
)
from open_seq2seq.data.importers.entries import Entry, Recording
from open_seq2seq.data.importers.frame import Importer
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.speech2text.waveform_effects import PARAMETERS as EFFECTS
from open_seq2seq.data.speech2text.waveform_effects import WaveformEffects

STYLES = ("people", "studio")
SAMPLE_RATE = 16000  # Hz

ACCENTS = ("gmw/en-US", "gmw/en-US-nyc", "gmw/en", "gmw/en-GB-x-rp", "gmw/en-GB-x-gbclan", "gmw/en-GB-x-gbcwmd",
           "gmw/en-GB-scotland", "gmw/en-029")
Language = collections.namedtuple("Language", "words accents")
LANGUAGES = {"en": Language(DIGIT_WORDS, ACCENTS), "de": Language(GERMAN_DIGIT_WORDS, ("gmw/de",))}
# Excluded: whispered, croaking and robotic variants, and one of a pair that sounds the same across splits (aunty is nearly f4).
# The variants that shift the formants, and so the vowels, the most (Alicia, Marco, norbert) are in train only.
VARIANTS = collections.OrderedDict((
    ("train", ("m1", "m3", "m4", "m5", "m7", "f1", "f2", "f5", "Alex", "Andy", "Annie", "Denis", "Gene", "Henrique", "Jacky",
               "Lee", "Michael", "Mike", "miguel", "belinda", "benjamin", "boris", "ed", "grandpa", "iven", "john", "linda",
               "max", "michel", "paul", "rob", "steph", "travis", "shelby", "gustave", "victor", "Alicia", "Andrea",
               "Marco", "norbert")),
    ("dev", ("m2", "f3", "Mario", "Nguyen", "robert", "pablo")),
    ("test", ("m6", "f4", "ian", "grandma", "quincy", "sandro")),
))

# Voices of another synthesizer, and digits as speakers of other languages pronounce them, spelled in their orthography; in train
# of style "people" only
KLATT_VARIANTS = ("klatt", "klatt2", "klatt3", "klatt4", "klatt5", "klatt6")
FOREIGN = collections.OrderedDict((
    ("gmw/de", ("siero", "wann", "tu", "fri", "fohr", "feif", "sicks", "sewwen", "eit", "nein")),
    ("gmw/nl", ("ziero", "wan", "toe", "frie", "foor", "faaif", "siks", "sevven", "eet", "naain")),
    ("roa/fr", ("zirau", "ouanne", "tou", "sri", "faure", "faïve", "sixe", "sévène", "éïte", "naïne")),
    ("roa/es", ("siro", "uan", "tu", "zri", "for", "faiv", "sics", "seven", "eit", "nain")),
    ("roa/it", ("ziro", "uan", "tu", "tri", "for", "faiv", "sics", "seven", "eit", "nain")),
    ("zlw/pl", ("ziroł", "łan", "tu", "fri", "for", "fajf", "siks", "sewen", "ejt", "najn")),
    ("trk/tr", ("ziro", "van", "tu", "tri", "for", "fayv", "siks", "sevın", "eyt", "nayn")),
    ("gmq/sv", ("siro", "oann", "to", "fri", "får", "fajv", "siks", "sevven", "ejt", "najn")),
    ("roa/pt", ("zirou", "uân", "tu", "fri", "fór", "faiv", "sics", "séven", "eit", "nain")),
    ("roa/ro", ("zirou", "uan", "tu", "tri", "for", "faiv", "sics", "seven", "eit", "nain")),
    ("urj/hu", ("zíró", "uan", "tú", "szrí", "fór", "fájv", "sziksz", "szeven", "éjt", "nájn")),
    ("zle/ru", ("зироу", "уан", "ту", "сри", "фор", "файв", "сикс", "севен", "эйт", "найн")),
    ("poz/id", ("ziro", "wan", "tu", "tri", "for", "faif", "siks", "sefen", "eit", "nain")),
    ("grk/el", ("ζίροου", "ουάν", "του", "θρι", "φορ", "φάιβ", "σιξ", "σέβεν", "έιτ", "νάιν")),
    ("urj/fi", ("siirou", "uan", "tuu", "srii", "foor", "faiv", "siks", "seven", "eit", "nain")),
))
FOREIGN_PROBABILITY = 0.25

# style "studio"
RATES = (130, 200)  # words a minute
PITCHES = (30, 70)
PITCH_RANGES = (30, 70)
PAUSE_PROBABILITY = 0.15  # of a comma between two digits
MARGINS = (0.05, 0.30)  # seconds of background before and after the speech
PEAKS_DB = (-20.0, -1.0)  # of the finished signal, against full scale
SIGNAL_TO_NOISE_DB = (15.0, 40.0)
NOISE_COLORS = (0.0, 1.5)  # power falls as 1 / frequency ** color: 0 white, 1 pink

# style "people"
Speaker = collections.namedtuple("Speaker", "rates pitches pitch_ranges separate gaps formants margins")
Speaker.__doc__ = """Ranges of what varies between utterances: words a minute, espeak-ng's pitch and pitch range, the probability
that the words are spoken one by one, as in dictating, with gaps (s) between them, the length of the vocal tract against that of
the voice, and the silence around the speech (s)."""
PEOPLE = Speaker(rates=(100, 210), pitches=(10, 90), pitch_ranges=(10, 90), separate=0.6, gaps=(0.0, 0.35),
                 formants=(0.88, 1.15), margins=(0.0, 0.4))
# rooms, microphones, levels and codecs: see data/speech2text/waveform_effects.py
RECORDING = {
    "microphone": {"probability": 0.5, "deviation_db": 5.0},
    "reverberation": {"probability": 0.3},
    "noise": {"probability": 0.6, "kinds": ["white", "pink", "brown", "hum"], "snr_db": [15.0, 50.0]},
    "level": {"probability": 1.0, "gain_db": [-25.0, 0.0]},
    "band": {"probability": 0.5},
    "codec": {"probability": 0.1, "kinds": ["mulaw_fast", "gsm_like"]},
}
CHUNK = 200  # utterances that one espeak-ng process speaks


def voices_of(split, language="en", style="studio"):
    """The voices of ``"train"``, ``"dev"`` or ``"test"``, as espeak-ng names: ``"gmw/en-US+f2"``."""
    variants = VARIANTS[split] + KLATT_VARIANTS * (style == "people" and split == "train")
    return tuple("%s+%s" % (accent, variant) for variant in variants for accent in LANGUAGES[language].accents)


class SyntheticDigits(Importer):
    name = "synthetic_digits"
    summary = "Make a corpus of spoken digit strings with espeak-ng, without a download."
    audio_folder = ""
    has_formats = has_texts = False

    def add_arguments(self, parser):
        for split, default in (("train", 3000), ("dev", 300), ("test", 300)):
            parser.add_argument("--" + split, type=whole_number(1), default=default, help="utterances in %s.csv" % split)
        parser.add_argument("--seed", type=whole_number(0), default=1, help="seed of all random choices")
        parser.add_argument("--language", choices=sorted(LANGUAGES), default="en", help="language of the digits")
        parser.add_argument("--style", choices=STYLES, default="people",
                            help="people: many voices, ways to speak and recordings; studio: clear speech with a little noise")

    def generates(self, options):
        return tuple(VARIANTS)

    def units(self, options, note):
        # what a process of espeak-ng speaks depends on what it has spoken before; a unit has a process of its own
        units = []
        for split in VARIANTS:
            size = getattr(options, split)
            step = size if options.style == "studio" else CHUNK
            units.extend((split, start, min(start + step, size)) for start in range(0, size, step))
        return units

    def read(self, unit, options, store):
        split, start, end = unit
        recorder = _DigitRecorder(split, options)
        with espeak.SpeakingProcess() as speaker:
            for index in range(start, end):
                samples, transcript = recorder.utterance(speaker, index)
                name = "%s/%06d" % (split, index)
                path = store.write(name, as_pcm16(samples), SAMPLE_RATE, WAV)
                yield Entry(split, name, "%s utterance %d" % (split, index), Recording(path), transcript)


class _DigitRecorder:
    """Makes the utterances of one split. An utterance does not depend on the number of utterances of its split."""

    def __init__(self, split, options):
        self._split, self._language, self._is_studio = split, options.language, options.style == "studio"
        self._seeds = (options.seed, list(VARIANTS).index(split))
        self._words, self._recorder = LANGUAGES[options.language].words, _recorder(options.seed)
        self._voices = [str(voice) for voice in np.random.RandomState(self._seeds).permutation(
            voices_of(split, options.language, options.style))]

    def utterance(self, speaker, index):
        """(float [samples] at ``SAMPLE_RATE``, transcript) of an utterance, spoken by an espeak.SpeakingProcess."""
        # one generator per utterance: an utterance does not depend on how many numbers the others drew
        random = np.random.RandomState(self._seeds + (index,))
        digits = random.randint(0, len(self._words), size=random.randint(SHORTEST_STRING, LONGEST_STRING + 1))
        voice = self._voices[index % len(self._voices)]
        samples = (self._studio_recording if self._is_studio else self._recording)(speaker, digits, voice, random)
        return samples, transcript_of(digits, self._words)

    def _studio_recording(self, speaker, digits, voice, random):
        manner = espeak.Manner(*(int(random.randint(low, high + 1)) for low, high in (RATES, PITCHES, PITCH_RANGES)))
        return _record(speaker.speak(_punctuate([self._words[digit] for digit in digits], random), voice, manner), random)

    def _recording(self, speaker, digits, voice, random):
        words = self._words
        if self._split == "train" and self._language == "en" and random.uniform() < FOREIGN_PROBABILITY:
            accent = list(FOREIGN)[random.randint(len(FOREIGN))]
            voice, words = accent + "+" + voice.partition("+")[2], FOREIGN[accent]
        speech = _speak(speaker, [words[digit] for digit in digits], voice, random)
        return np.clip(self._recorder.apply(speech, random.randint(2 ** 31, size=2)), -1, 1)


@functools.lru_cache(maxsize=1)
def _recorder(seed):
    report = Report()
    params = check_parameters(EFFECTS, RECORDING, "RECORDING", report)
    report.raise_problems()
    return WaveformEffects(params, SAMPLE_RATE, seed)


def _speak(speaker, words, voice, random):
    """Speaks the words at once or one by one, as ``PEOPLE`` says: float32 [samples] at ``SAMPLE_RATE``, of full scale."""
    rate, pitch, pitch_range = (random.randint(low, high + 1) for low, high in (
        PEOPLE.rates, PEOPLE.pitches, PEOPLE.pitch_ranges))
    formants = random.uniform(*PEOPLE.formants)
    texts = list(words) if random.uniform() < PEOPLE.separate else [_punctuate(words, random)]
    before, after = (np.zeros(int(SAMPLE_RATE * random.uniform(*PEOPLE.margins)), np.float32) for _ in range(2))
    parts = [before]
    for text in texts:
        # nobody says two words in exactly the same way
        manner = espeak.Manner(*(int(np.clip(value + spread * random.normal(), low, high)) for value, spread, low, high in (
            (rate, 10, 80, 300), (pitch, 5, 0, 99), (pitch_range, 10, 0, 99))))
        spoken = speaker.speak(text, voice, manner).astype(np.float32) / 32768
        spoken = soxr.resample(spoken, espeak.SAMPLE_RATE * formants, SAMPLE_RATE)
        if len(texts) > 1:
            spoken = without_outer_pauses(spoken, SAMPLE_RATE)
        parts += [spoken, np.zeros(int(SAMPLE_RATE * random.uniform(*PEOPLE.gaps)), np.float32)]
    signal = np.concatenate(parts[:-1] + [after])
    return signal / np.float32(max(np.abs(signal).max(), 1e-3))


def _punctuate(words, random):
    pauses = random.uniform(size=len(words)) < PAUSE_PROBABILITY
    return " ".join(word + "," if pause else word for word, pause in zip(words, pauses))


def _record(speech, random):
    """A recording of the speech: int16 at 22050 Hz -> float32 [samples] at 16 kHz with margins, noise and a level."""
    speech = soxr.resample(speech.astype(np.float32) / 32768, espeak.SAMPLE_RATE, SAMPLE_RATE)
    loudness = np.sqrt(np.mean(np.square(speech)))
    before, after = (int(SAMPLE_RATE * random.uniform(*MARGINS)) for _ in range(2))
    signal = np.pad(speech, (before, after), "constant")
    noise_level = loudness * 10 ** (-random.uniform(*SIGNAL_TO_NOISE_DB) / 20)
    signal = signal + noise_level * _noise(len(signal), random.uniform(*NOISE_COLORS), random)
    peak = 10 ** (random.uniform(*PEAKS_DB) / 20)
    return (signal * (peak / np.abs(signal).max())).astype(np.float32)


def _noise(length, color, random):
    """Noise [length] with unit power whose spectrum falls as 1 / frequency ** color."""
    spectrum = np.fft.rfft(random.standard_normal(length))
    bins = np.maximum(np.arange(len(spectrum)), 1)  # bin 0 as bin 1: an offset is not audible
    noise = np.fft.irfft(spectrum * bins ** (-color / 2), length)
    return noise / np.sqrt(np.mean(np.square(noise)))


IMPORTER = SyntheticDigits()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
