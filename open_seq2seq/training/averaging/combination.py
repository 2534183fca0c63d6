"""``--mode=combine``: scores single checkpoints, their mean and their best combination on the same utterances; chooses one."""
import collections
import functools
import math
import os

import numpy as np

from open_seq2seq.checkpoints.description import require_vocabulary
from open_seq2seq.errors import CheckpointError
from open_seq2seq.log_lines import log_line
from open_seq2seq.text.vocabulary import Vocabulary
from open_seq2seq.training.averaging.batch_norm_statistics import reestimated
from open_seq2seq.training.averaging.combination_weights import combined, optimized_weights
from open_seq2seq.training.averaging.objective import Objective, fixed_batches

EQUAL, OPTIMIZE = "equal", "optimize"

Candidate = collections.namedtuple("Candidate", "name weights values score bn_batches")
Candidate.__doc__ = """A network that could be the result.

name: for messages. weights: float64 [K], of the K checkpoints. values: dict name -> array. score: Score. bn_batches: number of
training batches that its batch-norm statistics were measured on, or None.
"""


class Combination:
    """Combines the networks of several checkpoints; their scores on evaluation data decide how.

    Args:
      base_model: the model class.
      evaluation_params: the checked config of mode "eval".
      training_params: the checked config of mode "train"; None without ``bn_batches``.
      sources: list of ``SourceCheckpoint`` of the same network and vocabulary.
      device: a ``Device`` without static shapes.
    """

    def __init__(self, base_model, evaluation_params, training_params, sources, device):
        self._base_model, self._evaluation_params, self._training_params = base_model, evaluation_params, training_params
        self._sources, self._device = sources, device

    def run(self, how, num_utterances, bn_batches=None):
        """Scores every candidate and returns the one to be written.

        Args:
          how: EQUAL or OPTIMIZE, see :func:`search`.
          num_utterances: how many utterances of the evaluation data to score on.
          bn_batches: number of training batches to measure the batch-norm statistics of the mean or the combination on; None: the
            statistics are combined like the weights.

        Returns:
          (Candidate, number of utterances).

        Raises:
          DataError: the data cannot be read.
          CheckpointError: a checkpoint cannot be read, or no candidate has a finite loss.
        """
        # before the data: with another vocabulary every row would be rejected
        vocabulary = Vocabulary.from_file(self._evaluation_params["data_layer_params"]["vocab_file"])
        for source in self._sources:
            require_vocabulary(source.path, vocabulary.characters, vocabulary.sha256)
        data = fixed_batches(self._evaluation_params, num_utterances, self._device)
        networks = [(os.path.basename(source.path), {
            name: source.read(name).astype(np.float32) if source.is_float(name) else source.read(name) for name in source.shapes})
            for source in self._sources]
        log_line("Candidates on %d utterances of the evaluation data:" % len(data.transcripts))
        with Objective(self._base_model, self._evaluation_params, data, self._device) as objective:
            chosen = search(objective, networks, how, bn_batches, functools.partial(
                reestimated, self._base_model, self._training_params, num_batches=bn_batches, device=self._device))
        return chosen, len(data.transcripts)


def search(objective, networks, how, bn_batches=None, reestimate=None):
    """Scores single networks, their mean and, if asked, their best combination.

    Args:
      objective: an ``Objective``.
      networks: list of (name for messages, network), a network being a dict name -> array.
      how: EQUAL: the result is the mean, whatever its score. OPTIMIZE: weights are searched that minimize the loss, and the
        result is the candidate with the lowest word error rate (of equal ones that with the lowest loss), single networks
        included. So it is never worse on these utterances than the best single network.
      bn_batches: see :meth:`Combination.run`.
      reestimate: function from a network to the network with measured batch-norm statistics; used with ``bn_batches``.

    Returns:
      Candidate.

    Raises:
      CheckpointError: no candidate has a finite loss.
    """
    def scored(name, weights, values, bn_batches=None):
        score = objective.score(values)
        log_line("%s: loss %.4f, WER %.4f" % (name, score.loss, score.word_error_rate), offset=4)
        return Candidate(name, weights, values, score, bn_batches)

    values = [network for _, network in networks]
    singles = [scored(name, weights, network) for (name, network), weights in zip(networks, np.eye(len(networks)))]
    equal = np.full([len(networks)], 1.0 / len(networks))
    joint = [scored("their mean", equal, combined(values, equal))]
    if how == OPTIMIZE:
        start = min(_finite(singles + joint), key=lambda candidate: candidate.score.loss)
        weights = optimized_weights(values, objective.loss_and_gradient, start.weights, report=_report_evaluation).weights
        joint.append(scored("combination with weights %s, started at %s" % (_listed(weights), start.name), weights,
                            combined(values, weights)))
    if bn_batches is not None:
        best = best_candidate(joint)
        joint.append(scored("%s, batch norm measured on %d batches" % (best.name, bn_batches), best.weights,
                            reestimate(best.values), bn_batches))
    chosen = best_candidate(singles + joint) if how == OPTIMIZE else joint[-1]
    _report(chosen, best_candidate(singles))
    return chosen


def best_candidate(candidates):
    """The Candidate with the lowest word error rate among those with a finite loss; of equal ones that with the lowest loss.

    Raises:
      CheckpointError: none has a finite loss.
    """
    return min(_finite(candidates), key=_quality)


def _quality(candidate):
    """A key: the smaller, the better."""
    rate = candidate.score.word_error_rate
    return rate if math.isfinite(rate) else float("inf"), candidate.score.loss


def _finite(candidates):
    finite = [candidate for candidate in candidates if np.isfinite(candidate.score.loss)]
    if not finite:
        raise CheckpointError("none of %s has a finite loss on the evaluation data: either its transcripts cannot be aligned, or "
                              "the training had diverged" % ", ".join(candidate.name for candidate in candidates))
    return finite


def _report_evaluation(number, loss, weights):
    log_line("evaluation %d: loss %.4f at weights %s" % (number, loss, _listed(weights)), offset=8)


def _report(chosen, best_single):
    log_line("Result: %s (loss %.4f, WER %.4f); the best single checkpoint is %s (loss %.4f, WER %.4f)" % (
        (chosen.name,) + chosen.score + (best_single.name,) + best_single.score))
    if chosen is best_single:
        log_line("Note: no combination is better than this checkpoint on these utterances; it is written unchanged")
    # also where the loss of the mean is not a number
    elif not _quality(chosen) <= _quality(best_single):
        log_line("Note: that checkpoint is better on these utterances; --combine_weights=optimize would choose it")


def _listed(weights):
    return ", ".join("%.3f" % weight for weight in weights)
