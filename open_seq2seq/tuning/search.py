"""The search for alpha and beta: a coarse grid, then proposals of Optuna, each of them measured on the evaluation data."""
import collections
import json
import os
import time
import warnings

import numpy as np

from open_seq2seq.decoding import make_decoder
from open_seq2seq.decoding.decoder import NonFiniteLogits
from open_seq2seq.errors import StorageError, UsageError
from open_seq2seq.evaluation.error_rates import transcript_errors
from open_seq2seq.files import parsed_json, replaced_file
from open_seq2seq.log_lines import log_line

STEP = 0.05         # of the values: finer ones make no difference, and rounded ones can be typed
GRID = (4, 4)       # alphas and betas of the trials before Optuna's
BATCH = 32          # utterances that are decoded together
CER_SHARE = 1e-3    # in what Optuna minimizes: between equal word error rates the character error rate decides

Trial = collections.namedtuple("Trial", "alpha beta wer cer seconds edits")
Trial.__doc__ = """A measurement. wer, cer: fractions. seconds: of decoding. edits: list of int, word errors of each utterance."""


class Decoding:
    """Decodes the evaluation data with any options.

    Args:
      data: :class:`~open_seq2seq.tuning.dev_logits.DevLogits`.
    """

    def __init__(self, data):
        self.data = data
        # utterances of similar lengths share a batch
        order = np.argsort([-len(rows) for rows in data.logits], kind="stable")
        self._batches = [order[start:start + BATCH] for start in range(0, len(order), BATCH)]
        self.words = [len(reference.split()) for reference in data.references]

    def measure(self, options):
        """:class:`Trial` of a ``DecodingOptions``."""
        began = time.monotonic()
        texts = [None] * len(self.data.references)
        with make_decoder(self.data.vocabulary, options) as decoder:
            futures = [(batch, self._submitted(decoder, batch)) for batch in self._batches]
            for batch, future in futures:
                for index, hypothesis in zip(batch, future.result()):
                    texts[index] = hypothesis.text
        seconds = time.monotonic() - began
        errors = transcript_errors(self.data.references, texts)
        edits = [transcript_errors([reference], [text]).word_error_rate.edits
                 for reference, text in zip(self.data.references, texts)]
        return Trial(options.alpha, options.beta, errors.word_error_rate.rate, errors.character_error_rate.rate, seconds, edits)

    def _submitted(self, decoder, batch):
        try:
            return decoder.submit(*self._padded(batch))
        except NonFiniteLogits as error:
            raise NonFiniteLogits(error.row, error.frame, "utterance %s" % self.data.names[batch[error.row]])

    def _padded(self, batch):
        lengths = np.array([len(self.data.logits[index]) for index in batch])
        logits = np.zeros([len(batch), max(lengths.max(), 1), self.data.vocabulary.size + 1], np.float32)
        for row, index in enumerate(batch):
            logits[row, :lengths[row]] = self.data.logits[index]
        return logits, lengths


class Trials:
    """The finished trials of a search, in a file that is written after each of them.

    Args:
      path: of the file.
      settings: dict of what the trials have in common, for people who read the file.
    """

    def __init__(self, path, settings):
        self.path, self._settings, self._can_write = path, settings, True
        self.finished = []
        try:
            with open(path, encoding="utf-8") as file:
                self.finished = [Trial(**trial) for trial in parsed_json(file.read())["trials"]]
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError("%s cannot be read (%s). Delete it to start the search again" % (path, error))

    def add(self, trial):
        """Adds a trial and writes the file."""
        self.finished.append(trial)
        if not self._can_write:
            return
        try:
            with replaced_file(self.path) as file:
                json.dump(dict(self._settings, trials=[found._asdict() for found in self.finished]), file)
                file.write("\n")
        except StorageError as error:
            self._can_write = False
            log_line("Note: an interrupted search cannot be resumed: %s" % error)

    def within(self, alphas, betas):
        """The trials in these ranges."""
        return [trial for trial in self.finished
                if alphas[0] <= trial.alpha <= alphas[1] and betas[0] <= trial.beta <= betas[1]]

    def find(self, alpha, beta):
        """The trial of these values, or None."""
        return next((trial for trial in self.finished if abs(trial.alpha - alpha) < 1e-9 and abs(trial.beta - beta) < 1e-9), None)


def best_of(trials):
    """The trial with the lowest word error rate, then the lowest character error rate.

    Of equal ones it is the one next to their mean: far from where the rates rise, which is at another place on other data.
    """
    lowest = min((trial.wer, trial.cer) for trial in trials)
    equal = [trial for trial in trials if (trial.wer, trial.cer) == lowest]
    values = np.array([[trial.alpha, trial.beta] for trial in equal])
    distances = ((values - values.mean(axis=0)) / np.maximum(np.ptp(values, axis=0), STEP)) ** 2
    return equal[int(np.argmin(distances.sum(axis=1)))]


def run_search(decoding, options, trials, count, alphas, betas, seed, bar):
    """Measures proposals until there are ``count`` trials in the ranges.

    The proposals depend on ``seed`` and the trials before only, so an interrupted search ends with the same ones.

    Args:
      decoding: :class:`Decoding`. options: ``DecodingOptions``, whose alpha and beta are the first trial.
      trials: :class:`Trials`, which receives the new ones.
      count: int. alphas, betas: (lowest, highest). seed: int.
      bar: a ``ProgressBar`` over ``count``.
    """
    try:
        _search(decoding, options, trials, count, alphas, betas, seed, bar)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Interrupted after %d of %d trials. The same command resumes the search" % (
            len(trials.within(alphas, betas)), count))
    bar.update(len(trials.within(alphas, betas)))


def _search(decoding, options, trials, count, alphas, betas, seed, bar):
    """See :func:`run_search`."""
    planned = _planned(options, alphas, betas)
    while len(trials.within(alphas, betas)) < count:
        done = trials.within(alphas, betas)
        bar.update(len(done), ["best WER %.2f %%" % (100 * best_of(done).wer)] if done else [])
        values = next((pair for pair in planned if trials.find(*pair) is None), None)
        if values is None:
            values = _proposal(done, alphas, betas, seed)
            if values is None:
                log_line("All values in the ranges have been tried")
                break
        before = min((trial.wer for trial in done), default=np.inf)
        trials.add(decoding.measure(options._replace(alpha=values[0], beta=values[1])))
        _log_trial(trials.finished[-1], len(done) + 1, count, before)


def _log_trial(trial, number, count, before):
    log_line("Trial %d/%d: alpha %.2f, beta %.2f: WER %.2f %%, CER %.2f %%, %.1f s; %s" % (
        number, count, trial.alpha, trial.beta, 100 * trial.wer, 100 * trial.cer, trial.seconds,
        "the best so far" if trial.wer < before else "best so far %.2f %%" % (100 * before)))


def _planned(options, alphas, betas):
    """List of (alpha, beta): the given values if they are in the ranges, and a grid, its middle first."""
    def inside(value, limits):
        return limits[0] <= value <= limits[1]

    grid = [(alpha, beta) for alpha in _places(alphas, GRID[0]) for beta in _places(betas, GRID[1])]
    middle = np.mean(alphas), np.mean(betas)
    span = max(alphas[1] - alphas[0], STEP), max(betas[1] - betas[0], STEP)
    grid.sort(key=lambda pair: sum(((value - center) / width) ** 2 for value, center, width in zip(pair, middle, span)))
    given = _rounded(options.alpha, alphas), _rounded(options.beta, betas)
    start = [given] if inside(options.alpha, alphas) and inside(options.beta, betas) else []
    return start + [pair for pair in dict.fromkeys(grid) if pair not in start]


def _places(limits, count):
    """``count`` values in the middle of equal parts of a range."""
    edges = np.linspace(limits[0], limits[1], count + 1)
    return [_rounded(value, limits) for value in (edges[:-1] + edges[1:]) / 2]


def _rounded(value, limits):
    """The value that a search with :data:`STEP` has nearest to ``value``."""
    steps = min(round((value - limits[0]) / STEP), int((limits[1] - limits[0]) / STEP + 1e-9))
    return round(limits[0] + steps * STEP, 6)


def _proposal(done, alphas, betas, seed):
    """The next (alpha, beta) of Optuna's TPE sampler that was not measured; None if the ranges are exhausted."""
    optuna = require_optuna()
    distributions = {name: optuna.distributions.FloatDistribution(low, low + int((high - low) / STEP + 1e-9) * STEP, step=STEP)
                     for name, (low, high) in (("alpha", alphas), ("beta", betas))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # multivariate is marked as experimental
        sampler = optuna.samplers.TPESampler(seed=seed + len(done), n_startup_trials=0, multivariate=True)
        study = optuna.create_study(sampler=sampler)
        for trial in done:
            values = {"alpha": _rounded(trial.alpha, alphas), "beta": _rounded(trial.beta, betas)}
            study.add_trial(optuna.trial.create_trial(params=values, distributions=distributions,
                                                      value=trial.wer + CER_SHARE * trial.cer))
        known = {(trial.alpha, trial.beta) for trial in done}
        for _ in range(100):
            proposed = study.ask(distributions)
            values = _rounded(proposed.params["alpha"], alphas), _rounded(proposed.params["beta"], betas)
            if values not in known:
                return values
            study.tell(proposed, state=optuna.trial.TrialState.FAIL)
    everything = [(alpha, beta) for alpha in _all(alphas) for beta in _all(betas)]
    left = [pair for pair in everything if pair not in known]
    best = best_of(done)
    # near the best, where the sampler keeps proposing what is known
    return min(left, key=lambda pair: (pair[0] - best.alpha) ** 2 + (pair[1] - best.beta) ** 2) if left else None


def _all(limits):
    return [round(limits[0] + step * STEP, 6) for step in range(int((limits[1] - limits[0]) / STEP + 1e-9) + 1)]


def require_optuna(mode="--mode=tune_lm"):
    """The package optuna, without its log lines.

    Raises:
      UsageError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise UsageError("%s needs the package optuna. Install it with: bash scripts/setup.sh --decoding" % mode)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna



def trials_path(folder, key):
    """Where the trials of a search are."""
    return os.path.join(folder, "trials-%s.json" % key)
