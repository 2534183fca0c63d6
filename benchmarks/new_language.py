"""WER of a language with 6 minutes of speech: alone, with two related languages as further tasks, and by transfer from them.

    python benchmarks/new_language.py --work DIR [--seeds 1 2 3] [--steps 600] [--jobs 2]

Kyrgyz, Kazakh and Turkish are spoken by espeak-ng; the voices of the dev and test sets are not in training. "alone" trains on
Kyrgyz for that many steps. "multi-task" trains three times as many steps, a third of whose rows are Kyrgyz. "transfer" trains
Kazakh and Turkish for twice as many steps, and then Kyrgyz for that many with scripts/transfer.sh. The best model on the Kyrgyz
dev set is evaluated on the test set. What has finished in DIR is not repeated, and an interrupted training resumes; logs are in
DIR/logs. The real commands run, each on one core.
"""
import argparse
import concurrent.futures
import json
import os
import signal
import statistics
import subprocess
import sys
import threading

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HOURS = (("ky", "0.1"), ("kk", "1"), ("tr", "1"))
ALONE, SOURCE, MULTI, TRANSFER = "jasper_mini_kyrgyz", "jasper_mini_turkic_source", "jasper_mini_turkic", "transfer"


class Commands:
    """Runs commands of the repository, each on one of the cores.

    Args:
      work: folder of the corpora, runs and logs.
      cores: list of int.
    """

    def __init__(self, work, cores):
        self._work, self._cores, self._lock = work, list(cores), threading.Lock()
        self._processes = set()
        os.makedirs(os.path.join(work, "logs"), exist_ok=True)

    def run(self, name, words):
        """Runs a command unless the command ``name`` has finished earlier. RuntimeError: it failed."""
        log = os.path.join(self._work, "logs", name + ".txt")
        if os.path.exists(log):
            return
        with self._lock:
            core = self._cores.pop()
        try:
            with open(log + ".part", "w") as file:
                file.write(" ".join(words) + "\n")
                file.flush()
                process = subprocess.Popen(words, cwd=REPOSITORY, stdout=file, stderr=subprocess.STDOUT,
                                           env=dict(os.environ, JASPER_DATA=os.path.join(self._work, "corpus")),
                                           preexec_fn=lambda: os.sched_setaffinity(0, [core]))
                self._processes.add(process)
                status = process.wait()
                self._processes.discard(process)
        finally:
            with self._lock:
                self._cores.append(core)
        if status:
            raise RuntimeError("%s failed with status %d; see %s" % (name, status, log + ".part"))
        os.rename(log + ".part", log)
        print("finished: %s" % name, file=sys.stderr, flush=True)

    def stop(self, number, _frame):
        """A signal handler: ends the running commands, which save what they have, and this process."""
        for process in list(self._processes):
            process.terminate()
        for process in list(self._processes):
            process.wait()
        os._exit(128 + number)


def prepare(commands, corpus):
    """Makes the corpora and their vocabularies."""
    for code, hours in HOURS:
        folder = os.path.join(corpus, code)
        commands.run("corpus_" + code, [
            sys.executable, "-m", "open_seq2seq.data.importers", "synthetic_sentences", "--language", code, "--hours", hours,
            "0.1", "0.3", "--rates", "100", "160", "--output", folder])
        commands.run("vocabulary_" + code, [
            sys.executable, "scripts/make_vocab.py", os.path.join(folder, "train.csv"), "--language", code, "--output",
            os.path.join(folder, "vocab.txt")])


def train(commands, work, kind, seed, steps):
    """Trains and evaluates one of the models; returns its WER on the test set, or None for the source of a transfer."""
    name, corpus = "%s_%d" % (kind, seed), os.path.join(work, "corpus")
    run = os.path.join(work, "runs", name)
    many = steps * {ALONE: 1, SOURCE: 2, MULTI: 3, TRANSFER: 1}[kind]
    keys = ["--random_seed=%d" % seed, "--max_steps=%d" % many, "--eval_steps=%d" % (many // 4),
            "--save_checkpoint_steps=%d" % (many // 4), "--print_samples_steps=None"]
    if kind == TRANSFER:
        train(commands, work, SOURCE, seed, steps)
        commands.run(name, ["bash", "scripts/transfer.sh", "--from", os.path.join(work, "runs", "%s_%d" % (SOURCE, seed)),
                            "--data", os.path.join(corpus, "ky"), "--config", "configs/speech2text/%s.py" % ALONE, "--vocab",
                            os.path.join(corpus, "ky", "vocab.txt"), "--output", run, "--freeze_steps", "50", "--"] + keys)
        run = os.path.join(run, "model", "logs")
    else:
        commands.run(name, [sys.executable, "run.py", "--config_file=configs/speech2text/%s.py" % kind, "--mode=train_eval",
                            "--logdir=" + run] + keys
                     + ["--continue_learning"] * os.path.exists(os.path.join(run, "checkpoint")))
    if kind == SOURCE:
        return None
    evaluated = MULTI if kind == MULTI else ALONE
    commands.run("test_" + name, [
        sys.executable, "run.py", "--config_file=configs/speech2text/%s.py" % evaluated, "--mode=eval", "--logdir=" + run,
        "--restore_best_checkpoint=True", "--test_files=" + os.path.join(corpus, "ky", "test.csv")])
    with open(os.path.join(run, "report", "eval.json")) as file:
        return json.load(file)["summary"]["wer"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, help="folder of the corpora, runs and logs")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, default=600, help="steps on Kyrgyz, at least 4")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="trainings at the same time")
    options = parser.parse_args()
    work, cores = os.path.abspath(options.work), sorted(os.sched_getaffinity(0))
    if not 1 <= options.jobs <= len(cores) or options.steps < 4:
        parser.error("expected 1 to %d jobs and at least 4 steps" % len(cores))
    commands = Commands(work, cores[:options.jobs])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, commands.stop)
    prepare(commands, os.path.join(work, "corpus"))
    kinds = (ALONE, MULTI, TRANSFER)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        futures = [[pool.submit(train, commands, work, kind, seed, options.steps) for kind in kinds] for seed in options.seeds]
        wers = dict(zip(kinds, zip(*[[future.result() for future in row] for row in futures])))
    print("| | %s | mean | spread | ratio to alone |" % " | ".join("seed %d" % seed for seed in options.seeds))
    print("|%s" % ("---|" * (len(options.seeds) + 4)))
    for kind, label in zip(kinds, ("Kyrgyz alone", "multi-task with Kazakh and Turkish", "transfer from Kazakh and Turkish")):
        ratios = [own / alone for own, alone in zip(wers[kind], wers[ALONE])]
        print("| %s | %s | %.1f %% | %.1f to %.1f %% | %.2f (%.2f to %.2f) |" % (
            label, " | ".join("%.1f %%" % (100 * wer) for wer in wers[kind]), 100 * statistics.mean(wers[kind]),
            100 * min(wers[kind]), 100 * max(wers[kind]), statistics.mean(wers[kind]) / statistics.mean(wers[ALONE]), min(ratios),
            max(ratios)))
    print(json.dumps({"steps": options.steps, "seeds": options.seeds, "wer": wers}))


if __name__ == "__main__":
    main()
