"""Sentences in any language of espeak-ng, spoken by its voices: a corpus for tests, or where no recordings exist.

    python -m open_seq2seq.data.importers synthetic_speech --sentences ky.txt --language ky --output corpus/ky

Each sentence is spoken by randomly chosen languages and variants, at random rates and pitches. Equal sentences and options give
equal files.
"""
import difflib
import glob
import os
import random
import sys

import espeakng_loader
import numpy as np
import soxr

from open_seq2seq.cli import file_path, whole_number
from open_seq2seq.data.importers import espeak
from open_seq2seq.data.importers.entries import Entry, Recording, Skip, safe_name
from open_seq2seq.data.importers.frame import Importer
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.rejection import Reason
from open_seq2seq.errors import ConfigError, DataError
from open_seq2seq.text.text_file import read_text_file

VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m7", "f1", "f2", "f3", "f4", "f5", "Andy", "Annie", "Michael", "linda", "robert")
UNIT = 50      # sentences that one process of espeak-ng speaks; what it says depends on what it has said
NOT_SPOKEN = Reason("espeak-ng speaks nothing", False)


class SyntheticSpeech(Importer):
    name = "synthetic_speech"
    summary = "Write a manifest CSV and audio of sentences that espeak-ng speaks in any of its languages."
    columns = ("speaker", "language")

    def add_arguments(self, parser):
        parser.add_argument("--sentences", type=file_path, required=True, help="UTF-8 text file with a sentence on each line")
        parser.add_argument("--language", nargs="+", required=True,
                            help="languages or accents of espeak-ng, e.g. ky or en-us en-gb-scotland")
        parser.add_argument("--variants", nargs="+", default=list(VARIANTS), help="variants of the voice, which are the speakers")
        parser.add_argument("--repetitions", type=whole_number(1), default=1, help="how often each sentence is spoken")
        self.add_arguments_of_speech(parser)

    def add_arguments_of_speech(self, parser):
        """Adds the options that say how the voices speak."""
        parser.add_argument("--rates", type=whole_number(80), nargs=2, default=[120, 200], metavar=("LOW", "HIGH"),
                            help="words a minute, 80 to 450")
        parser.add_argument("--pitches", type=whole_number(0), nargs=2, default=[25, 75], metavar=("LOW", "HIGH"),
                            help="0 to 100")
        parser.add_argument("--sample_rate", type=whole_number(8000), default=16000, help="Hz")
        parser.add_argument("--seed", type=whole_number(0), default=1, help="of all random choices")

    def prepare(self, options):
        require_spans(options)
        require_known(options.language, languages(), "language", "--language")
        require_known(options.variants, variants(), "variant", "--variants")

    def generates(self, options):
        return (_manifest_of(options.sentences),)

    def units(self, options, note):
        lines = [" ".join(line.split()) for line in read_text_file(options.sentences, "list of sentences").split("\n")]
        spoken = [(number, line) for number, line in enumerate(lines, 1) if line]
        if not spoken:
            raise DataError("--sentences %s has no sentence; expected one on each line" % options.sentences)
        manifest, requests = _manifest_of(options.sentences), []
        for repetition in range(options.repetitions):
            for number, line in spoken:
                # a generator for each utterance: it does not depend on the other sentences
                choose = random.Random("%d %d %d" % (options.seed, number, repetition))
                voice = choose.choice(options.language), choose.choice(options.variants)
                requests.append((manifest, "%06d-%d" % (number, repetition), number, line) + voice + manner(options, choose))
        return [requests[start:start + UNIT] for start in range(0, len(requests), UNIT)]

    def read(self, unit, options, store):
        with espeak.SpeakingProcess() as speaker:
            for manifest, name, number, line, language, variant, rate, pitch, pitch_range in unit:
                place = "%s:%d" % (self.source_of(manifest, options), number)
                try:
                    samples = speaker.speak(line, "%s+%s" % (language, variant), espeak.Manner(rate, pitch, pitch_range))
                except DataError as error:
                    yield Skip(manifest, place, name, NOT_SPOKEN, str(error))
                    continue
                samples = samples.astype(np.float32) / np.float32(32768)
                if options.sample_rate != espeak.SAMPLE_RATE:
                    samples = soxr.resample(samples, espeak.SAMPLE_RATE, options.sample_rate)
                path = store.write("%s/%s" % (manifest, name), samples, options.sample_rate)
                yield Entry(manifest, name, place, Recording(path), line, self.columns_of(variant, language))

    def source_of(self, manifest, options):
        """What the numbers of a manifest's sentences count."""
        return os.path.basename(options.sentences)

    def columns_of(self, variant, language):
        """The (name, value) of the columns of an utterance."""
        return ("speaker", variant), ("language", language)


def require_spans(options):
    """Raises ConfigError if --rates or --pitches are not what espeak-ng accepts."""
    for option, (low, high), most in (("--rates", options.rates, 450), ("--pitches", options.pitches, 100)):
        if not low <= high <= most:
            raise ConfigError("%s %d %d: expected LOW <= HIGH <= %d" % (option, low, high, most))


def manner(options, choose):
    """A random (rate, pitch, pitch range) within the options; ``choose`` is a ``random.Random``."""
    return tuple(choose.randint(*span) for span in (options.rates, options.pitches, options.pitches))


def _manifest_of(sentences):
    return safe_name(os.path.splitext(os.path.basename(sentences))[0])


def languages():
    """Names of the languages and accents of espeak-ng, in lower case."""
    names = set()
    root = os.path.join(espeakng_loader.get_data_path(), "lang")
    for path in glob.glob(os.path.join(glob.escape(root), "**"), recursive=True):
        if os.path.isfile(path):
            names.add(os.path.relpath(path, root).lower())
            names.add(os.path.basename(path).lower())
            with open(path, encoding="utf-8", errors="replace") as file:
                names.update(line.split()[1].lower() for line in file if line.startswith("language") and len(line.split()) > 1)
    return names


def variants():
    """Names of espeak-ng's variants of voices."""
    return set(os.listdir(os.path.join(espeakng_loader.get_data_path(), "voices", "!v")))


def require_known(names, known, kind, option):
    for name in names:
        if name not in known and (kind == "variant" or name.lower() not in known):
            close = difflib.get_close_matches(name, known, 3)
            raise ConfigError("%s %s: espeak-ng has no such %s%s" % (
                option, name, kind, "; is one of these meant: %s?" % ", ".join(close) if close else ""))


IMPORTER = SyntheticSpeech()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
