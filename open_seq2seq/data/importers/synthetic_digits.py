"""Makes a corpus of synthetic speech: spoken digit strings in many voices, without network access.

    python -m open_seq2seq.data.importers.synthetic_digits --output corpus/synthetic --train 3000 --dev 300 --test 300 --seed 1

A voice is an accent of the language with a variant of espeak-ng (the shape of the vocal tract and the voice source). Rate, pitch,
pitch range, level and additive noise differ between utterances. Variants take the role of speakers: train, dev and test share
none. Equal parameters give equal bytes.
"""
import collections
import os
import sys

import numpy as np
import soundfile
import soxr

from open_seq2seq.cli import file_path, make_parser, whole_number
from open_seq2seq.data.importers import espeak
from open_seq2seq.data.importers.corpus_folder import (
    DIGIT_WORDS,
    GERMAN_DIGIT_WORDS,
    LONGEST_STRING,
    SHORTEST_STRING,
    is_complete,
    new_corpus,
    transcript_of,
)
from open_seq2seq.data.importers.importer_command import progress_bar, run_importer
from open_seq2seq.data.importers.manifest_writer import ManifestRow, write_manifest

MODULE = "open_seq2seq.data.importers.synthetic_digits"
VERSION = 2  # increase it when equal parameters no longer give equal files
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

RATES = (130, 200)  # words a minute
PITCHES = (30, 70)
PITCH_RANGES = (30, 70)
PAUSE_PROBABILITY = 0.15  # of a comma between two digits
MARGINS = (0.05, 0.30)  # seconds of background before and after the speech
PEAKS_DB = (-20.0, -1.0)  # of the finished signal, against full scale
SIGNAL_TO_NOISE_DB = (15.0, 40.0)
NOISE_COLORS = (0.0, 1.5)  # power falls as 1 / frequency ** color: 0 white, 1 pink


def voices_of(split, language="en"):
    """The voices of ``"train"``, ``"dev"`` or ``"test"``, as espeak-ng names: ``"gmw/en-US+f2"``."""
    return tuple("%s+%s" % (accent, variant) for variant in VARIANTS[split] for accent in LANGUAGES[language].accents)


def make_corpus(output, sizes, seed, overwrite=False, language="en"):
    """Writes the corpus, unless it is already complete.

    Args:
      output: folder to create, with ``train.csv``, ``dev.csv``, ``test.csv`` and a folder of WAV files for each.
      sizes: dict split -> number of utterances, for ``train``, ``dev`` and ``test``.
      seed: int that determines digits, voices, manner, level and noise. The first utterances of a split do not depend on its
        size.
      overwrite: replace a corpus made with other parameters.
      language: key of LANGUAGES.

    Returns:
      False if the corpus was already complete, else True.

    Raises:
      StorageError: ``output`` exists or cannot be written.
      DataError: espeak-ng does not work.
    """
    order = {"importer": "synthetic_digits", "version": VERSION, "parameters": dict(sizes, seed=seed)}
    if language != "en":
        order["parameters"]["language"] = language
    if is_complete(output, order):
        return False
    with new_corpus(output, order, overwrite) as (folder, description):
        description["voices"] = {}
        for number, split in enumerate(VARIANTS):
            rows = _speak_split(folder, split, sizes[split], (seed, number), language)
            write_manifest(os.path.join(folder, split + ".csv"), rows)
            description["voices"][split] = min(sizes[split], len(voices_of(split, language)))
    return True


def _speak_split(folder, split, size, seeds, language):
    """Speaks ``size`` utterances into ``folder/split`` and returns their manifest rows."""
    os.mkdir(os.path.join(folder, split))
    voices = np.random.RandomState(seeds).permutation(voices_of(split, language))
    words = LANGUAGES[language].words
    rows = []
    with espeak.SpeakingProcess() as speaker, progress_bar("%s.csv" % split, size) as advance:
        for index in range(size):
            # one generator per utterance: an utterance does not depend on how many numbers the others drew
            random = np.random.RandomState(seeds + (index,))
            digits = random.randint(0, len(words), size=random.randint(SHORTEST_STRING, LONGEST_STRING + 1))
            manner = espeak.Manner(*(int(random.randint(low, high + 1)) for low, high in (RATES, PITCHES, PITCH_RANGES)))
            text = _punctuate([words[digit] for digit in digits], random)
            speech = speaker.speak(text, str(voices[index % len(voices)]), manner)
            path = os.path.join(folder, split, "%06d.wav" % index)
            soundfile.write(path, _record(speech, random), SAMPLE_RATE, subtype="PCM_16")
            rows.append(ManifestRow(path, transcript_of(digits, words)))
            advance()
    return rows


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


def main(arguments=None):
    parser = make_parser(MODULE, "Make a corpus of synthetic spoken digit strings with espeak-ng. An interrupted run leaves no "
                                 "files; a complete corpus with the same parameters is not changed.")
    parser.add_argument("--output", type=file_path, required=True, help="folder to create")
    for split, default in (("train", 3000), ("dev", 300), ("test", 300)):
        parser.add_argument("--" + split, type=whole_number(1), default=default, help="utterances in %s.csv" % split)
    parser.add_argument("--seed", type=whole_number(0), default=1, help="seed of all random choices")
    parser.add_argument("--language", choices=sorted(LANGUAGES), default="en", help="language of the digits")
    parser.add_argument("--overwrite", action="store_true", help="replace a corpus made with other parameters")
    options = parser.parse_args(arguments)
    sizes = {split: getattr(options, split) for split in VARIANTS}
    if make_corpus(options.output, sizes, options.seed, options.overwrite, options.language):
        print("%s: %s utterances by %s voices (train, dev, test)" % (
            options.output, ", ".join(str(sizes[split]) for split in VARIANTS),
            ", ".join(str(min(sizes[split], len(voices_of(split, options.language)))) for split in VARIANTS)))
    else:
        print("%s is already complete with these parameters" % options.output)


if __name__ == "__main__":
    sys.exit(run_importer(main))
