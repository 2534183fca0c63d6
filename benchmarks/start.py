"""Time from a command to the first result: the first training step, the first batch of an evaluation, a transcript.

    python benchmarks/start.py --against REVISION
    python benchmarks/start.py --config_file=configs/speech2text/jasper_mini_digits.py --batch_size 16 --rounds 5

Each round starts every command once with each build, in turns: the present files, and the checkout of a git revision. Processor
time is what the process and its children have taken when the result is printed; it depends less on other programs than the time
on the clock. The data are noise, the model has made one step.
"""
import argparse
import collections
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time

import network
from noise_corpus import write_corpus
from training_step import checkout_of

from open_seq2seq.cli import whole_number

UTTERANCES, SECONDS = 20, 6.0  # few: then every batch of an evaluation prints a line
Start = collections.namedtuple("Start", "seconds processor_seconds")


def _processor_seconds(process):
    """What a running process has taken so far, with its children that have ended."""
    with open("/proc/%d/stat" % process.pid) as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def started(command, checkout, line):
    """Runs a command until it prints ``line`` and returns the :class:`Start`.

    Raises:
      SystemExit: the command ended without this line.
    """
    began, printed = time.monotonic(), []
    process = subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                               errors="replace", env=dict(os.environ, PYTHONUNBUFFERED="1", PYTHONPATH=checkout))
    try:
        for text in process.stdout:
            printed.append(text)
            if line in text:
                return Start(time.monotonic() - began, _processor_seconds(process))
        raise SystemExit("%s ended without a line with %r. It printed:\n%s" % (
            " ".join(command), line, "".join(printed[-20:])))
    finally:
        process.kill()
        process.communicate()


def commands(arguments, corpus, run):
    """(dict of what is measured -> (command, text in the line that shows the result), the command that trains ``run``)."""
    config = ["--config_file=" + arguments.config_file, "--num_epochs=None", "--batch_size_per_gpu=%d" % arguments.batch_size]
    train_data, eval_data = ("--%s_params/data_layer_params/dataset_files=%r" % (mode, [corpus]) for mode in ("train", "eval"))
    python = [sys.executable, "run.py"]
    train = python + config + ["--mode=train", "--max_steps=1", "--print_loss_steps=1", train_data]
    recording = os.path.join(os.path.dirname(corpus), "0.wav")
    return collections.OrderedDict([
        ("training", (train + ["--no_dir_check", "--logdir=" + run + "-first-step"], "***     Train loss:")),
        ("evaluation", (python + config + ["--mode=eval", "--logdir=" + run, eval_data], "Processed ")),
        ("transcription", ([sys.executable, "-m", "open_seq2seq.transcribe", recording, "--model", run, "--format", "json"],
                           '"text"')),
    ]), train + ["--logdir=" + run]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config_file", default="configs/speech2text/jasper5x3_LibriSpeech_nvgrad_masks_1p.py")
    parser.add_argument("--batch_size", type=whole_number(1), default=2)
    parser.add_argument("--rounds", type=whole_number(1), default=3)
    parser.add_argument("--against", metavar="REVISION", help="measure this git revision in turns with the present files")
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        builds = collections.OrderedDict([("present files", network.REPOSITORY)])
        if arguments.against:
            builds["revision " + arguments.against[:24]] = stack.enter_context(checkout_of(arguments.against))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="jasper-start-"))
        corpus = write_corpus(folder, UTTERANCES, SECONDS)
        measured, first = commands(arguments, corpus, os.path.join(folder, "run"))
        subprocess.run(first, cwd=network.REPOSITORY, stdout=subprocess.DEVNULL, check=True)
        starts = collections.defaultdict(list)
        for number in range(arguments.rounds):
            for name, (command, line) in measured.items():
                # each build is first in every other round
                for build in list(builds)[::-1 if number % 2 else 1]:
                    starts[name, build].append(started(command, builds[build], line))
    for name in measured:
        for build in builds:
            of_build = starts[name, build]
            print("%-14s %-32s %6.2f s processor time, %6.2f s (medians of %d; least %.2f, %.2f)" % (
                name, build, statistics.median(start.processor_seconds for start in of_build),
                statistics.median(start.seconds for start in of_build), len(of_build),
                min(start.processor_seconds for start in of_build), min(start.seconds for start in of_build)))
        if arguments.against:
            before, after = (starts[name, build] for build in list(builds)[::-1])
            print("%-14s present files to the revision: %.2f of the processor time, %.2f of the time" % (
                name, *(statistics.median(getattr(now, field) / getattr(then, field) for now, then in zip(after, before))
                        for field in ("processor_seconds", "seconds"))))


if __name__ == "__main__":
    main()
