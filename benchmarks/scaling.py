"""Utterances per second of one process on one core and of two processes on one core each, measured with the real commands.

    python benchmarks/scaling.py

For comparison it prints the machine's limit (two independent processes) and the prediction of the cost model, which uses the
all-reduce time that is measured here. The measurements alternate, because the speed of a shared machine varies.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
from noise_corpus import CONFIG, REPOSITORY, run_words, write_corpus

sys.path.insert(0, REPOSITORY)

from open_seq2seq.cli import whole_number  # noqa: E402
from open_seq2seq.errors import DeviceError  # noqa: E402
from open_seq2seq.launch.cost_model import Cluster, Link, Training, gradient_numbers, predict  # noqa: E402

TARGET, TARGET_OF_SYNC_BATCH_NORM = 1.9, 1.7
QUIET = 1.15  # ratio of the fastest to the slowest turn; above it the machine was also used for other work
MEASURED_ALL_REDUCES = 50


def launched(cores, processes, words, log):
    """Starts the launcher on the given cores; returns the Popen, whose stdout is that of rank 0."""
    command = [sys.executable, "-m", "open_seq2seq.launch", "--device", "cpu", "--processes", str(processes),
               "--log", log, "--"] + words
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            preexec_fn=lambda: os.sched_setaffinity(0, cores))


def outputs(processes):
    """Waits for processes; returns their output.

    Raises:
      DeviceError: a process failed; the message contains its last lines.
    """
    texts = [process.communicate()[0] for process in processes]
    for process, text in zip(processes, texts):
        if process.returncode != 0:
            raise DeviceError("%s ended with status %d:\n%s" % (
                " ".join(process.args[:9]), process.returncode, "\n".join(text.splitlines()[-15:])))
    return texts


def seconds_per_step(text):
    """The time of a step that ``run.py --benchmark`` printed."""
    return float(re.findall(r"Avg time per step: ([0-9.]+)s", text)[-1])


class Bench:
    """The measurements; each starts new processes."""

    def __init__(self, arguments, folder):
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise DeviceError("the benchmark may use only %d core of this machine; expected at least two" % len(cores))
        self.first, self.second = cores[0], cores[-1]
        self.batch_size, self.folder, self.number = arguments.batch_size, folder, 0
        # a number of utterances that gives complete batches on one rank and on two
        corpus = write_corpus(folder, 4 * arguments.batch_size, arguments.seconds)
        self.words = run_words(sys.executable, corpus, arguments.batch_size, "--benchmark",
                               "--bench_steps=%d" % arguments.steps, "--bench_start=%d" % arguments.warm_up,
                               *(["--sync_batch_norm=True"] if arguments.sync_batch_norm else []))

    def _start(self, cores, processes, words=None):
        self.number += 1
        log = os.path.join(self.folder, "%d_{device_id}.log" % self.number)
        return launched(cores, processes, words or self.words, log)

    def one(self):
        """Utterances per second of one process on one core."""
        return self.batch_size / seconds_per_step(*outputs([self._start({self.first}, 1)]))

    def two(self):
        """Utterances per second of two processes that train together."""
        return 2 * self.batch_size / seconds_per_step(*outputs([self._start({self.first, self.second}, 2)]))

    def limit(self):
        """Utterances per second of two independent processes at the same time."""
        apart = outputs([self._start({self.first}, 1), self._start({self.second}, 1)])
        return sum(self.batch_size / seconds_per_step(text) for text in apart)

    def all_reduce(self, num_bytes):
        """Median seconds to sum ``num_bytes`` and to sum 4 bytes over two processes."""
        words = [sys.executable, os.path.abspath(__file__), "--only_all_reduce", str(num_bytes)]
        text, = outputs([self._start({self.first, self.second}, 2, words)])
        found = json.loads(re.search(r"\{.*\}", text).group(0))
        return found["large"], found["small"]


def time_all_reduce(num_bytes):
    """Prints the median seconds of an all-reduce of ``num_bytes`` and of one number; every rank runs it."""
    import horovod.tensorflow as horovod
    import tensorflow.compat.v1 as tf
    horovod.init()
    found = {}
    with tf.Graph().as_default():
        sums = {}
        for name, count in (("large", num_bytes // 4), ("small", 1)):
            values = tf.get_variable(name, [count], initializer=tf.ones_initializer(), use_resource=False)
            sums[name] = horovod.allreduce(values, op=horovod.Sum, name=name).op
        with tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)) as session:
            session.run(tf.global_variables_initializer())
            for name, operation in sums.items():
                seconds = []
                for _ in range(MEASURED_ALL_REDUCES):
                    start = time.perf_counter()
                    session.run(operation)
                    seconds.append(time.perf_counter() - start)
                found[name] = float(np.median(seconds))
    if horovod.rank() == 0:
        print(json.dumps(found), flush=True)
    horovod.shutdown()


def predicted(one, batch_size, gradient_bytes, large, small):
    """The cost model's Prediction for two devices: with the measured latency and bandwidth of the link."""
    # a ring of two sends the bytes once in each direction, in two messages
    link = Link(gradient_bytes / max(large - small, 1e-6), small / 2)
    training = Training(batch_size / one, batch_size, gradient_bytes, 1, 0.0, 1)
    return link, predict(training, 2, Cluster(2, link, link, False))


def report(arguments, ones, twos, limits, gradient_bytes, large, small):
    """Prints the table and the same as one JSON object."""
    one = float(np.median(ones))
    link, prediction = predicted(one, arguments.batch_size, gradient_bytes, large, small)
    ratio, limit = (float(np.median(np.divide(values, ones))) for values in (twos, limits))
    of_limit = float(np.median(np.divide(twos, limits)))
    print("mini Jasper%s, batches of %d x %.1f s, %.1f MB of gradients; medians of %d turns" % (
        ", sync_batch_norm" if arguments.sync_batch_norm else "", arguments.batch_size, arguments.seconds, gradient_bytes / 1e6,
        len(ones)))
    print("%-46s %14s %8s %14s" % ("", "utterances/s", "ratio", "best turn"))
    for name, values, factor in (("1 rank, 1 core", ones, 1.0), ("2 ranks, 1 core each", twos, ratio),
                                 ("2 independent processes: the machine's limit", limits, limit)):
        print("%-46s %14.1f %8.2f %14.1f" % (name, np.median(values), factor, max(values)))
    print("%-46s %14.1f %8.2f" % (
        "2 ranks, predicted by the cost model", prediction.utterances_per_second, prediction.speedup))
    print("all-reduce of the gradients %.1f ms, of one number %.2f ms: %.2f GB/s each way" % (
        1e3 * large, 1e3 * small, link.bandwidth / 1e9))
    print("2 ranks reach %.1f %% of the limit; the cost model expects %.1f %%" % (
        100 * of_limit, 100 * prediction.efficiency))
    spread = max(max(values) / min(values) for values in (ones, twos, limits))
    target = TARGET_OF_SYNC_BATCH_NORM if arguments.sync_batch_norm else TARGET
    print("target %.1f: %s" % (target, "reached" if ratio >= target else "missed"))
    if spread > QUIET:
        print("the machine was busy: the fastest turn was %.2f times as fast as the slowest. The figures are not reliable; "
              "repeat the benchmark when the machine is idle" % spread)
    print(json.dumps({"one": ones, "two": twos, "limit": limits, "ratio": ratio, "limit_ratio": limit,
                      "ratio_to_limit": of_limit, "spread": spread, "predicted_ratio": prediction.speedup,
                      "gradient_bytes": gradient_bytes, "all_reduce_seconds": large, "small_all_reduce_seconds": small}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=whole_number(1), default=3, help="repetitions of all measurements (default %(default)s)")
    parser.add_argument("--steps", type=whole_number(1), default=50, help="steps of each measurement (default %(default)s)")
    parser.add_argument("--warm_up", type=whole_number(0), default=10, help="steps before the measurement (default %(default)s)")
    parser.add_argument("--batch_size", type=whole_number(1), default=16,
                        help="utterances of one rank's batch (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of every utterance (default %(default)s)")
    parser.add_argument("--sync_batch_norm", action="store_true", help="statistics of batch norm over both ranks")
    parser.add_argument("--only_all_reduce", type=int, metavar="BYTES", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_all_reduce:
        time_all_reduce(arguments.only_all_reduce)
        return
    with tempfile.TemporaryDirectory(prefix="jasper-scaling-") as folder:
        bench = Bench(arguments, folder)
        gradient_bytes = 4 * gradient_numbers(CONFIG)[0]
        ones, twos, limits, all_reduces = [], [], [], []
        for turn in range(arguments.turns):
            for measured, measure in ((ones, bench.one), (twos, bench.two), (limits, bench.limit)):
                measured.append(measure())
            all_reduces.append(bench.all_reduce(gradient_bytes))
            print("turn %d of %d: 1 rank %.1f, 2 ranks %.1f, independent %.1f utterances/s" % (
                turn + 1, arguments.turns, ones[-1], twos[-1], limits[-1]), file=sys.stderr, flush=True)
    large, small = np.median(all_reduces, axis=0)
    report(arguments, ones, twos, limits, gradient_bytes, float(large), float(small))


if __name__ == "__main__":
    main()
