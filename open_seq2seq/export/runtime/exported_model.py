"""A frozen graph that runs on the CPU or on another device."""
import re

import tensorflow.compat.v1 as tf

from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.devices.session import DeviceSession
from open_seq2seq.errors import CheckpointError, JasperError
from open_seq2seq.export.description import read_description
from open_seq2seq.export.runtime.folded_graphs import GraphNode, network_of_graph
from open_seq2seq.export.runtime.graph_file import give_back_weights, read_graph
from open_seq2seq.export.runtime.logit_model import LogitModel

_CANNOT_RUN = (tf.errors.InvalidArgumentError, tf.errors.NotFoundError, tf.errors.UnimplementedError)


class ExportedModel(LogitModel):
    """NAME.pb with NAME.json next to it.

    Args:
      path: NAME.pb.
      device: a ``Device``, on which the weights stay constants; None: the CPU, on which they are variables.
      batch_size: the batches' size, for a device whose graphs have static shapes; None: any size that the model accepts.

    Raises:
      CheckpointError: a file is missing or damaged, the two do not belong to one export, or this TensorFlow cannot run the graph.
    """

    def __init__(self, path, device=None, batch_size=None):
        description = read_description(path)
        weights = {}
        graph_def = read_graph(path, weights if device is None else None)
        if batch_size is not None and description.batch_size is None:
            description = description.with_batch_size(batch_size)
            _set_batch_size(graph_def, description)
        super().__init__(description, path)
        graph = imported(graph_def, path)
        has_functions, self._graph_version = bool(graph_def.library.function), graph_def.versions.producer
        del graph_def
        self._tensors = {tensor.name: _tensor(graph, tensor, path) for tensor in description.inputs + description.outputs}
        self._network = None
        self._session = DeviceSession(device or Cpu(), graph=graph)
        give_back_weights(self._session, weights)
        if device is None:
            try:
                # TensorFlow checks the operations in functions, e.g. the bodies of loops, when they run for the first time
                self.require_described_frames(even_if_static=has_functions)
            except JasperError:
                self.close()
                raise

    @property
    def session(self):
        """The ``tf.Session`` that the graph runs in."""
        return self._session

    def folded_network(self):
        if self._network is None:
            nodes, names = [], []
            for operation in self._session.graph.get_operations():
                strides, dilations, padding = (_attribute(operation, name) for name in ("strides", "dilations", "padding"))
                nodes.append(GraphNode(operation.type, operation.name, [one.op.name for one in operation.inputs],
                                       strides[2] if strides else 1, dilations[2] if dilations else 1,
                                       padding.decode() if padding else None))
                if operation.type in ("Const", "VariableV2") and operation.name.startswith("ForwardPass/"):
                    names.append(operation.name)
            arrays = self._session.run({name: name + ":0" for name in names})
            constants = {name: array[0] if array.ndim == 4 else array for name, array in arrays.items()
                         if array.dtype.kind == "f"}
            self._network = network_of_graph(nodes, constants)
        return self._network

    def _run_features(self, features, feature_lengths):
        images = features[:, None]
        return self._run(images, self.mask(feature_lengths, features.shape[1]))

    def _run_audio(self, audio, audio_lengths):
        return self._run(audio, audio_lengths)

    def _run(self, *values):
        names = [tensor.name for tensor in self.description.inputs]
        try:
            return self._session.run(self._tensors[self.description.outputs[0].name],
                                     {self._tensors[name]: value for name, value in zip(names, values)})
        except _CANNOT_RUN as error:
            if _unknown_to_tensorflow(str(error)) is None:
                raise
            raise _unsupported_graph(self._name, self._graph_version, error)

    def close(self):
        super().close()
        self._session.close()


def _attribute(operation, name):
    try:
        return operation.get_attr(name)
    except ValueError:
        return None


def _set_batch_size(graph_def, description):
    """Gives the inputs of a graph for any batch the shapes in ``description``."""
    shapes = {tensor.name: tensor.shape for tensor in description.inputs}
    for node in graph_def.node:
        if node.name in shapes:
            node.attr["shape"].shape.CopyFrom(tf.TensorShape(shapes[node.name]).as_proto())


def model_on_device(path, device, batch_size=None):
    """An exported model on an accelerator, or an error where the host would compute a part of it.

    Args:
      path: NAME.pb.
      device: a ``Device``, selected for inference.
      batch_size: see :class:`ExportedModel`.

    Returns:
      ExportedModel.

    Raises:
      CheckpointError: see :class:`ExportedModel`.
      DeviceError: the device would not compute all of the graph, or fails.
    """
    model = ExportedModel(path, device, batch_size)
    try:
        graph = model.session.graph
        device.check_steps(graph, [("inference", [graph.get_tensor_by_name(tensor.name + ":0")
                                                  for tensor in model.description.outputs])])
        device.check_session(model.session, graph, with_loss=False)
    except JasperError:
        model.close()
        raise
    return model


def imported(graph_def, path):
    """A ``tf.Graph`` of ``graph_def``, which was read from ``path``.

    Raises:
      CheckpointError: this TensorFlow version cannot run its operations.
    """
    with tf.Graph().as_default() as graph:
        try:
            tf.import_graph_def(graph_def, name="")
        except (ValueError, tf.errors.OpError) as error:
            raise _unsupported_graph(path, graph_def.versions.producer, error)
    return graph


def _unsupported_graph(path, version, error):
    """The CheckpointError for a graph of ``version`` (its ``versions.producer``) that this TensorFlow refuses with ``error``."""
    message = str(error)
    unknown = _unknown_to_tensorflow(message)
    cause = message.split("\n")[0] if unknown is None else "it does not know %s" % unknown
    if version <= tf.version.GRAPH_DEF_VERSION:
        return CheckpointError("%s is not a frozen graph that TensorFlow %s can run: %s. Export the model again" % (
            path, tf.__version__, cause))
    return CheckpointError(
        "%s was exported by a newer TensorFlow (graph version %d, that of TensorFlow %s is %d), and TensorFlow %s cannot run it: "
        "%s. Export the checkpoint again, with TensorFlow %s or with this version of the project, or run the model with the "
        "newer TensorFlow" % (path, version, tf.__version__, tf.version.GRAPH_DEF_VERSION, tf.__version__, cause, tf.__version__))


def _unknown_to_tensorflow(message):
    """What an error message says is unknown to this TensorFlow: an attribute or an operation; None: the error is another."""
    attribute = re.search(r"NodeDef mentions attr '?(\w+)'? not in Op<name=(\w+)", message)
    if attribute:
        return "the attribute %s of the operation %s" % attribute.groups()
    operation = re.search(r"Op type not registered '(\w+)'", message)
    return "the operation %s" % operation.group(1) if operation else None


def _tensor(graph, described, path):
    """The graph's tensor for a described input or output; its shape and type must be those described."""
    try:
        tensor = graph.get_tensor_by_name(described.name + ":0")
    except KeyError:
        raise CheckpointError('%s has no node "%s", which its JSON names; copy both files of one export, or export again'
                              % (path, described.name))
    shape = tensor.shape
    # an input has exactly the described shape; of an output, shape inference may leave sizes open
    fits = (shape.ndims is not None and tuple(shape.as_list()) == described.shape if tensor.op.type == "Placeholder"
            else shape.is_compatible_with(described.shape))
    if not fits or tensor.dtype != tf.as_dtype(described.dtype):
        raise CheckpointError('node "%s" of %s is %s %s, its JSON says %s %s; copy both files of one export, or export again' % (
            described.name, path, tensor.dtype.name, "of unknown shape" if shape.ndims is None else shape.as_list(),
            described.dtype, list(described.shape)))
    return tensor
