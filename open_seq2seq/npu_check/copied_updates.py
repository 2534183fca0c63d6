"""Copies the update of the weights from one length of batches to the others, instead of building it again for each length.

The update of Jasper 10x5 is two thirds of the operations of a training step, and TensorFlow takes a second for 4000 operations.
Nothing in it depends on the length. Importing a copy takes a fifth of the time.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.graph_analysis.graph_walk import executed_operations
from open_seq2seq.optimizers.optimize import Optimization, Update


class CopyingOptimization(Optimization):
    """An ``Optimization`` for graphs that are only analyzed. The operations of all lengths are those of an ``Optimization``.

    Args: see ``Optimization``.
    """

    def __init__(self, *arguments, **named_arguments):
        super().__init__(*arguments, **named_arguments)
        self._template = None

    def _update_with(self, pairs, accumulated, moving_averages, loss_scale):
        inputs = [gradient for gradient, _ in pairs] + list(accumulated) + [loss_scale, self._mean_loss]
        for moving_average in moving_averages:
            operation = moving_average if isinstance(moving_average, tf.Operation) else moving_average.op
            inputs += list(operation.inputs) + list(operation.outputs)
        graph = tf.get_default_graph()
        scope, summaries = graph.get_name_scope(), graph.get_collection_ref(tf.GraphKeys.SUMMARIES)
        if self._template is None:
            earlier, earlier_summaries = len(graph.get_operations()), len(summaries)
            update = super()._update_with(pairs, accumulated, moving_averages, loss_scale)
            self._template = _Template(scope, graph.get_operations()[earlier:], inputs, update, summaries[earlier_summaries:])
            return update
        if not self._template.is_complete:
            return super()._update_with(pairs, accumulated, moving_averages, loss_scale)
        update, copied_summaries = self._template.copy(scope, inputs)
        summaries += copied_summaries
        return update


class _Template:
    """An update that was built for one length.

    Args:
      scope: the name scope of its operations, without "/" at the end.
      operations: list of the operations that were created for it. Those outside the scope, of the optimizer's variables, are
        shared by all copies.
      inputs: list of the tensors of that length.
      update: the ``Update``.
      summaries: list of its summaries.

    Attributes:
      is_complete: whether a copy can get all of its inputs. An operation of the length that is not among ``inputs``, or one
        without results, such as a ``tf.group`` among a custom network's updates, cannot be replaced.
    """

    def __init__(self, scope, operations, inputs, update, summaries):
        self._scope, self._update, self._summaries = scope + "/", update, summaries
        results = [result for result in update if isinstance(result, (tf.Tensor, tf.Operation))] + summaries
        executed = set(executed_operations(results))
        own = [operation for operation in operations if operation in executed and operation.name.startswith(self._scope)]
        self._nodes = [operation.node_def for operation in own]
        self._positions = {tensor.name: position for position, tensor in enumerate(inputs) if tensor is not None}
        own = set(own)
        self._entering = {tensor.name: tensor for operation in own for tensor in operation.inputs if tensor.op not in own}
        self._preceding = {other for operation in own for other in operation.control_inputs if other not in own}
        replaced = {tensor.op for tensor in inputs if tensor is not None}
        of_length = scope.split("/")[0] + "/"
        self.is_complete = all(len(operation.outputs) for operation in self._preceding) and not any(
            operation.name.startswith(of_length) and operation not in replaced
            for operation in self._preceding | {tensor.op for tensor in self._entering.values()})

    def copy(self, scope, inputs):
        """(``Update``, list of summaries) with the same operations in another scope and for the tensors of another length."""
        entering = {name: self._replaced(tensor, inputs) for name, tensor in self._entering.items()}
        for operation in self._preceding:
            # a control input is mapped by one of its operation's tensors
            entering["^" + operation.name] = self._replaced(operation.outputs[0], inputs)
        definition = tf.GraphDef(versions=tf.get_default_graph().graph_def_versions)
        for node in self._nodes:
            copy = definition.node.add()
            copy.CopyFrom(node)
            copy.name = self._renamed(node.name, scope)
            copy.input[:] = [self._renamed(name, scope) for name in node.input]
            # the place of an operation, by the name of another; no analysis uses it
            copy.attr.pop("_class", None)
        mapped = {}
        for name, tensor in entering.items():
            mapped[self._renamed(name, scope)] = tensor
        tf.import_graph_def(definition, mapped, name="")
        results = {field: self._copied(result, scope) for field, result in self._update._asdict().items()}
        return Update(**results), [self._copied(summary, scope) for summary in self._summaries]

    def _replaced(self, tensor, inputs):
        position = self._positions.get(tensor.name)
        return tensor if position is None else inputs[position]

    def _renamed(self, name, scope):
        prefix = "^" if name.startswith("^") else ""
        name = name[len(prefix):]
        return prefix + (scope + "/" + name[len(self._scope):] if name.startswith(self._scope) else name)

    def _copied(self, result, scope):
        if not isinstance(result, (tf.Tensor, tf.Operation)):
            return result
        return tf.get_default_graph().as_graph_element(self._renamed(result.name, scope))
