"""``--mode=npu_check``: checks without an NPU and without its adapter whether an experiment would run on an Ascend NPU.

The graphs of training and evaluation are built as for a run on an NPU and analyzed; they are not run.
"""
import collections
import contextlib
import gc
import os
import time

import tensorflow.compat.v1 as tf

from open_seq2seq.devices.npu import Npu
from open_seq2seq.devices.npu_loss_scaling import STATUS_OPERATORS, choose_loss_scaling
from open_seq2seq.devices.npu_option_checks import computes_in_float16, with_defaults
from open_seq2seq.devices.npu_session_check import check_fetches
from open_seq2seq.distributed.group import Single
from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.all_tasks import classes_of
from open_seq2seq.evaluation.evaluation_graph import INFERENCE_FETCHES, build_evaluation
from open_seq2seq.experiment.assembly import build_data_layer
from open_seq2seq.graph_analysis.graph_check import ERROR, NOTE, WARNING, Finding, check_graph
from open_seq2seq.graph_analysis.graph_partition import HOST_ATTRIBUTE
from open_seq2seq.graph_analysis.memory_limits import check_memory
from open_seq2seq.graph_analysis.npu_operators import load_operator_list
from open_seq2seq.models.task_params import config_of_task, evaluated_tasks, main_task
from open_seq2seq.npu_check.compilations import DIAGNOSTICS, RunGraph, predicted_compilations
from open_seq2seq.npu_check.copied_updates import CopyingOptimization
from open_seq2seq.npu_check.shapes_only import ShapesOnlyDataLayer, ShapesOnlyPretrainingLayer
from open_seq2seq.training.diagnostics.diagnostics import diagnosed_utterances
from open_seq2seq.training.final_test import has_operations_for

# each shape is compiled for minutes and kept in the device's memory
MOST_SHAPES = 4

CheckResult = collections.namedtuple(
    "CheckResult", "operator_list data_source graphs findings shapes compilations padding_share seconds memory_bytes")
CheckResult.__doc__ = """The result of :func:`check_experiment`.

operator_list: the OperatorList. data_source: a phrase on the source of the shapes. graphs: list of GraphReport.
findings: list of (Finding, names of the graphs that have it), errors first.
shapes: dict from "train" and "eval" to the number of compiled shapes.
compilations: what ``predicted_compilations`` returns. padding_share: share of padding in all frames of the training, None without
data. seconds: duration of the check. memory_bytes: memory of the device.
"""


class AbsentNpu(Npu):
    """An NPU for building graphs only; neither an NPU nor its adapter has to be present.

    Args:
      params: the checked config.
    """

    # the operator that clears overflows exists only with the adapter
    keeps_overflows = False

    def __init__(self, params):
        # does not call Npu.__init__, which requires an NPU
        self._params = params["npu_params"]

    def wrap_optimizer(self, optimizer, params, group):
        # the adapter's operators for loss scaling exist only with the adapter
        return None

    def host_scope(self):
        if not self._params["ctc_on_host"]:
            return super().host_scope()
        # the attribute that the adapter's without_npu_compile_scope sets
        return tf.get_default_graph()._attr_scope({HOST_ATTRIBUTE: tf.AttrValue(b=True)})


def check_experiment(base_model, params_of_mode, memory_bytes, environ=None):
    """Builds and checks all graphs of an experiment.

    Args:
      base_model: the model class.
      params_of_mode: dict from "train" and "eval", or one of them, to checked params; with "test" to test the model after
        training.
      memory_bytes: memory of the device, bytes.
      environ: environment variables for finding the installed operator list; None: this process's environment.

    Returns:
      A :class:`CheckResult`.

    Raises:
      DataError: manifests are missing, and no bucket lengths are given instead.
      DeviceError: the installed operator list is damaged.
    """
    with control_flow_of_adapter():
        return _check(base_model, params_of_mode, memory_bytes, load_operator_list(environ))


@contextlib.contextmanager
def control_flow_of_adapter():
    """Context that builds loops and conditions as on an NPU: ``npu_device`` switches TensorFlow 2 to those of version 1."""
    is_version_2 = tf.control_flow_v2_enabled()
    tf.disable_control_flow_v2()
    try:
        yield
    finally:
        if is_version_2:
            tf.enable_control_flow_v2()


def _check(base_model, params_of_mode, memory_bytes, operator_list):
    begin = time.monotonic()
    params_of_mode, data_source = _with_shapes(params_of_mode)
    npu_params = next(iter(params_of_mode.values()))["npu_params"]
    rows_of_mode, shapes, padding_share, evaluation = collections.OrderedDict(), collections.OrderedDict(), None, None
    trained = None
    for mode, task, params in _of_tasks(params_of_mode):
        with _without_garbage_collection(), tf.Graph().as_default() as graph:
            if mode == "train":
                runs, layer = _training_runs(base_model, params)
                trained = layer
            else:
                params = config_of_task(params, task, classes=trained and task and classes_of(trained, task))
                layer = build_data_layer(params, "eval", AbsentNpu(params), Single())
                if mode == "test" and has_operations_for(evaluation, params, layer):
                    rows_of_mode[mode] = rows_of_mode["eval"]
                    continue
                built = _built_evaluation(base_model, params, layer)
                if task is not None:
                    mode = "%s of task %s" % (mode, task)
                runs = [("%s, %s frames" % (mode, bucket.frames), list(fetches.values()))
                        for bucket, fetches in zip(layer.buckets, built.graph.fetches_of_buckets)]
                if mode == "eval":
                    evaluation = built
                    if _compiles_parts(npu_params) and not getattr(base_model, "is_pretraining", False):
                        # without the loss there are fewer parts
                        rows_of_mode["infer"] = [_checked(graph, "infer", [fetches[name] for name in INFERENCE_FETCHES],
                                                          operator_list, npu_params)
                                                 for fetches in built.graph.fetches_of_buckets]
            rows = [_checked(graph, name, fetches, operator_list, npu_params) for name, fetches in runs]
        shapes[mode] = len({row.signature for row in rows
                            if "accumulate" not in row.name and not row.name.startswith(DIAGNOSTICS)})
        rows_of_mode[mode] = rows
        if mode == "train":
            padding_share = layer.padding_share if layer.utterances else None
    graphs = [row for mode in shapes for row in rows_of_mode[mode]]
    findings = _joined(graphs) + [(finding, names) for finding, names in _about_shapes(graphs, shapes)]
    findings += check_memory(graphs, npu_params, memory_bytes)
    findings += _about_loss_scaling(params_of_mode, operator_list)
    findings.sort(key=lambda item: (ERROR, WARNING, NOTE).index(item[0].level))
    return CheckResult(operator_list, data_source, graphs, findings, shapes,
                       _compilations(params_of_mode, rows_of_mode, evaluation, operator_list), padding_share,
                       time.monotonic() - begin, memory_bytes)


@contextlib.contextmanager
def _without_garbage_collection():
    """The objects of a graph exist until it has been checked; searching them for garbage takes a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _of_tasks(params_of_mode):
    """(mode, task, params) of each network that is built: with tasks, evaluations have one for each; the main task is None."""
    for mode, params in params_of_mode.items():
        yield mode, None, params
        for name in evaluated_tasks(params) if mode == "eval" else ():
            yield mode, name, params


def _compilations(params_of_mode, rows_of_mode, evaluation, operator_list):
    params = next(iter(params_of_mode.values()))
    npu_params, training = params["npu_params"], rows_of_mode.get("train", [])
    mixed = _compiles_parts(npu_params)

    def graphs_of(rows):
        return [RunGraph(row.name, len(row.parts) if mixed else 1, _option_of(row.name)) for row in rows]

    diagnosed = []
    if any(row.name.startswith(DIAGNOSTICS) for row in training) and evaluation is not None:
        # a subset may have fewer lengths than the data
        count = diagnosed_utterances(params, AbsentNpu(params))
        subset = evaluation.data_layer.subset(count, params["random_seed"])
        diagnosed = [graph._replace(name="%s, dev" % DIAGNOSTICS, option="diagnostics_steps")
                     for graph in graphs_of(rows_of_mode["eval"])[:len(subset.buckets)]]
    start_parts = 1
    if mixed:
        with tf.Graph().as_default() as graph:
            fetches, _ = check_fetches(not npu_params["ctc_on_host"])
            start_parts = len(check_graph(graph, tf.nest.flatten(fetches), operator_list, "", True).parts)
    evaluations = [row for mode, rows in rows_of_mode.items() if mode.split(" ")[0] == "eval" for row in rows]
    return predicted_compilations(
        params, graphs_of(training), graphs_of(evaluations),
        graphs_of(rows_of_mode.get("infer") or rows_of_mode.get("eval", [])), diagnosed,
        graphs_of(rows_of_mode["test"]) if "test" in rows_of_mode else None, start_parts,
        params["encoder_params"].get("normalization") == "batch_norm")


def _compiles_parts(npu_params):
    """Whether the adapter compiles each part of a graph, instead of one; only then are there several."""
    return with_defaults(npu_params, True).get("mix_compile_mode") is True


def _option_of(name):
    """The config key that adds the graph of this name; None: every run of its kind has it."""
    if name.startswith(DIAGNOSTICS):
        return "diagnostics_steps"
    return "iter_size" if "accumulate" in name else None


def _with_shapes(params_of_mode):
    """(params, phrase on the source of the shapes); without manifests the params get a data layer that needs no data."""
    missing = [path for mode, params in params_of_mode.items() for path in _manifests(params, mode) if not os.path.exists(path)]
    if not missing:
        return params_of_mode, "lengths from the manifests"
    if next(iter(params_of_mode.values()))["npu_params"]["bucket_frames"] is None:
        raise DataError("%s does not exist, and --mode=npu_check needs the lengths of the batches. Give the manifests, or the "
                        'lengths, e.g. --npu_params/bucket_frames="[400, 800, 1200, 1680]"' % missing[0])
    replaced = collections.OrderedDict(
        (mode, dict(params, data_layer=ShapesOnlyPretrainingLayer if "label_sets" in params["data_layer_params"]
                    else ShapesOnlyDataLayer)) for mode, params in params_of_mode.items())
    return replaced, "lengths from npu_params bucket_frames (%s does not exist); number of labels: the maximum that CTC can " \
                     "align, one for each output frame" % missing[0]


def _manifests(params, mode):
    """Paths of the manifests that a mode reads; with tasks, those of data_layer_params only if a task has none of its own."""
    found, tasks = [params["data_layer_params"].get("dataset_files")], params.get("tasks") or {}
    if tasks:
        evaluated = [main_task(params)] + evaluated_tasks(params)
        found = [task["data"]["dataset_files"] or found[0] if mode == "train" else task["data"]["eval_files"] or found[0]
                 for name, task in tasks.items() if mode == "train" or name in evaluated]
    return [path for files in found if files for path in ([files] if isinstance(files, str) else files)]


def _training_runs(base_model, params):
    """(list of (name, fetches) of a training as ``training/loop.py`` runs it, its data layer)."""
    from open_seq2seq.training.graph import TrainingGraph
    training = TrainingGraph(base_model, params, None, AbsentNpu(params), Single(), None, CopyingOptimization)
    runs = []
    for shape_step in training.shape_steps:
        step = shape_step.update_fetches(params["print_samples_steps"] is not None, params["save_summaries_steps"] is not None)
        runs.append(("train, %s frames" % _frames(shape_step.batch), list(step.values())))
        if shape_step.accumulate is not None:
            runs.append(("train, %s frames, accumulate" % _frames(shape_step.batch),
                         list(shape_step.accumulate_fetches().values())))
    if training.diagnostics is not None:
        runs += [("%s, %d" % (name, number), fetches) for number, (name, fetches) in enumerate(training.diagnostics.runs())]
    return runs, training.data_layer


def _built_evaluation(base_model, params, layer):
    """The ``Evaluation`` of a data layer as evaluations and tests build it."""
    return build_evaluation(base_model, params, "eval", layer, AbsentNpu(params), Single())


def _frames(batch):
    return batch.features.shape.as_list()[1]


def _checked(graph, name, fetches, operator_list, npu_params):
    return check_graph(graph, fetches, operator_list, name, _compiles_parts(npu_params),
                       half_precision=computes_in_float16(npu_params))


def _joined(graphs):
    """The findings of all graphs; a finding of several graphs is listed once with their names."""
    groups = collections.OrderedDict()
    for row in graphs:
        for finding in row.findings:
            key = (finding.level, finding.kind, finding.layer, finding.type)
            groups.setdefault(key, (finding, []))[1].append(row.name)
    return list(groups.values())


def _about_shapes(graphs, shapes):
    for mode, count in shapes.items():
        if count > MOST_SHAPES:
            yield Finding(ERROR, "too many shapes", mode, "", "", count, "%d shapes would be compiled, expected at most %d"
                          % (count, MOST_SHAPES), "use fewer lengths in npu_params bucket_frames"), [mode]


def _about_loss_scaling(params_of_mode, operator_list):
    """The adapter's loss scaling reads a status register with operators that older packages do not have."""
    missing = [name for name in STATUS_OPERATORS if name not in operator_list.supported]
    params = params_of_mode.get("train")
    if params is None:
        return []
    # raises the same errors as a run for settings that the adapter does not support
    chosen = choose_loss_scaling(params["loss_scaling"], params["loss_scaling_params"], params["npu_params"])
    if chosen.setting is None or not missing:
        return []
    message = "the adapter's loss scaling uses %s, which are not in %s" % (" and ".join(missing), operator_list.source)
    if operator_list.files:
        return [(Finding(ERROR, "loss scaling", "optimizer", "", missing[0], 1, message, "install adapter and CANN of the same "
                         "release, or train without loss scaling: --loss_scaling=None --npu_params/precision_mode=force_fp32"),
                 ["train"])]
    return [(Finding(NOTE, "loss scaling", "optimizer", "", missing[0], 1, message + ", the list of an older CANN; on the device "
                     "adapter and CANN have to be of the same release", None), ["train"])]
