"""A frozen graph as a SavedModel, for TensorFlow Serving."""
import os
import shutil

import tensorflow.compat.v1 as tf

from open_seq2seq.errors import StorageError

VERSION = "1"  # TensorFlow Serving reads the folders of a model as numbers and serves the largest


def write_saved_model(graph_def, description, directory):
    """Writes ``directory/1/saved_model.pb`` with the signature ``serving_default``.

    The inputs have the graph's names (``input`` and ``input_reshape``), the output is ``logits``.

    Args:
      graph_def: a frozen ``tf.GraphDef``.
      description: its ``ExportDescription``.
      directory: the model's folder; an existing SavedModel is replaced when the new one is complete.

    Raises:
      StorageError: it cannot be written, or ``directory`` holds other files.
    """
    require_replaceable(directory)
    temporary = "%s.%d.tmp" % (directory, os.getpid())
    try:
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name="")
            tensor_of = {tensor.name: tf.saved_model.build_tensor_info(graph.get_tensor_by_name(tensor.name + ":0"))
                         for tensor in description.inputs + description.outputs}
            signature = tf.saved_model.build_signature_def(
                {tensor.name: tensor_of[tensor.name] for tensor in description.inputs},
                {tensor.name.split("/")[-1]: tensor_of[tensor.name] for tensor in description.outputs},
                tf.saved_model.signature_constants.PREDICT_METHOD_NAME)
            builder = tf.saved_model.Builder(os.path.join(temporary, VERSION))
            with tf.Session(graph=graph) as session:
                # the import has added the default attributes again, see frozen_graph.remove_default_attributes
                builder.add_meta_graph_and_variables(session, [tf.saved_model.tag_constants.SERVING], signature_def_map={
                    tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature}, strip_default_attrs=True)
            builder.save()
        if os.path.isdir(directory):
            shutil.rmtree(directory)
        os.rename(temporary, directory)
    except (OSError, tf.errors.OpError) as error:
        raise StorageError("cannot write %s: %s. Free some space, fix the permissions or choose another place" % (
            directory, getattr(error, "strerror", None) or error))
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_replaceable(directory):
    """Raises StorageError where ``directory`` is not the SavedModel of an earlier export."""
    if os.path.lexists(directory) and not is_exported(directory):
        raise StorageError("%s exists and is not the SavedModel of an earlier export; remove it or choose another --export_dir"
                           % directory)


def is_exported(directory):
    """Whether ``directory`` holds a SavedModel that this module wrote, and no other files."""
    return os.path.isfile(os.path.join(directory, VERSION, "saved_model.pb")) and os.listdir(directory) == [VERSION]
