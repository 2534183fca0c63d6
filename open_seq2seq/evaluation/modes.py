"""``--mode=eval`` and ``--mode=infer``: restore a checkpoint, run through the data once, report."""
import contextlib
import csv
import pickle
import time

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.description import note_on_features, require_vocabulary
from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.checkpoints.restore import describe_restore, read_values
from open_seq2seq.data.speech2text.audio_profile import differences, read_profile
from open_seq2seq.devices.session import open_session, report_compiled_graphs
from open_seq2seq.distributed.data_of_ranks import confirm_data, data_being_read
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.evaluation_graph import build_evaluation
from open_seq2seq.evaluation.record import directory_of_run, record_evaluation
from open_seq2seq.evaluation.scoring import log_evaluation, run_evaluation
from open_seq2seq.experiment.assembly import build_data_layer
from open_seq2seq.files import replaced_file, require_writable
from open_seq2seq.log_lines import log_line
from open_seq2seq.progress import ProgressBar


def evaluate(base_model, params, run_directory, arguments, device, group):
    """Evaluates the newest (or best) checkpoint of the run directory and prints the speed, the loss, the WER and the CER.

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
    with restored(base_model, params, "eval", run_directory, arguments, device, group) as (session, evaluation, checkpoint):
        if group.is_first:
            _compare_audio(checkpoint, evaluation.data_layer, params)
        log_line("Running evaluation:")
        result = run_evaluation(session, evaluation, verbose=True)
    _log_speed(evaluation.data_layer, params, result.audio_seconds, result.seconds)
    log_evaluation(result)
    if group.is_first:
        record_evaluation(checkpoint, evaluation, result)
    log_line("Finished evaluation")
    return result


def _log_speed(layer, params, audio_seconds, seconds):
    """Prints the two lines on the speed of a pass over the data of all ranks; an object is a feature frame, as in training."""
    frames = audio_seconds / params["data_layer_params"]["window_stride"]
    log_line("Avg time per step: %.3fs" % (seconds / max(1, layer.batches_per_epoch)))
    log_line("Avg objects per second: %.3f" % (frames / seconds))


def _compare_audio(checkpoint, layer, params):
    """Prints how the audio differs from that of the training, if its profile was stored and the data layer has audio."""
    stored = read_profile(directory_of_run(checkpoint))
    own = layer.audio_profile() if stored is not None and hasattr(layer, "audio_profile") else None
    has_range = params["data_layer_params"].get("dynamic_range") is not None
    found = differences(stored, own, has_range) if own is not None else []
    if found:
        log_line("Note: the audio is unlike that of the training: %s (docs/robustness.md)" % "; ".join(found))


def infer(base_model, params, run_directory, arguments, device, group):
    """Transcribes the data set and writes ``wav_filename,predicted_transcript`` in the order of the manifest.

    With ``infer_logits_to_pickle`` the logits are written instead, in the format that OpenSeq2Seq's decode script reads: a
    pickled dict of "logits" {wav_filename: float32 [T', V + 1]}, "vocab" {label: character} and "step_size" (seconds between
    frames of the logits).

    Args: see :func:`evaluate`; ``arguments.infer_output_file`` is the file.

    Returns:
      List of (wav_filename, transcript).

    Raises:
      DataError: utterances were lost, or logits are to be written and two recordings have the same ``wav_filename``.
      StorageError: the file cannot be written.
    """
    require_writable(arguments.infer_output_file)
    to_pickle = params["decoder_params"]["infer_logits_to_pickle"]
    transcripts, logits, audio_seconds = {}, {}, 0.0
    with restored(base_model, params, "infer", run_directory, arguments, device, group) as (session, evaluation, _):
        layer = evaluation.data_layer
        if to_pickle:
            _require_distinct_names(layer.utterances)
        begin = time.monotonic()
        with ProgressBar(layer.batches_per_epoch, description="inference") as bar:
            for done, values in enumerate(evaluation.batches(session, with_logits=to_pickle), 1):
                transcripts.update(zip(values["indices"], values["transcripts"]))
                audio_seconds += sum(layer.utterances[index].duration for index in values["indices"])
                if to_pickle:
                    for index, row, length in zip(values["indices"], values["logits"], values["lengths"]):
                        logits[layer.utterances[index].wav_filename] = row[:length]
                bar.update(done)
                log_line("Processed %d/%d batches" % (done, layer.batches_per_epoch))
        seconds = time.monotonic() - begin
        layer.raise_if_too_many_rejected()
    if len(transcripts) + len(layer.run_time_rejections) != len(layer.utterances):
        raise DataError("only %d of %d utterances were transcribed, and %d could not be read; the data layer lost the others. "
                        "Please report this as a bug" % (len(transcripts), len(layer.utterances), len(layer.run_time_rejections)))
    _log_speed(layer, params, audio_seconds, seconds)
    rows = [(layer.utterances[index].wav_filename, transcripts[index]) for index in sorted(transcripts)]
    if to_pickle:
        frames = 1000  # many, to make rounding at the end negligible
        encoder_frames = params["encoder"].output_frames(params["encoder_params"], frames)
        _write_logits(arguments.infer_output_file, logits, layer.vocabulary,
                      params["data_layer_params"]["window_stride"] * round(frames / encoder_frames))
    else:
        _write_transcripts(arguments.infer_output_file, rows)
    log_line("Wrote %s to %s" % ("%d logit matrices" % len(logits) if to_pickle else "%d transcripts" % len(rows),
                                 arguments.infer_output_file))
    log_line("Finished inference")
    return rows


def _require_distinct_names(utterances):
    first = {}
    for utterance in utterances:
        other = first.setdefault(utterance.wav_filename, utterance)
        if other.audio_path != utterance.audio_path:
            raise DataError("infer_logits_to_pickle: %s and %s have the same wav_filename, %s, which is the key of their logits "
                            "in the file. Write the logits of one manifest at a time: "
                            "--infer_params/data_layer_params/dataset_files" % (
                                other.audio_path, utterance.audio_path, utterance.wav_filename))


def _write_logits(path, logits, vocabulary, step_size):
    with replaced_file(path, "wb") as file:
        pickle.dump({"logits": logits, "vocab": dict(enumerate(vocabulary.characters)), "step_size": step_size}, file, protocol=2)


def _write_transcripts(path, rows):
    with replaced_file(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["wav_filename", "predicted_transcript"])
        writer.writerows(rows)


@contextlib.contextmanager
def restored(base_model, params, mode, run_directory, arguments, device, group):
    """Context of a session with the checkpoint's variables, the ``Evaluation``, and the checkpoint (None on other ranks)."""
    with data_being_read(group, lambda: open_session(device)):
        layer = build_data_layer(params, mode, device, group, run_directory.rejected_file if group.is_first else None)
    with tf.Graph().as_default():
        evaluation = build_evaluation(base_model, params, mode, layer, device, group)
        broadcast, initialize = group.broadcast(tf.global_variables()), tf.global_variables_initializer()
        with contextlib.closing(open_session(device, params["use_xla_jit"], arguments.debug_port)) as session:
            group.start(session)
            confirm_data(group, session)
            checkpoint = None
            if group.is_first:
                checkpoint, (report, values) = run_directory.read_checkpoint(
                    lambda path: (path, _read(path, layer.vocabulary, params)), params["restore_best_checkpoint"])
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


def _read(checkpoint, vocabulary, params):
    # a custom data layer may have no characters
    require_vocabulary(checkpoint, getattr(vocabulary, "characters", None))
    return read_values(checkpoint, tf.global_variables(), averaged=params["evaluate_ema"])
