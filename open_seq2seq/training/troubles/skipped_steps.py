"""Steps that changed nothing, because the loss or a gradient was not finite, or the device saw an overflow."""
import collections
import os

import numpy as np

from open_seq2seq.errors import NonFiniteError
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.troubles.bad_batches import FOLDER
from open_seq2seq.training.troubles.investigation import Investigation, SeenBatch, utterances_of
from open_seq2seq.training.troubles.non_finite import VARIABLE, describe_first

NAMED_IN_A_LINE = 4


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
        self._graph, self._reason, self._checkpoints = graph, device.skip_reason, checkpoints
        self._limit, self._looked_into = params["max_bad_steps"], max(params["bad_batches"], 1)
        self._investigation = Investigation(params, graph, device, group,
                                            os.path.join(checkpoints, FOLDER) if keeps else None)
        self._seen = collections.deque(maxlen=graph.iter_size)
        self._bad_steps = self._bad_in_a_row = 0
        self._scale = None

    def batch(self, number, values):
        """Remembers batch ``number`` of the stream of training, with which ``values`` were fetched, until its step is over."""
        self._seen.append(SeenBatch(number, values))

    def made(self):
        """A step was made."""
        self._bad_in_a_row, self._scale = 0, None

    def skipped(self, session, step, values):
        """Step ``step`` was skipped; ``values`` is what was fetched with its last batch.

        Raises:
          NonFiniteError: it was one bad step too many in a row.
        """
        loss, scale = float(values["loss"]), float(session.run(self._graph.optimization.loss_scale))
        names, reason = self._names(), self._reason if np.isfinite(loss) else "the loss is not finite"
        log_line("Step %d skipped: %s (loss %s, loss scale %g, utterances %s%s)" % (
            step, reason, loss, scale, ", ".join(names[:NAMED_IN_A_LINE]),
            ", ... %d in all" % len(names) if len(names) > NAMED_IN_A_LINE else ""))
        fell, self._scale = self._has_fallen_to(scale), scale
        if fell and np.isfinite(loss):
            return
        self._bad_in_a_row += 1
        self._bad_steps += 1
        if self._bad_steps <= self._looked_into:
            self._investigation.look_into(session, step, list(self._seen), loss, scale)
        if self._bad_in_a_row >= self._limit:
            raise NonFiniteError(self._advice(step, reason, names, float(values["learning_rate"]), scale))

    def _has_fallen_to(self, scale):
        if self._graph.optimization.lowest_loss_scale is None:
            return False
        # what it was before the first skipped step in a row is not known: it may just have come to the lowest
        return self._scale is None or scale < self._scale

    def _names(self):
        return [utterance.id for seen in self._seen for utterance in utterances_of(self._graph.data_layer, seen)]

    def _advice(self, step, reason, names, learning_rate, scale):
        first, file = self._investigation.first, self._investigation.file
        lines = ["%d steps in a row were skipped (%s), the last at step %d with the utterances %s" % (
            self._bad_in_a_row, reason, step, ", ".join(names))]
        if first is not None:
            lines.append("Found: " + describe_first(first))
        lines.append("The learning rate is %.4g, the loss scale %g. What to try, the likeliest first:" % (learning_rate, scale))
        if first is not None and first.where == VARIABLE:
            lines.append("- a checkpoint from before: weights that are not finite do not mend")
        lines += ["- a lower learning rate, or a longer warmup (lr_policy_params)",
                  "- a limit of the gradient (max_grad_norm), or larc_params",
                  "- other data: are the utterances named above what their transcripts say?"]
        if self._graph.optimization.lowest_loss_scale is None and scale > 1.0:
            lines.append('- a lower loss_scaling, or "Backoff"')
        if file is not None:
            lines.append("- a look at every layer: the same command with --mode=replay --batch=%s (docs/troubles.md)" % file)
        lines.append("Checkpoints, if any, are in %s; max_bad_steps is %d" % (self._checkpoints, self._limit))
        return "\n  ".join(lines)
