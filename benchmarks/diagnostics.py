"""The cost of diagnostics at their default settings: two trainings of mini Jasper in turns, one of them without diagnostics.

    python benchmarks/diagnostics.py --steps 900

They take turns of some steps in one process, so that other work on the machine affects both alike. The time within steps is
measured, reports included; start-up and the evaluation at the end are not. The share approaches what the automatic interval
allows (2.5 %) from below.
"""
import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time

import noise_corpus

sys.path.insert(0, noise_corpus.REPOSITORY)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from open_seq2seq.checkpoints.run_directory import RunDirectory  # noqa: E402
from open_seq2seq.devices import select_device  # noqa: E402
from open_seq2seq.distributed.group import Single  # noqa: E402
from open_seq2seq.experiment.command_line import parse_command_line  # noqa: E402
from open_seq2seq.experiment.loading import load_experiment  # noqa: E402
from open_seq2seq.training import loop  # noqa: E402
from open_seq2seq.training.metrics import read_metrics  # noqa: E402

WARM_UP = 10  # steps


class Turns:
    """Makes several threads take turns, one computing at a time."""

    def __init__(self, number):
        self._condition, self._number, self._whose = threading.Condition(), number, 0

    def wait(self, own):
        with self._condition:
            self._condition.wait_for(lambda: self._whose == own)

    def pass_on(self):
        with self._condition:
            self._whose = (self._whose + 1) % self._number
            self._condition.notify_all()


class OwnTime:
    """A clock that stops while the other training has its turn."""

    def __init__(self):
        self._before, self._since = 0.0, None

    def __call__(self):
        return self._before + (time.perf_counter() - self._since if self._since is not None else 0.0)

    def start(self):
        self._since = time.perf_counter()

    def stop(self):
        self._before, self._since = self(), None


def train(words, turns, own, block, seconds):
    """Trains, and appends (seconds, processor seconds) of every step to ``seconds``."""
    clock = OwnTime()

    class Timed(loop.TrainingRun):
        def start(self, checkpoint):
            super().start(checkpoint)
            if self.diagnostics is not None:
                # by the wall clock the time of a step would be twice as long
                self.diagnostics.use_clock(clock)
            turns.pass_on()

        def one_step(self):
            if len(seconds) % block == 0:
                turns.wait(own)
            clock.start()
            began = clock(), time.process_time()
            loss = super().one_step()
            seconds.append((clock() - began[0], time.process_time() - began[1]))
            clock.stop()
            if len(seconds) % block == 0:
                turns.pass_on()
            return loss

    arguments, overrides = parse_command_line(words)
    experiment = load_experiment(arguments.config_file, arguments.mode, overrides)
    params, group = experiment.params["train"], Single()
    directory = RunDirectory.of(params)
    directory.prepare_training(False)
    turns.wait(own)
    # train() uses the class while this thread has its turn
    loop.TrainingRun = Timed
    loop.train(experiment, directory, arguments, select_device("cpu", True, params, group), group)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--utterance_seconds", type=float, default=3.0)
    parser.add_argument("--every", type=int, help="steps between reports (default: automatic, as in a training)")
    parser.add_argument("--block", type=int, default=10, help="steps of a turn")
    arguments = parser.parse_args()
    if arguments.steps <= WARM_UP or arguments.steps % arguments.block:
        parser.error("--steps has to be a multiple of --block and above %d" % WARM_UP)
    with tempfile.TemporaryDirectory(prefix="diagnostics-") as folder:
        corpus = noise_corpus.write_corpus(folder, 256, arguments.utterance_seconds)
        common = noise_corpus.run_words("", corpus, arguments.batch_size)[2:] + [
            "--mode=train_eval", "--eval_params/data_layer_params/dataset_files=%r" % [corpus],
            "--max_steps=%d" % arguments.steps, "--eval_steps=%d" % arguments.steps, "--save_checkpoint_steps=None",
            "--save_summaries_steps=None", "--print_samples_steps=None", "--print_loss_steps=None"]
        automatic = [] if arguments.every is None else ["--diagnostics_steps=%d" % arguments.every]
        turns, times = Turns(2), ([], [])
        threads = [threading.Thread(target=train, args=(
            common + ["--logdir=" + os.path.join(folder, name)] + words, turns, own, arguments.block, times[own]))
            for own, (name, words) in enumerate((("with", automatic), ("without", ["--diagnostics_utterances=0"])))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reports = [entry for entry in read_metrics(os.path.join(folder, "with", "metrics.jsonl")) if entry["kind"] == "layers"]
    (with_them, processor_with), (without, processor_without) = (
        [sum(step[clock] for step in seconds[WARM_UP:-1]) for clock in (0, 1)] for seconds in times)
    median_with, median_without = (statistics.median(step[0] for step in seconds) for seconds in times)
    inside = sum(entry["seconds"] for entry in reports)
    result = {"steps": arguments.steps, "with_seconds": with_them, "without_seconds": without, "ratio": with_them / without,
              "processor_ratio": processor_with / processor_without,
              "median_step_ratio": median_with / median_without,
              "reports": len(reports), "report_seconds": inside, "report_share": inside / with_them,
              "first_report_step": reports[0]["step"] if reports else None}
    print("%d steps of mini Jasper, batch %d x %.1f s: %.1f s with diagnostics, %.1f s without: ratio %.4f; in processor "
          "time, which depends less on other work on the machine: %.4f" % (
              arguments.steps, arguments.batch_size, arguments.utterance_seconds, with_them, without, result["ratio"],
              result["processor_ratio"]))
    print("%d reports took %.2f s, %.2f %% of the time; the limit is 3 %%. Ratio of the median steps, with to without: %.4f" % (
        len(reports), inside, 100 * result["report_share"], result["median_step_ratio"]))
    print("seconds of each report: %s" % ", ".join("%.2f" % entry["seconds"] for entry in reports))
    print(json.dumps(result, sort_keys=True))


if __name__ == "__main__":
    main()
