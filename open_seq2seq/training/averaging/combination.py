"""Single checkpoints, their mean, their best combination: what each is worth on the same utterances, and which is taken."""
import collections
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

Candidate = collections.namedtuple("Candidate", "name weights values score")
Candidate.__doc__ = """A network that could be the result.

name: for messages. weights: float64 [K], of the checkpoints. values: dict name -> array. score: Score.
"""


class Combination:
    """Combines the networks of several checkpoints with an eye on evaluation data.

    Args:
      base_model: the model class.
      evaluation_params: the checked config of mode "eval".
      training_params: the checked config of mode "train"; None without ``bn_batches``.
      sources: list of ``SourceCheckpoint`` that fit together.
      device: a ``Device`` without static shapes.
    """

    def __init__(self, base_model, evaluation_params, training_params, sources, device):
        self._base_model, self._evaluation_params, self._training_params = base_model, evaluation_params, training_params
        self._sources, self._device = sources, device

    def run(self, how, num_utterances, bn_batches=None):
        """Scores every candidate and returns the one to be written.

        Args:
          how: EQUAL takes the mean; OPTIMIZE looks for weights, and takes the candidate of the lowest loss, be it a single
            checkpoint.
          num_utterances: of the evaluation data, drawn from it.
          bn_batches: batches of training data to measure batch norm's statistics of the mean or combination on; None: they
            are combined like the weights.

        Returns:
          (Candidate, number of utterances).

        Raises:
          DataError, CheckpointError: as of their parts; or no candidate has a finite loss.
        """
        # before the data, of which another vocabulary would refuse every row
        characters = Vocabulary.from_file(self._evaluation_params["data_layer_params"]["vocab_file"]).characters
        for source in self._sources:
            require_vocabulary(source.path, characters)
        data = fixed_batches(self._evaluation_params, num_utterances, self._device)
        networks = [{name: source.read(name).astype(np.float32) if source.is_float(name) else source.read(name)
                     for name in source.shapes} for source in self._sources]
        log_line("Candidates on %d utterances of the evaluation data:" % len(data.transcripts))
        with Objective(self._base_model, self._evaluation_params, data, self._device) as objective:
            singles = [self._candidate(objective, os.path.basename(source.path), row, network)
                       for source, row, network in zip(self._sources, np.eye(len(networks)), networks)]
            equal = np.full([len(networks)], 1.0 / len(networks))
            mean = self._candidate(objective, "their mean", equal, combined(networks, equal))
            found = [mean]
            if how == OPTIMIZE:
                found.append(self._optimized(objective, networks, _best(singles + [mean])))
            if bn_batches is not None:
                best = _best(found)
                found.append(self._candidate(
                    objective, "%s, batch norm measured on %d batches" % (best.name, bn_batches), best.weights,
                    reestimated(self._base_model, self._training_params, best.values, bn_batches, self._device)))
        taken = _best(singles + found) if how == OPTIMIZE else found[-1]
        _report(taken, singles)
        return taken, len(data.transcripts)

    @staticmethod
    def _candidate(objective, name, weights, values):
        score = objective.score(values)
        log_line("%s: loss %.4f, WER %.4f" % (name, score.loss, score.word_error_rate), offset=4)
        return Candidate(name, weights, values, score)

    def _optimized(self, objective, networks, start):
        def report(number, loss, weights):
            log_line("evaluation %d: loss %.4f at weights %s" % (number, loss, _listed(weights)), offset=8)

        found = optimized_weights(networks, objective.loss_and_gradient, start.weights, report=report)
        return self._candidate(objective, "combination with weights %s, begun at %s" % (_listed(found.weights), start.name),
                               found.weights, combined(networks, found.weights))


def _best(candidates):
    """The candidate of the lowest loss; of equal ones the first."""
    finite = [candidate for candidate in candidates if np.isfinite(candidate.score.loss)]
    if not finite:
        raise CheckpointError("none of %s has a finite loss on the evaluation data: either its transcripts cannot be aligned, or "
                              "the training had diverged" % ", ".join(candidate.name for candidate in candidates))
    return min(finite, key=lambda candidate: candidate.score.loss)


def _report(taken, singles):
    best = _best(singles)
    log_line("Taken: %s (loss %.4f, WER %.4f); the best single checkpoint is %s (loss %.4f, WER %.4f)" % (
        (taken.name,) + taken.score + (best.name,) + best.score))
    if taken is best:
        log_line("Note: no combination is better than this checkpoint by itself on these utterances; it is written as it is")
    elif not taken.score.loss <= best.score.loss:
        log_line("Note: that checkpoint by itself has a lower loss on these utterances; --combine_weights=optimize never takes "
                 "what is worse")


def _listed(weights):
    return ", ".join("%.3f" % weight for weight in weights)
