"""Kills random processes of real data-parallel trainings at random times and checks the result.

    python benchmarks/kill_ranks.py --kills 20

After every kill the launcher has to end within 10 s with a status other than 0, no process of the run may be left, and the newest
checkpoint has to be readable and not older than the last one that was complete before the kill. The next training resumes from
it. One third of the kills happen at a random time after the start, one third at a random time after a checkpoint, and one third
while rank 0 writes a checkpoint. The last training is not killed and has to succeed.
"""
import argparse
import collections
import glob
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid

from noise_corpus import REPOSITORY, run_words, write_corpus

sys.path.insert(0, REPOSITORY)

LIMIT_SECONDS = 10.0
WAIT_SECONDS = 180  # for a checkpoint, on a busy machine
MARK = "JASPER_KILL_RANKS"  # variable in the environment of every process of a run, which identifies them
NO_CHECKPOINT = "no checkpoint"
LAUNCHER = -1  # used as a rank

Kill = collections.namedtuple("Kill", "number ranks victim signal moment seconds status left saved_before saved_after problems")
Kill.__doc__ = """One kill. ranks: number of ranks; victim: rank or LAUNCHER; moment: a phrase; seconds: from the kill to the
end of the launcher and of the last process; left: number of processes after the limit; saved_before, saved_after: steps of the
newest checkpoint (-1: none); problems: list of sentences."""


def processes_of(mark):
    """{process number: its rank, or LAUNCHER} of the run's running processes."""
    found = {}
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as file:
                variables = dict(entry.split(b"=", 1) for entry in file.read().split(b"\0") if b"=" in entry)
            with open(path.replace("environ", "stat")) as file:
                state = file.read().rpartition(")")[2].split()[0]
        except OSError:
            continue  # the process has just ended
        if variables.get(MARK.encode()) == mark.encode() and state not in "ZX":
            found[int(path.split("/")[2])] = int(variables.get(b"HOROVOD_RANK", LAUNCHER))
    return found


def saved_step(folder):
    """Step of the newest complete checkpoint according to the state file, which is written last; -1 if there is none."""
    try:
        with open(os.path.join(folder, "checkpoint")) as file:
            found = re.search(r'^model_checkpoint_path: ".*-(\d+)"', file.read(), re.MULTILINE)
    except OSError:
        return -1
    return int(found.group(1)) if found else -1


def readable_step(folder):
    """Step of the newest checkpoint; reads all its tensors. -1 if there is none."""
    import tensorflow.compat.v1 as tf

    from open_seq2seq.checkpoints.files import latest_checkpoint
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None:
        return -1
    reader = tf.train.NewCheckpointReader(checkpoint)
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)
    return int(reader.get_tensor("global_step"))


class Run:
    """One training with its launcher.

    Args:
      words: the ``run.py`` command, a list of str.
      ranks: number of processes.
      log: file for the output of the launcher.
    """

    def __init__(self, words, ranks, log):
        self.mark = uuid.uuid4().hex
        command = [sys.executable, "-m", "open_seq2seq.launch", "--device", "cpu", "--processes", str(ranks),
                   "--log", log + ".{rank}", "--"] + words
        with open(log, "a") as output:
            self.launcher = subprocess.Popen(command, cwd=REPOSITORY, env=dict(os.environ, **{MARK: self.mark}), stdout=output,
                                             stderr=subprocess.STDOUT, start_new_session=True)

    def kill(self, victim, number):
        """Sends signal ``number`` to a rank's process or to the launcher; returns False if the process does not exist yet."""
        if victim == LAUNCHER:
            self.launcher.send_signal(number)
            return True
        # children of a rank have higher numbers
        process_ids = sorted(process_id for process_id, rank in processes_of(self.mark).items() if rank == victim)
        if process_ids:
            os.kill(process_ids[0], number)
        return bool(process_ids)

    def wait_until_gone(self):
        """(seconds until launcher and processes have ended, number of processes left after the limit)."""
        start = time.monotonic()
        while time.monotonic() - start < LIMIT_SECONDS:
            if self.launcher.poll() is not None and not processes_of(self.mark):
                break
            time.sleep(0.02)
        seconds = time.monotonic() - start
        left = processes_of(self.mark)
        for process_id in left:
            os.kill(process_id, signal.SIGKILL)
        self.launcher.wait()
        return seconds, len(left)


def wait_for_checkpoint(run, folder, count, written):
    """Waits for the ``count``th checkpoint of a run, until it is complete (``written``) or being written.

    Returns:
      Whether it appeared before the run ended and within the time limit.
    """
    deadline, seen, latest = time.monotonic() + WAIT_SECONDS, set(), saved_step(folder)
    while time.monotonic() < deadline and run.launcher.poll() is None:
        if written:
            step = saved_step(folder)
            if step != latest:
                latest = step
                seen.add(step)
        else:
            seen.update(glob.glob(os.path.join(folder, "*temp*")))
        if len(seen) >= count:
            return True
        time.sleep(0.0005)
    return False


class Trial:
    """Kills consecutive trainings, each of which resumes the same model."""

    def __init__(self, arguments, folder):
        self.random = random.Random(arguments.seed)
        self.arguments, self.folder = arguments, folder
        self.logdir, self.log = os.path.join(folder, "model"), os.path.join(folder, "launcher.log")
        self.checkpoints = os.path.join(self.logdir, "logs")
        corpus = write_corpus(folder, 64, 1.0)
        self.words = run_words(sys.executable, corpus, 4, "--mode=train", "--enable_logs", "--continue_learning",
                               "--no_dir_check", "--logdir=" + self.logdir, "--save_checkpoint_steps=%d" % arguments.save_steps,
                               "--save_summaries_steps=None", "--print_samples_steps=None")

    def _start(self, ranks, last_step):
        return Run(self.words + ["--max_steps=%d" % last_step], ranks, self.log)

    def kill(self, number):
        """One training, one kill; returns a :class:`Kill`."""
        ranks = self.random.randint(2, self.arguments.ranks)
        victim = self.random.choice([LAUNCHER] + 3 * list(range(ranks)))
        signal_number = self.random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
        run = self._start(ranks, 10 ** 6)
        try:
            moment = self._wait(run, number % 3)
            if moment.startswith("writing"):
                victim = 0
            before, ended_before = saved_step(self.checkpoints), run.launcher.poll() is not None
            while not run.kill(victim, signal_number) and run.launcher.poll() is None:
                time.sleep(0.01)
        except BaseException:
            run.launcher.kill()
            raise
        seconds, left = run.wait_until_gone()
        problems = []
        if ended_before:
            problems.append("the run had ended before the kill")
        elif moment == NO_CHECKPOINT:
            problems.append("no checkpoint within %d s" % WAIT_SECONDS)
        if seconds >= LIMIT_SECONDS:
            problems.append("not ended after %.0f s" % LIMIT_SECONDS)
        if left:
            problems.append("%d processes left" % left)
        if run.launcher.returncode == 0:
            problems.append("the launcher reported success")
        try:
            after = readable_step(self.checkpoints)
        except Exception as error:  # any error of reading is a problem to report
            after = -1
            problems.append("the checkpoint cannot be read: %s" % error)
        if after < before:
            problems.append("the checkpoint of step %d was lost, the newest is %d" % (before, after))
        return Kill(number, ranks, victim, signal.Signals(signal_number).name, moment, seconds, run.launcher.returncode, left,
                    before, after, problems)

    def _wait(self, run, kind):
        """Waits for the time of the kill; returns a phrase about it."""
        if kind == 0:
            pause = self.random.uniform(0.0, self.arguments.seconds)
            time.sleep(pause)
            return "%.1f s after the start" % pause
        count = self.random.randint(1, 4)
        if not wait_for_checkpoint(run, self.checkpoints, count, written=kind == 1):
            return NO_CHECKPOINT
        if kind == 2:
            return "writing checkpoint %d" % count
        pause = self.random.uniform(0.0, 3.0)
        time.sleep(pause)
        return "%.1f s after checkpoint %d" % (pause, count)

    def finish(self):
        """Trains for some more steps without a kill; returns a list of problems."""
        last_step = max(saved_step(self.checkpoints), 0) + 2 * self.arguments.save_steps
        run = self._start(2, last_step)
        status = run.launcher.wait(timeout=600)
        if status != 0 or readable_step(self.checkpoints) != last_step:
            return ["the last training, without a kill, ended with status %d at step %d, expected step %d" % (
                status, readable_step(self.checkpoints), last_step)]
        return []


def report(kills, problems):
    """Prints the summary and the same as one JSON object."""
    slowest = max(kills, key=lambda kill: kill.seconds)
    print("%d kills, %d of them while a checkpoint was written; ended within %.1f s (median %.1f s); %d problems" % (
        len(kills), sum(kill.moment.startswith("writing") for kill in kills), slowest.seconds,
        sorted(kill.seconds for kill in kills)[len(kills) // 2], len(problems)))
    for problem in problems:
        print("  " + problem)
    print(json.dumps({"kills": [kill._asdict() for kill in kills], "problems": problems}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=12, help="number of kills (default %(default)s)")
    parser.add_argument("--ranks", type=int, default=4, help="maximum number of processes, at least 2 (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="latest time of a kill after the start (default %(default)s)")
    parser.add_argument("--save_steps", type=int, default=5, help="steps between checkpoints (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="random seed of processes and times (default %(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jasper-kill-") as folder:
        trial, kills, problems = Trial(arguments, folder), [], []
        for number in range(arguments.kills):
            kill = trial.kill(number)
            kills.append(kill)
            problems += ["kill %d: %s" % (number, problem) for problem in kill.problems]
            print("kill %d: %s of %d ranks with %s, %s: ended after %.1f s, status %d, checkpoint %d -> %d%s" % (
                number, "the launcher" if kill.victim == LAUNCHER else "rank %d" % kill.victim, kill.ranks, kill.signal,
                kill.moment, kill.seconds, kill.status, kill.saved_before, kill.saved_after,
                ": " + "; ".join(kill.problems) if kill.problems else ""), file=sys.stderr, flush=True)
        problems += trial.finish()
        if problems:
            with open(trial.log) as log:
                print("the end of the launchers' output:\n" + "".join(log.readlines()[-40:]), file=sys.stderr)
    report(kills, problems)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
