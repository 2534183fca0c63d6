"""Operators of the adapter that TensorFlow does not have: an ordinary operator, marked with the type that it replaces."""
import tensorflow.compat.v1 as tf

MARK = "_fake_ascend_type"
HOST_MARK = "_without_npu_compile"  # set by npu_scope.without_npu_compile_scope, as in the adapter
COLLECTION = "fake_ascend_standins"

# these have kernels on the host; all other operators of the adapter run only on the device
HOST_KERNELS = frozenset(["NPUInit", "NPUShutdown"])


def mark(operation, operator_type):
    """Marks ``operation`` as one of type ``operator_type``, and returns it."""
    operation._set_attr(MARK, tf.AttrValue(s=tf.compat.as_bytes(operator_type)))
    # its gradient is still that of the actual operator
    operation._set_attr("_gradient_op_type", tf.AttrValue(s=tf.compat.as_bytes(operation.type)))
    operation.graph.add_to_collection(COLLECTION, operation.name)
    operation.__class__ = _StandIn
    return operation


class _StandIn(tf.Operation):
    """An operation whose ``type`` is the one that it has with the real adapter."""

    @property
    def type(self):
        return type_of(self)

    @property
    def op_def(self):
        # the name of TensorFlow 2, and of 1.15
        definition_of = getattr(self.graph, "op_def_for_type", None) or self.graph._get_op_def
        return definition_of(super().type)


def has_standins(graph):
    return bool(graph.get_collection_ref(COLLECTION))


def attribute(operation, name):
    """Value of an attribute of an operation, or None."""
    try:
        return operation.get_attr(name)
    except ValueError:
        return None


def type_of(operation):
    """The operator type that the operation has with the real adapter."""
    marked = attribute(operation, MARK)
    return operation.type if marked is None else tf.compat.as_str(marked)


def is_standin(operation):
    return isinstance(operation, _StandIn)


def type_of_node(node):
    """Like ``type_of``, for a NodeDef."""
    return tf.compat.as_str(node.attr[MARK].s) if MARK in node.attr else node.op
