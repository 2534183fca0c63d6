"""An exported model in ONNX, run by onnxruntime on the CPU."""
from open_seq2seq.devices.cpu import usable_cores
from open_seq2seq.errors import CheckpointError, UsageError
from open_seq2seq.export.description import read_description
from open_seq2seq.export.runtime.batches import LogitModel

INSTALL = "install it with `bash scripts/setup.sh --onnx`, or `pip install -r requirements-onnx.txt`"


class OnnxModel(LogitModel):
    """NAME.onnx with NAME.json beside it.

    Args:
      path: NAME.onnx.
      threads: that compute; 0: as many as there are usable cores.

    Raises:
      UsageError: onnxruntime is not installed.
      CheckpointError: a file is missing or damaged, or the two do not belong together.
    """

    def __init__(self, path, threads=0):
        onnxruntime = import_onnxruntime()
        description = read_description(path)
        super().__init__(description, path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cores()
        # its remarks on constants that are not used are no news to anybody
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common base but Exception
            raise CheckpointError("%s is no model that onnxruntime %s runs: %s" % (
                path, onnxruntime.__version__, str(error).split("\n")[0]))
        actual = sorted(one.name for one in self._session.get_inputs() + self._session.get_outputs())
        expected = sorted(tensor.name for tensor in description.inputs + description.outputs)
        if actual != expected:
            raise CheckpointError("%s has the inputs and outputs %s, its JSON says %s; copy both files of one export, or export "
                                  "again" % (path, ", ".join(actual), ", ".join(expected)))

    def _run_features(self, features, feature_lengths):
        names = [tensor.name for tensor in self.description.inputs]
        values = (features[:, None], self.mask(feature_lengths, features.shape[1]))
        return self._session.run([self.description.outputs[0].name], dict(zip(names, values)))[0]

    def close(self):
        super().close()
        self._session = None


def import_onnxruntime():
    """The module onnxruntime.

    Raises:
      UsageError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UsageError("onnxruntime cannot be imported (%s); %s" % (error, INSTALL))
    return onnxruntime
