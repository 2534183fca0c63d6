"""``--mode=combine`` and scripts/average_checkpoints.py: combine the checkpoints of a run into one."""
import os

from open_seq2seq.checkpoints.run_directory import RunDirectory
from open_seq2seq.errors import ConfigError, UsageError
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.averaging.mean import require_output, weighted_mean, write_mean
from open_seq2seq.training.averaging.source_checkpoints import (
    best_checkpoints,
    checkpoint_directory,
    last_checkpoints,
    opened,
)

FOLDER = "combined"


def run_combine(experiment, arguments):
    """Combines checkpoints of the config's run and writes the result.

    Args:
      experiment: an ``Experiment`` loaded for "combine".
      arguments: the command line's flags.

    Returns:
      Path of the checkpoint that was written.

    Raises:
      JasperError: the checkpoints cannot be combined; the message says why.
    """
    import tensorflow.compat.v1 as tf

    from open_seq2seq.training.averaging.combination import Combination
    tf.logging.set_verbosity(tf.logging.ERROR)  # its advice is to rewrite for TensorFlow 2
    for note in experiment.notes:
        log_line("Note: " + note)
    params = experiment.params
    for mode, wanted in (("eval", True), ("train", arguments.bn_batches is not None)):
        if wanted and mode not in params:
            raise ConfigError("%s: %s_params is missing; --mode=combine %s" % (experiment.path, mode, {
                "eval": "scores checkpoints on evaluation data (scripts/average_checkpoints.py needs none)",
                "train": "needs training data for --bn_batches"}[mode]))
    device = _device(arguments.device)
    sources, output = chosen_sources(RunDirectory.of(params["eval"], arguments.enable_logs), arguments.last, arguments.best,
                                     arguments.checkpoints, arguments.output, params["eval"]["evaluate_ema"])
    combination = Combination(experiment.base_model, params["eval"], params.get("train"), sources, device)
    chosen, utterances = combination.run(arguments.combine_weights, arguments.combine_utterances, arguments.bn_batches)
    return _written(output, chosen.values, sources, chosen.weights, {
        "loss": chosen.score.loss, "word_error_rate": chosen.score.word_error_rate, "utterances": utterances,
        "batch_norm_batches": chosen.bn_batches})


def average_checkpoints(run_directory, last=None, best=None, checkpoints=None, output=None, averaged=True):
    """Writes the mean of checkpoints; needs no config and no data.

    Args:
      run_directory: a ``RunDirectory``, or None where ``checkpoints`` are given.
      last, best, checkpoints: number of the newest, number of the best, or a list of paths; exactly one of the three.
      output: the folder to write to; None: ``combined`` next to the checkpoints.
      averaged: whether to read the moving averages of weights instead of the weights, where a checkpoint has them.

    Returns:
      Path of the checkpoint that was written.

    Raises:
      UsageError: the arguments do not name checkpoints, or the output folder cannot be used.
      CheckpointError: a checkpoint is missing, damaged or of another network.
      StorageError: the result cannot be written.
    """
    sources, output = chosen_sources(run_directory, last, best, checkpoints, output, averaged)
    return _written(output, weighted_mean(sources), sources, [1.0 / len(sources)] * len(sources), {})


def chosen_sources(run_directory, last, best, checkpoints, output, averaged):
    """(list of ``SourceCheckpoint``, folder for the result); see :func:`average_checkpoints` for the arguments."""
    given = [name for name, value in (("--last", last), ("--best", best), ("--checkpoints", checkpoints)) if value is not None]
    if len(given) != 1:
        raise UsageError("%s; choose the checkpoints with one of --last=N, --best=N and --checkpoints=A,B,..." % (
            " and ".join(given) + " are given" if given else "no checkpoints are given"))
    if checkpoints is not None:
        paths = checkpoints
    elif last is not None:
        paths = last_checkpoints(checkpoint_directory(run_directory), last)
    else:
        paths = best_checkpoints(checkpoint_directory(run_directory), best)
    sources = opened(paths, averaged)
    output = output or os.path.join(os.path.dirname(sources[-1].path), FOLDER)
    require_output(output, sources)
    for source in sources:
        log_line("Checkpoint %s%s" % (source.path, ", moving averages of its weights" if source.num_averaged else ""))
    return sources, output


def _written(output, values, sources, weights, facts):
    checkpoint = write_mean(output, values, sources, dict(
        facts, checkpoints=[source.path for source in sources], weights=[float(weight) for weight in weights],
        moving_averages=any(source.num_averaged for source in sources)))
    log_line("Wrote %s, %d variables, %.1f MB, without the optimizer's state. Use it with --logdir=%s" % (
        checkpoint, len(values), sum(array.nbytes for array in values.values()) / 1e6, output))
    return checkpoint


def _device(name):
    """The device that computes the combination; not an NPU, which would compile a graph for every shape of its batches."""
    from open_seq2seq.devices import gpu_available, select_device
    if name == "npu":
        raise UsageError("--mode=combine computes on a CPU or GPU; remove --device=npu")
    return select_device("gpu" if name == "gpu" or name == "auto" and gpu_available() else "cpu")
