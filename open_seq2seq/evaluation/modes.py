"""``--mode=eval``: restores a checkpoint, runs through the data once, reports."""
import os

from open_seq2seq.data.speech2text.audio_profile import differences, read_profile
from open_seq2seq.errors import DataError, StorageError
from open_seq2seq.evaluation.analysis.summary import overall_lines
from open_seq2seq.evaluation.evaluation_files import FOLDER, figures_of, gathered_outputs, write_evaluation_files
from open_seq2seq.evaluation.record import directory_of_run, record_evaluation
from open_seq2seq.evaluation.report.overview import page_facts
from open_seq2seq.evaluation.report.report import EvaluationReport
from open_seq2seq.evaluation.restored import log_speed, restored
from open_seq2seq.evaluation.scoring import log_evaluation, run_evaluation
from open_seq2seq.log_lines import log_line
from open_seq2seq.models.task_params import config_of_task, evaluated_tasks, main_task


def evaluate(base_model, params, run_directory, arguments, device, group, title="Validation"):
    """Evaluates the newest (or best) checkpoint of the run directory and prints the speed, the loss and the error rates.

    The first rank writes all utterances and figures into ``report/`` next to the checkpoints, see ``evaluation_files``; those of
    a task other than the main one into a folder with its name in it. A config with tasks that is not reduced to one is evaluated
    on each of them that has data.

    Args:
      base_model: the model class.
      params: the checked config for mode "eval".
      run_directory: a ``RunDirectory``.
      arguments: the command line's flags.
      device: a ``Device``.
      group: a ``ProcessGroup``; its ranks share the data, and the first one reads the checkpoint.
      title: the beginning of the lines with the figures.

    Returns:
      EvaluationResult, of the main task if there are several; of a pre-training model a PretrainingResult, of a task without
      transcripts a TaskResult, without files.
    """
    if params.get("tasks") and params.get("selected_task") is None:
        return _evaluate_tasks(base_model, params, run_directory, arguments, device, group)
    if getattr(base_model, "is_pretraining", False) or params.get("tasks"):
        return _evaluate_without_transcripts(base_model, params, run_directory, arguments, device, group, title)
    with restored(base_model, params, "eval", run_directory, arguments, device, group, decodes=True) as (
            session, evaluation, checkpoint):
        if group.is_first:
            _compare_audio(checkpoint, evaluation.data_layer, params)
        _require_columns(arguments.group_by or (), evaluation.data_layer)
        page = EvaluationReport(params, evaluation.data_layer, arguments.report_recordings, int(1e6 * arguments.report_megabytes),
                                group.is_first, arguments.compare)
        log_line("Running evaluation:")
        result = run_evaluation(session, evaluation, verbose=True, collect=page.collect)
        gathered = gathered_outputs(group, session, result, evaluation.data_layer)
    log_speed(evaluation.data_layer, params, result.audio_seconds, result.seconds)
    log_evaluation(result, title)
    if group.is_first:
        record_evaluation(checkpoint, evaluation, result)
        _report(checkpoint, evaluation, result, arguments, page, *gathered)
    log_line("Finished evaluation")
    return result


def _evaluate_tasks(base_model, params, run_directory, arguments, device, group):
    """Evaluates the main task and the others that have data; returns the result of the main task."""
    results, main = {}, main_task(params)
    for name in [main] + evaluated_tasks(params):
        log_line("Task %s" % name)
        results[name] = evaluate(base_model, config_of_task(params, name), run_directory, arguments, device, group,
                                 "Validation" if name == main else "Task %s" % name)
    return results[main]


def _evaluate_without_transcripts(base_model, params, run_directory, arguments, device, group, title):
    with restored(base_model, params, "eval", run_directory, arguments, device, group) as (session, evaluation, _):
        log_line("Running evaluation:")
        result = run_evaluation(session, evaluation, verbose=True)
    log_speed(evaluation.data_layer, params, result.audio_seconds, result.seconds)
    log_evaluation(result, title)
    log_line("Finished evaluation")
    return result


def _report(checkpoint, evaluation, result, arguments, page, outputs, rejected):
    """Prints the figures of all ranks' utterances with intervals, and writes the files."""
    facts, summary, scores = figures_of(checkpoint, evaluation, outputs, rejected, arguments.group_by or ())
    for line in summary["kaldi"] + overall_lines(summary):
        log_line(line, offset=4)
    try:
        folder = os.path.join(directory_of_run(checkpoint), FOLDER)
        if evaluation.params.get("decoder_scope"):
            folder = os.path.join(folder, evaluation.params["selected_task"])
        write_evaluation_files(folder, facts, summary, scores)
        log_line("Results: %s" % folder)
        log_line("Report: %s" % page.write(folder, scores, summary, page_facts(checkpoint, evaluation, result, len(rejected))))
    except StorageError as error:
        # an evaluation of a read-only folder is still valid
        log_line("The report could not be written: %s" % error)


def _require_columns(names, layer):
    known = sorted({name for utterance in layer.utterances for name, _ in getattr(utterance, "columns", ())})
    unknown = [name for name in names if name not in known]
    if unknown:
        raise DataError("--group_by: the manifests have no column %s; besides wav_filename, wav_filesize and transcript they "
                        "have %s" % (", ".join(unknown), ", ".join(known) or "none"))


def _compare_audio(checkpoint, layer, params):
    """Prints how the audio differs from that of the training, if its profile was stored and the data layer has audio."""
    stored = read_profile(directory_of_run(checkpoint))
    own = layer.audio_profile() if stored is not None and hasattr(layer, "audio_profile") else None
    has_range = params["data_layer_params"].get("dynamic_range") is not None
    found = differences(stored, own, has_range) if own is not None else []
    if found:
        log_line("Note: the audio is unlike that of the training: %s (docs/robustness.md)" % "; ".join(found))
