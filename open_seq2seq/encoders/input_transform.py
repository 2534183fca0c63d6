"""A fixed linear layer before the encoder, over spliced frames: Kaldi's input transform (docs/kaldi_training.md).

``--mode=input_transform`` estimates it and writes its file. In the graph it is a convolution with variables that are not trained,
so checkpoints contain it. Frames beyond the ends of an utterance count as zeros, as in the encoder's convolutions.
"""
import collections
import json
import os
import zipfile

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Int, Kind, Parameter, check_parameters
from open_seq2seq.data.speech2text.features import PARAMETERS as FEATURE_PARAMETERS
from open_seq2seq.data.speech2text.stored_features import input_width
from open_seq2seq.errors import CheckpointError, ConfigError, DataError
from open_seq2seq.files import expanded_path, replaced_file

SCOPE = "input_transform"
FIXED_VALUES = "input_transforms"   # a graph collection of _FixedValue
_MODE = "--mode=input_transform"
# they change the speed, the noise and the padding, not what a frame contains
_NOT_IN_FRAMES = ("feature_engine", "dither", "pad_to")
_LARGEST = 1 << 16

_FixedValue = collections.namedtuple("_FixedValue", "name value file")

Transform = collections.namedtuple("Transform", "matrix left right features description")
Transform.__doc__ = """The content of a file.

matrix: float32 [dim, (left + 1 + right) * F + 1]; the last column is added. left, right: frames of context. features: dict of the
parameters that the features were computed with. description: dict of what it was estimated from, for people."""


def features_of(data_params):
    """What a frame of features contains: dict of a data layer's parameters, for comparisons."""
    return {parameter.name: data_params.get(parameter.name, parameter.default) for parameter in FEATURE_PARAMETERS
            if parameter.ignored is None and parameter.name not in _NOT_IN_FRAMES}


def differing_features(features, data_params):
    """List of (name, value in ``features``, value of a data layer): where a dict like :func:`features_of` differs from it."""
    own = features_of(data_params)
    # a list may have been a tuple before it was written to a file
    return [(name, value, own[name]) for name, value in sorted(features.items())
            if name in own and json.loads(json.dumps(own[name])) != json.loads(json.dumps(value))]


def write_transform(path, transform):
    """Writes a file.

    Raises:
      StorageError: it cannot be written.
    """
    with replaced_file(path, "wb") as file:
        np.savez(file, transform=np.asarray(transform.matrix, np.float32), left=transform.left, right=transform.right,
                 features=json.dumps(transform.features), description=json.dumps(transform.description))


def read_transform(path):
    """Reads the :class:`Transform` of a file.

    Raises:
      DataError: it is missing or is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = Transform(arrays["transform"], int(arrays["left"]), int(arrays["right"]),
                              json.loads(str(arrays["features"])), json.loads(str(arrays["description"])))
    except OSError as error:
        raise DataError("cannot read the input transform %s: %s. %s writes one" % (path, error.strerror or error, _MODE))
    except (ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError("%s is not an input transform (%s: %s); expected a file that %s wrote" % (
            path, type(error).__name__, error, _MODE))
    width, columns = found.left + 1 + found.right, found.matrix.shape[-1] - 1
    if (found.matrix.ndim != 2 or min(found.left, found.right) < 0 or columns < 1 or columns % width
            or not np.isfinite(found.matrix).all()):
        raise DataError("%s has a transform of shape %s for %d frames; expected finite numbers [dim, %d * features + 1]. Write "
                        "it again with %s" % (path, found.matrix.shape, width, width, _MODE))
    return found


def kernel_and_bias(transform):
    """(float32 [2 * context + 1, F, dim], float32 [dim]): a transform as a convolution with as much context on both sides."""
    width, context = transform.left + 1 + transform.right, max(transform.left, transform.right)
    taps = transform.matrix[:, :-1].reshape(len(transform.matrix), width, -1).transpose(1, 2, 0)
    kernel = np.zeros([2 * context + 1, taps.shape[1], len(transform.matrix)], np.float32)
    kernel[context - transform.left:context + 1 + transform.right] = taps
    return kernel, np.ascontiguousarray(transform.matrix[:, -1], np.float32)


class InputTransform(Kind):
    """The parameter: the path of a file, or the dict that it becomes, as resolved configs have it."""

    description = "the file that %s wrote, or None" % _MODE
    _KEYS = (
        Parameter("file", Kind(), default=None),
        Parameter("context", Int(minimum=0, maximum=_LARGEST)),
        Parameter("num_features", Int(minimum=1, maximum=_LARGEST)),
        Parameter("size", Int(minimum=1, maximum=_LARGEST)),
        Parameter("features", Kind(), default=None),
    )

    def check(self, value, path, report):
        if value is None:
            return None
        if isinstance(value, dict):
            return check_parameters(self._KEYS, value, path, report)
        if not isinstance(value, str):
            return self._expected(value, path, report)
        file = expanded_path(value)
        try:
            transform = read_transform(file)
        except DataError as error:
            report.problem(path, "is %r: %s. A checkpoint that was trained with it contains it: to evaluate or export one, the "
                           "dict that its resolved config has here is enough" % (value, error))
            return None
        kernel, bias = kernel_and_bias(transform)
        return {"file": file, "context": len(kernel) // 2, "num_features": kernel.shape[1], "size": len(bias),
                "features": transform.features}


def check_features(transform, data_params, path, report):
    """Reports a transform of other features than the data layer's.

    Args:
      transform: the checked parameter.
      data_params: checked params of the data layer; keys may be missing.
      path: names the transform in messages.
      report: receives the problems.
    """
    width = input_width(data_params)
    if isinstance(width, int) and width != transform["num_features"]:
        report.problem(path, "is %s, which is for %d features of a frame, and data_layer_params give %d (num_audio_features). "
                       "Estimate another one with %s" % (transform["file"], transform["num_features"], width, _MODE))
        return
    if not isinstance(transform["features"], dict) or not isinstance(width, int):
        return
    differing = ["%s was %r and is %r" % found for found in differing_features(transform["features"], data_params)]
    if differing:
        report.problem(path, "is %s, which was estimated from other features than data_layer_params describe: %s. Estimate it "
                       "again with %s" % (transform["file"], ", ".join(differing), _MODE))


def transformed(features, transform, training):
    """Applies the layer, in float32. Its variables are created in the current scope.

    Args:
      features: float32 [B, T, F].
      transform: the checked parameter.
      training: whether the file is required.

    Returns:
      float32 [B, T, size].

    Raises:
      ConfigError: the number of features is not that of the transform, or the file that a training needs is missing.
    """
    shape = [2 * transform["context"] + 1, transform["num_features"], transform["size"]]
    if features.shape.as_list()[-1] != shape[1]:
        raise ConfigError("the input transform is for %d features of a frame, and there are %s" % (
            shape[1], features.shape.as_list()[-1]))
    values = _values(transform, shape, training)
    with tf.variable_scope(SCOPE):
        kernel, bias = (_fixed(name, own_shape, value, transform["file"])
                        for name, own_shape, value in (("kernel", shape, values[0]), ("bias", shape[2:], values[1])))
        images = tf.nn.conv2d(tf.expand_dims(features, 1), tf.expand_dims(kernel, 0), [1, 1, 1, 1], "SAME")
        return tf.squeeze(tf.nn.bias_add(images, bias), 1)


def _values(transform, shape, training):
    """The kernel and the bias of the file; (None, None) without one."""
    if transform["file"] is None or not training and not os.path.exists(transform["file"]):
        if training:
            raise ConfigError('encoder_params["input_transform"] has no file, and a training needs it; expected the file that %s '
                              "wrote" % _MODE)
        return None, None
    kernel, bias = kernel_and_bias(read_transform(transform["file"]))
    if list(kernel.shape) != shape:
        raise ConfigError("the input transform %s has shape %s, and the config says %s" % (
            transform["file"], list(kernel.shape), shape))
    return kernel, bias


def _fixed(name, shape, value, file):
    initializer = tf.zeros_initializer() if value is None else tf.constant_initializer(value)
    variable = tf.get_variable(name, shape, tf.float32, initializer, trainable=False, use_resource=False, regularizer=None)
    known = {fixed.name for fixed in tf.get_collection(FIXED_VALUES)}
    if value is not None and variable.op.name not in known:
        tf.add_to_collection(FIXED_VALUES, _FixedValue(variable.op.name, value, file))
    return variable


def is_input_transform(name):
    """Whether a variable belongs to an input transform."""
    return "/%s/" % SCOPE in name


def require_same_transform(values, checkpoint, graph):
    """Compares the transform of a checkpoint with the file of the config.

    Args:
      values: dict of variables' names -> arrays of the checkpoint.
      checkpoint: path, for the message.
      graph: the graph whose variables receive the values.

    Raises:
      CheckpointError: they differ.
    """
    for fixed in graph.get_collection(FIXED_VALUES):
        found = values.get(fixed.name)
        # a mean of checkpoints rounds
        if found is not None and not np.allclose(found, fixed.value, rtol=1e-4, atol=1e-6 * np.abs(fixed.value).max()):
            raise CheckpointError("checkpoint %s was trained with another input transform than %s, so its weights do not fit. "
                                  "Use the file of its training, or start a new training without that checkpoint" % (
                                      checkpoint, fixed.file))
