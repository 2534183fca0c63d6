"""Damages valid inputs of every reader of files, and counts what the readers say.

    python benchmarks/mutated_inputs.py --count 5000 --seed 0

Mutations: flipped bits, cuts, holes, deleted and inserted bytes, header fields of other values; in text also repeated parts, deep
nesting, and numbers and texts in the place of each other. Each input goes through the public function that reads it. Results:

    equal      accepted, the same as before
    other      accepted, a valid other value (a different letter in a transcript)
    note       accepted with a note
    refused    an error of the project, with a sentence
    traceback  any other exception: a bug
    silent     accepted although it is wrong: audio that lost more than max_missing_fraction, also with a note; a value that the
               reader's own rules exclude
    slow       longer than 10 s

Fields that a container states once and that nobody can verify (the sample rate of AIFF) are not damaged.
The exit status is 1 when there is a traceback, a silent or a slow input. A reader's inputs depend on the seed only.
"""
import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import time
import traceback

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from mutated_audio import AudioReader  # noqa: E402
from mutated_readers import READERS  # noqa: E402
from mutations import Silent, mutated  # noqa: E402

from open_seq2seq.errors import JasperError  # noqa: E402

RESULTS = ("equal", "other", "note", "refused", "traceback", "silent", "slow")
BAD_RESULTS = ("traceback", "silent", "slow")
SLOW_SECONDS = 10.0
AUDIO_SHARE = 0.5

Outcome = collections.namedtuple("Outcome", "result kind detail")


def try_inputs(reader, count, seed):
    """Mutates the reader's inputs.

    Args:
      reader: a Reader.
      count: how many mutated inputs.
      seed: int.

    Yields:
      Outcome.
    """
    random_numbers = random.Random("%s %d" % (reader.name, seed))
    folder = tempfile.mkdtemp(prefix="mutated-inputs-")
    try:
        originals = [reader.read(data, folder)[0] for data in reader.inputs]
        for _ in range(count):
            number = random_numbers.randrange(len(originals))
            valid = reader.inputs[number]
            kind, data = mutated(valid, random_numbers, reader.is_text)
            while len(data) == len(valid) and any(data[start:end] != valid[start:end]
                                                  for start, end in reader.unverifiable(valid)):
                kind, data = mutated(valid, random_numbers, reader.is_text)
            original = reader.announced(originals[number], valid, kind, data, folder)
            yield _outcome(reader, original, kind, data, folder)
    finally:
        shutil.rmtree(folder)


def _outcome(reader, original, kind, data, folder):
    began, detail = time.monotonic(), ""
    try:
        value, notes = reader.read(data, folder)
        if value == original:
            result = "note" if notes else "equal"
        elif notes:
            reader.judge_noted(original, value, notes)
            result = "note"
        else:
            reader.judge(original, value)
            result = "other"
    except JasperError:
        result = "refused"
    except Silent as error:
        result, detail = "silent", str(error)
    except Exception:
        result, detail = "traceback", traceback.format_exc()
    if time.monotonic() - began > SLOW_SECONDS:
        result, detail = "slow", "%.1f s" % (time.monotonic() - began)
    if result in BAD_RESULTS:
        detail = "%s, %s, %d bytes that begin with %s: %s" % (reader.name, kind, len(data), ascii(data[:64]), detail)
    return Outcome(result, kind, detail)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="mutated inputs, half of them audio (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="decides the mutations (default: %(default)s)")
    parser.add_argument("--reader", action="append", help="only this reader, as named in the table")
    options = parser.parse_args()
    chosen = [reader for reader in READERS if not options.reader or reader.name in options.reader]
    print("%-16s %s" % ("", " ".join("%9s" % result for result in RESULTS)))
    totals, details = collections.Counter(), []
    for kind in chosen:
        share = 1.0 / len(chosen)
        if not options.reader:
            share = AUDIO_SHARE if kind is AudioReader else (1 - AUDIO_SHARE) / (len(chosen) - 1)
        outcomes = list(try_inputs(kind(), max(1, int(options.count * share)), options.seed))
        counts = collections.Counter(outcome.result for outcome in outcomes)
        details += [outcome.detail for outcome in outcomes if outcome.detail]
        totals += counts
        print("%-16s %s" % (kind.name, " ".join("%9d" % counts[result] for result in RESULTS)), flush=True)
    print("%-16s %s" % ("all", " ".join("%9d" % totals[result] for result in RESULTS)))
    for detail in details:
        print("\n" + detail)
    return 1 if any(totals[result] for result in BAD_RESULTS) else 0


if __name__ == "__main__":
    sys.exit(main())
