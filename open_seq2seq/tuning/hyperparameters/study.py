"""The trials of a search, in Optuna's database, which survives the process at any time.

One process at a time owns the folder. So a trial that the database calls running when a search begins was interrupted: its values
are kept and its training continues.
"""
import json
import os
import warnings

from open_seq2seq.config.report import shown
from open_seq2seq.errors import StorageError, UsageError
from open_seq2seq.tuning.hyperparameters.space import first_trials
from open_seq2seq.tuning.search import require_optuna

DATABASE = "study.db"
NAME = "search"
FEW = 8           # finished trials after which Optuna's sampler is used instead of random values
EARLIEST_STOP = 300   # thousandths of a training before which it is not stopped
FEWEST_OTHERS = 4     # trials that came as far, to compare with
MOST_DRAWS = 30   # proposals for one trial that is not a repetition
REASON, REPEATED, COMMAND, SECONDS = "reason", "repeats", "command", "seconds"  # attributes of a trial


def is_maximized(metric):
    """Whether a larger value of a metric is better."""
    return metric.rpartition(".")[2] == "accuracy"


class Study:
    """The database of a search.

    Args:
      folder: where it is; created if it is missing.
      space: list of :class:`~open_seq2seq.tuning.hyperparameters.space.Dimension`.
      settings: dict for JSON of what all trials have in common: ``metric``, the config, its keys of the command line.
      params: the checked params of training, for the first trials.
      seed: int.

    Attributes:
      folder, space: as given. maximized: whether a larger value is better.

    Raises:
      UsageError: optuna is missing, or the folder has a search with other settings.
      StorageError: the database cannot be read or written.
    """

    def __init__(self, folder, space, settings, params, seed):
        optuna = self._optuna = require_optuna("--mode=search")
        self.folder, self.space, self._seed = folder, space, seed
        self.maximized = is_maximized(settings["metric"])
        settings = dict(settings, space={dimension.key: dimension.plain() for dimension in space})
        path = os.path.join(folder, DATABASE)
        direction = "maximize" if self.maximized else "minimize"
        try:
            os.makedirs(folder, exist_ok=True)
            self._study = optuna.create_study(storage="sqlite:///" + path, study_name=NAME, direction=direction,
                                              load_if_exists=True)
        except OSError as error:
            raise StorageError("cannot create %s: %s; --mode=search keeps its trials there" % (folder, error.strerror))
        except Exception as error:  # SQLAlchemy's and sqlite's errors have no common type
            raise StorageError("%s cannot be used (%s). Delete it to start the search again" % (path, _first_line(error)))
        self._require_same(settings, direction)
        for values in first_trials(space, params):
            self._study.enqueue_trial({dimension.key: dimension.stored(values[dimension.key]) for dimension in space},
                                      skip_if_exists=True)

    def _require_same(self, settings, direction):
        """Refuses a study of other settings; Optuna itself would continue it, and drop another direction silently."""
        settings = json.loads(json.dumps(settings))
        known = self._study.user_attrs.get("settings")
        if known is None:
            # a process that was killed before this line has left an empty study
            self._study.set_user_attr("settings", settings)
            known = settings
        differing = ["%s was %s and is %s" % (key, shown(known.get(key)), shown(settings.get(key)))
                     for key in sorted(set(known) | set(settings)) if known.get(key) != settings.get(key)]
        if self._study.direction.name.lower() != direction:
            differing.append("the direction was %s and is %s" % (self._study.direction.name.lower(), direction))
        if differing:
            raise UsageError("%s has the trials of a search with other settings: %s. Give the same ones to continue it, or "
                             "another --logdir for a new search" % (self.folder, "; ".join(differing)))

    @property
    def trials(self):
        """List of Optuna's ``FrozenTrial``, without proposals that repeat another trial and those that have not begun."""
        return [trial for trial in self._study.get_trials(deepcopy=False)
                if trial.state.name != "WAITING" and REPEATED not in trial.user_attrs]

    def in_state(self, *names):
        """The trials in some of the states RUNNING, COMPLETE, PRUNED and FAIL."""
        return [trial for trial in self.trials if trial.state.name in names]

    @property
    def num_ended(self):
        return len(self.in_state("COMPLETE", "PRUNED", "FAIL"))

    @property
    def best(self):
        """The complete trial with the best value; None if there is none yet."""
        complete = self.in_state("COMPLETE")
        if not complete:
            return None
        return (max if self.maximized else min)(complete, key=lambda trial: trial.value)

    def resumed(self):
        """List of (Optuna's ``Trial``, dict of key -> value) of the trials that were interrupted."""
        trials = [self._optuna.trial.Trial(self._study, trial._trial_id) for trial in self.in_state("RUNNING")]
        return [(trial, self._values(trial)) for trial in trials]

    def next_trial(self):
        """(Optuna's ``Trial``, dict of key -> value) of a new trial; None if all proposals repeat earlier ones."""
        for _ in range(MOST_DRAWS):
            self._study.sampler = self._sampler()
            trial = self._study.ask()
            values = self._values(trial)
            same = [other for other in self.trials if other.number != trial.number and other.params == trial.params]
            if not same:
                return trial, values
            trial.set_user_attr(REPEATED, same[0].number)
            self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        return None

    def _sampler(self):
        # with the same seed in every process, a search that is continued would propose its first trials again
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # both options are marked as experimental
            return self._optuna.samplers.TPESampler(seed=self._seed + len(self._study.get_trials(deepcopy=False)),
                                                    n_startup_trials=FEW, multivariate=True, constant_liar=True)

    def _values(self, trial):
        return {dimension.key: dimension.suggest(trial) for dimension in self.space}

    def reports(self, trial, values):
        """Stores intermediate values.

        Args:
          trial: Optuna's ``Trial``.
          values: dict of progress -> value; progress is in thousandths of the trial's training, because trainings of different
            lengths have different learning rates at the same step. Those that are known are ignored.

        Returns:
          Whether the trial should be stopped: its best value is worse than the median of what others had reached by then.
        """
        known = next(other for other in self.trials if other.number == trial.number).intermediate_values
        new = [progress for progress in sorted(values) if progress not in known]
        for progress in new:
            trial.report(values[progress], progress)
        return bool(new) and self._is_worse(values)

    def _is_worse(self, values):
        progress, best = max(values), max if self.maximized else min
        if not EARLIEST_STOP <= progress < 1000:
            return False
        others = [reached(trial.intermediate_values, progress, best) for trial in self.in_state("COMPLETE", "PRUNED")]
        others = sorted(other for other in others if other is not None)
        if len(others) < FEWEST_OTHERS:
            return False
        own, median = best(values.values()), others[len(others) // 2]
        return own < median if self.maximized else own > median

    def complete(self, trial, value, seconds):
        trial.set_user_attr(SECONDS, seconds)
        self._study.tell(trial, value)

    def prune(self, trial, reason, seconds):
        trial.set_user_attr(REASON, reason)
        trial.set_user_attr(SECONDS, seconds)
        self._study.tell(trial, state=self._optuna.trial.TrialState.PRUNED)

    def fail(self, trial, reason, seconds):
        trial.set_user_attr(REASON, reason)
        trial.set_user_attr(SECONDS, seconds)
        self._study.tell(trial, state=self._optuna.trial.TrialState.FAIL)

    def importances(self):
        """Dict of key -> share of the variance of the results that it explains (fANOVA), the largest first; empty if unknown."""
        complete = self.in_state("COMPLETE")
        varied = [dimension.key for dimension in self.space if len({trial.params[dimension.key] for trial in complete}) > 1]
        if len(complete) < 4 or not varied or len({trial.value for trial in complete}) < 2:
            return {}
        try:
            evaluator = self._optuna.importance.FanovaImportanceEvaluator(seed=self._seed)
            return dict(self._optuna.importance.get_param_importances(self._study, evaluator=evaluator, params=varied))
        except (ImportError, ValueError, RuntimeError):
            return {}


def reached(values, progress, best):
    """The best value of a trial up to some progress.

    Args:
      values: dict of progress -> value. progress: number. best: ``min`` or ``max``.

    Returns:
      A float, interpolated between two evaluations; None if the trial had none before, or did not come so far.
    """
    before, after = [place for place in values if place <= progress], [place for place in values if place >= progress]
    if not before or not after:
        return None
    low, high = max(before), min(after)
    share = (progress - low) / (high - low) if high > low else 0.0
    return best([values[place] for place in before] + [values[low] + share * (values[high] - values[low])])


def _first_line(error):
    return str(error).strip().split("\n")[0]
