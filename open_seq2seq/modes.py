"""What each ``--mode`` does, from the checked config to the printed result."""
import contextlib
import os
import sys
import tempfile
import time

from open_seq2seq.config.command_line import parse_command_line
from open_seq2seq.config.loading import load_experiment
from open_seq2seq.config.saving import write_resolved_config
from open_seq2seq.errors import DeviceError, UsageError
from open_seq2seq.log_lines import log_line, logged_output


def run(words):
    """Runs the command line ``words`` (without the program's name).

    Raises:
      JasperError: with the exit status that belongs to it.
    """
    arguments, overrides = parse_command_line(words)
    experiment = load_experiment(arguments.config_file, arguments.mode, overrides)
    if arguments.mode == "describe":
        from open_seq2seq.models.description import print_description
        print_description(experiment, as_json=arguments.json)
        return
    _refuse_several_processes()
    with contextlib.ExitStack() as stack:
        if arguments.benchmark:
            # a benchmark leaves nothing behind
            logdir = stack.enter_context(tempfile.TemporaryDirectory(prefix="jasper-benchmark-"))
            experiment.params["train"]["logdir"] = logdir
        _run_in_directory(experiment, arguments, stack)


def _run_in_directory(experiment, arguments, stack):
    # imports TensorFlow: a mistake in the command line or the config is reported without waiting for it
    import tensorflow.compat.v1 as tf

    from open_seq2seq.evaluation.modes import evaluate, infer
    from open_seq2seq.training.loop import train
    from open_seq2seq.training.run_directory import RunDirectory
    # its advice is to rewrite for TensorFlow 2
    tf.logging.set_verbosity(tf.logging.ERROR)
    params = next(iter(experiment.params.values()))
    if params["logdir"] is None:
        raise UsageError('%s: base_params["logdir"] is missing; expected the directory of the run, in the config or as '
                         "--logdir=DIRECTORY" % experiment.path)
    directory = RunDirectory(params["logdir"], arguments.enable_logs)
    training = arguments.mode in ("train", "train_eval")
    checkpoint = None
    if training:
        checkpoint = directory.prepare_training(arguments.continue_learning, arguments.no_dir_check)
    else:
        directory.require_checkpoint(params["restore_best_checkpoint"])
    started = []
    if training and not arguments.benchmark:
        # entered before the logs are opened, so that it runs after they are closed
        stack.callback(lambda: started or directory.remove_unused())
    if arguments.enable_logs:
        stack.enter_context(logged_output(directory.dated("stdout"), directory.dated("stderr")))
    for note in experiment.notes:
        log_line("Note: " + note)
    begin = time.time()

    def on_start():
        started.append(True)
        write_resolved_config(directory.path, experiment, arguments, date=directory.date)

    if training:
        train(experiment.base_model, params, experiment.params.get("eval"), directory, arguments, checkpoint, on_start)
    else:
        (evaluate if arguments.mode == "eval" else infer)(experiment.base_model, params, directory, arguments)
    print("Done in %.0f s" % (time.time() - begin), file=sys.stderr)


def _refuse_several_processes():
    """Several processes that know nothing of each other would write into one log directory."""
    for variable in ("HOROVOD_SIZE", "OMPI_COMM_WORLD_SIZE", "RANK_SIZE"):
        value = os.environ.get(variable, "")
        if value.isdigit() and int(value) > 1:
            raise DeviceError("%s=%s: started as one of several processes, and data-parallel runs are not written yet. Start "
                              "one process, without horovodrun, mpirun or a rank table" % (variable, value))
