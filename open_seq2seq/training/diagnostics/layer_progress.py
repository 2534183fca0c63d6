"""How each layer of a network moves: by how much its weights have changed since last time, how large its gradients are."""
import numpy as np

from open_seq2seq.optimizers.layers import by_layer


class LayerProgress:
    """Compares the weights with those of the last time, of which it keeps a copy on the host.

    Args:
      variables: list of the variables that are trained.
      gradient_layers: list of the names of layers that gradient norms are given for.
    """

    def __init__(self, variables, gradient_layers):
        self._variables, self._layers, self._gradient_layers = variables, by_layer(variables), list(gradient_layers)
        self._previous = None
        self._norms, self._steps = np.zeros([len(self._gradient_layers)]), 0

    def start(self, session):
        """Takes the weights as they are for those of the last time."""
        self._previous = self._values(session)

    def _values(self, session):
        # what a session returns may be a variable's own memory, which the next step changes
        return [np.array(value) for value in session.run(self._variables)]

    @property
    def steps(self):
        """Steps made since the last time."""
        return self._steps

    def add(self, gradient_norms):
        """Counts the gradient norms of a step that was made: float32 [layers]."""
        self._norms += gradient_norms
        self._steps += 1

    def rows(self, session):
        """What happened since the last time, or since the process began to train.

        Returns:
          List of a dict for each layer, in the order of the network: ``layer``, its name; ``parameter_norm``, Euclidean norm of
          its variables now; ``relative_change``, norm of the difference to the last time over the norm then (Kaldi's relative
          parameter difference); ``gradient_norm``, mean over the steps since, None if there were none.
        """
        values = self._values(session)
        gradients = dict(zip(self._gradient_layers, (self._norms / self._steps).tolist())) if self._steps else {}
        rows = []
        for layer, positions in self._layers.items():
            now, before, change = (_norm([of(position) for position in positions]) for of in (
                lambda position: values[position], lambda position: self._previous[position],
                lambda position: values[position] - self._previous[position]))
            rows.append({"layer": layer, "parameter_norm": now, "relative_change": change / before if before else None,
                         "gradient_norm": gradients.get(layer)})
        self._previous = values
        self._norms[:], self._steps = 0.0, 0
        return rows


def _norm(arrays):
    return float(np.sqrt(sum(np.sum(np.square(array, dtype=np.float64)) for array in arrays)))


