"""One trial: a training in a process of its own, whose evaluations are read from the files of its run."""
import json
import os
import re
import shutil
import signal
import sys
import time

from open_seq2seq.checkpoints.files import latest_checkpoint
from open_seq2seq.launch.rank_process import RankProcess
from open_seq2seq.signals import RESUME_COMMAND
from open_seq2seq.tuning.hyperparameters.space import literal

METRICS = "metrics.jsonl"
LOG = "output.log"
_NAMES = {"loss": "loss", "wer": "word_error_rate", "accuracy": "accuracy"}
_RUN = "import sys; from open_seq2seq.modes import command; command()"


def trial_folder(folder, number):
    """The directory of a trial's run."""
    return os.path.join(folder, "trial_%04d" % number)


def entries_of(folder):
    """List of the complete entries of a run's metrics, which a training may be writing."""
    try:
        with open(os.path.join(folder, METRICS), encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except ValueError:
            pass  # the last line is not complete yet
    return entries


def evaluations(folder, metric, main_task=None):
    """The values of a metric in a run's evaluations.

    Args:
      folder: the run's directory.
      metric: "loss", "wer", or "TASK.METRIC".
      main_task: name of the task whose evaluations have no name; None without tasks.

    Returns:
      Dict of step -> value; without values that are not finite.
    """
    task, _, name = metric.rpartition(".")
    found = {}
    for entry in entries_of(folder):
        of_main = entry.get("kind") == "evaluation" and task in ("", main_task)
        if of_main or entry.get("kind") == "task_evaluation" and task and entry.get("task") == task:
            value = entry.get(_NAMES[name])
            if isinstance(value, (int, float)) and abs(value) < float("inf"):
                found[int(entry["step"])] = float(value)
    return found


def by_progress(folder, values):
    """Dict of thousandths of a training -> value, from a dict of step -> value; empty if the number of steps is not known."""
    lengths = [entry["last_step"] for entry in entries_of(folder) if entry.get("kind") == "start" and entry.get("last_step")]
    return {min(1000, 1000 * step // lengths[-1]): value for step, value in sorted(values.items())} if lengths else {}


class TrialProcess:
    """A trial that is being trained.

    Args:
      trial: Optuna's ``Trial``.
      values: dict of key -> value.
      folder: of the search.
      words: list of str, the arguments of the training that all trials have.
      plan: ``RankPlan`` with the environment and the device.
      guard: the ``KillGuard``.

    Attributes:
      trial, values: as given. slot: the plan's rank, by which a device or a share of the cores is given to trials.
      folder: of its run. resumes: whether it continues from a checkpoint. pruned: why it was stopped, None if it was not.
    """

    def __init__(self, trial, values, folder, words, plan, guard):
        self.trial, self.values, self.slot = trial, values, plan.rank
        self.folder, self.pruned = trial_folder(folder, trial.number), None
        self.resumes = latest_checkpoint(self.folder) is not None
        if not self.resumes and os.path.isdir(self.folder):
            shutil.rmtree(self.folder)  # stopped before its first checkpoint: nothing to continue
        command = [sys.executable, "-c", _RUN] + words + self.words + ["--logdir=" + self.folder]
        if self.resumes:
            command.append("--continue_learning")
        plan.environment.update({RESUME_COMMAND: "the search", "PYTHONPATH": os.pathsep.join(
            [path for path in sys.path if path] + [os.getcwd()])})
        self._began = time.monotonic()
        self._process = RankProcess(plan, command, self.folder + ".log", guard)

    @property
    def words(self):
        """Its arguments for run.py: list of str."""
        return words_of(self.values)

    @property
    def seconds(self):
        return time.monotonic() - self._began

    @property
    def status(self):
        """Its exit status, minus the signal's number if a signal killed it; None while it runs."""
        self._process.poll()
        return self._process.status

    def stop(self, reason=None):
        """Asks it to save and to end; ``reason``: why it is pruned."""
        self.pruned = reason if reason is not None else self.pruned
        self._process.send(signal.SIGTERM)

    def kill(self):
        """Ends it at once."""
        self._process.send(signal.SIGKILL)

    def failure(self):
        """Why it ended with another status than 0."""
        lines = self._process.last_lines(60)
        if self.status < 0:
            number = signal.Signals(-self.status).name
            return "killed by %s%s" % (number, ", perhaps because memory was exhausted" if number == "SIGKILL" else "")
        errors = [line for line in lines if re.match(r"[A-Za-z_.]*(Error|Exception|Exhausted\w*|NonFinite\w*)\b.*", line)]
        return (errors or [line for line in lines if line.strip()] or ["exit status %d" % self.status])[-1].strip()[:300]


def words_of(values):
    """The values of a trial as arguments of run.py: list of str."""
    return ["--%s=%s" % (key, literal(value)) for key, value in values.items()]
