"""What each ``--mode`` does, from the command line to the printed result."""
import contextlib
import os
import shlex
import sys
import tempfile
import time

from open_seq2seq.cli import RESUME_ADVICE, exit_status_of
from open_seq2seq.errors import UsageError
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.log_lines import log_line, logged_output, report_only_problems, set_log_format
from open_seq2seq.signals import TrainingSignals, raise_if_stopped_by_signal, resume_command

# The functions import what they need themselves: a mistake in the command line is reported without waiting for TensorFlow.


def main(arguments):
    """Runs the command line (a list of str without the program's name) and returns its exit status."""
    return exit_status_of(run, arguments)


def command():
    """The command ``jasper-train``, run.py for an installed package."""
    sys.exit(main(sys.argv[1:]))


def run(command_line):
    """Runs a command line, a list of str without the program's name.

    Returns:
      The exit status.

    Raises:
      JasperError: a mistake that a user can fix.
    """
    arguments, overrides = parse_command_line(command_line)
    set_log_format(arguments.log_format)
    if arguments.mode in ("train", "train_eval"):
        return exit_status_of(lambda _: _train(arguments, overrides, command_line), command_line, RESUME_ADVICE)
    if arguments.mode == "report":
        from open_seq2seq.training.report.mode import run_report
        run_report(arguments.config_file, overrides)
        return 0
    experiment = None
    if arguments.config_file is not None and arguments.mode not in ("kmeans", "labels"):
        experiment = load_experiment(arguments.config_file, arguments.mode, overrides, task=arguments.task)
    if experiment is not None and getattr(experiment.base_model, "is_pretraining", False) and (
            arguments.mode in _MODES_OF_TRANSCRIPTS):
        raise UsageError("--mode=%s needs a model that transcribes, and %s is a pre-training. Fine-tune it first: a config with "
                         "base_model Speech2Text and --load_model=LOGDIR of the pre-training (docs/pretraining.md)" % (
                             arguments.mode, arguments.config_file))
    if arguments.mode in ("export", "align", "tune_lm", "robustness") and _params(experiment).get("tasks"):
        raise UsageError("--task=%s has no transcripts, which --mode=%s needs; --mode=eval and --mode=infer use such a task" % (
            arguments.task, arguments.mode))
    if arguments.mode == "search":
        _search(experiment, arguments, overrides, command_line)
    else:
        _OTHER_MODES[arguments.mode](experiment, arguments)
    return 0


def _train(arguments, overrides, command_line):
    """``--mode=train`` and ``--mode=train_eval``."""
    with contextlib.ExitStack() as stack:
        # before TensorFlow is imported, which takes seconds
        signals = stack.enter_context(TrainingSignals(resume_command(sys.argv[:1] + list(command_line))))
        exports = arguments.export_dir is not None and not arguments.benchmark
        experiment = load_experiment(arguments.config_file, arguments.mode, overrides, exports)
        from open_seq2seq.export.after_training import check_before_training, check_folder, export_best
        from open_seq2seq.export.teacher import with_teacher
        from open_seq2seq.training.tracking.opening import require_trackers
        if exports:
            check_before_training(experiment, arguments)
        if arguments.benchmark:
            # a benchmark leaves nothing behind
            experiment.params["train"]["logdir"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="jasper-benchmark-"))
        directory, checkpoint = _run_directory(experiment, arguments), None
        _plan_workers(stack, experiment, arguments, command_line)
        device, group = stack.enter_context(_device_and_group(experiment, arguments))
        # one rank owns the directories, reads what all of them resume from, and writes
        if group.is_first:
            if exports:
                check_folder(arguments.export_dir)
            if not arguments.benchmark:
                require_trackers(experiment.params["train"])
                stack.enter_context(directory.owned())
            checkpoint = directory.prepare_training(arguments.continue_learning, arguments.no_dir_check)
            _require_trained_width(experiment, checkpoint)
        _start_log(stack, experiment, arguments, directory, device, group, RESUME_ADVICE)
        began = time.time()
        experiment = with_teacher(experiment)
        from open_seq2seq.training.loop import train
        result = train(experiment, directory, arguments, device, group, checkpoint, signals)
        raise_if_stopped_by_signal(result.stop, result.step, signals.resume if group.is_first and not arguments.benchmark else "")
        if exports and group.is_first:
            export_best(experiment, arguments, directory)
        _print_time(began)


def _plan_workers(stack, experiment, arguments, command_line):
    """Divides the cores between the processes that do jobs of a parallel training, until ``stack`` is closed."""
    if _params(experiment).get("parallel_training") is None:
        return
    from open_seq2seq.devices import resolve_device_name
    from open_seq2seq.training.parallel.processes import WorkerProcesses, local_processes, shared_cores, worker_arguments
    count = local_processes(_params(experiment), resolve_device_name(arguments.device))
    shares = stack.enter_context(shared_cores(count))
    WorkerProcesses.planned = (worker_arguments(command_line), shares[1:])
    stack.callback(setattr, WorkerProcesses, "planned", None)


def _train_worker(experiment, arguments):
    """``--mode=train_worker``."""
    from open_seq2seq.signals import follow_parent
    from open_seq2seq.training.parallel.processes import PARENT
    if PARENT in os.environ:
        follow_parent(int(os.environ[PARENT]))
    from open_seq2seq.export.teacher import with_teacher
    from open_seq2seq.training.parallel.worker import work
    directory = _run_directory(experiment, arguments)
    with contextlib.ExitStack() as stack:
        device, group = stack.enter_context(_device_and_group(experiment, arguments))
        if group.size > 1:
            raise UsageError("--mode=train_worker is one process; it was started as one of %d. Start it without the launcher"
                             % group.size)
        _start_log(stack, experiment, arguments._replace(enable_logs=False), directory, device, group)
        work(with_teacher(experiment), directory, device)


def _evaluate(experiment, arguments):
    """``--mode=eval``."""
    from open_seq2seq.evaluation.modes import evaluate
    _run_through_data(experiment, arguments, evaluate)


def _infer(experiment, arguments):
    """``--mode=infer``."""
    from open_seq2seq.evaluation.inference import infer
    _run_through_data(experiment, arguments, infer)


def _align(experiment, arguments):
    """``--mode=align``."""
    from open_seq2seq.evaluation.alignment_mode import align_data
    _run_through_data(experiment, arguments, align_data)


def _run_through_data(experiment, arguments, evaluate_or_infer):
    """Calls a function of :mod:`open_seq2seq.evaluation` and returns its result."""
    directory, params = _run_directory(experiment, arguments), _params(experiment)
    with contextlib.ExitStack() as stack:
        device, group = stack.enter_context(_device_and_group(experiment, arguments))
        if group.size > 1 and arguments.mode in ("infer", "align"):
            raise UsageError("--mode=%s writes its files in one process; it was started as one of %d. Start it without the "
                             "launcher" % (arguments.mode, group.size))
        if group.is_first:
            # before the data are read, which may take minutes
            directory.read_checkpoint(lambda checkpoint: _require_trained_width(experiment, checkpoint),
                                      params["restore_best_checkpoint"])
        _start_log(stack, experiment, arguments, directory, device, group)
        began = time.time()
        result = evaluate_or_infer(experiment.base_model, params, directory, arguments, device, group)
        _print_time(began)
    return result


def _robustness(experiment, arguments):
    """``--mode=robustness``."""
    from open_seq2seq.evaluation.robustness import measure_robustness
    from open_seq2seq.training.report.mode import redraw_report
    path, _ = _run_through_data(experiment, arguments, measure_robustness)
    if path is not None:
        redraw_report(os.path.dirname(path))


def _tune_lm(experiment, arguments):
    """``--mode=tune_lm``."""
    from open_seq2seq.tuning.mode import tune_language_model
    _run_through_data(experiment, arguments, tune_language_model)


def _search(experiment, arguments, overrides, command_line):
    """``--mode=search``."""
    from open_seq2seq.devices import resolve_device_name
    from open_seq2seq.tuning.hyperparameters.mode import search
    began = time.time()
    for note in experiment.notes:
        log_line("Note: " + note)
    command = " ".join(["python"] + [shlex.quote(word) for word in sys.argv[:1] + list(command_line)])
    search(experiment, arguments, overrides, resolve_device_name(arguments.device), command)
    _print_time(began)


def _validate_data(experiment, arguments):
    """``--mode=validate_data``."""
    from open_seq2seq.experiment.data_validation import validate_data
    validate_data(experiment, arguments.output, not arguments.headers)


def _build_cache(experiment, arguments):
    """``--mode=build_cache``."""
    from open_seq2seq.experiment.cache_building import build_caches
    build_caches(experiment)


def _describe(experiment, arguments):
    from open_seq2seq.experiment.description import print_description
    print_description(experiment, as_json=arguments.json)


def _npu_check(experiment, arguments):
    from open_seq2seq.export.teacher import with_teacher
    from open_seq2seq.npu_check.report import run_check
    run_check(with_teacher(experiment) if "train" in experiment.params else experiment, arguments)


def _export(experiment, arguments):
    from open_seq2seq.export.mode import run_export
    run_export(experiment, arguments)


def _combine(experiment, arguments):
    from open_seq2seq.training.averaging.mode import run_combine
    run_combine(experiment, arguments)


def _replay(experiment, arguments):
    from open_seq2seq.export.teacher import with_teacher
    from open_seq2seq.training.nonfinite.replay import run_replay
    run_replay(with_teacher(experiment), arguments)


def _features(experiment, arguments):
    """``--mode=features``."""
    from open_seq2seq.pretraining.features import dump_mfcc, manifests_of_modes
    manifests = arguments.manifest or manifests_of_modes(experiment.params)
    if arguments.layer is None:
        rate = arguments.sample_rate or (_params(experiment)["data_layer_params"]["sample_freq"] if experiment else None)
        dump_mfcc(manifests, rate, arguments)
        return
    from open_seq2seq.pretraining.layer_outputs import dump_layer
    directory = _run_directory(experiment, arguments)
    with contextlib.ExitStack() as stack:
        device, group = stack.enter_context(_device_and_group(experiment, arguments))
        _start_log(stack, experiment, arguments, directory, device, group)
        dump_layer(_params(experiment), manifests, directory, arguments, device, group)


def _kmeans(experiment, arguments):
    """``--mode=kmeans``, which needs no config."""
    from open_seq2seq.pretraining.kmeans import learn_clusters
    learn_clusters(arguments)


def _labels(experiment, arguments):
    """``--mode=labels``, which needs no config."""
    from open_seq2seq.pretraining.labels import write_labels
    write_labels(arguments)


def _label_quality(experiment, arguments):
    """``--mode=label_quality``."""
    from open_seq2seq.pretraining.features import manifests_of_modes
    from open_seq2seq.pretraining.label_quality import (
        labels_to_measure,
        measure_label_quality,
        read_segments,
        transcript_segments,
    )
    manifest, path = labels_to_measure(arguments.manifest or manifests_of_modes(experiment.params), arguments)
    segments_of = transcript_segments
    if arguments.reference != "transcript" or arguments.alignment is not None:
        times = read_segments(arguments.alignment or _aligned_times(experiment, arguments, manifest))
        segments_of = lambda row: times.get(row.wav_filename)  # noqa: E731
    measure_label_quality(manifest, path, arguments, segments_of, arguments.reference)


def _aligned_times(experiment, arguments, manifest):
    """Aligns the transcripts of a manifest; returns the file of the times of characters or words."""
    from open_seq2seq.evaluation.alignment_mode import FOLDER, align_data
    folder = os.path.join(arguments.labels or os.path.dirname(manifest), FOLDER)
    _params(experiment)["data_layer_params"]["dataset_files"] = [manifest]
    _run_through_data(experiment, arguments._replace(output=folder, format=("csv",)), align_data)
    return os.path.join(folder, arguments.reference + ".csv")


def _input_transform(experiment, arguments):
    """``--mode=input_transform``."""
    from open_seq2seq.pretraining.features import manifests_of_modes
    from open_seq2seq.pretraining.input_transform import estimate_input_transform
    manifests = arguments.manifest or manifests_of_modes({"train": _params(experiment)})
    estimate_input_transform(_params(experiment), manifests, arguments)


_MODES_OF_TRANSCRIPTS = ("infer", "export", "combine", "robustness", "align", "tune_lm", "validate_data")
_OTHER_MODES = {"eval": _evaluate, "infer": _infer, "describe": _describe, "npu_check": _npu_check, "export": _export,
                "combine": _combine, "replay": _replay, "robustness": _robustness, "align": _align,
                "tune_lm": _tune_lm, "validate_data": _validate_data, "build_cache": _build_cache, "features": _features,
                "kmeans": _kmeans, "labels": _labels, "label_quality": _label_quality, "input_transform": _input_transform,
                "train_worker": _train_worker}


def _params(experiment):
    """The params of the mode: of "train" in training, with or without evaluations."""
    return next(iter(experiment.params.values()))


def _run_directory(experiment, arguments):
    from open_seq2seq.checkpoints.run_directory import RunDirectory
    params = _params(experiment)
    if params["logdir"] is None and not any(params[key] for key in ("checkpoint_dir", "save_checkpoint_dir")):
        raise UsageError('%s: base_params["logdir"] is missing; expected the directory of the run, in the config or as '
                         "--logdir=DIRECTORY" % experiment.path)
    return RunDirectory.of(params, arguments.enable_logs)


def _require_trained_width(experiment, checkpoint):
    from open_seq2seq.checkpoints.description import require_trained_width
    if checkpoint is not None:
        require_trained_width(_params(experiment), checkpoint)


@contextlib.contextmanager
def _device_and_group(experiment, arguments):
    """Context of the ``Device`` that the command computes on and the ``ProcessGroup`` it belongs to."""
    import tensorflow.compat.v1 as tf

    from open_seq2seq.devices import resolve_device_name, select_device
    from open_seq2seq.distributed import open_group
    from open_seq2seq.distributed.lost_peers import errors_name_rank
    # its advice is to rewrite for TensorFlow 2
    tf.logging.set_verbosity(tf.logging.ERROR)
    device_name = resolve_device_name(arguments.device)
    group = open_group(device_name)
    with errors_name_rank(group):
        yield select_device(device_name, "train" in experiment.params, _params(experiment), group), group


def _start_log(stack, experiment, arguments, directory, device, group, advice=""):
    """Prints the first lines; with ``--enable_logs`` the output is copied to files until ``stack`` is closed."""
    params = _params(experiment)
    if not group.is_first:
        log_line("Rank %d of %d, device %s, process %d" % (group.rank, group.size, device.name, os.getpid()))
        report_only_problems()
    elif arguments.enable_logs:
        stack.enter_context(logged_output(directory.dated("stdout"), directory.dated("stderr"), advice))
    notes = ["Note: " + note for note in experiment.notes]
    note = device.precision_note(params["dtype"])
    for line in notes + [note] * bool(note) + list(device.describe()):
        log_line(line)
    if group.size > 1:
        log_line("%d processes, joined by %s; the global batch is %s%d utterances" % (
            group.size, group.name, "at most " if params["data_layer_params"].get("batch_frames") else "",
            group.size * params["batch_size_per_gpu"] * params["iter_size"]))
    elif params["use_horovod"]:
        log_line("use_horovod is True, but this is one process; scripts/run_8p.sh starts several")


def _print_time(began):
    print("Done in %.0f s" % (time.time() - began), file=sys.stderr)
