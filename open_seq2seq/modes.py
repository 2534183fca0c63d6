"""What each ``--mode`` does, from the checked config to the printed result."""
import contextlib
import os
import sys
import tempfile
import time

from open_seq2seq.cli import RESUME_ADVICE, exit_status_of
from open_seq2seq.errors import JasperError, UsageError
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.experiment.saving import resolved_config, write_resolved_config
from open_seq2seq.log_lines import log_line, logged_output, report_only_troubles
from open_seq2seq.signals import TrainingSignals, raise_if_stopped_by_signal, resume_command

TRAINING = ("train", "train_eval")


def main(words):
    """Runs the command line and returns its exit status."""
    return exit_status_of(run, words, RESUME_ADVICE)


def command():
    """The command ``jasper-train``, run.py for an installed package."""
    sys.exit(main(sys.argv[1:]))


def run(words):
    """Runs the command line ``words`` (without the program's name).

    Raises:
      JasperError: with the exit status that belongs to it.
    """
    arguments, overrides = parse_command_line(words)
    if arguments.mode not in TRAINING:
        _run_mode(arguments, overrides)
        return
    # before TensorFlow is imported, which takes seconds
    with TrainingSignals(resume_command(sys.argv[:1] + list(words))) as signals:
        _run_mode(arguments, overrides, signals)


def _run_mode(arguments, overrides, signals=None):
    if arguments.mode == "report":
        from open_seq2seq.training.report.mode import run_report
        run_report(arguments.config_file, overrides)
        return
    experiment = load_experiment(arguments.config_file, arguments.mode, overrides,
                                 exports=arguments.export_dir is not None and not arguments.benchmark)
    if arguments.mode == "describe":
        from open_seq2seq.experiment.description import print_description
        print_description(experiment, as_json=arguments.json)
        return
    if arguments.mode == "npu_check":
        from open_seq2seq.npu_check.report import run_check
        run_check(experiment, arguments)
        return
    if arguments.mode == "export":
        from open_seq2seq.export.mode import run_export
        run_export(experiment, arguments)
        return
    if arguments.mode == "combine":
        from open_seq2seq.training.averaging.mode import run_combine
        run_combine(experiment, arguments)
        return
    if arguments.mode == "replay":
        from open_seq2seq.training.nonfinite.replay import run_replay
        run_replay(experiment, arguments)
        return
    if "export" in experiment.params:
        from open_seq2seq.export.after_training import check_before_training
        check_before_training(experiment, arguments)
    with contextlib.ExitStack() as stack:
        if arguments.benchmark:
            # a benchmark leaves nothing behind
            logdir = stack.enter_context(tempfile.TemporaryDirectory(prefix="jasper-benchmark-"))
            experiment.params["train"]["logdir"] = logdir
        _run_on_device(experiment, arguments, stack, signals)


def _run_on_device(experiment, arguments, stack, signals):
    # imports TensorFlow: a mistake in the command line or the config is reported without waiting for it
    import tensorflow.compat.v1 as tf

    from open_seq2seq.devices import resolve_device_name, select_device
    from open_seq2seq.distributed import open_group
    # its advice is to rewrite for TensorFlow 2
    tf.logging.set_verbosity(tf.logging.ERROR)
    params = next(iter(experiment.params.values()))
    if params["logdir"] is None and not any(params[key] for key in ("checkpoint_dir", "save_checkpoint_dir")):
        raise UsageError('%s: base_params["logdir"] is missing; expected the directory of the run, in the config or as '
                         "--logdir=DIRECTORY" % experiment.path)
    device_name = resolve_device_name(arguments.device)
    group = open_group(device_name)
    with _named_by_rank(group):
        if group.size > 1 and arguments.mode == "infer":
            raise UsageError("--mode=infer writes one file and is one process; started as one of %d. Start it without the "
                             "launcher" % group.size)
        device = select_device(device_name, arguments.mode in TRAINING, params, group)
        _run_in_directory(experiment, params, arguments, device, group, stack, signals)


def _run_in_directory(experiment, params, arguments, device, group, stack, signals):
    from open_seq2seq.checkpoints.description import require_trained_width
    from open_seq2seq.checkpoints.run_directory import RunDirectory
    from open_seq2seq.evaluation.modes import evaluate, infer
    from open_seq2seq.training.loop import train
    directory = RunDirectory.of(params, arguments.enable_logs)
    training = arguments.mode in TRAINING
    checkpoint, started = None, []
    # one rank writes, and reads what all of them go on from
    if not group.is_first:
        log_line("Rank %d of %d, device %s, process %d" % (group.rank, group.size, device.name, os.getpid()))
        report_only_troubles()
    elif training:
        if "export" in experiment.params:
            from open_seq2seq.export.after_training import check_folder
            check_folder(arguments.export_dir)
        checkpoint = directory.prepare_training(arguments.continue_learning, arguments.no_dir_check)
        if not arguments.benchmark:
            # entered before the logs are opened, so that it runs after they are closed
            stack.callback(lambda: started or directory.remove_unused())
    else:
        checkpoint = directory.require_checkpoint(params["restore_best_checkpoint"])
    if checkpoint is not None:
        require_trained_width(params, checkpoint)
    if arguments.enable_logs and group.is_first:
        stack.enter_context(logged_output(directory.dated("stdout"), directory.dated("stderr")))
    for line in ["Note: " + note for note in experiment.notes] + list(_about(params, device, group)):
        log_line(line)
    begin = time.time()

    def on_start():
        started.append(True)
        if group.is_first:
            write_resolved_config(directory.path, experiment, arguments, date=directory.date)

    if training:
        result = train(
            experiment.base_model, params, experiment.params.get("eval"), directory, arguments, device, group, checkpoint,
            on_start, resolved_config(experiment, arguments, date=directory.date) if group.is_first else None, signals.asking,
            test_params=None if arguments.benchmark else experiment.params.get("test"))
        raise_if_stopped_by_signal(result.stop, result.step, signals.resume if group.is_first and not arguments.benchmark else "")
        if "export" in experiment.params and group.is_first:
            from open_seq2seq.export.after_training import export_best
            export_best(experiment, arguments, directory)
    else:
        (evaluate if arguments.mode == "eval" else infer)(experiment.base_model, params, directory, arguments, device, group)
    print("Done in %.0f s" % (time.time() - begin), file=sys.stderr)


def _about(params, device, group):
    """Lines for the log on where the run computes and with whom."""
    note = device.precision_note(params["dtype"])
    if note:
        yield note
    yield from device.describe()
    if group.size > 1:
        yield "%d processes, joined by %s; the global batch is %d utterances" % (
            group.size, group.name, group.size * params["batch_size_per_gpu"] * params["iter_size"])
    elif params["use_horovod"]:
        yield "use_horovod is True, and this is one process; scripts/run_8p.sh starts several"


@contextlib.contextmanager
def _named_by_rank(group):
    """Errors say which of several ranks they come from; one that came of another rank's end says so."""
    from open_seq2seq.distributed.errors import translate_errors
    try:
        with translate_errors(group):
            yield
    except JasperError as error:
        if group.size == 1:
            raise
        raise type(error)("rank %d of %d: %s" % (group.rank, group.size, error))
