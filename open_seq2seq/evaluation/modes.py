"""``--mode=eval``: restores a checkpoint, runs through the data once, reports."""
from open_seq2seq.data.speech2text.audio_profile import differences, read_profile
from open_seq2seq.evaluation.record import directory_of_run, record_evaluation
from open_seq2seq.evaluation.restored import log_speed, restored
from open_seq2seq.evaluation.scoring import log_evaluation, run_evaluation
from open_seq2seq.log_lines import log_line


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
    with restored(base_model, params, "eval", run_directory, arguments, device, group, decodes=True) as (
            session, evaluation, checkpoint):
        if group.is_first:
            _compare_audio(checkpoint, evaluation.data_layer, params)
        log_line("Running evaluation:")
        result = run_evaluation(session, evaluation, verbose=True)
    log_speed(evaluation.data_layer, params, result.audio_seconds, result.seconds)
    log_evaluation(result)
    if group.is_first:
        record_evaluation(checkpoint, evaluation, result)
    log_line("Finished evaluation")
    return result


def _compare_audio(checkpoint, layer, params):
    """Prints how the audio differs from that of the training, if its profile was stored and the data layer has audio."""
    stored = read_profile(directory_of_run(checkpoint))
    own = layer.audio_profile() if stored is not None and hasattr(layer, "audio_profile") else None
    has_range = params["data_layer_params"].get("dynamic_range") is not None
    found = differences(stored, own, has_range) if own is not None else []
    if found:
        log_line("Note: the audio is unlike that of the training: %s (docs/robustness.md)" % "; ".join(found))
