"""``--mode=eval`` and ``--mode=infer``: restore a checkpoint, run through the data once, report."""
import contextlib
import csv
import pickle

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.description import require_vocabulary
from open_seq2seq.checkpoints.restore import describe_restore, restore
from open_seq2seq.devices.session import open_session
from open_seq2seq.distributed.data_of_ranks import confirm_data, data_being_read
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.evaluation import EvaluationGraph, log_evaluation, run_evaluation
from open_seq2seq.evaluation.record import record_evaluation
from open_seq2seq.experiment.assembly import build_data_layer
from open_seq2seq.files import replaced_file, require_writable
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar


def evaluate(base_model, params, run_directory, arguments, device, group):
    """Evaluates the newest (or best) checkpoint of the run directory and prints WER, CER and loss.

    Args:
      base_model: the model class.
      params: the checked config for mode "eval".
      run_directory: a ``RunDirectory``.
      arguments: the command line's flags.
      device: a ``Device``.
      group: a ``ProcessGroup``; its ranks share the data, and the first one reads the checkpoint.

    Returns:
      EvaluationResult.
    """
    with _restored(base_model, params, "eval", run_directory, arguments, device, group) as restored:
        session, graph, checkpoint = restored
        log_line("Running evaluation:")
        result = run_evaluation(session, graph, verbose=True)
    log_evaluation(result)
    if group.is_first:
        record_evaluation(checkpoint, graph, result)
    log_line("Avg time per step: %.3fs" % (result.seconds / max(1, graph.data_layer.batches_per_epoch)))
    log_line("Finished evaluation")
    return result


def infer(base_model, params, run_directory, arguments, device, group):
    """Transcribes the data set and writes ``wav_filename,predicted_transcript`` in the order of the manifest.

    With ``infer_logits_to_pickle`` the logits go to the file instead, in the form that OpenSeq2Seq's decode script reads: a
    pickled dict of "logits" {wav_filename: float32 [T', V + 1]}, "vocab" {label: character} and "step_size" (seconds between
    frames of the logits).

    Args: as :func:`evaluate`; ``arguments.infer_output_file`` is the file.

    Returns:
      List of (wav_filename, transcript).
    """
    require_writable(arguments.infer_output_file)
    to_pickle = params["decoder_params"]["infer_logits_to_pickle"]
    transcripts, logits = {}, {}
    with _restored(base_model, params, "infer", run_directory, arguments, device, group) as (session, graph, _):
        layer = graph.data_layer
        with ProgressBar(layer.batches_per_epoch, description="inference") as bar:
            for done, values in enumerate(graph.batches(session, with_logits=to_pickle), 1):
                transcripts.update(zip(values["indices"], values["transcripts"]))
                if to_pickle:
                    for index, row, length in zip(values["indices"], values["logits"], values["lengths"]):
                        logits[layer.utterances[index].wav_filename] = row[:length]
                bar.update(done)
                log_line("Processed %d/%d batches" % (done, layer.batches_per_epoch))
        layer.raise_if_too_many_rejected()
    if len(transcripts) + len(layer.run_time_rejections) != len(layer.utterances):
        raise DataError("%d of %d utterances were transcribed; the rest were lost on the way"
                        % (len(transcripts), len(layer.utterances)))
    rows = [(layer.utterances[index].wav_filename, transcripts[index]) for index in sorted(transcripts)]
    if to_pickle:
        frames = 1000  # long enough that rounding at the end does not matter
        encoder_frames = params["encoder"].output_frames(params["encoder_params"], frames)
        _write_logits(arguments.infer_output_file, logits, layer.vocabulary,
                      params["data_layer_params"]["window_stride"] * round(frames / encoder_frames))
    else:
        _write_transcripts(arguments.infer_output_file, rows)
    log_line("Wrote %d %s to %s" % (len(rows), "logit matrices" if to_pickle else "transcripts", arguments.infer_output_file))
    log_line("Finished inference")
    return rows


def _write_logits(path, logits, vocabulary, step_size):
    with replaced_file(path, "wb") as file:
        pickle.dump({"logits": logits, "vocab": dict(enumerate(vocabulary.characters)), "step_size": step_size}, file, protocol=2)


def _write_transcripts(path, rows):
    with replaced_file(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["wav_filename", "predicted_transcript"])
        writer.writerows(rows)


@contextlib.contextmanager
def _restored(base_model, params, mode, run_directory, arguments, device, group):
    """A session with the checkpoint's variables, the evaluation graph in it, and the checkpoint (None on other ranks)."""
    with data_being_read(group, lambda: open_session(device)):
        layer = build_data_layer(params, mode, device, group, run_directory.rejected_file if group.is_first else None)
    with tf.Graph().as_default():
        graph = EvaluationGraph(base_model, params, mode, layer, device, group)
        broadcast, initialize = group.broadcast(tf.global_variables()), tf.global_variables_initializer()
        with contextlib.closing(open_session(device, params["use_xla_jit"], arguments.debug_port)) as session:
            group.start(session)
            confirm_data(group, session)
            checkpoint = None
            if group.is_first:
                checkpoint = run_directory.require_checkpoint(params["restore_best_checkpoint"])
                # a data layer of one's own may have no characters
                require_vocabulary(checkpoint, getattr(layer.vocabulary, "characters", None))
                log_line(describe_restore(restore(session, checkpoint, tf.global_variables(),
                                                  averaged=params["evaluate_ema"])))
            else:
                session.run(initialize)
            device.check_steps(tf.get_default_graph(), graph.runs())
            device.check_session(session, tf.get_default_graph())
            session.run(broadcast)
            yield session, graph, checkpoint
            group.finish(session)
