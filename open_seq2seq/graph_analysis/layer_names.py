"""Assigns operations to layers of the network, for messages.

A layer's name is its variable scope without the part that all layers share: ``conv23``, ``conv23/res_0``, ``ctc_loss``. An
operation between two layers, such as an activation, belongs to the layer before it; a gradient belongs to the layer of its
forward operation.
"""
import re

OPTIMIZER, INPUT, SUMMARIES, UNKNOWN = "optimizer", "input", "summaries", "graph"
MODEL = "ForwardPass"
# the names that tf.gradients gives its operations: gradients/NAME OF THE FORWARD OPERATION_grad/TYPE
_GRADIENT = re.compile(r"(?:^|/)gradients(?:_\d+)?/(?:(?P<forward>.+?)_grad(?:_\d+)?/)?")
_COPY = re.compile(r"_\d+$")


class LayerNames:
    """Names of the layers of a graph.

    Args:
      operations: list of operations, inputs first.
      variables: names of all variables of the graph, e.g. ForwardPass/w2l_encoder/conv11/kernel.
      optimizer_scopes: first parts of the names of the optimizer's operations.
    """

    def __init__(self, operations, variables, optimizer_scopes=("Loss_Optimization", "LARC")):
        self._scopes = {tuple(name.split("/")[:-1]) for name in variables}
        self._prefixes = {scope[:length] for scope in self._scopes for length in range(1, len(scope) + 1)}
        self._optimizer_scopes = optimizer_scopes
        self._names, self._gradients, self._unassigned = {}, set(), set()
        for operation in operations:
            self._names[operation] = self._name(operation)
        self._name_by_consumers(operations)

    def __getitem__(self, operation):
        return self._names.get(operation, UNKNOWN)

    def is_backward(self, operation):
        """Whether the operation computes gradients or uses them."""
        return operation in self._gradients

    def _name(self, operation):
        if operation.type.startswith(("Iterator", "Placeholder", "OneShotIterator")):
            return INPUT
        if operation.type.endswith("Summary"):
            return SUMMARIES
        steps = operation.name.split("/")
        gradient = _GRADIENT.search(operation.name)
        if gradient is not None:
            self._gradients.add(operation)
            if gradient.group("forward") is None:
                return self._of_inputs(operation) or OPTIMIZER
            steps = gradient.group("forward").split("/")
        elif MODEL not in steps and any(_COPY.sub("", step) in self._optimizer_scopes for step in steps[:-1]):
            self._gradients.add(operation)
            return OPTIMIZER
        plain = [_COPY.sub("", step) for step in steps]
        if MODEL not in plain:
            return plain[0] if len(plain) > 1 else UNKNOWN
        # a copy of the model for another length may have its own scope
        steps = [MODEL] + steps[plain.index(MODEL) + 1:]
        plain = plain[plain.index(MODEL):]
        found = self._of_scope(steps[:-1])
        if found is not None:
            return found
        if (MODEL, plain[1]) in self._prefixes:
            # in the encoder's scope, but between two layers
            found = self._of_inputs(operation)
            if found is None:
                self._unassigned.add(operation)
        return found or plain[min(1, len(plain) - 2)]

    def _name_by_consumers(self, operations):
        """Assigns operations without a layer before them, such as the random numbers of dropout, to the layer that uses them."""
        for operation in reversed(operations):
            if operation not in self._unassigned:
                continue
            for consumer in (consumer for tensor in operation.outputs for consumer in tensor.consumers()):
                if consumer in self._names and consumer not in self._unassigned and not self.is_backward(consumer):
                    self._names[operation] = self._names[consumer]
                    self._unassigned.discard(operation)
                    break

    def _of_scope(self, steps):
        """The innermost layer with variables whose scope is a prefix of ``steps``; None if there is none."""
        best = None
        for length in range(1, len(steps) + 1):
            scope = tuple(steps[:length])
            plain = scope if scope in self._scopes else tuple(
                step if tuple(steps[:i + 1]) in self._prefixes else _COPY.sub("", step) for i, step in enumerate(scope))
            if plain in self._scopes:
                best = plain
        return None if best is None else _short(best)

    def _of_inputs(self, operation):
        # the largest input first: activations before the mask or scale by which they are multiplied
        for tensor in sorted(operation.inputs, key=lambda tensor: -(tensor.shape.num_elements() or 0)):
            if tensor.op in self._unassigned:
                return None
            name = self._names.get(tensor.op)
            if name not in (None, OPTIMIZER, INPUT, UNKNOWN) and tensor.op.type != "Const":
                return name
        return None


def _short(scope):
    """conv23/res_0 for (ForwardPass, w2l_encoder, conv23, res_0); batch norm belongs to its convolution."""
    steps = list(scope)
    if len(steps) > 1 and steps[0] == MODEL:
        steps = steps[2:] or steps[1:]
    if len(steps) > 1 and steps[-1] == "bn":
        steps = steps[:-1]
    return "/".join(steps).replace("res_bn", "res")
