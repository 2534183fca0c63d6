"""To which layer of the network an operation belongs; for messages.

A name is the variable scope of the layer without what all layers share: ``conv23``, ``conv23/res_0``, ``ctc_loss``. An
operation between two layers, such as an activation, counts to the one it comes from; a gradient to its forward operation.
"""
import re

OPTIMIZER, INPUT, UNKNOWN = "optimizer", "input", "graph"
MODEL = "ForwardPass"
# what tf.gradients calls its operations: gradients/NAME OF THE FORWARD OPERATION_grad/TYPE
_GRADIENT = re.compile(r"(?:^|/)gradients(?:_\d+)?/(?:(?P<forward>.+?)_grad(?:_\d+)?/)?")
_COPY = re.compile(r"_\d+$")


class LayerNames:
    """Names of the layers of a graph.

    Args:
      operations: list of operations, inputs first.
      variables: names of all variables of the graph, e.g. ForwardPass/w2l_encoder/conv11/kernel.
      optimizer_scopes: first parts of the names of what belongs to the optimizer.
    """

    def __init__(self, operations, variables, optimizer_scopes=("Loss_Optimization", "LARC")):
        self._scopes = {tuple(name.split("/")[:-1]) for name in variables}
        self._prefixes = {scope[:length] for scope in self._scopes for length in range(1, len(scope) + 1)}
        self._optimizer_scopes = optimizer_scopes
        self._names, self._gradients = {}, set()
        for operation in operations:
            self._names[operation] = self._name(operation)

    def __getitem__(self, operation):
        return self._names.get(operation, UNKNOWN)

    def is_backward(self, operation):
        """Whether the operation computes gradients or uses them."""
        return operation in self._gradients

    def _name(self, operation):
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
        elif len(steps) == 1 or steps[0].startswith("Iterator"):
            return INPUT if operation.type.startswith(("Iterator", "Placeholder", "OneShot")) else UNKNOWN
        plain = [_COPY.sub("", step) for step in steps]
        if MODEL in plain:
            # a copy of the model for another length may stand in a scope of its own
            steps = [MODEL] + steps[plain.index(MODEL) + 1:]
            plain = plain[plain.index(MODEL):]
        found = self._of_scope(steps[:-1])
        if found is None and plain[0] == MODEL and len(steps) == 3:
            # straight in the encoder's scope, between two layers
            found = self._of_inputs(operation)
        if found is None and plain[0] == MODEL and len(steps) > 2:
            has_variables = (MODEL, plain[1]) in self._prefixes
            found = "/".join(plain[1:-1]) if has_variables else plain[1]
        return found or plain[0]

    def _of_scope(self, steps):
        """The innermost layer with variables whose scope the steps begin with; None: there is none."""
        best = None
        for length in range(1, len(steps) + 1):
            scope = tuple(steps[:length])
            plain = scope if scope in self._scopes else tuple(
                step if tuple(steps[:i + 1]) in self._prefixes else _COPY.sub("", step) for i, step in enumerate(scope))
            if plain in self._scopes:
                best = plain
        return None if best is None else _short(best)

    def _of_inputs(self, operation):
        for tensor in operation.inputs:
            name = self._names.get(tensor.op)
            if name not in (None, OPTIMIZER, INPUT, UNKNOWN) and tensor.op.type != "Const":
                return name
        return None


def _short(scope):
    """conv23/res_0 of (ForwardPass, w2l_encoder, conv23, res_0); batch norm counts to its convolution."""
    steps = list(scope)
    if len(steps) > 2 and steps[0] == MODEL:
        steps = steps[2:]
    if len(steps) > 1 and steps[-1] == "bn":
        steps = steps[:-1]
    return "/".join(steps).replace("res_bn", "res")
