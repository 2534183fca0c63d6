"""How each layer of a network moves: by how much its weights have changed since last time, how large its gradients are."""
import numpy as np

from open_seq2seq.optimizers.layers import by_layer

TABLE_ROWS = 24
COLUMNS = (("relative_change", "change", "%.2e"), ("gradient_norm", "gradient", "%.2e"), ("dead_channels", "dead", "%.3f"),
           ("mean_drift", "mean drift", "%.3f"), ("variance_drift", "var. drift", "%.3f"))


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
        self._previous = session.run(self._variables)

    def add(self, gradient_norms):
        """Counts the gradient norms of a step that was made: float32 [layers]."""
        self._norms += gradient_norms
        self._steps += 1

    def rows(self, session):
        """What happened since the last time.

        Returns:
          List of a dict for each layer, in the order of the network: ``layer``, its name; ``parameter_norm``, Euclidean norm of
          its variables now; ``relative_change``, norm of the difference to the last time over the norm then (Kaldi's relative
          parameter difference); ``gradient_norm``, mean over the steps since, None if there were none.
        """
        values = session.run(self._variables)
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


def table(rows):
    """Lines of a table for the log: the layers with what is known of them.

    Args:
      rows: as of :meth:`LayerProgress.rows`, with dead_channels, mean_drift and variance_drift where they are known.

    Returns:
      List of str. A network of more than 24 layers is shown by the first parts of their names (conv22 with its branches),
      one of more such parts only by the 24 that changed most: the largest figure of the layers in a row is shown.
    """
    if len(rows) > TABLE_ROWS:
        merged = {}
        for row in rows:
            merged.setdefault(row["layer"].split("/")[0], []).append(row)
        rows = [dict({key: max((row[key] for row in members if row.get(key) is not None), default=None)
                      for key, _, _ in COLUMNS}, layer=scope) for scope, members in merged.items()]
    if len(rows) > TABLE_ROWS:
        most = sorted(rows, key=lambda row: row["relative_change"] or 0.0)[-TABLE_ROWS:]
        rows = [row for row in rows if row in most]
    width = max([len(row["layer"]) for row in rows] + [5])
    lines = ["%-*s" % (width, "layer") + "".join("  %10s" % title for _, title, _ in COLUMNS)]
    for row in rows:
        cells = ["" if row.get(key) is None else form % row[key] for key, _, form in COLUMNS]
        lines.append(("%-*s" % (width, row["layer"]) + "".join("  %10s" % cell for cell in cells)).rstrip())
    return lines


def _norm(arrays):
    return float(np.sqrt(sum(np.sum(np.square(array, dtype=np.float64)) for array in arrays)))


