"""The test of the best model on data that had no say in the training, when that has ended: ``--test_files``."""
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import JasperError
from open_seq2seq.evaluation.evaluation import EvaluationGraph, log_evaluation, run_evaluation
from open_seq2seq.evaluation.record import record_evaluation
from open_seq2seq.experiment.assembly import build_data_layer
from open_seq2seq.log_lines import log_line


class FinalTest:
    """The data of the test and the model for it, in the current graph beside the training's, whose weights it shares.

    It is built before the training, so that test files that cannot be read are not found out after days.

    Args:
      base_model: the model class.
      params: the checked config of mode "eval" with the test's data.
      graph: the ``TrainingGraph``.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      rejected_file: where to list refused rows.
    """

    def __init__(self, base_model, params, graph, device, group, rejected_file):
        layer = build_data_layer(params, "eval", device, group, rejected_file)
        self._best_is_known = graph.evaluation is not None
        with graph.evaluated_weights(params):
            self._graph = EvaluationGraph(base_model, params, "eval", layer, device, group)
        device.check_steps(tf.get_default_graph(), [("test", fetches) for _, fetches in self._graph.runs()])

    def run(self, session, saving, metrics, step, directory):
        """Tests the best model, or the last one of a training without evaluations; all ranks call it together.

        Args:
          session: the session of the training, which has ended and been saved.
          saving: its ``Saving``.
          metrics: its ``Metrics``.
          step: steps made.
          directory: where its checkpoints lie; None on ranks that do not write.

        Returns:
          EvaluationResult.

        Raises:
          JasperError: the data turned bad since the start.
        """
        checkpoint = saving.back_to_best(session) if self._best_is_known else None
        if directory is not None:
            checkpoint = checkpoint or os.path.join(directory, "model.ckpt-%d" % step)
            log_line("Running the test on a set of its own, with %s:" % os.path.basename(checkpoint))
        try:
            result = run_evaluation(session, self._graph)
        except JasperError as error:
            raise type(error)("the training is finished and saved, but its test failed: %s. Once this is mended, --mode=eval "
                              "%s--test_files=... makes it" % (error, "--restore_best_checkpoint=True " if self._best_is_known
                                                               else ""))
        log_evaluation(result, "Test")
        if directory is not None:
            record_evaluation(checkpoint, self._graph, result, is_test=True)
        metrics.write("test", step, loss=result.loss, wer=result.word_error_rate.rate, cer=result.character_error_rate.rate)
        return result
