"""A checkpoint restored into the graph of an evaluation, for all modes that run a trained model on data."""
import contextlib

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.description import note_on_features, require_vocabulary
from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.checkpoints.restore import describe_restore, read_values
from open_seq2seq.decoding import make_decoder
from open_seq2seq.decoding.options import options_from_config
from open_seq2seq.devices.lean_graph import new_graph
from open_seq2seq.devices.session import open_session, report_compiled_graphs
from open_seq2seq.distributed.data_of_ranks import confirm_data, data_being_read
from open_seq2seq.evaluation.all_tasks import classes_of, with_trained_classes
from open_seq2seq.evaluation.evaluation_graph import build_evaluation
from open_seq2seq.experiment.assembly import build_data_layer
from open_seq2seq.log_lines import log_line


@contextlib.contextmanager
def restored(base_model, params, mode, run_directory, arguments, device, group, decodes=False):
    """Context of a session with the checkpoint's variables, the ``Evaluation``, and the checkpoint (None on other ranks).

    The evaluation decodes as the config says if ``decodes`` is True, else greedily; that of a pre-training model is a
    ``PretrainingEvaluation``, that of a task without transcripts a ``TaskEvaluation``.
    """
    # a pre-training, or a task of a class for each utterance
    params = with_trained_classes(params, run_directory)
    decodes_nothing = getattr(base_model, "is_pretraining", False) or bool(params.get("tasks"))
    options = options_from_config(params["decoder_params"] if decodes and not decodes_nothing else {})
    with data_being_read(group, lambda: open_session(device)):
        layer = build_data_layer(params, mode, device, group, run_directory.rejected_file if group.is_first else None)
        decoder = contextlib.nullcontext() if decodes_nothing else make_decoder(layer.vocabulary, options, verbose=group.is_first)
    with decoder, new_graph(device).as_default():
        evaluation = build_evaluation(base_model, params, mode, layer, device, group, decoder=decoder)
        broadcast, initialize = group.broadcast(tf.global_variables()), tf.global_variables_initializer()
        with contextlib.closing(open_session(device, params["use_xla_jit"], arguments.debug_port)) as session:
            group.start(session)
            confirm_data(group, session)
            checkpoint = None
            if group.is_first:
                checkpoint, (report, values) = run_directory.read_checkpoint(
                    lambda path: (path, _read(path, layer, params)), params["restore_best_checkpoint"])
                log_line(describe_restore(report))
                note_on_features(params, checkpoint)
                operations, feed = graph_variables().assignments(values)
            else:
                operations, feed = initialize, None
            device.check_steps(tf.get_default_graph(), evaluation.runs())
            device.name_runs([("broadcast of the variables", broadcast)], with_batch=False)
            device.start_session(session, tf.get_default_graph(), operations, feed)
            session.run(broadcast)
            yield session, evaluation, checkpoint
            report_compiled_graphs(session)
            group.finish(session)


def _read(checkpoint, layer, params):
    task = params.get("selected_task") if params.get("decoder_scope") else None
    if params.get("tasks"):
        require_vocabulary(checkpoint, classes_of(layer, task), task=task)
    else:
        # a custom data layer may have no characters
        vocabulary = layer.vocabulary
        require_vocabulary(checkpoint, getattr(vocabulary, "characters", None), getattr(vocabulary, "sha256", None), task)
    return read_values(checkpoint, tf.global_variables(), averaged=params["evaluate_ema"])


def log_speed(layer, params, audio_seconds, seconds):
    """Prints the two lines on the speed of a pass over the data of all ranks; an object is a feature frame, as in training."""
    frames = audio_seconds / params["data_layer_params"]["window_stride"]
    log_line("Avg time per step: %.3fs" % (seconds / max(1, layer.batches_per_epoch)))
    log_line("Avg objects per second: %.3f" % (frames / seconds))
