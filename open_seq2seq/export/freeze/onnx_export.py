"""Converts a frozen graph to ONNX with tf2onnx."""
import logging
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import CheckpointError, UsageError
from open_seq2seq.export.description import read_description, write_description
from open_seq2seq.export.formats import INSTALL_ONNX
from open_seq2seq.files import replaced_file

OPSET = 13  # the newest that onnxruntime 1.6 and the ATC of CANN (2022) read; the graphs need no newer one


def export_onnx(pb_path):
    """Writes NAME.onnx next to NAME.pb, with the same inputs and outputs, and its hash into NAME.json.

    Args:
      pb_path: an exported model with its JSON next to it.

    Returns:
      Path of the ONNX file.

    Raises:
      UsageError: tf2onnx is not installed, or the graph takes audio.
      CheckpointError: the model is missing or wrong, or has an operation that ONNX lacks.
      StorageError: the file cannot be written.
    """
    description = read_description(pb_path)
    if description.with_features:
        raise UsageError("%s computes its features itself, which is not supported for ONNX; export without --with_features"
                         % pb_path)
    model = converted(pb_path, description)
    path = os.path.splitext(pb_path)[0] + ".onnx"
    with replaced_file(path, "wb") as file:
        file.write(model.SerializeToString())
    write_description(description, path)
    return path


def require_tf2onnx():
    """Raises UsageError where tf2onnx is not installed."""
    try:
        import onnx  # noqa: F401
        import tf2onnx  # noqa: F401
    except ImportError as error:
        raise UsageError("tf2onnx cannot be imported (%s); %s" % (error, INSTALL_ONNX))


def converted(pb_path, description):
    """The ONNX model of a frozen graph, a ``ModelProto``; raises like :func:`export_onnx`."""
    require_tf2onnx()
    import onnx
    import tf2onnx
    graph_def = tf.GraphDef()
    with open(pb_path, "rb") as file:
        graph_def.ParseFromString(file.read())
    inputs, outputs = ([tensor.name + ":0" for tensor in tensors] for tensors in (description.inputs, description.outputs))
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    # it logs every step; failures are raised as well
    logger.setLevel(logging.ERROR)
    try:
        model, _ = tf2onnx.convert.from_graph_def(
            graph_def, name=description.checkpoint, input_names=inputs, output_names=outputs, opset=OPSET,
            tensors_to_rename={name: name[:-len(":0")] for name in inputs + outputs})
    except Exception as error:  # tf2onnx raises ValueError, AttributeError and other classes for graphs that it cannot convert
        raise CheckpointError("tf2onnx %s cannot convert %s: %s" % (tf2onnx.__version__, pb_path, error))
    finally:
        logger.setLevel(level)
    # tf2onnx keeps an operation that ONNX lacks, and only a runtime would report it
    known = {schema.name for schema in onnx.defs.get_all_schemas()}
    unknown = sorted({node.op_type for node in model.graph.node} - known)
    if unknown:
        raise CheckpointError("%s has operations that ONNX lacks: %s" % (pb_path, ", ".join(unknown)))
    for node in model.graph.node:
        if node.op_type == "Conv":
            _set_explicit_padding(node, onnx.helper)
    return model


def _set_explicit_padding(node, helper):
    """Replaces ``auto_pad`` of a convolution by numbers, because onnxruntime does not accept it together with a dilation.

    With stride 1 the numbers do not depend on the input's length; other convolutions are not changed.
    """
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    sizes, strides = attributes.get("kernel_shape"), attributes.get("strides")
    if attributes.get("auto_pad") != b"SAME_UPPER" or not sizes or any(stride != 1 for stride in strides or ()):
        return
    dilations = attributes.get("dilations") or [1] * len(sizes)
    totals = [(size - 1) * dilation for size, dilation in zip(sizes, dilations)]
    kept = [attribute for attribute in node.attribute if attribute.name not in ("auto_pad", "pads")]
    # of an odd number the larger half comes last, as in TensorFlow
    pads = helper.make_attribute("pads", [total // 2 for total in totals] + [total - total // 2 for total in totals])
    del node.attribute[:]
    node.attribute.extend(kept + [pads])
