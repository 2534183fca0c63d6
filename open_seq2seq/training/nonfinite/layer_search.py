"""Where the first value that is not finite appears: in a variable, in the forward pass, in the loss, or in the backward pass.

The network is built again for one batch, in a separate graph and session, on the CPU and in float32. So training steps do not
become slower, and a device that compiles its graphs does not compile more.
"""
import collections

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.encoders import Execution
from open_seq2seq.graph_analysis.graph_walk import executed_operations
from open_seq2seq.graph_analysis.layer_names import INPUT, MODEL, LayerNames
from open_seq2seq.optimizers.optimize import total_loss, trained_variables
from open_seq2seq.training.nonfinite.batch_loss import labels_fit, watched_loss

LARGEST_HALF = 65504.0  # the largest float16; a device that computes in float16 turns larger numbers into inf or into this number
VARIABLE, FORWARD, TOO_SHORT, LOSS, BACKWARD, NORM = "variable", "forward", "too short", "loss", "backward", "norm"
FEATURES, CTC = "features", "ctc_loss"  # named like layers

_FLOATS = (tf.float16, tf.float32, tf.float64)
_VARIABLE_TYPES = frozenset(["Variable", "VariableV2", "VarHandleOp"])
_PASSING_ON = frozenset(["Identity", "Cast", "ExpandDims", "Reshape", "ReadVariableOp"])
# further outputs are statistics that may be unused, and scratch space
_USED_OUTPUTS = {"FusedBatchNorm": 1, "FusedBatchNormV2": 1, "FusedBatchNormV3": 1,
                 "FusedBatchNormGrad": 3, "FusedBatchNormGradV2": 3, "FusedBatchNormGradV3": 3}

Statistics = collections.namedtuple("Statistics", "minimum maximum mean_magnitude non_finite beyond_half")
Statistics.__doc__ = """Of one tensor, floats.

minimum, maximum, mean_magnitude: of its finite numbers; 0 where there are none. non_finite: share of its numbers that are not
finite. beyond_half: share of those that are finite, but too large for float16.
"""

Row = collections.namedtuple("Row", "name values gradient")
Row.__doc__ = """A layer or a variable.

name: its name. values: Statistics of its outputs or values. gradient: Statistics of the gradient of the scaled loss by them; None
if the loss does not depend on them, or if they are not trained."""

First = collections.namedtuple("First", "where layer operation type variable")
First.__doc__ = """The first value that is not finite.

where: VARIABLE (in the weights, before anything is computed), FORWARD, TOO_SHORT or LOSS (the logits are finite, but the labels
of an utterance do not fit into its frames, or the probability of all labels is 0), BACKWARD, or NORM (all values are finite, but
a sum of squares of gradients is not). layer: name of the layer. operation, type: name and type of the operation whose result it
is. variable: name of the variable that is the cause. None for what does not apply.
"""

Examination = collections.namedtuple("Examination", "loss per_utterance gradient_norm layers variables first")
Examination.__doc__ = """What :func:`examine` found.

loss: float, the ``watched_loss``. per_utterance: float32 [B], NaN where the logits are not finite, infinite where CTC found no
finite loss. gradient_norm: float, without the loss scale, before clipping. layers: list of Row in forward order, the features
first. variables: list of Row in the order of creation. first: a First, None where everything is finite.
"""


class ExaminedNetwork:
    """The training network for batches of one shape, with statistics of everything that it computes. A context manager.

    Args:
      base_model: the model class.
      params: the checked config of mode "train".
      vocabulary_size: see the model.
      batch: a Batch of arrays that gives the shapes.

    Attributes:
      session: a session on the CPU.
      variables: the network's variables; they have no values yet.
    """

    def __init__(self, base_model, params, vocabulary_size, batch):
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(params["random_seed"])
            # with static shapes, by which LayerNames tells activations from their masks
            self._inputs = {name: tf.nest.map_structure(lambda array: tf.placeholder(array.dtype, array.shape, name),  # noqa: B023
                                                        value)
                            for name, value in batch._asdict().items() if value is not None}
            self._loss_scale = tf.placeholder(tf.float32, [], "loss_scale")
            model = base_model(params, "train", vocabulary_size, execution=Execution(dtype=tf.float32))
            self._tensors = batch._replace(**self._inputs)
            self._output = model(self._tensors)
            self.variables = tf.global_variables()
            self._build_statistics(graph, trained_variables(params["freeze_variables_regex"]))
            # the weights of a teacher
            initialize = tf.local_variables_initializer()
        self.session = tf.Session(graph=graph, config=Cpu().session_config())
        self.session.run(initialize)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.session.close()

    def _build_statistics(self, graph, trained):
        """Builds what is fetched: whether each tensor is finite, and the statistics of layers and variables."""
        logits = self._output.logits
        forward = _created(graph, [logits] + [task.logits for task in getattr(self._output, "tasks", ())])
        names = {variable.op.name for variable in tf.trainable_variables()}
        outputs = _layer_outputs(forward, self._inputs["features"], LayerNames(forward, names))
        existing = set(graph.get_operations())
        gradients = tf.gradients(total_loss(self._output.loss.loss) * self._loss_scale,
                                 [logits] + list(outputs.values()) + trained)
        backward = [operation for operation in _created(graph, [gradient for gradient in gradients if gradient is not None])
                    # CTC computes with infinities internally
                    if operation not in existing and not _of_loss(operation)]
        self._layers = LayerNames(forward + backward, names)
        self._forward = [tensor for operation in forward for tensor in _results(operation)]
        self._backward = [tensor for tensor in gradients[:1] if tensor is not None]
        self._backward += [tensor for operation in backward for tensor in _results(operation)]
        by_output = dict(zip(outputs, gradients[1:]))
        by_variable = dict(zip([variable.op.name for variable in trained], gradients[1 + len(outputs):]))
        values = collections.OrderedDict((variable.op.name, variable.value()) for variable in self.variables)
        self._fetches = {
            "finite": {tensor: tf.reduce_all(tf.is_finite(tensor)) for tensor in self._forward + self._backward},
            "layers": {(name, which): _statistics(tensor) for which, tensors in (("values", outputs), ("gradient", by_output))
                       for name, tensor in tensors.items() if tensor is not None},
            "variables": {(name, which): _statistics(tensor) for which, tensors in (("values", values), ("gradient", by_variable))
                          for name, tensor in tensors.items() if tensor is not None},
            # as optimizers/step.py computes them
            "squared_norms": {name: 2.0 * tf.nn.l2_loss(gradient) for name, gradient in by_variable.items()
                              if gradient is not None},
            "loss": watched_loss(self._output, self._tensors), "per_utterance": self._output.loss.per_utterance,
            "counted": self._output.loss.counted, "fits": labels_fit(self._output, self._tensors),
            "finite_logits": tf.reduce_all(tf.is_finite(logits), [1, 2])}
        self._layer_order, self._variable_order = list(outputs), list(values)

    def set_variables(self, values):
        """Sets all variables; ``values`` is a dict from their names to arrays."""
        initializers = {variable.op.name: variable.initializer for variable in self.variables}
        self.session.run(list(initializers.values()),
                         {initializer.inputs[1]: values[name] for name, initializer in initializers.items()})

    def examine(self, batch, loss_scale):
        """Computes a step without its update.

        Args:
          batch: a Batch of arrays.
          loss_scale: float, factor of the loss in the backward pass.

        Returns:
          An :class:`Examination`.
        """
        feed = {}
        for name, tensors in self._inputs.items():
            feed.update(zip(tf.nest.flatten(tensors), tf.nest.flatten(getattr(batch, name))))
        values = self.session.run(self._fetches, {self._loss_scale: loss_scale, **feed})
        variables = _rows(self._variable_order, values["variables"])
        per_utterance = np.where(values["counted"], values["per_utterance"], np.float32("inf"))
        per_utterance[~values["finite_logits"]] = np.nan
        with np.errstate(over="ignore", invalid="ignore"):
            norm = np.sqrt(sum(values["squared_norms"].values(), np.float32(0.0)))
        first = (self._first_of(FORWARD, self._forward, values["finite"], variables)
                 or (None if np.isfinite(values["loss"]) else _first_loss(values["fits"], batch.weights))
                 or self._first_of(BACKWARD, self._backward, values["finite"], variables)
                 or (None if np.isfinite(norm) else _first_norm(values["squared_norms"])))
        return Examination(float(values["loss"]), per_utterance, float(norm) / loss_scale,
                           _rows(self._layer_order, values["layers"]), variables, first)

    def _first_of(self, where, tensors, finite, variables):
        broken = {row.name for row in variables if row.values.non_finite}
        for tensor in tensors:
            if finite[tensor]:
                continue
            variable = _variable_behind(tensor.op)
            if variable in broken:
                return First(VARIABLE, self._layers[tensor.op], None, None, variable)
            layer = CTC if _of_loss(tensor.op) else self._layers[tensor.op]
            return First(where, FEATURES if layer in (INPUT, MODEL) else layer, tensor.op.name, tensor.op.type, None)
        return None


def examine(base_model, params, vocabulary_size, batch, weights, loss_scale):
    """Finds the first value that is not finite in a step with ``batch``.

    Args:
      base_model, params, vocabulary_size: see :class:`ExaminedNetwork`.
      batch, loss_scale: see :meth:`ExaminedNetwork.examine`.
      weights: dict from the names of the network's variables to arrays.

    Returns:
      An :class:`Examination`.
    """
    with ExaminedNetwork(base_model, params, vocabulary_size, batch) as network:
        network.set_variables(weights)
        return network.examine(batch, loss_scale)


def describe_first(first):
    """A clause on a First, or on None."""
    if first is None:
        return "everything is finite when it is computed again on the CPU in float32"
    if first.where == VARIABLE:
        return "the first value that is not finite is in layer %s: in its variable %s" % (first.layer, first.variable)
    if first.where == FORWARD:
        if first.layer == FEATURES:
            return "the first value that is not finite is in the features, before any layer"
        return "the first value that is not finite is an output of layer %s, in the forward pass (%s %s)" % (
            first.layer, first.type, first.operation)
    if first.where == TOO_SHORT:
        return "the logits are finite, and the loss is not: the labels of an utterance do not fit into its frames"
    if first.where == LOSS:
        return "the logits are finite, but so large that the probability of the labels is 0 and the loss infinite"
    if first.where == BACKWARD:
        return "everything is finite in the forward pass; in the backward pass the first value that is not finite is a " \
               "gradient of layer %s (%s %s)" % (first.layer, first.type, first.operation)
    return "all gradients are finite, but the sum of squares of %s is not" % (
        "the gradient by " + first.variable if first.variable else "all gradients together")


def _created(graph, fetches):
    """The operations that a run of ``fetches`` executes, in the order of creation: layer by layer, also in residual blocks."""
    executed = set(executed_operations(fetches))
    return [operation for operation in graph.get_operations() if operation in executed]


def _results(operation):
    """The floating-point outputs of an operation that are used."""
    tensors = operation.outputs[:_USED_OUTPUTS.get(operation.type)]
    return [tensor for tensor in tensors if tensor.dtype in _FLOATS]


def _of_loss(operation):
    return "/%s/" % CTC in operation.name


def _layer_outputs(forward, features, layers):
    """OrderedDict from the names of the layers to the last tensor that each of them computes from the features."""
    derived, last = {features.op}, {}
    for number, operation in enumerate(forward):
        if any(tensor.op in derived for tensor in operation.inputs):
            derived.add(operation)
            for tensor in _results(operation):
                # operations before the first layer only mask the features
                if (tensor.shape.ndims or 0) >= 3 and layers[operation] != MODEL:
                    last[layers[operation]] = (number, tensor)
    found = sorted((number, name, tensor) for name, (number, tensor) in last.items())
    return collections.OrderedDict([(FEATURES, features)] + [(name, tensor) for _, name, tensor in found])


def _statistics(tensor):
    """float32 [5], the fields of Statistics."""
    tensor = tf.cast(tensor, tf.float32)
    finite = tf.is_finite(tensor)
    infinity = tf.fill(tf.shape(tensor), np.float32("inf"))
    none_finite = tf.logical_not(tf.reduce_any(finite))
    magnitude = tf.where(finite, tf.abs(tensor), tf.zeros_like(tensor))
    number_finite = tf.reduce_sum(tf.cast(finite, tf.float32))

    def or_zero(number):
        return tf.where(none_finite, 0.0, number)

    return tf.stack([
        or_zero(tf.reduce_min(tf.where(finite, tensor, infinity))), or_zero(tf.reduce_max(tf.where(finite, tensor, -infinity))),
        # divided before the sum: a sum of large numbers would be infinite
        tf.reduce_sum(magnitude / tf.maximum(number_finite, 1.0)),
        tf.reduce_mean(tf.cast(tf.logical_not(finite), tf.float32)),
        tf.reduce_mean(tf.cast(magnitude > LARGEST_HALF, tf.float32))])


def _rows(names, statistics):
    def of(name, which):
        found = statistics.get((name, which))
        return None if found is None else Statistics(*map(float, found))

    return [Row(name, of(name, "values"), of(name, "gradient")) for name in names]


def _variable_behind(operation):
    """Name of the variable whose value ``operation`` passes on, or None."""
    while operation.type in _PASSING_ON and len(operation.inputs):
        operation = operation.inputs[0].op
    return operation.name if operation.type in _VARIABLE_TYPES else None


def _first_loss(fits, weights):
    valid = np.ones(len(fits), bool) if weights is None else weights > 0
    return First(LOSS if np.all(fits[valid]) else TOO_SHORT, CTC, None, None, None)


def _first_norm(squared_norms):
    single = next((name for name, value in squared_norms.items() if not np.isfinite(value)), None)
    return First(NORM, None, None, None, single)
