"""Random sentences of Kyrgyz, Kazakh or Turkish with spelled numbers, spoken by espeak-ng: train, dev and test sets by hours.

    python -m open_seq2seq.data.importers synthetic_sentences --language ky --hours 0.1 0.1 0.2 --output corpus/ky

Each set has its own voices, so dev and test measure voices that training has not heard. Equal options give equal files.
"""
import argparse
import random
import sys

from open_seq2seq.data.importers import espeak, sentence_grammar
from open_seq2seq.data.importers.importer_command import run_importer
from open_seq2seq.data.importers.synthetic_speech import (
    UNIT,
    VARIANTS,
    SyntheticSpeech,
    manner,
    require_known,
    require_spans,
    variants,
)
from open_seq2seq.errors import ConfigError

SETS = ("train", "dev", "test")
DEV_VARIANTS, TEST_VARIANTS = ("m4", "f4"), ("m7", "f5", "Michael", "linda")
MOST_HOURS = 1000.0
_MEASURED = 40  # sentences whose lengths tell how many sentences an hour has
_MALE_NAMES = ("Andy", "Michael", "robert")


class SyntheticSentences(SyntheticSpeech):
    name = "synthetic_sentences"
    summary = "Write train.csv, dev.csv and test.csv of random sentences with spelled numbers that espeak-ng speaks."
    columns = ("speaker", "gender", "language")

    def add_arguments(self, parser):
        train = [variant for variant in VARIANTS if variant not in DEV_VARIANTS + TEST_VARIANTS]
        parser.add_argument("--language", required=True, choices=sentence_grammar.CODES, help="ky Kyrgyz, kk Kazakh, tr Turkish")
        parser.add_argument("--hours", nargs=3, type=_hours, required=True, metavar=tuple(name.upper() for name in SETS),
                            help="about how many hours each set has; 0: no such set")
        for name, default in zip(SETS, (train, DEV_VARIANTS, TEST_VARIANTS)):
            parser.add_argument("--%s_variants" % name, nargs="+", default=list(default),
                                help="variants of the voice, the speakers of %s (default: %s)" % (name, " ".join(default)))
        self.add_arguments_of_speech(parser)

    def prepare(self, options):
        require_spans(options)
        if not any(options.hours):
            raise ConfigError("--hours 0 0 0: expected a set of more than 0 hours")
        owner = {}
        for name in SETS:
            own = _variants_of(options, name)
            require_known(own, variants(), "variant", "--%s_variants" % name)
            for variant in own:
                if owner.setdefault(variant, name) != name:
                    raise ConfigError("--%s_variants %s: the voice is also in the set %s, and a test needs other voices than "
                                      "training; remove it from one of them" % (name, variant, owner[variant]))

    def generates(self, options):
        return tuple(name for name, hours in zip(SETS, options.hours) if hours)

    def units(self, options, note):
        seconds, requests = _seconds_per_letter(options), []
        for name, hours in zip(SETS, options.hours):
            missing, number = 3600.0 * hours, 0
            while missing > 0:
                request = _request(options, name, number)
                missing -= seconds * len(request[3]) / request[6]
                requests.append(request)
                number += 1
        return [requests[start:start + UNIT] for start in range(0, len(requests), UNIT)]

    def source_of(self, manifest, options):
        return manifest

    def columns_of(self, variant, language):
        gender = "male" if variant.startswith("m") or variant in _MALE_NAMES else "female"
        return ("speaker", variant), ("gender", gender), ("language", language)


def _request(options, name, number):
    """What :meth:`SyntheticSpeech.read` needs for an utterance."""
    # a generator for each utterance: it does not depend on the other sentences or on the size of the set
    choose = random.Random("%s %s %d %d" % (options.language, name, options.seed, number))
    text = sentence_grammar.sentence(options.language, choose)
    return (name, "%06d" % number, number + 1, text, options.language,
            choose.choice(_variants_of(options, name))) + manner(options, choose)


def _variants_of(options, name):
    return getattr(options, "%s_variants" % name)


def _seconds_per_letter(options):
    """The duration of a letter at a rate of 1 word per minute, measured on the first sentences of the sets."""
    samples = letters = 0
    with espeak.SpeakingProcess() as speaker:
        for number in range(_MEASURED):
            _, _, _, text, language, variant, *how = _request(options, SETS[number % len(SETS)], number)
            samples += len(speaker.speak(text, "%s+%s" % (language, variant), espeak.Manner(*how))) * how[0]
            letters += len(text)
    return samples / float(espeak.SAMPLE_RATE * letters)


def _hours(text):
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError("%r is not a number of hours" % text)
    if not 0.0 <= value <= MOST_HOURS:
        raise argparse.ArgumentTypeError("%s is not between 0 and %g hours" % (text, MOST_HOURS))
    return value


IMPORTER = SyntheticSentences()
main = IMPORTER.main

if __name__ == "__main__":
    sys.exit(run_importer(main))
