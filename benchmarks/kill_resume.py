"""Kills trainings with SIGKILL at random moments and examines what is left; also a full disk and a read-only directory.

    python benchmarks/kill_resume.py --kills 200

All trainings resume the same tiny model and save every second step. One kill in three comes at any time after the start, two
while a checkpoint is being written. After each kill the newest checkpoint has to be valid, with every tensor readable, and not
older than the last complete one; the next training has to resume from it and to print, for the steps that it repeats, the same
losses as before. At the end an uninterrupted training makes all the steps again, and the losses are compared.

The trainings are complete commands, forked from a process that has imported TensorFlow and opened no session: that saves the
seconds of the import. The last ``--commands`` kills are of ``python run.py``.
"""
import argparse
import collections
import ctypes
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback

from noise_corpus import CONFIG, REPOSITORY, VOCABULARY, write_corpus

sys.path.insert(0, REPOSITORY)

WAIT_SECONDS = 180  # for a checkpoint, on a busy machine
FILE_LIMIT_BYTES = 200000  # less than a checkpoint's data, more than what else is written
LAYERS = [{"type": "conv1d", "repeat": 1, "kernel_size": [5], "stride": [4], "num_channels": 32, "padding": "SAME",
           "dilation": [1], "dropout_keep_prob": 0.9},
          {"type": "conv1d", "repeat": 1, "kernel_size": [25], "stride": [1], "num_channels": 64, "padding": "SAME",
           "dilation": [1], "dropout_keep_prob": 0.9}]

Kill = collections.namedtuple("Kill", "number moment complete_command status completed found resumed_from problems")
Kill.__doc__ = """One kill. moment: description; complete_command: whether of ``python run.py``; status: see os.waitpid;
completed: step of the last checkpoint that was complete before the kill (0: none); found: step of the newest one after it;
resumed_from: step at which the training had started; problems: list of sentences."""


def saved_step(folder):
    """Step of the newest complete checkpoint by the state file, which is written last; 0 without one."""
    try:
        with open(os.path.join(folder, "checkpoint")) as file:
            found = re.search(r'^model_checkpoint_path: ".*-(\d+)"', file.read(), re.MULTILINE)
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def readable_step(folder):
    """Step in the newest checkpoint, every tensor of which was read; 0 without one."""
    import tensorflow.compat.v1 as tf

    from open_seq2seq.checkpoints.files import latest_checkpoint
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None:
        return 0
    reader = tf.train.NewCheckpointReader(checkpoint)
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)
    return int(reader.get_tensor("global_step"))


def numbers(pattern, text):
    return [int(number) for number in re.findall(pattern, text)]


class Training:
    """One training, in a process of its own.

    Args:
      words: arguments of ``run.py``.
      log: file for stdout and stderr.
      complete_command: ``python run.py`` instead of a fork of this process.
      prepare: called in a forked process before anything else.
    """

    def __init__(self, words, log, complete_command=False, prepare=lambda: None):
        self.log = log
        with open(log, "w") as output:
            if complete_command:
                self.process_id = subprocess.Popen([sys.executable, os.path.join(REPOSITORY, "run.py")] + words, stdout=output,
                                                   stderr=subprocess.STDOUT).pid
                return
        self.process_id = os.fork()
        if self.process_id == 0:
            self._run(words, prepare)

    def _run(self, words, prepare):
        status = 1
        try:
            descriptor = os.open(self.log, os.O_WRONLY)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            prepare()
            import run
            status = run.main(words)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def ended(self):
        """The status if the process has ended without a kill, else None."""
        process_id, status = os.waitpid(self.process_id, os.WNOHANG)
        return status if process_id else None

    def wait(self):
        """Waits for the end; returns the exit status, or minus the signal that killed the process."""
        _, status = os.waitpid(self.process_id, 0)
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)

    def kill(self):
        os.kill(self.process_id, signal.SIGKILL)
        return self.wait()

    @property
    def text(self):
        with open(self.log, errors="replace") as file:
            return file.read()


class Trial:
    """A sequence of trainings that all resume the same model.

    Args:
      folder: for the corpus, the model and the logs.
      seed: of the random moments.
      seconds: kills at any time come within this time.
    """

    def __init__(self, folder, seed, seconds):
        self.folder, self.random, self.seconds = folder, random.Random(seed), seconds
        self.logdir = os.path.join(folder, "model")
        self.losses = {}  # step -> the printed loss
        self.corpus = write_corpus(folder, 24, 0.6)
        self.problems = []

    def words(self, last_step, logdir=None, *others):
        return ["--config_file=" + CONFIG, "--device=cpu", "--mode=train", "--continue_learning", "--no_dir_check",
                "--logdir=" + (logdir or self.logdir), "--max_steps=%d" % last_step, "--batch_size_per_gpu=4",
                "--save_checkpoint_steps=2", "--print_loss_steps=1", "--print_samples_steps=None", "--save_summaries_steps=None",
                "--metrics_steps=1000000", "--lr_policy_params/decay_steps=100000", "--deterministic=True",
                "--encoder_params/convnet_layers=%r" % LAYERS, "--data_layer_params/vocab_file=" + VOCABULARY,
                "--train_params/data_layer_params/dataset_files=%r" % [self.corpus]] + list(others)

    def _log(self, name):
        return os.path.join(self.folder, name + ".log")

    def kill(self, number, complete_command):
        """Starts a training and kills it; returns a :class:`Kill`."""
        before = saved_step(self.logdir)
        training = Training(self.words(10 ** 6), self._log("kill_%d" % number), complete_command)
        moment = self._wait(training, at_any_time=number % 3 == 0)
        completed, ended = saved_step(self.logdir), training.ended()
        if ended is not None:
            return Kill(number, moment, complete_command, ended, completed, completed, 0,
                        ["the training ended before the kill: %s" % training.text[-2000:]])
        status, text = training.kill(), training.text
        # by the state file, which was read before the kill, and by the lines that the process printed
        completed = max([completed] + numbers(r"Saved checkpoint \S*model\.ckpt-(\d+) ", text))
        resumed = (numbers(r"Restored \d+ variables from \S*model\.ckpt-(\d+)", text) or [0])[0]
        problems = self._compare_losses(text)
        if status != -signal.SIGKILL:
            problems.append("status %d" % status)
        if "is damaged" in text or os.path.isdir(os.path.join(self.logdir, "damaged")):
            problems.append("there was a damaged checkpoint")
        if "time per step" in text and resumed < before:
            problems.append("it started at step %d, although %d was complete" % (resumed, before))
        try:
            found = readable_step(self.logdir)
        except Exception as error:  # any fault of the checkpoint is a result
            found = 0
            problems.append("the newest checkpoint cannot be read: %s" % error)
        if found < completed:
            problems.append("the newest checkpoint is %d, although %d was complete" % (found, completed))
        return Kill(number, moment, complete_command, status, completed, found, resumed, problems)

    def _wait(self, training, at_any_time):
        """Waits for the moment to kill; returns its description."""
        if at_any_time:
            pause = self.random.uniform(0.0, self.seconds)
            time.sleep(pause)
            return "%.2f s after the start" % pause
        count, seen, deadline = self.random.randint(1, 5), set(), time.monotonic() + WAIT_SECONDS
        left = set(names(self.logdir))
        while time.monotonic() < deadline and training_runs(training.process_id):
            found = set(names(self.logdir))
            left &= found
            seen |= {name for name in found - left if re.match(r"model\.ckpt-\d+\.tmp$", name)}
            if len(seen) >= count:
                pause = self.random.choice([0.0, self.random.uniform(0.0, 0.003), self.random.uniform(0.0, 0.02)])
                time.sleep(pause)
                return "writing checkpoint %d, after %.1f ms" % (count, 1e3 * pause)
            time.sleep(0.0002)
        return "no checkpoint was written"

    def _compare_losses(self, text):
        """Losses of repeated steps have to be the same."""
        problems = []
        for step, loss in re.findall(r"Global step (\d+): \*\*\* +Train loss: (\S+)", text):
            if self.losses.setdefault(int(step), loss) != loss:
                problems.append("step %s has the loss %s, and had %s before" % (step, loss, self.losses[int(step)]))
        return problems

    def uninterrupted(self):
        """Trains again without an interruption; returns the number of steps whose losses were compared."""
        last = max(self.losses)
        training = Training(self.words(last, os.path.join(self.folder, "uninterrupted"), "--save_checkpoint_steps=None"),
                            self._log("uninterrupted"))
        status = training.wait()
        found = re.findall(r"Global step (\d+): \*\*\* +Train loss: (\S+)", training.text)
        if status != 0 or len(found) != last:
            self.problems.append("the training without interruptions ended with status %d after %d of %d steps: %s" % (
                status, len(found), last, training.text[-2000:]))
        compared = [(step, loss) for step, loss in found if int(step) in self.losses]
        different = [(step, loss) for step, loss in compared if self.losses[int(step)] != loss]
        if different:
            self.problems.append("%d of %d losses differ from those of an uninterrupted training, the first at step %s: %s "
                                 "instead of %s" % (len(different), len(compared), different[0][0],
                                                 self.losses[int(different[0][0])], different[0][1]))
        return len(compared)

    def storage(self, name, prepare, break_storage, fix_storage):
        """A training whose storage fails: it has to end with status 3 and a reason, and the next one has to resume.

        Args:
          name: of the failure.
          prepare: called in the process before it trains.
          break_storage: called here after its first checkpoint.
          fix_storage: called here after its end.
        """
        before = readable_step(self.logdir)
        training = Training(self.words(10 ** 6), self._log(name.replace(" ", "_")), prepare=prepare)
        deadline = time.monotonic() + WAIT_SECONDS
        while break_storage is not None and saved_step(self.logdir) <= before and time.monotonic() < deadline \
                and training_runs(training.process_id):
            time.sleep(0.001)
        (break_storage or (lambda: None))()
        status = training.wait()
        (fix_storage or (lambda: None))()
        completed = max([before] + numbers(r"Saved checkpoint \S*model\.ckpt-(\d+) ", training.text))
        if status != 3 or "StorageError: cannot " not in training.text:
            self.problems.append("%s: status %d: %s" % (name, status, training.text[-2000:]))
        found = readable_step(self.logdir)
        if found < completed or os.path.isdir(os.path.join(self.logdir, "damaged")):
            self.problems.append("%s: the newest checkpoint is %d, although %d was complete" % (name, found, completed))
        self.problems += ["%s: %s" % (name, problem) for problem in self._compare_losses(training.text)]
        training = Training(self.words(found + 2), self._log("after_" + name.replace(" ", "_")))
        if training.wait() != 0 or readable_step(self.logdir) != found + 2:
            self.problems.append("%s: training does not resume: %s" % (name, training.text[-2000:]))
        self.problems += ["after %s: %s" % (name, problem) for problem in self._compare_losses(training.text)]
        print("%s: status %d, checkpoint %d before, %d after, resumed to %d" % (
            name, status, completed, found, readable_step(self.logdir)), flush=True)

    def full_disk(self):
        """No file may grow beyond a limit: writing fails in the middle of a checkpoint's data, as on a full disk."""
        self.storage("full disk", lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_LIMIT_BYTES, FILE_LIMIT_BYTES)), None,
                     None)

    def read_only(self):
        """The directory becomes read-only during the training."""
        self.storage("read-only directory", obey_permissions, lambda: os.chmod(self.logdir, 0o555),
                     lambda: os.chmod(self.logdir, 0o755))


def obey_permissions():
    """Drops root's capability to ignore permissions, if this process has it."""
    libc, version, dac_override = ctypes.CDLL(None, use_errno=True), 0x20080522, 1
    header, sets = (ctypes.c_uint32 * 2)(version, 0), (ctypes.c_uint32 * 6)()
    # effective, permitted and inheritable, twice; the first three contain this capability's bit
    if libc.capget(header, sets) == 0:
        for number in range(3):
            sets[number] &= ~(1 << dac_override)
        libc.capset(header, sets)


def training_runs(process_id):
    """Whether a child process is running, i.e. exists and is not a zombie."""
    try:
        with open("/proc/%d/stat" % process_id) as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def names(directory):
    try:
        return os.listdir(directory)
    except OSError:
        return []


def report(kills, compared, problems):
    """Prints the summary, and all of it as one JSON object."""
    print("%d kills: %d while a checkpoint was written, %d at any time; %d of complete commands; checkpoints up to step %d; "
          "%d losses equal to those of an uninterrupted training; %d problems" % (
              len(kills), sum(kill.moment.startswith("writing") for kill in kills),
              sum("after the start" in kill.moment for kill in kills), sum(kill.complete_command for kill in kills),
              max(kill.found for kill in kills), compared, len(problems)))
    for problem in problems:
        print("  " + problem)
    print(json.dumps({"kills": [kill._asdict() for kill in kills], "losses_compared": compared, "problems": problems}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="number of kills (default %(default)s)")
    parser.add_argument("--commands", type=int, default=5, help="how many of them are of complete commands (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0,
                        help="kills at any time come within this time after the start (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random moments (default %(default)s)")
    arguments = parser.parse_args()
    # imported once for all forked trainings; no session may be opened here
    import open_seq2seq.evaluation.modes
    import open_seq2seq.training.loop  # noqa: F401
    with tempfile.TemporaryDirectory(prefix="jasper-kill-") as folder:
        trial, kills = Trial(folder, arguments.seed, arguments.seconds), []
        for number in range(arguments.kills):
            kill = trial.kill(number, number >= arguments.kills - arguments.commands)
            kills.append(kill)
            trial.problems += ["kill %d: %s" % (number, problem) for problem in kill.problems]
            print("kill %d, %s: started at %d, complete %d, found %d%s" % (
                number, kill.moment, kill.resumed_from, kill.completed, kill.found,
                "".join("; " + problem for problem in kill.problems)), flush=True)
            if kill.status != -signal.SIGKILL:
                sys.exit("the training ended before the kill")
        trial.full_disk()
        trial.read_only()
        compared = trial.uninterrupted()
        report(kills, compared, trial.problems)
    sys.exit(1 if trial.problems else 0)


if __name__ == "__main__":
    main()
