"""What tracking in MLflow costs a training: mini Jasper with the server up, down and hanging, and without tracking, in turns.

    python benchmarks/tracking.py --steps 300 --rounds 2

Needs MLflow (scripts/setup.sh --tracking) and starts a real tracking server. Two trainings differ by more than tracking costs, so
the calls of the tracker are timed within the training: their wall time and the processor time of the thread, and the processor
time of the process that sends. The share of a training has a part for each measurement and a part for the start and the end,
which a longer training has once, too; both are printed. metrics.jsonl has a line every 10 steps, as by default.
"""
import argparse
import contextlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import noise_corpus

sys.path.insert(0, noise_corpus.REPOSITORY)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

CASES = ("without", "up", "down", "hanging")


def trained(words):
    """Trains with the arguments and prints the times as the last line, JSON; runs in a process of its own."""
    from open_seq2seq import modes
    from open_seq2seq.training import loop
    from open_seq2seq.training.tracking.tracker import Trackers
    times = {"start": [0.0, 0.0], "steps": [0.0, 0.0], "end": [0.0, 0.0], "calls": 0}

    def timed(method, part):
        original = getattr(Trackers, method)

        def call(self, *arguments):
            began = time.monotonic(), time.thread_time()
            try:
                return original(self, *arguments)
            finally:
                times[part][0] += time.monotonic() - began[0]
                times[part][1] += time.thread_time() - began[1]
                times["calls"] += part == "steps"
        setattr(Trackers, method, call)

    for method, part in (("start", "start"), ("parameters", "start"), ("metrics", "steps"), ("add_summary", "steps"),
                         ("artifact", "end"), ("finish", "end")):
        timed(method, part)
    original_run = loop.TrainingRun.run

    def run(self):
        began, own = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        result = original_run(self)
        after = resource.getrusage(resource.RUSAGE_SELF)
        times["training"] = [time.monotonic() - began, after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime]
        return result

    loop.TrainingRun.run = run
    status = modes.main(words)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    times["sender"] = children.ru_utime + children.ru_stime
    print("TIMES " + json.dumps(times))
    return status


@contextlib.contextmanager
def address(case, folder):
    """Context of the address of the server of a case."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        if case == "hanging":
            listening.listen(64)
            yield "http://127.0.0.1:%d" % port
            return
    if case == "down":
        yield "http://127.0.0.1:%d" % port
        return
    from open_seq2seq.training.tracking.mlflow_tracker import find_python
    programs = os.path.dirname(find_python({"mlflow_params": {}}))
    command = [os.path.join(programs, "mlflow"), "server", "--port", str(port), "--workers", "1", "--serve-artifacts",
               "--backend-store-uri", "sqlite:///%s/runs.db" % folder, "--artifacts-destination", folder + "/artifacts"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, start_new_session=True,
                               env=dict(os.environ, PATH=programs + os.pathsep + os.environ["PATH"]))
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                break
            time.sleep(0.2)
        yield "http://127.0.0.1:%d" % port
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def measure(case, uri, words, folder):
    """The times of one training in a process of its own: the dict of :func:`trained`."""
    logdir = tempfile.mkdtemp(dir=folder)
    words = words + ["--logdir=" + logdir] + (["--tracking=[]"] if case == "without" else [
        "--tracking=['mlflow']", "--mlflow_params/uri=" + uri])
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--train"] + words, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.decode().split("TIMES ")[-1])


def main():
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="of each training")
    parser.add_argument("--rounds", type=int, default=2, help="trainings of each case")
    parser.add_argument("--minutes", type=float, default=30.0, help="length of the training that the last column is for")
    arguments = parser.parse_args()
    results = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory() as folder:
        words = noise_words(folder, arguments.steps)
        for number in range(arguments.rounds):
            for case in CASES:
                with address(case, folder) as uri:
                    results[case].append(measure(case, uri, words, folder))
                print("round %d, %s: %.1f s" % (number + 1, case, results[case][-1]["training"][0]), flush=True)
    print_table(results, arguments)


def noise_words(folder, steps):
    """Makes a corpus of noise in a folder; the arguments of a training of mini Jasper with it."""
    corpus = noise_corpus.write_corpus(folder, 64, 3.0)
    return noise_corpus.run_words("", corpus, 16)[2:] + [
        "--mode=train", "--max_steps=%d" % steps, "--num_epochs=None", "--save_checkpoint_steps=None",
        "--save_summaries_steps=None", "--print_samples_steps=None", "--print_loss_steps=None", "--diagnostics_utterances=0"]


def print_table(results, arguments):
    """Prints the median of every case: wall and processor time of the parts and their share of the training."""
    def median(case, function):
        return statistics.median(function(times) for times in results[case])

    print("%d steps, %d rounds, medians" % (arguments.steps, arguments.rounds))
    print("%-8s %9s %9s | %18s %18s %18s %8s | %9s %9s | %s" % (
        "server", "wall s", "cpu s", "start wall/cpu ms", "steps wall/cpu ms", "end wall/cpu ms", "sender s", "steps %", "run %",
        "%% of %g min" % arguments.minutes))
    for case in CASES:
        wall, processor = (median(case, lambda times, index=index: times["training"][index]) for index in (0, 1))
        parts = [median(case, lambda times, part=part, index=index: times[part][index])
                 for part in ("start", "steps", "end") for index in (0, 1)]
        sender = median(case, lambda times: times["sender"]) - median("without", lambda times: times["sender"])
        fixed = parts[0] + parts[4] + (sender if case != "without" else 0.0)
        # wall time of the training's thread, and processor time of the sender as if it stopped the training for as long
        share, once = parts[2] / wall, fixed / (60.0 * arguments.minutes)
        print("%-8s %9.2f %9.2f | %18s %18s %18s %8.2f | %9.3f %9.3f | %.3f" % (
            case, wall, processor, *("%.1f/%.1f" % (1e3 * parts[index], 1e3 * parts[index + 1]) for index in (0, 2, 4)),
            sender, 100 * share, 100 * (share + fixed / wall), 100 * (share + once)))
    print(json.dumps(results))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        sys.exit(trained(sys.argv[2:]))
    main()
