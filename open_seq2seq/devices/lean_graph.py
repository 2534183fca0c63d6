"""A graph that is built and prepared in less time: equal constants are one operation.

Every number in an expression, every axis and every shape becomes a constant of its own. In the training graph of jasper5x3 that
was a third of 14,400 operations, and each costs time when it is created, when TensorFlow prepares an executor, and in a step.
"""
import tensorflow.compat.v1 as tf

_LARGEST = 1024  # bytes of a constant that is compared with others
# TensorFlow 2 creates operations by other functions, which need none of this
_IS_USED = tf.__version__.startswith("1.") and hasattr(tf.Graph, "_create_op_internal")


def new_graph(device):
    """A new ``tf.Graph`` for a model.

    Args:
      device: a ``Device``. Only a CPU shares constants: where there are several devices, each may need its own.
    """
    return LeanGraph() if device.name == "cpu" and _IS_USED else tf.Graph()


class LeanGraph(tf.Graph):
    """A ``tf.Graph`` for TensorFlow 1.15 on a CPU in which equal constants are one operation.

    Constants inside a condition or a loop, in a scope of ``tf.device`` or ``tf.colocate_with`` and those with control inputs stay
    separate, and so do the initial values of variables, which are fed when a checkpoint is restored. A constant that is equal to
    an earlier one is found under the name that it was given, too.
    """

    def __init__(self):
        super().__init__()
        self._constants, self._further_names = {}, {}

    def create_op(self, op_type, inputs, dtypes=None, input_types=None, name=None, attrs=None, op_def=None, compute_shapes=True,
                  compute_device=True):
        """See ``tf.Graph.create_op``, whose wrapper for the deprecated ``compute_shapes`` takes an eighth of the time."""
        key = self._key_of_constant(op_type, name, attrs)
        if key in self._constants:
            scope = self._name_stack + "/" if self._name_stack else ""
            self._further_names.setdefault(scope + (name or op_type), self._constants[key].name)
            return self._constants[key]
        operation = self._create_op_internal(op_type, inputs, dtypes, input_types, name, attrs, op_def, compute_device)
        if key is not None:
            self._constants[key] = operation
        return operation

    def as_graph_element(self, obj, allow_tensor=True, allow_operation=True):
        """See ``tf.Graph.as_graph_element``."""
        if isinstance(obj, str):
            name, colon, output = obj.partition(":")
            if name not in self._nodes_by_name:
                obj = self._further_names.get(name, name) + colon + output
        return super().as_graph_element(obj, allow_tensor, allow_operation)

    def _key_of_constant(self, op_type, name, attrs):
        """What is equal for equal constants; None for an operation that is not shared."""
        if op_type != "Const" or self._get_control_flow_context() is not None or self._control_dependencies_stack:
            return None
        if len(self._device_function_stack) or len(self._colocation_stack):
            return None
        if "/Initializer" in "%s/%s" % (self._name_stack, name) or attrs["value"].ByteSize() > _LARGEST:
            return None
        return attrs["value"].SerializeToString(deterministic=True)
