"""``--mode=replay``: computes a kept batch of a non-finite step again and prints statistics of every layer."""
import contextlib
import json
import math
import os
import sys

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.restore import restore
from open_seq2seq.checkpoints.run_directory import RunDirectory
from open_seq2seq.errors import CheckpointError, DataError
from open_seq2seq.training.nonfinite.bad_batches import FOLDER, computing_config, load_bad_batch, newest_bad_batch
from open_seq2seq.training.nonfinite.layer_search import LARGEST_HALF, ExaminedNetwork, describe_first


def run_replay(experiment, arguments):
    """Computes a kept batch again with the weights of its step, and prints the result. No data are read.

    Args:
      experiment: an ``Experiment`` loaded for "replay".
      arguments: the command line's flags; batch, json and enable_logs are used.

    Raises:
      DataError: there is no such batch, or it is damaged.
      CheckpointError: the weights are missing, damaged, or of another network than that of the config.
    """
    tf.logging.set_verbosity(tf.logging.ERROR)
    params = experiment.params["train"]
    # stdout is for the result alone
    with contextlib.redirect_stdout(sys.stderr):
        bad = load_bad_batch(_chosen(arguments.batch, params, arguments.enable_logs))
        examination = replay(experiment.base_model, params, bad)
    differences = differences_from(bad, params)
    if arguments.json:
        print(json.dumps(dict(as_json(bad, examination), config_differences=differences)))
    else:
        print("\n".join(as_text(bad, examination)))
        for difference in differences:
            print("The config differs from that of the training: %s" % difference)


def differences_from(bad, params):
    """Clauses on the keys of the checked config ``params`` that differ from those of the training that kept a ``BadBatch``."""
    # a batch of an earlier version of this project has no config
    then, now = bad.facts.get("config") or {}, computing_config(params)
    return ["%s was %s and is %s" % (path, then.get(path, "not given"), now.get(path, "not given"))
            for path in sorted(set(then) | set(now)) if then and then.get(path) != now.get(path)]


def replay(base_model, params, bad):
    """The ``Examination`` of a ``BadBatch``.

    Args:
      base_model: the model class.
      params: the checked config of mode "train".
      bad: the ``BadBatch``.

    Raises:
      CheckpointError: see :func:`run_replay`.
    """
    missing = [path for path in (bad.weights + ".index", bad.weights + ".data-00000-of-00001") if not os.path.exists(path)]
    if missing:
        raise CheckpointError("the weights that %s was computed with are not next to it: %s is missing. A batch is kept together "
                              "with its weights; copy both, or choose another batch" % (bad.path, missing[0]))
    with ExaminedNetwork(base_model, params, bad.facts["vocabulary_size"], bad.batch) as network:
        with network.session.graph.as_default():
            # weights that are not finite may be the cause that is searched for
            restore(network.session, bad.weights, network.variables, finite=False)
        return network.examine(bad.batch, bad.facts["loss_scale"])


def _chosen(path, params, enable_logs):
    """The file to replay: the given one, the newest of the given folder, or the newest of the run."""
    if path is not None and not os.path.isdir(path):
        return path
    directory = RunDirectory(params["logdir"], enable_logs)
    folders = [path] if path is not None else [os.path.join(place, FOLDER) for place in (
        directory.checkpoints, os.path.join(directory.path, "logs"), directory.path)]
    for folder in folders:
        newest = newest_bad_batch(folder)
        if newest is not None:
            return newest
    raise DataError("there is no bad batch in %s. A training keeps one when the loss or gradient of a step is not finite, unless "
                    "bad_batches is 0. Name the file with --batch=FILE, or the run with --logdir=DIRECTORY" % folders[0])


def as_json(bad, examination):
    """A dict for JSON; numbers that are not finite, which JSON does not have, are "nan", "inf" and "-inf"."""
    def number(value):
        return value if math.isfinite(value) else str(value)

    def row(row):
        return {"name": row.name, "values": row.values._asdict(), "gradient": row.gradient and row.gradient._asdict()}

    facts = dict(bad.facts, loss=number(bad.facts["loss"]))
    utterances = [dict(utterance, loss=number(float(loss))) for utterance, loss
                  in zip(facts.pop("utterances"), examination.per_utterance)]
    return dict(facts, file=bad.path, utterances=utterances, loss_now=number(examination.loss),
                gradient_norm=number(examination.gradient_norm), first=examination.first and examination.first._asdict(),
                found=describe_first(examination.first), layers=[row(layer) for layer in examination.layers],
                variables=[row(variable) for variable in examination.variables])


def as_text(bad, examination):
    """Yields the lines to print."""
    facts = bad.facts
    rank = ", rank %d of %d" % (facts["rank"], facts["ranks"]) if facts["ranks"] > 1 else ""
    yield "Batch %d of step %d%s: %s" % (facts["batch"], facts["step"], rank, bad.path)
    yield "loss then %.6g on %s, now %.6g on the CPU; loss scale %g, gradient norm %.6g" % (
        facts["loss"], facts["device"], examination.loss, facts["loss_scale"], examination.gradient_norm)
    yield ""
    yield from _utterances(facts["utterances"], examination.per_utterance)
    yield ""
    yield from _layers(examination.layers)
    yield ""
    yield from _variables(examination.variables)
    yield ""
    found = describe_first(examination.first)
    yield found[0].upper() + found[1:] + "."
    if examination.first is None:
        yield from _reasons(facts)
    if facts["half_precision"]:
        yield from _beyond_half(examination.layers)


def _utterances(utterances, losses):
    width = max(len(utterance["id"]) for utterance in utterances)
    yield "%-*s  %9s  %10s  %11s" % (max(width, 9), "utterance", "seconds", "characters", "loss")
    for utterance, loss in zip(utterances, losses):
        if utterance["id"]:  # not a padding row
            yield "%-*s  %9.2f  %10d  %11.6g" % (max(width, 9), utterance["id"], utterance["duration"],
                                                 len(utterance["transcript"]), loss)


def _layers(layers):
    width = max(len(layer.name) for layer in layers)
    yield "%-*s  %44s   %s" % (width, "", "outputs" + " " * 37, "gradient by the outputs, times the loss scale")
    columns = "%-*s  %10s  %10s  %10s  %8s   %10s  %10s  %8s"
    yield columns % (width, "layer", "least", "largest", "mean |x|", "bad", "mean |x|", "most |x|", "bad")
    for layer in layers:
        values, gradient = layer.values, layer.gradient
        yield (columns % (
            (width, layer.name) + tuple("%.4g" % number for number in values[:3]) + (_share(values.non_finite),) + (
                ("", "", "") if gradient is None else (
                    "%.4g" % gradient.mean_magnitude, "%.4g" % max(0.0, -gradient.minimum, gradient.maximum),
                    _share(gradient.non_finite))))).rstrip()


def _share(number):
    return "0" if number == 0 else "all" if number == 1 else "%.3g %%" % (100 * number)


def _variables(variables):
    good = True
    for variable in variables:
        for what, statistics in (("", variable.values), ("the gradient by ", variable.gradient)):
            if statistics is not None and statistics.non_finite:
                good = False
                yield "%s%s: %s of it not finite" % (what, variable.name, _share(statistics.non_finite))
        if variable.name.endswith("moving_variance") and variable.values.minimum < 0:
            good = False
            yield "%s: down to %.4g; training uses the variance of the batch instead, an evaluation cannot" % (
                variable.name, variable.values.minimum)
    if good:
        yield "all %d variables and their gradients are finite" % len(variables)


def _reasons(facts):
    yield "The step was skipped nevertheless. What differs here:"
    if facts["device"] != "cpu":
        yield "- the device: %s then, the CPU now%s" % (
            facts["device"], ", and float32 instead of half precision" if facts["half_precision"] else "")
    if facts["ranks"] > 1:
        yield "- %d ranks: the cause may be the batch of another rank, whose file is named -rank-R" % facts["ranks"]
    yield "- the sum of several batches' gradients (iter_size), LARC's factors and the update are not computed here"
    yield "- random numbers of the graph itself, such as the dropout of an NPU"


def _beyond_half(layers):
    beyond = [layer.name for layer in layers if layer.values.beyond_half or (
        layer.gradient is not None and layer.gradient.beyond_half)]
    yield "The run computed in half precision, whose largest number is %g: %s" % (LARGEST_HALF, (
        "outputs or gradients are larger in " + ", ".join(beyond)) if beyond else "all numbers of all layers are within it")
