"""An exported ONNX model, run by onnxruntime on the CPU."""
import numpy as np

from open_seq2seq.devices.cpu import usable_cores
from open_seq2seq.errors import CheckpointError, UsageError
from open_seq2seq.export.description import read_description
from open_seq2seq.export.formats import INSTALL_ONNX
from open_seq2seq.export.runtime.logit_model import LogitModel


class OnnxModel(LogitModel):
    """NAME.onnx with NAME.json next to it.

    A model with 8-bit weights runs one utterance at a time, so that results do not depend on the batch.

    Args:
      path: NAME.onnx.
      threads: number of threads; 0: one for each usable core.

    Raises:
      UsageError: onnxruntime is not installed.
      CheckpointError: a file is missing or damaged, or the two do not belong to one export.
    """

    def __init__(self, path, threads=0):
        onnxruntime = import_onnxruntime()
        description = read_description(path)
        super().__init__(description, path)
        self._path = path
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        # errors only: it warns about unused constants
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common base but Exception
            raise CheckpointError("%s is not a model that onnxruntime %s can run: %s" % (
                path, onnxruntime.__version__, str(error).split("\n")[0]))
        for kind, tensors, described in (("inputs", self._session.get_inputs(), description.inputs),
                                         ("outputs", self._session.get_outputs(), description.outputs)):
            actual, expected = [_text(one.name, one.shape) for one in tensors], [_text(one.name, one.shape) for one in described]
            # of an output, shape inference may leave sizes open
            names = sorted(one.name for one in tensors) == sorted(one.name for one in described)
            if not names or kind == "inputs" and sorted(actual) != sorted(expected):
                raise CheckpointError("%s has the %s %s, its JSON says %s; copy both files of one export, or export again" % (
                    path, kind, ", ".join(actual), ", ".join(expected)))
        self.require_described_frames()

    def folded_network(self):
        try:
            import onnx
        except ImportError:     # onnxruntime runs models without it
            return None
        # TensorFlow, which the module imports, is not needed to run an ONNX model
        from open_seq2seq.export.runtime.folded_graphs import GraphNode, network_of_graph
        graph = onnx.load(self._path).graph
        constants = {one.name[:-len(":0")]: _kernel(onnx.numpy_helper.to_array(one)) for one in graph.initializer
                     if one.name.startswith("ForwardPass/") and one.data_type == onnx.TensorProto.FLOAT}
        nodes = []
        for node in graph.node:
            values = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
            same = values.get("auto_pad") == b"SAME_UPPER" or any(values.get("pads", ()))
            nodes.append(GraphNode(node.op_type, _without_output(node.output[0]), [_without_output(one) for one in node.input],
                                   values.get("strides", [1, 1])[-1], values.get("dilations", [1, 1])[-1],
                                   "SAME" if same else "VALID"))
        return network_of_graph(nodes, constants)

    def _run_features(self, features, feature_lengths):
        if self.description.precision != "int8":
            return self._run(features, feature_lengths)
        # the scale of a quantized tensor is that of its largest value in the batch: each utterance has a run of its own
        description, static = self.description, self.description.frames
        logits = np.zeros([len(features), description.logit_frames(features.shape[1]), len(description.vocabulary) + 1],
                          np.float32)
        for row, length in enumerate(feature_lengths):
            if length:
                frames = static or self._frames(int(length))
                # a static batch is filled with copies of the utterance, which have the same largest values
                copies = np.repeat(features[row:row + 1, :frames], self._rows(1), axis=0)
                result = self._run(copies, np.full([len(copies)], length, np.int32))[0]
                logits[row, :len(result)] = result
        return logits

    def _run(self, features, feature_lengths):
        names = [tensor.name for tensor in self.description.inputs]
        values = (features[:, None], self.mask(feature_lengths, features.shape[1]))
        return self._session.run([self.description.outputs[0].name], dict(zip(names, values)))[0]

    def close(self):
        super().close()
        self._session = None


def _kernel(array):
    """A kernel of ONNX [Cout, Cin, 1, width] as [width, Cin, Cout], a depthwise one [Cin, 1, 1, width] as [width, Cin, 1]."""
    return array[:, :, 0].transpose(2, 1, 0) if array.ndim == 4 and array.shape[1] > 1 else (
        array[:, :, 0].transpose(2, 0, 1) if array.ndim == 4 else array)


def _without_output(name):
    return name[:-len(":0")] if name.endswith(":0") else name


def _text(name, shape):
    """A tensor for messages. A dynamic size is None in descriptions, and a name or None in onnxruntime."""
    return "%s [%s]" % (name, ", ".join(str(size) if isinstance(size, int) else "?" for size in shape))


def import_onnxruntime():
    """The module onnxruntime.

    Raises:
      UsageError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError("onnxruntime cannot be imported (%s); %s" % (error, INSTALL_ONNX))
    return onnxruntime
