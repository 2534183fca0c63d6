"""``--mode=search``: trials are trained side by side, stopped early where they are worse than others, and recorded."""
import contextlib
import io
import os
import signal
import time

from open_seq2seq.checkpoints.ownership import owned_directories
from open_seq2seq.config.overrides import typed
from open_seq2seq.config.report import shown
from open_seq2seq.cores import shares_of_cores
from open_seq2seq.errors import ConfigError, UsageError
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.launch.rank_environment import plan_single, plan_single_npu
from open_seq2seq.launch.rank_process import KillGuard
from open_seq2seq.log_lines import log_line
from open_seq2seq.signals import StoppedBySignal
from open_seq2seq.tuning.hyperparameters.report import log_trial, write_results
from open_seq2seq.tuning.hyperparameters.space import literal, read_space
from open_seq2seq.tuning.hyperparameters.study import Study
from open_seq2seq.tuning.hyperparameters.trial_process import TrialProcess, by_progress, evaluations

FOLDER = "search"       # in the logdir
POLL_SECONDS = 0.5
SAVING_SECONDS = 120    # for trials to save after a signal
MOST_FAILURES = 5       # of the first trials, if all of them fail
# a directory of its own for each trial; the rest is what a search of many runs does not need
_OF_TRIALS = ("--num_checkpoints=1", "--print_samples_steps=None")


def search(experiment, arguments, overrides, device_name, resume):
    """Runs the search, prints the best trial and writes a table and a picture.

    Args:
      experiment: the loaded config of mode "search".
      arguments: the flags; used are config_file, trials and jobs.
      overrides: list of ``Override`` that all trials have.
      device_name: "cpu", "gpu" or "npu".
      resume: the command that continues the search.

    Returns:
      The best of Optuna's ``FrozenTrial``.

    Raises:
      UsageError: optuna is missing, several processes were started, a range is invalid for its key, the folder has another
        search, or no trial succeeds.
      StoppedBySignal: SIGTERM or SIGINT; what the trials have done is saved.
    """
    params = experiment.params["train"]
    sizes = [os.environ.get(name, "1") for name in ("HOROVOD_SIZE", "RANK_SIZE")]
    if any(size not in ("", "1") for size in sizes):
        raise UsageError("--mode=search starts its own processes, one for each trial. Start it without the "
                         "launcher, with --jobs=N")
    if params["logdir"] is None:
        raise UsageError("logdir is missing; --mode=search keeps its trials in the folder %s there" % FOLDER)
    overrides = [override for override in overrides if override.keys[-1] not in ("search_space", "logdir")]
    space = read_space(params.get("search_space"), params)
    check_ends(space, arguments.config_file, overrides)
    words = ["--config_file=" + arguments.config_file, "--mode=train_eval", "--device=" + device_name]
    words += [typed(override) for override in overrides] + list(_OF_TRIALS)
    settings = {"metric": params["best_metric"], "config": os.path.basename(arguments.config_file),
                "config_sha256": experiment.sha256, "keys": [typed(override) for override in overrides]}
    folder = os.path.join(params["logdir"], FOLDER)
    with contextlib.ExitStack() as stack:
        guard = KillGuard()
        stack.callback(guard.close)
        os.makedirs(folder, exist_ok=True)
        stack.enter_context(owned_directories({folder: "logdir"}))
        study = Study(folder, space, settings, params, params["random_seed"] or 0)
        if study.trials:
            log_line("%s: %d trials ended, %d interrupted" % (folder, study.num_ended, len(study.in_state("RUNNING"))))
        loop = _Search(study, params, words, device_name, arguments.jobs, guard)
        signals = stack.enter_context(_Signals())
        try:
            loop.run(arguments.trials, signals)
        finally:
            loop.stop()
            best = write_results(study, params, arguments, overrides)
        if signals.number is not None:
            raise StoppedBySignal(signals.number, "Stopped by %s after %d of %d trials; the running ones are "
                                  "saved. Continue with:\n  %s" % (signal.Signals(signals.number).name, study.num_ended,
                                                            arguments.trials, resume))
    return best


def check_ends(space, config_file, overrides):
    """Checks the config with the ends of every range, so that a mistake is reported before the first trial.

    Raises:
      ConfigError: a key is unknown, or does not take a value of its range.
    """
    from open_seq2seq.experiment.command_line import parse_command_line
    for dimension in space:
        for value in dimension.ends:
            words = ["--config_file=" + config_file, "--mode=search", "--%s=%s" % (dimension.key, literal(value))]
            with contextlib.redirect_stderr(io.StringIO()):  # the path of the config was printed already
                try:
                    load_experiment(config_file, "search", list(overrides) + parse_command_line(words)[1])
                except ConfigError as error:  # the user's own command line has been checked before
                    raise ConfigError(str(error).replace("command line: --", "search_space: ")) from error


class _Signals:
    """Context in which SIGTERM and SIGINT are remembered; a second SIGINT is not caught.

    Attributes:
      number: of the signal that came; None without one.
    """

    def __init__(self):
        self.number, self._previous = None, {}

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            self._previous[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *exception):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        return False

    def _remember(self, number, frame):
        if self.number == number == signal.SIGINT:
            raise KeyboardInterrupt
        self.number = number
        log_line("%s: the running trials save and end" % signal.Signals(number).name)


class _Search:
    """The running trials, at most ``jobs`` at a time.

    Args:
      study: :class:`Study`. params: the checked params of training. words: arguments of every training.
      device_name: "cpu", "gpu" or "npu". jobs: int. guard: the ``KillGuard``.
    """

    def __init__(self, study, params, words, device_name, jobs, guard):
        self._study, self._words, self._device_name, self._jobs, self._guard = study, words, device_name, jobs, guard
        self._metric = params["best_metric"]
        self._main_task = params.get("main_task") or next(iter(params.get("tasks") or ()), None)
        self._running, self._exhausted = {}, False  # slot -> TrialProcess
        self._interrupted = study.resumed()

    def run(self, count, signals):
        """Trains trials until ``count`` have ended, earlier ones included, or a signal comes."""
        while signals.number is None:
            while len(self._running) < self._jobs and self._study.num_ended + len(self._running) < count and self._start(count):
                pass
            if not self._running:
                break
            self._poll(count)
            self._require_some_success()
            time.sleep(POLL_SECONDS)
        if self._exhausted and signals.number is None:
            log_line("All values of the search space have been tried")

    def _start(self, count):
        """Starts an interrupted or a new trial; False if there is none."""
        if not self._interrupted and self._exhausted:
            return False
        found = self._interrupted.pop(0) if self._interrupted else self._study.next_trial()
        if found is None:
            self._exhausted = True
            return False
        slot = next(slot for slot in range(self._jobs) if slot not in self._running)
        process = self._running[slot] = TrialProcess(*found, self._study.folder, self._words, self._plan(slot), self._guard)
        log_line("Trial %d%s: %s" % (process.trial.number, ", continued" if process.resumes else "", " ".join(process.words)))
        return True

    def _plan(self, slot):
        """``RankPlan`` of the trial in a slot: its device, and its share of the cores."""
        environ = dict(os.environ)
        if self._device_name == "npu":
            plan, = plan_single_npu(int(environ.get("ASCEND_DEVICE_ID", "0")) + slot, environ)
        elif self._device_name == "gpu":
            visible = [name for name in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
            plan, = plan_single("gpu", visible[slot % len(visible)] if visible else slot, environ)
        else:
            plan, = plan_single("cpu", slot, environ)
        if self._jobs > 1:
            plan.environment["JASPER_CORES"] = str(shares_of_cores(self._jobs)[slot])
        return plan._replace(rank=slot)

    def _poll(self, count):
        for slot, process in list(self._running.items()):
            status = process.status
            if process.pruned is None and status in (None, 0):
                values = evaluations(process.folder, self._metric, self._main_task)
                worse = self._study.reports(process.trial, by_progress(process.folder, values))
                if worse and status is None:
                    step = max(values)
                    process.stop("%s %s at step %d is worse than the median of the others at that part of their training" % (
                        self._metric, shown(round(values[step], 4)), step))
            if status is not None:
                del self._running[slot]
                self._end(process, status)
                log_trial(self._study, process.trial.number, count, self._metric)

    def _end(self, process, status):
        """Records the result of a process that has ended."""
        values = evaluations(process.folder, self._metric, self._main_task)
        if process.pruned is not None:
            self._study.prune(process.trial, process.pruned, process.seconds)
        elif status != 0:
            self._study.fail(process.trial, process.failure(), process.seconds)
        elif not values:
            self._study.fail(process.trial, "no evaluation has a finite %s" % self._metric, process.seconds)
        else:
            self._study.complete(process.trial, (max if self._study.maximized else min)(values.values()), process.seconds)

    def _require_some_success(self):
        failed = self._study.in_state("FAIL")
        if len(failed) >= MOST_FAILURES and len(failed) == self._study.num_ended:
            raise UsageError("the first %d trials all failed, the last one with: %s. Its output is in %s.log" % (
                len(failed), failed[-1].user_attrs.get("reason"), os.path.join(
                    self._study.folder, "trial_%04d" % failed[-1].number)))

    def stop(self):
        """Asks the running trials to save, and waits for them; they are continued by the next search in the folder."""
        for process in self._running.values():
            process.stop()
        end = time.monotonic() + SAVING_SECONDS
        while time.monotonic() < end and any(process.status is None for process in self._running.values()):
            time.sleep(0.1)
        for process in self._running.values():
            process.kill()
