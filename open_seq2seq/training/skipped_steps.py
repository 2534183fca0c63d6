"""Steps that changed nothing, because a gradient was not finite or the device saw an overflow."""
from open_seq2seq.errors import NonFiniteError
from open_seq2seq.log_lines import log_line

# A loss scale of 2^14 takes 14 halvings to reach 1; more skipped steps than this in a row are no matter of scale.
MAX_SKIPPED_STEPS = 50


class SkippedSteps:
    """Reports skipped steps, and ends a training that makes nothing else.

    Args:
      graph: the ``TrainingGraph``.
      device: a ``Device``.
      checkpoints: directory of the checkpoints, for the message.
    """

    def __init__(self, graph, device, checkpoints):
        self._graph, self._reason, self._checkpoints = graph, device.skip_reason, checkpoints
        self._in_a_row = 0

    def made(self):
        """A step was made."""
        self._in_a_row = 0

    def skipped(self, session, step, values):
        """Step ``step`` was skipped; ``values`` is what was fetched of it.

        Raises:
          NonFiniteError: it was one too many in a row.
        """
        self._in_a_row += 1
        names = [self._graph.data_layer.utterances[index].id for index in values["indices"] if index >= 0]
        log_line("Step %d skipped: %s (loss %s, loss scale %g, utterances %s)" % (
            step, self._reason, values["loss"], session.run(self._graph.optimization.loss_scale), ", ".join(names[:4])))
        if self._in_a_row >= MAX_SKIPPED_STEPS:
            raise NonFiniteError(
                "%d steps in a row were skipped (%s), the last at step %d (utterances %s). Lower the learning rate or a fixed "
                "loss_scaling, set max_grad_norm or larc_params, look at the named utterances; checkpoints, if any, are in %s"
                % (self._in_a_row, self._reason, step, ", ".join(names), self._checkpoints))
