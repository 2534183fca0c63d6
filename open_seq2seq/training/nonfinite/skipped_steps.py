"""Steps that changed nothing, because the loss or a gradient was not finite, or the device saw an overflow.

Which batches of a step have a loss that is not finite: each rank knows its own, and all of them tell each other.
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

NAMED_IN_A_LINE = 4  # utterances, of a step that is looked into and so lists them all, or that is none of their fault


class SkippedSteps:
    """Reports skipped steps, has bad ones looked into, and ends a training that makes nothing else.

    A step whose loss is finite and whose gradient is not, under a loss scale that falls for it, is how automatic loss scaling
    finds its scale: it gets a line. Any other is a bad step. All ranks skip the same steps, and count them alike.

    Args:
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      checkpoints: directory of the checkpoints, in which the folder of bad batches is.
      keeps: whether batches are kept there.
    """

    def __init__(self, params, graph, device, group, checkpoints, keeps):
        self._graph, self._reason, self._checkpoints, self._ranks = graph, device.skip_reason, checkpoints, group.size
        self._limit, self._looked_into = params["max_bad_steps"], max(params["bad_batches"], 1)
        self._investigation = Investigation(params, graph, device, group,
                                            os.path.join(checkpoints, FOLDER) if keeps else None)
        self._spoilt = NonFiniteBatches(group, graph.iter_size, params["batch_size_per_gpu"])
        self._seen = collections.deque(maxlen=graph.iter_size)
        self._bad_steps = self._bad_in_a_row = 0
        self._scale = self._finding = None

    def batch(self, number, values):
        """Remembers batch ``number`` of the stream of training, with which ``values`` were fetched, until its step is over."""
        self._seen.append(SeenBatch(number, values))

    def made(self):
        """A step was made."""
        self._bad_in_a_row, self._scale = 0, None

    def skipped(self, session, step, values, metrics):
        """Step ``step`` was skipped; all ranks call it together.

        Args:
          session: the session of the training.
          step: its number.
          values: what was fetched with its last batch.
          metrics: the ``Metrics`` that it is written into.

        Raises:
          NonFiniteError: it was one bad step too many in a row.
        """
        loss, scale = float(values["loss"]), float(session.run(self._graph.optimization.loss_scale))
        reason = self._reason if np.isfinite(loss) else "the loss is not finite"
        fell, self._scale = self._has_fallen_to(scale), scale
        bad = not (fell and np.isfinite(loss))
        spoilt = self._spoilt.of_step(session, self._seen) if bad else []
        names = self._names_of(spoilt) if spoilt else self._own_names()
        # if it is one of those that are looked into, all of them are listed below
        all_named = bad and self._bad_steps >= self._looked_into
        log_line("Step %d skipped: %s (loss %s, loss scale %g, utterances %s)" % (
            step, reason, loss, scale, self._named(names, spoilt, len(names) if all_named else NAMED_IN_A_LINE)))
        metrics.write("skipped", step - 1, reason=reason, loss=loss, loss_scale=scale, bad=bad, utterances=names,
                      skipped_steps=int(session.run(self._graph.shape_steps[0].train.skipped_steps)))
        if not bad:
            return
        self._bad_in_a_row += 1
        self._bad_steps += 1
        if self._bad_steps <= self._looked_into:
            self._look_into(session, step, spoilt, loss, scale)
        if self._bad_in_a_row >= self._limit:
            raise NonFiniteError(self._advice(step, reason, self._named(names, spoilt, len(names)),
                                              float(values["learning_rate"]), scale))

    def _look_into(self, session, step, spoilt, loss, scale):
        investigation = self._investigation
        investigation.look_into(session, step, list(self._seen), loss, scale)
        first = investigation.first
        findings = [finding for finding in self._spoilt.findings(
            session, investigation.file, first and first.where, first and describe_first(first)) if finding.text or finding.file]
        suspects = [finding for finding in findings if finding.rank in {batch.rank for batch in spoilt}] or findings
        self._finding = suspects[0] if suspects else self._finding
        if self._finding is not None and self._finding.rank != 0 and self._finding.text:
            # its own log has the rest
            log_line("Rank %d: %s" % (self._finding.rank, self._finding.text), offset=4)

    def _has_fallen_to(self, scale):
        if self._graph.optimization.lowest_loss_scale is None:
            return False
        # what it was before the first skipped step in a row is not known: it may just have come to the lowest
        return self._scale is None or scale < self._scale

    def _own_names(self):
        return [utterance.id for seen in self._seen for utterance in utterances_of(self._graph.data_layer, seen)]

    def _names_of(self, spoilt):
        layer = self._graph.data_layer
        return [utterance.id for batch in spoilt for index in batch.indices for utterance in layer.utterances_of_row(index)]

    def _named(self, names, spoilt, most):
        """The first ``most`` names as a phrase, with whose they are."""
        text = ", ".join(names[:most]) + (", ... %d in all" % len(names) if len(names) > most else "")
        if self._ranks == 1:
            return text
        if not spoilt:
            return text + " of rank 0; any rank's may be the cause"
        ranks = sorted({batch.rank for batch in spoilt})
        return text + " of rank%s %s" % ("s" if len(ranks) > 1 else "", ", ".join(map(str, ranks)))

    def _advice(self, step, reason, named, learning_rate, scale):
        finding = self._finding
        lines = ["%d steps in a row were skipped (%s), the last at step %d with the utterances %s" % (
            self._bad_in_a_row, reason, step, named)]
        if finding is not None and finding.text:
            lines.append("Found: " + finding.text)
        lines.append("The learning rate is %.4g, the loss scale %g. What to try, the likeliest first:" % (learning_rate, scale))
        if finding is not None and finding.where == VARIABLE:
            lines.append("- a checkpoint from before: weights that are not finite do not mend")
        lines += ["- a lower learning rate, or a longer warmup (lr_policy_params)",
                  "- a limit of the gradient (max_grad_norm), or larc_params",
                  "- other data: are the utterances named above what their transcripts say?"]
        if self._graph.optimization.lowest_loss_scale is None and scale > 1.0:
            lines.append('- a lower loss_scaling, or "Backoff"')
        if finding is not None and finding.file:
            lines.append("- a look at every layer: the same command with --mode=replay --batch=%s (docs/troubles.md)"
                         % finding.file)
        lines.append("Checkpoints, if any, are in %s; max_bad_steps is %d" % (self._checkpoints, self._limit))
        return "\n  ".join(lines)


DIGITS = 11  # of the number of a batch or an utterance in a text, with its comma and blank
FINDING_BYTES = 2048

NonFiniteBatch = collections.namedtuple("NonFiniteBatch", "rank number indices")
NonFiniteBatch.__doc__ = "Whose batch it is; its number in the rank's stream of training; list of the data layer's row indices."

Finding = collections.namedtuple("Finding", "rank file where text")
Finding.__doc__ = """Which rank; the file that it kept of the batch; where the first value was that is not finite, as of
``First``; the same as a phrase. None for what it has not."""


class NonFiniteBatches:
    """What the ranks tell each other about a bad step. All of them call each method together.

    Args:
      group: a ``ProcessGroup``.
      batches: of a step on each rank.
      rows: of a batch.
    """

    def __init__(self, group, batches, rows):
        self._rank = group.rank
        self._batches = TextExchange(group, batches * (rows + 2) * DIGITS + DIGITS)
        self._findings = TextExchange(group, FINDING_BYTES)

    def of_step(self, session, seen_batches):
        """The spoilt batches of all ranks.

        Args:
          session: the session of the training.
          seen_batches: list of SeenBatch, this rank's batches of the step.

        Returns:
          List of NonFiniteBatch in the order of ranks and batches; empty where a gradient alone is not finite.
        """
        own = [[seen.number] + [int(index) for index in seen.values["indices"] if index >= 0]
               for seen in seen_batches if not np.isfinite(seen.values["batch_loss"])]
        return [NonFiniteBatch(rank, batch[0], batch[1:])
                for rank, text in enumerate(self._batches.all(session, json.dumps(own))) for batch in json.loads(text)]

    def findings(self, session, file, where, text):
        """What every rank found, a list of Finding. It ends when the last rank has looked: no rank ends a run before."""
        # the longest last, of which an end may be lost
        texts = self._findings.all(session, "\n".join(part or "" for part in (file, where, text)))
        return [Finding(rank, *[part or None for part in found.split("\n", 2)]) for rank, found in enumerate(texts)]
