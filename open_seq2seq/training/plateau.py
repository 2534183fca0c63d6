"""Lowers the learning rate when the evaluation stops improving: ``reduce_lr_on_plateau``, with any learning-rate policy.

As in Coqui STT: after every ``plateau_epochs`` epochs in a row without improvement the weights and the optimizer's slots are
reset to the best model, and the learning rate is multiplied by ``plateau_reduction``. Unlike there, the step and the position in
the data are not reset, because the policy and the length of the training depend on the step.
"""
from open_seq2seq.log_lines import log_line


class Plateau:
    """The factor by which the learning rate of the policy is multiplied; the same on every rank.

    Args:
      params: the checked config of mode "train"; used are reduce_lr_on_plateau, plateau_epochs and plateau_reduction.
      tracker: the training's ``MetricTracker``.
      state: the ``SavedState``; it has ``initial_state``. Its learning_rate_factor is fed to every step.
    """

    initial_state = {"learning_rate_factor": 1.0, "plateau_reductions": 0}

    def __init__(self, params, tracker, state):
        self._epochs = params["plateau_epochs"] if params["reduce_lr_on_plateau"] else None
        self._reduction, self._tracker, self._state = params["plateau_reduction"], tracker, state

    def start(self):
        """Reports the factor of a resumed training; without reduce_lr_on_plateau it is reset to 1."""
        factor = float(self._state.get()["learning_rate_factor"])
        if factor == 1.0:
            return
        if self._epochs is None:
            self._state.set(learning_rate_factor=1.0, plateau_reductions=0)
            log_line("The learning rate is that of the policy again: the checkpoint's training had reduced it to %g of the "
                     "policy's, and reduce_lr_on_plateau is now False" % factor)
        else:
            log_line("The learning rate is %g of the policy's: it was reduced on earlier plateaus" % factor)

    def evaluated(self, back_to_best):
        """Reduces the learning rate if it is due; called after ``tracker`` has noted the evaluation.

        Args:
          back_to_best: function that sets the weights to those of the best model; returns its path, or None if there is none.

        Returns:
          Whether the learning rate was reduced.
        """
        if self._epochs is None:
            return False
        values, periods = self._state.get(), self._tracker.periods_without_improvement(self._epochs)
        if periods <= values["plateau_reductions"]:
            # after an improvement the periods are counted from 0 again
            if periods < values["plateau_reductions"]:
                self._state.set(plateau_reductions=periods)
            return False
        best = back_to_best()
        factor = float(values["learning_rate_factor"]) * self._reduction
        self._state.set(learning_rate_factor=factor, plateau_reductions=periods)
        log_line("Encountered a plateau: no improvement for %g epochs (%s). The learning rate is multiplied by %g, to %g of the "
                 "policy's; %s" % (self._tracker.epochs_without_improvement, self._tracker, self._reduction, factor,
                                   "the weights are reset to %s" % best if best else "there is no best model"))
        return True
