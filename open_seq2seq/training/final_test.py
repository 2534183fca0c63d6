"""The test of the best model after the training, on data that the training did not use: ``--test_files``."""
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import JasperError, StorageError
from open_seq2seq.evaluation.evaluation_files import TEST_FOLDER, figures_of, gathered_outputs, write_evaluation_files
from open_seq2seq.evaluation.evaluation_graph import Evaluation, build_evaluation
from open_seq2seq.evaluation.record import data_set_name, model_fingerprint, record_evaluation
from open_seq2seq.evaluation.scoring import log_evaluation, run_evaluation
from open_seq2seq.experiment.assembly import build_data_layer
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.metrics import evaluation_numbers


class FinalTest:
    """The test data and the model that is tested, in the graph of the training, whose weights it uses.

    It is built before the training: test files that cannot be read are reported at the start, not after days.

    Args:
      base_model: the model class.
      params: the checked config of mode "eval" with the test data.
      graph: the ``TrainingGraph``.
      device: a ``Device``.
      group: a ``ProcessGroup``.
      rejected_file: path of the list of rejected rows; None: no list is written.
    """

    def __init__(self, base_model, params, graph, device, group, rejected_file):
        layer = build_data_layer(params, "eval", device, group, rejected_file)
        self._group, self._best_is_known = group, graph.evaluation is not None
        if has_operations_for(graph.evaluation, params, layer):
            # the same operations: on a device that compiles graphs, others would take as many graphs again
            self._graph = Evaluation(graph.evaluation.graph, layer)
        else:
            with graph.evaluated_weights(params):
                self._graph = build_evaluation(base_model, params, "eval", layer, device, group)
        device.check_steps(tf.get_default_graph(), [("test", fetches) for _, fetches in self._graph.runs()])

    def run(self, session, saving, metrics, step, directory):
        """Tests the best model, or the last one if the training had no evaluations; all ranks call it together.

        Args:
          session: the session of the training, whose last checkpoint is saved.
          saving: the ``Saving`` of the training.
          metrics: the ``Metrics`` of the training.
          step: steps made.
          directory: directory of the checkpoints; None on ranks that do not write.

        Returns:
          EvaluationResult.

        Raises:
          JasperError: test files have become unreadable since the start.
        """
        checkpoint = saving.back_to_best(session) if self._best_is_known else None
        if directory is not None:
            checkpoint = checkpoint or os.path.join(directory, "model.ckpt-%d" % step)
            log_line("Running evaluation on the test set, with %s:" % os.path.basename(checkpoint))
        try:
            result = run_evaluation(session, self._graph)
        except JasperError as error:
            raise type(error)("the training is finished and saved, but its test failed: %s. When this is fixed, run the test "
                              "with --mode=eval %s--test_files=..." % (
                                  error, "--restore_best_checkpoint=True " if self._best_is_known else ""))
        log_evaluation(result, "Test")
        gathered = gathered_outputs(self._group, session, result, self._graph.data_layer)
        if directory is not None:
            record_evaluation(checkpoint, self._graph, result, is_test=True)
            self._write(os.path.join(directory, TEST_FOLDER), checkpoint, *gathered)
        metrics.write("test", step, data_set=data_set_name(self._graph.data_layer), **evaluation_numbers(result))
        return result

    def _write(self, folder, checkpoint, outputs, rejected):
        """Writes every utterance of the test into a folder."""
        try:
            write_evaluation_files(folder, *figures_of(checkpoint, self._graph, outputs, rejected))
            log_line("Results: %s" % folder)
        except StorageError as error:
            # the training and its test are valid
            log_line("The results of the test could not be written: %s" % error)


def has_operations_for(evaluation, params, layer):
    """Whether an Evaluation's operations compute those of other data: the same network, features and static shapes."""
    if evaluation is None or layer.buckets is None:
        return False
    of_dev, characters = evaluation.data_layer, layer.vocabulary.characters
    return (layer.buckets == of_dev.buckets and layer.batch_size == of_dev.batch_size
            and characters == of_dev.vocabulary.characters
            and model_fingerprint(params, characters) == model_fingerprint(evaluation.params, characters))
