"""A checkpoint as a graph without variables, and the description of that graph."""
import collections
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.files import checkpoint_step
from open_seq2seq.config.parameters import Report
from open_seq2seq.encoders import TDNNEncoder
from open_seq2seq.errors import ConfigError, UsageError
from open_seq2seq.export.description import (
    FEATURE_PARAMETERS,
    FORMAT_VERSION,
    LOGITS_OUTPUT,
    PARAMETERS,
    ExportDescription,
    Tensor,
    changes_of,
    check_characters,
    check_feature_params,
    frames_after,
    subsampling_of,
)
from open_seq2seq.export.freeze.fast_inference_graph import FastInferenceGraph
from open_seq2seq.export.freeze.folding import fold
from open_seq2seq.export.freeze.inference_graph import InferenceGraph
from open_seq2seq.export.freeze.model_inputs import audio_inputs, feature_inputs
from open_seq2seq.export.freeze.trained_model import evaluation_network, read_weights, restored_session
from open_seq2seq.log_lines import log_line
from open_seq2seq.text import steps

DEFAULT_FRAMES = 2336  # 23.4 s in 10 ms steps: what the public Ascend port exports
LARGEST_GRAPH = (1 << 31) - (1 << 20)  # bytes of weights: a protocol buffer has at most 2 GiB, 1 MiB is for the operations

ExportOptions = collections.namedtuple("ExportOptions", "batch_size frames with_features half_precision folded fast_convolutions")
ExportOptions.__new__.__defaults__ = (1, DEFAULT_FRAMES, False, False, True, False)
ExportOptions.__doc__ = """Options of an export.

batch_size, frames: int, or None for any. with_features: the graph takes audio. half_precision: weights and products in float16.
folded: batch norm and residual branches are folded. fast_convolutions: convolutions with fewer multiplications, for CPUs.
"""


def freeze(trained, options):
    """Builds a graph whose weights are constants.

    Args:
      trained: a ``TrainedModel``.
      options: :class:`ExportOptions`.

    Returns:
      (``tf.GraphDef``, ``ExportDescription`` without hashes of files).

    Raises:
      ConfigError: the model cannot be exported with these options.
      UsageError: the options contradict each other or the model.
      CheckpointError: the checkpoint cannot be used.
    """
    check_options(trained, options)
    changes, mask_changes = changes_of(trained.params["encoder_params"])
    with tf.Graph().as_default():
        inputs = _inputs(trained, options, changes[:mask_changes])
        if options.folded:
            dtype = tf.float16 if options.half_precision else tf.float32
            _folded_graph(trained, options, dtype)(inputs.images, inputs.mask)
            graph_def = tf.get_default_graph().as_graph_def()
        else:
            graph_def = _constants_for_variables(trained, inputs, changes[:mask_changes])
    # the inputs are kept even where no operation uses them, e.g. the mask of a network without masks
    graph_def = tf.graph_util.extract_sub_graph(graph_def, [LOGITS_OUTPUT] + [tensor.name for tensor in inputs.tensors])
    remove_default_attributes(graph_def)
    return graph_def, description_of(trained, options, inputs.tensors)


def remove_default_attributes(graph_def):
    """Removes attributes that have their default value, in the graph and in its functions, so that older TensorFlow can load it.

    A version of TensorFlow adds attributes to operations (2.x: ``grad_a`` of MatMul, ``debug_name`` of VarHandleOp, ...), with a
    default that means what the operation did before. An older version refuses a graph that mentions them. Graphs of TensorFlow
    1.15, the oldest supported version, keep their attributes: ATC reads them.

    Args:
      graph_def: a ``tf.GraphDef`` that this TensorFlow made; it is changed.
    """
    if tf.__version__.startswith("1."):
        return
    from tensorflow.python.framework import op_def_registry
    for nodes in [graph_def.node] + [function.node_def for function in graph_def.library.function]:
        for node in nodes:
            registered = op_def_registry.get(node.op)  # None for a call of a function
            for attribute in registered.attr if registered is not None else ():
                if (attribute.name in node.attr and attribute.HasField("default_value")
                        and node.attr[attribute.name] == attribute.default_value):
                    del node.attr[attribute.name]


def check_options(trained, options):
    """Raises ConfigError or UsageError where ``trained`` cannot be exported with ``options``."""
    params = trained.params
    if params["encoder"] is not TDNNEncoder:
        raise ConfigError("the encoder is %s; export supports TDNNEncoder only"
                          % getattr(params["encoder"], "__name__", "unknown"))
    if params["data_layer_params"].get("stored_features") is not None:
        raise ConfigError('the model takes data_layer_params["stored_features"], which another model computes; an exported model '
                          "takes the features of audio only")
    report = Report()
    check_feature_params(feature_params(params), "data_layer_params", report)
    check_characters(trained.vocabulary, "the vocabulary", report)
    if report.problems:
        raise ConfigError("\n".join(report.problems))
    multiple = pad_to(params)
    if options.frames is not None and options.frames % multiple:
        raise UsageError("--frames is %d; expected a multiple of %d, to which the model's features are padded (pad_to)"
                         % (options.frames, multiple))
    if not options.folded and (options.half_precision or options.fast_convolutions):
        raise UsageError("--no_fold exports the evaluation graph as it is, in float32 and with plain convolutions; omit "
                         "--no_fold, or --fp16 and --convolutions=fast")
    if options.half_precision and options.fast_convolutions:
        raise UsageError("--convolutions=fast computes sums of the inputs, for which float16 is not precise enough; omit one of "
                         "--fp16 and --convolutions=fast")


def pad_to(params):
    """The number of frames of a batch is a multiple of this, at least 1."""
    return max(params["data_layer_params"]["pad_to"], 1)


def feature_params(params):
    """The parameters of the features among the data layer's checked params."""
    return {name: params["data_layer_params"][name] for name in FEATURE_PARAMETERS}


def _inputs(trained, options, mask_changes):
    features = feature_params(trained.params)
    if options.with_features:
        return audio_inputs(options.batch_size, options.frames, features, mask_changes, pad_to(trained.params))
    return feature_inputs(options.batch_size, options.frames, features["num_audio_features"], mask_changes)


def _folded_graph(trained, options, dtype):
    weights = read_weights(trained)
    _check_size(sum(array.size for array in weights.values()) * dtype.size)
    network = fold(trained.params, weights)
    if options.fast_convolutions:
        graph = FastInferenceGraph(network, LARGEST_GRAPH)
        if graph.too_large:
            log_line("Note: %d of %d fast convolutions stay plain, from %s on: their transformed kernels would make the graph "
                     "larger than the 2.1 GB of one file" % (
                         len(graph.too_large), len(graph.fast) + len(graph.too_large), graph.too_large[0]))
        return graph
    return InferenceGraph(network, dtype)


def _check_size(size):
    if size > LARGEST_GRAPH:
        raise UsageError("the weights have %.2f GB; a graph in one file has at most 2.1 GB. Export with --fp16" % (size / 1e9))


def _constants_for_variables(trained, inputs, mask_changes):
    """The evaluation graph from the inputs to the logits, with constants for its variables."""
    lengths = _lengths_before(mask_changes, tf.cast(tf.reduce_sum(inputs.mask, 1), tf.int32))
    output = evaluation_network(trained, tf.squeeze(inputs.images, [1]), lengths)
    scope, name = LOGITS_OUTPUT.rsplit("/", 1)
    with tf.name_scope(scope + "/"):
        tf.identity(output.logits, name)
    _check_size(4 * sum(variable.shape.num_elements() for variable in tf.global_variables()))
    with restored_session(trained) as session:
        return tf.graph_util.convert_variables_to_constants(
            session, session.graph.as_graph_def(), [LOGITS_OUTPUT] + [tensor.name for tensor in inputs.tensors])


def _lengths_before(changes, lengths):
    """The largest number of frames [B] of which convolutions leave ``lengths`` frames; 0 for 0."""
    for change in reversed(changes):
        before = lengths * change["stride"][0]
        if change["padding"] == "VALID":
            before = (lengths - 1) * change["stride"][0] + change["dilation"][0] * (change["kernel_size"][0] - 1) + 1
        lengths = before * tf.minimum(lengths, 1)
    return lengths


def description_of(trained, options, tensors):
    """The ``ExportDescription`` of a model exported with ``options``, without hashes of files.

    Args:
      trained: a ``TrainedModel``.
      options: :class:`ExportOptions`.
      tensors: tuple of ``Tensor``, the inputs.
    """
    params = trained.params
    features = feature_params(params)
    changes, mask_changes = changes_of(params["encoder_params"])
    logit_frames = None if options.frames is None else frames_after(changes, options.frames)
    outputs = (Tensor(LOGITS_OUTPUT, (options.batch_size, logit_frames, len(trained.vocabulary) + 1), "float32"),)
    step = checkpoint_step(trained.checkpoint)
    values = {parameter.name: parameter.default for parameter in PARAMETERS}
    values.update(
        format_version=FORMAT_VERSION, inputs=tensors, outputs=outputs, batch_size=options.batch_size,
        frames=options.frames, num_audio_features=features["num_audio_features"], feature_params=features,
        with_features=options.with_features, sample_rate=features["sample_freq"], vocabulary=list(trained.vocabulary),
        blank=len(trained.vocabulary), subsampling=subsampling_of(changes), frame_changes=changes, mask_changes=mask_changes,
        pad_to=pad_to(params),
        depends_on_padding=params["encoder"].depends_on_padding(params["encoder_params"], params["data_layer_params"]["pad_to"]),
        folded=options.folded, convolutions="fast" if options.fast_convolutions else "plain",
        precision="float16" if options.half_precision else "float32", checkpoint=os.path.basename(trained.checkpoint),
        step=step if step >= 0 else None, config_sha256=trained.config_sha256, **steps.chosen(params["data_layer_params"]))
    return ExportDescription.of(ExportDescription(**values).as_dict(), "the description of the export")
