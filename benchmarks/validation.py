"""How many utterances per second validation checks: headers only, and with all audio decoded.

    python benchmarks/validation.py [--utterances 10000 --decoded 1000]

A corpus of FLAC and WAV files of 2 to 16 s with the lengths of speech corpora is made first, with transcripts and speakers. The
alternative to reading headers is a loop over ``soundfile.info``, and to decoding one over ``soundfile.read`` in one process: they
open each file, and check nothing. Report and repaired copy are included.
"""
import argparse
import contextlib
import csv
import json
import os
import sys
import tempfile
import time

import numpy as np
import soundfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from open_seq2seq.cores import usable_cores  # noqa: E402
from open_seq2seq.data.validation.command import run_validation  # noqa: E402
from open_seq2seq.data.validation.rows import DataSet, Model  # noqa: E402
from open_seq2seq.progress import print_table  # noqa: E402
from open_seq2seq.text.vocabulary import Vocabulary  # noqa: E402

RATE = 16000
SHORTEST, LONGEST = 2.0, 16.0          # s
DISTINCT = 64                          # recordings that the utterances are cut from; decoding and sizes do not notice
WORDS = ["".join(letters) for letters in zip("bdfgklmnprst" * 25, "aeiou" * 60, "lmnrst" * 50)]
MODEL = Model(RATE, Vocabulary(" abcdefghijklmnopqrstuvwxyz'"), lambda samples: -(-samples // 320))


def make_corpus(folder, utterances, form, seed):
    """Writes a corpus; returns the manifest's path."""
    random = np.random.RandomState(seed)
    noise = np.convolve(random.randn(int((LONGEST + 1) * RATE)), np.hanning(9), "same") * 800
    syllables = 0.05 + np.abs(np.sin(np.arange(len(noise)) * 2 * np.pi * 2.5 / RATE))
    recordings = [np.roll(noise, random.randint(len(noise))) * syllables for _ in range(DISTINCT)]
    os.makedirs(folder)
    path = os.path.join(folder, "%s.csv" % form)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("wav_filename", "wav_filesize", "transcript", "speaker"))
        for number in range(utterances):
            seconds = random.uniform(SHORTEST, LONGEST)
            samples = np.roll(recordings[number % DISTINCT][:int(seconds * RATE)], number).astype(np.int16)
            name = "%05d.%s" % (number, form)
            soundfile.write(os.path.join(folder, name), samples, RATE, "PCM_16")
            words = random.choice(WORDS, max(1, int(2.5 * seconds)))
            writer.writerow((name, os.path.getsize(os.path.join(folder, name)), " ".join(words), "speaker%d" % (number % 100)))
    return path


def paths_of(manifest):
    with open(manifest, newline="") as file:
        return [os.path.join(os.path.dirname(manifest), row["wav_filename"]) for row in csv.DictReader(file)]


def seconds_of(function):
    began = time.monotonic()
    function()
    return time.monotonic() - began


def measure(manifest, count, decode):
    """(seconds of validation, seconds of the alternative) for the first rows of a manifest."""
    with open(manifest) as file:
        lines = file.readlines()[:count + 1]
    part = manifest[:-4] + "-part.csv"
    with open(part, "w") as file:
        file.writelines(lines)
    paths = paths_of(part)

    def loop():
        for path in paths:
            if decode:
                soundfile.read(path, dtype="float32")
            else:
                soundfile.info(path)

    for path in paths:                 # all of it is in memory for both
        with open(path, "rb") as file:
            file.read()
    with open(os.devnull, "w") as silence, contextlib.redirect_stdout(silence):
        ours = seconds_of(lambda: run_validation([DataSet("data", "train", [part], MODEL)], [], os.path.dirname(part) + "-report",
                                                 ["data"], decode))
    return ours, seconds_of(loop)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=10000, help="with headers (default: %(default)s)")
    parser.add_argument("--decoded", type=int, default=1000, help="with decoding (default: %(default)s)")
    parser.add_argument("--folder", help="where the corpus is made for the time of the benchmark (default: a temporary folder)")
    arguments = parser.parse_args()
    results, rows = [], []
    for form in ("flac", "wav"):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            manifest = make_corpus(os.path.join(folder, form), max(arguments.utterances, arguments.decoded), form, 1)
            for decode, count in ((False, arguments.utterances), (True, arguments.decoded)):
                ours, other = measure(manifest, count, decode)
                depth = "full" if decode else "headers"
                results.append({"format": form, "depth": depth, "utterances": count, "seconds": ours,
                                "utterances_per_second": count / ours, "alternative_per_second": count / other})
                rows.append([form, depth, "%d" % count, "%.1f" % ours, "%.0f" % (count / ours), "%.0f" % (count / other)])
    print_table("Validation, %d cores" % usable_cores(), (
        "format", "depth", "utterances", "seconds", "utterances/s", "soundfile.info or read, utterances/s"), rows,
        left=("format", "depth"))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
