"""Recomputing activations in the backward pass instead of keeping them (Chen et al., arXiv:1604.06174).

Of a part of the network only the inputs are kept. When the gradient of its outputs is known, the part is built a second time, on
the same inputs and variables, with operations that wait for that gradient; then its gradients are taken. The graph does not
otherwise change: the first copy is not differentiated, so TensorFlow frees its activations as soon as they have been used.
"""
import tensorflow.compat.v1 as tf

_OF_FIRST_CALL = (tf.GraphKeys.UPDATE_OPS, tf.GraphKeys.REGULARIZATION_LOSSES)


def recomputed(build, inputs):
    """``build(inputs)`` whose activations are computed again in the backward pass.

    Args:
      build: function of a list of tensors that returns a tensor; called once here and once for each gradient. It must build the
        same operations on the same variables, created with ``tf.get_variable``, and the same random numbers every time. The
        moving averages are updated, and the regularization losses added, by the first copy only.
      inputs: list of the float32 or float16 tensors through which gradients flow to earlier parts.

    Returns:
      The tensor that ``build`` returns.
    """
    scope, graph = tf.get_variable_scope(), tf.get_default_graph()
    variables = {}

    def recording(getter, name, *positional, **named):
        variable = getter(name, *positional, **named)
        variables[name] = variable
        return variable

    with tf.variable_scope(scope, custom_getter=recording, auxiliary_name_scope=False):
        outputs = build(list(inputs))
    trained = [variable for variable in variables.values() if variable.trainable]

    @tf.custom_gradient
    def first_copy(outputs, *kept):
        def gradients(gradient):
            members_before = {name: graph.get_collection(name) for name in _OF_FIRST_CALL}
            with tf.control_dependencies([gradient]), \
                    tf.variable_scope(scope, reuse=True, auxiliary_name_scope=False):
                again = [tf.identity(tensor) for tensor in kept[:len(inputs)]]
                copy = build(again)
                of_kept = tf.gradients(copy, again + trained, gradient)
            # an earlier part waits until this one has no activations any more
            with tf.control_dependencies([result for result in of_kept if result is not None]):
                of_kept = [result if result is None or place >= len(inputs) else tf.identity(result)
                           for place, result in enumerate(of_kept)]
            for name, members in members_before.items():
                graph.get_collection_ref(name)[:] = members
            return [None] + of_kept

        return tf.identity(outputs), gradients

    result = first_copy(outputs, *(list(inputs) + [variable.value() for variable in trained]))
    result.set_shape(outputs.shape)
    return result
