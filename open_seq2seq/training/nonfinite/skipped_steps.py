"""Steps that were skipped because the loss or a gradient was not finite, or because the device reported an overflow.

:class:`SkippedSteps` counts and reports them and ends the training after too many. :class:`NonFiniteBatches` is how the ranks
learn whose batches had a loss that is not finite.
"""
import collections
import json
import os

import numpy as np

from open_seq2seq.distributed.exchange import TextExchange
from open_seq2seq.errors import NonFiniteError
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.nonfinite.bad_batches import FOLDER
from open_seq2seq.training.nonfinite.investigation import Investigation, SeenBatch, utterances_of
from open_seq2seq.training.nonfinite.layer_search import VARIABLE, describe_first

NAMED_IN_A_LINE = 4  # utterances, of a step that is examined and so lists all of them, or whose loss is finite


class SkippedSteps:
    """Reports skipped steps, has bad steps examined, and ends a training with too many of them in a row.

    Automatic loss scaling finds its scale by steps whose loss is finite and whose gradient is not, after which the scale falls:
    they get a line. Any other skipped step is a bad step. All ranks skip the same steps and count them alike.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      checkpoints: directory of the checkpoints; the folder of bad batches is in it.
      keep_batches: whether batches are kept there.
    """

    def __init__(self, params, graph, device, group, checkpoints, keep_batches):
        self._graph, self._reason, self._checkpoints, self._ranks = graph, device.skip_reason, checkpoints, group.size
        self._limit, self._examined = params["max_bad_steps"], max(params["bad_batches"], 1)
        self._investigation = Investigation(params, graph, device, group,
                                            os.path.join(checkpoints, FOLDER) if keep_batches else None)
        self._non_finite = NonFiniteBatches(group, graph.iter_size, params["batch_size_per_gpu"])
        self._seen = collections.deque(maxlen=graph.iter_size)
        self._bad_steps = self._bad_in_a_row = 0
        self._is_first, self._finding = True, None

    def batch(self, number, values):
        """Notes batch ``number`` of the stream and the ``values`` that were fetched with it, until the end of its step."""
        self._seen.append(SeenBatch(number, values))

    def made(self):
        """Notes that a step was made, not skipped."""
        self._bad_in_a_row, self._is_first = 0, True

    def skipped(self, session, step, values, metrics):
        """Notes and reports that step ``step`` was skipped; all ranks call it together.

        Args:
          session: the session of the training.
          step: its number.
          values: what was fetched with its last batch.
          metrics: the ``Metrics`` of the run.

        Raises:
          NonFiniteError: ``max_bad_steps`` bad steps in a row.
        """
        # of this step, with which it overflowed
        loss, scale = float(values["loss"]), float(values["loss_scale"])
        reason = self._reason if np.isfinite(loss) else "the loss is not finite"
        bad = not (self._has_fallen(scale, float(values["next_loss_scale"])) and np.isfinite(loss))
        self._is_first = False
        batches = self._non_finite.of_step(session, self._seen) if bad else []
        names = self._names_of(batches) if batches else self._own_names()
        # a step that is examined lists its utterances below
        all_named = bad and self._bad_steps >= self._examined
        log_line("Step %d skipped: %s (loss %s, loss scale %g, utterances %s)" % (
            step, reason, loss, scale, self._named(names, batches, len(names) if all_named else NAMED_IN_A_LINE)))
        metrics.write("skipped", step - 1, reason=reason, loss=loss, loss_scale=scale, bad=bad, utterances=names,
                      skipped_steps=int(values["skipped_steps"]))
        if not bad:
            return
        self._bad_in_a_row += 1
        self._bad_steps += 1
        if self._bad_steps <= self._examined:
            self._examine(session, step, batches, loss, scale)
        if self._bad_in_a_row >= self._limit:
            raise NonFiniteError(self._advice(step, reason, self._named(names, batches, len(names)),
                                              float(values["learning_rate"]), scale))

    def _examine(self, session, step, batches, loss, scale):
        investigation = self._investigation
        investigation.examine_step(session, step, list(self._seen), loss, scale)
        first = investigation.first
        findings = [finding for finding in self._non_finite.findings(
            session, investigation.file, first and first.where, first and describe_first(first)) if finding.text or finding.file]
        suspects = [finding for finding in findings if finding.rank in {batch.rank for batch in batches}] or findings
        self._finding = suspects[0] if suspects else self._finding
        if self._finding is not None and self._finding.rank != 0 and self._finding.text:
            # the log of that rank has the rest
            log_line("Rank %d: %s" % (self._finding.rank, self._finding.text), offset=4)

    def _has_fallen(self, scale, following):
        """Whether automatic loss scaling answers the skipped step with a lower scale."""
        lowest = self._graph.optimization.lowest_loss_scale
        # LogMax begins with a low scale, which its first steps raise whatever they are
        return lowest is not None and (following < scale or self._is_first and following > lowest)

    def _own_names(self):
        return [utterance.id for seen in self._seen for utterance in utterances_of(self._graph.data_layer, seen)]

    def _names_of(self, batches):
        layer = self._graph.data_layer
        return [utterance.id for batch in batches for index in batch.indices for utterance in layer.utterances_of_row(index)]

    def _named(self, names, batches, most):
        """The first ``most`` names as a phrase, with the ranks of the batches."""
        text = ", ".join(names[:most]) + (", ... %d in all" % len(names) if len(names) > most else "")
        if self._ranks == 1:
            return text
        if not batches:
            return text + " of rank 0; the cause may be on any rank"
        ranks = sorted({batch.rank for batch in batches})
        return text + " of rank%s %s" % ("s" if len(ranks) > 1 else "", ", ".join(map(str, ranks)))

    def _advice(self, step, reason, named, learning_rate, scale):
        finding = self._finding
        lines = ["%d steps in a row were skipped (%s), the last at step %d with the utterances %s" % (
            self._bad_in_a_row, reason, step, named)]
        if finding is not None and finding.text:
            lines.append("Found: " + finding.text)
        lines.append("The learning rate is %.4g, the loss scale %g. What to try, the most likely first:" % (learning_rate, scale))
        if finding is not None and finding.where == VARIABLE:
            lines.append("- an earlier checkpoint: weights that are not finite stay so")
        lines += ["- a lower learning rate, or a longer warmup (lr_policy_params)",
                  "- a limit of the gradient norm (max_grad_norm), or larc_params",
                  "- other data: is the audio of the utterances named above valid, and do their transcripts (if any) match it?"]
        if self._graph.optimization.lowest_loss_scale is None and scale > 1.0:
            lines.append('- a lower loss_scaling, or "Backoff"')
        if finding is not None and finding.file:
            lines.append("- statistics of every layer: the same command with --mode=replay --batch=%s (docs/nonfinite.md)"
                         % finding.file)
        lines.append("Checkpoints, if any, are in %s; max_bad_steps is %d" % (self._checkpoints, self._limit))
        return "\n  ".join(lines)


DIGITS = 11  # of the number of a batch or an utterance in a text, with its comma and space
FINDING_BYTES = 2048

NonFiniteBatch = collections.namedtuple("NonFiniteBatch", "rank number indices")
NonFiniteBatch.__doc__ = """A batch whose loss is not finite.

rank: whose batch it is. number: in the rank's stream of training batches. indices: list of the data layer's row indices."""

Finding = collections.namedtuple("Finding", "rank file where text")
Finding.__doc__ = """What a rank found in a bad step. rank: int. file: path of the batch that it kept. where: of ``First``, the
first value that is not finite. text: the same as a phrase. None where there is none."""


class NonFiniteBatches:
    """Tells all ranks about the non-finite batches of a bad step. They call each method together.

    Args:
      group: a ``ProcessGroup``.
      batches: number of batches of a step on each rank.
      rows: number of rows of a batch.
    """

    def __init__(self, group, batches, rows):
        self._rank = group.rank
        self._batches = TextExchange(group, batches * (rows + 2) * DIGITS + DIGITS)
        self._findings = TextExchange(group, FINDING_BYTES)

    def of_step(self, session, seen_batches):
        """The non-finite batches of all ranks.

        Args:
          session: the session of the training.
          seen_batches: list of SeenBatch, this rank's batches of the step.

        Returns:
          List of NonFiniteBatch in the order of ranks and batches; empty if only a gradient is not finite.
        """
        own = [[seen.number] + [int(index) for index in seen.values["indices"] if index >= 0]
               for seen in seen_batches if not np.isfinite(seen.values["batch_loss"])]
        return [NonFiniteBatch(rank, batch[0], batch[1:])
                for rank, text in enumerate(self._batches.all(session, json.dumps(own))) for batch in json.loads(text)]

    def findings(self, session, file, where, text):
        """What every rank found, a list of Finding. It waits for the last rank: no rank ends the run before."""
        # the longest last, as its end may be cut off
        texts = self._findings.all(session, "\n".join(part or "" for part in (file, where, text)))
        return [Finding(rank, *[part or None for part in found.split("\n", 2)]) for rank, found in enumerate(texts)]
