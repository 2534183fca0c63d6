"""``--mode=describe``: the layers of a network with their sizes, receptive fields and costs.

The graph is built once, without data and without a session; its variables are those of a checkpoint.
"""
import collections
import json
import os

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.data.speech2text.stored_features import input_width
from open_seq2seq.data.tasks import FEATURES, TRANSCRIPT, class_names
from open_seq2seq.errors import DataError
from open_seq2seq.progress import print_table
from open_seq2seq.text.vocabulary import Vocabulary, locate

ENGLISH_VOCABULARY_SIZE = 28  # space, a to z, apostrophe
DEFAULT_WINDOW = {"window_size": 0.02, "window_stride": 0.01}  # seconds, if the data layer declares none

Layer = collections.namedtuple(
    "Layer", "name kind kernel_size stride dilation output_shape parameters receptive_field_frames receptive_field_seconds "
             "flops_per_audio_second")
Layer.__doc__ = """One row: a convolution with its normalization, a block's residual branches, the output layer.

output_shape: [frames per second of audio, channels]. parameters: number of trainable parameters. receptive_field_frames: number
of feature frames that one output frame depends on; receptive_field_seconds: the duration of their audio. flops_per_audio_second:
multiplications and additions in the products of the forward pass. Unknown figures, e.g. of a custom encoder, are None.
"""

Description = collections.namedtuple(
    "Description", "trainable_parameters variables layers receptive_field_frames receptive_field_seconds "
                   "flops_per_audio_second output_frames_per_second vocabulary_size outputs")
Description.__doc__ = """A network. variables: dict name -> shape, non-trainable ones included; layers: list of :class:`Layer`;
vocabulary_size: labels without the blank, None of a task without transcripts; outputs: what the last layer computes, for people;
the other fields are totals of the fields of :class:`Layer`."""

_Geometry = collections.namedtuple("_Geometry", "kind kernel_size stride dilation channels downsampling receptive_field")


def describe(base_model, params):
    """Builds the network of ``params`` in a separate graph and describes it.

    Args:
      base_model: the model class.
      params: checked params; of the data layer's, only ``num_audio_features`` is required. The size of the vocabulary is
        that of ``vocab_file`` if the file exists, else 28.

    Returns:
      A :class:`Description`.
    """
    data = params["data_layer_params"]
    window = {key: data.get(key) or default for key, default in DEFAULT_WINDOW.items()}
    vocabulary_size = _vocabulary_size(data.get("vocab_file"))
    sizes = {name: _size_of_task(task["data"], input_width(data)) for name, task in (params.get("tasks") or {}).items()}
    tasks = list((params.get("tasks") or {}).values())
    outputs = "%d characters and the CTC blank" % vocabulary_size
    if len(tasks) == 1 and tasks[0]["data"]["kind"] != TRANSCRIPT:
        outputs, vocabulary_size = _outputs_of_task(tasks[0]["data"], list(sizes.values())[0]), None
    sizes = sizes or vocabulary_size
    with tf.Graph().as_default():
        features = tf.placeholder(tf.float32, [None, None, input_width(data)], "features")
        lengths = tf.placeholder(tf.int32, [None], "feature_lengths")
        base_model(params, "infer", sizes)(Batch(features, lengths, None, None, None))
        variables = collections.OrderedDict((v.op.name, v.shape.as_list()) for v in tf.global_variables())
        trainable = [v.op.name for v in tf.trainable_variables()]
    transform = params["encoder_params"].get("input_transform")
    geometry = _geometry(params["encoder_params"].get("convnet_layers", []), transform["context"] if transform else 0)
    last = list(geometry.values())[-1] if geometry else None
    layers = [_layer(name, members, variables, geometry, last, window)
              for name, members in _grouped(trainable).items()]
    frames_per_second = 1.0 / window["window_stride"]
    return Description(
        sum(_size(variables[name]) for name in trainable), variables, layers,
        last.receptive_field if last else None, _seconds(last.receptive_field, window) if last else None,
        sum(layer.flops_per_audio_second for layer in layers) if last else None,
        frames_per_second / last.downsampling if last else None, vocabulary_size, outputs)


def _outputs_of_task(task, size):
    if task["kind"] == FEATURES:
        return "%d features for each feature frame" % size
    if class_names(task) is None:
        return "the classes of the training data, here counted as %d because the config does not name them" % size
    return "%d classes" % size


def _size_of_task(task, num_features):
    """Size of the output of a task without transcripts; of classes that the training data determine, 2."""
    return num_features if task["kind"] == FEATURES else len(class_names(task) or "??")


def _vocabulary_size(path):
    if path is None:
        return ENGLISH_VOCABULARY_SIZE
    try:
        locate(path)
    except DataError:
        return ENGLISH_VOCABULARY_SIZE
    return Vocabulary.from_file(path).size


def _geometry(convnet_layers, context):
    """The geometry of every convolution of a stack after ``context`` frames on both sides: dict from its scope, e.g. conv23, to
    :class:`_Geometry`."""
    found, downsampling, receptive_field = collections.OrderedDict(), 1, 1 + 2 * context
    for block, layer in enumerate(convnet_layers, 1):
        kernel_size, stride, dilation = layer["kernel_size"][0], layer["stride"][0], layer["dilation"][0]
        for repeat in range(1, layer["repeat"] + 1):
            receptive_field += (kernel_size - 1) * dilation * downsampling
            downsampling *= stride
            found["conv%d%d" % (block, repeat)] = _Geometry(
                layer["type"], kernel_size, stride, dilation, layer["num_channels"], downsampling, receptive_field)
    return found


def _grouped(names):
    """Variables by row: the scope inside the encoder or decoder; a block's residual branches are a separate row."""
    groups = collections.OrderedDict()
    for name in names:
        steps = name.split("/")
        scope = steps[2] if len(steps) > 3 else steps[-2]
        row = scope + " residual" if len(steps) > 4 and steps[3].startswith("res") else scope
        groups.setdefault(row, []).append(name)
    # the branches are built first but added to the output of the convolution
    return collections.OrderedDict(sorted(groups.items(), key=lambda item: _order(item[0], list(groups))))


def _order(row, rows):
    main = row.split(" ")[0]
    return (min(i for i, other in enumerate(rows) if other.split(" ")[0] == main), row != main)


def _layer(row, members, variables, geometry, last, window):
    scope = row.split(" ")[0]
    at = geometry.get(scope)
    parameters = sum(_size(variables[name]) for name in members)
    kernels = [variables[name] for name in members if name.split("/")[-1].endswith("kernel")]
    flops_per_frame = 2.0 * sum(_size(shape) for shape in kernels)
    if row != scope:
        # a separable branch has two kernels in one scope
        branches = {name.split("/")[3] for name in members if "bn" not in name.split("/")[3]}
        kind, kernel_size, stride, dilation = "1x1 sum of %d" % len(branches), 1, 1, 1
    elif at is not None:
        kind, kernel_size, stride, dilation = at.kind, at.kernel_size, at.stride, at.dilation
    else:
        kind, kernel_size, stride, dilation = "linear" if kernels else "normalization", None, None, None
    # layers after the convolutions, such as the output layer, have the frames of the last convolution
    at = at or last
    channels = kernels[-1][-1] if kernels else variables[members[-1]][-1]
    if at is None:
        return Layer(row, kind, kernel_size, stride, dilation, [None, channels], parameters, None, None, None)
    frames = 1.0 / window["window_stride"] / at.downsampling
    return Layer(row, kind, kernel_size, stride, dilation, [_whole(frames), channels], parameters, at.receptive_field,
                 _seconds(at.receptive_field, window), flops_per_frame * frames)


def _size(shape):
    return int(np.prod(shape, dtype=np.int64))


def _whole(value):
    return int(round(value)) if abs(value - round(value)) < 1e-6 else value


def _seconds(frames, window):
    return round((frames - 1) * window["window_stride"] + window["window_size"], 6)


def print_description(experiment, as_json=False):
    """Prints the network of an :class:`~open_seq2seq.experiment.loading.Experiment` loaded for "describe".

    Args:
      experiment: the experiment.
      as_json: one JSON object on stdout instead of a table.
    """
    # warnings of the graph's construction would precede the table
    tf.logging.set_verbosity(tf.logging.ERROR)
    description = describe(experiment.base_model, experiment.params["describe"])
    if as_json:
        print(json.dumps(dict(description._asdict(), layers=[layer._asdict() for layer in description.layers])))
        return
    print_table(os.path.basename(experiment.path),
                ("layer", "kind", "kernel", "stride", "dilation", "output", "parameters", "receptive field", "MFLOP/s of audio"),
                [_cells(layer) for layer in description.layers], left=("layer", "kind"), no_wrap=True,
                caption="output: frames in a second of audio x channels")
    for line in _totals(description):
        print("*** " + line)


def _cells(layer):
    def shown(value, form="{}"):
        return "" if value is None else form.format(value)

    return (layer.name, layer.kind, shown(layer.kernel_size), shown(layer.stride), shown(layer.dilation),
            "%s x %d" % (shown(layer.output_shape[0]) or "?", layer.output_shape[1]), shown(layer.parameters, "{:,}"),
            shown(layer.receptive_field_seconds, "{:.2f} s"),
            shown(None if layer.flops_per_audio_second is None else layer.flops_per_audio_second / 1e6, "{:,.1f}"))


def _totals(description):
    yield "Total trainable parameters: %d" % description.trainable_parameters
    yield "Outputs: " + description.outputs
    if description.receptive_field_frames is not None:
        yield "Receptive field: %d frames, %.2f s" % (description.receptive_field_frames, description.receptive_field_seconds)
        yield "Output frames: %g per second of audio" % description.output_frames_per_second
        yield "Forward pass: %.3f GFLOP per second of audio; a training step is three times that" % (
            description.flops_per_audio_second / 1e9)
