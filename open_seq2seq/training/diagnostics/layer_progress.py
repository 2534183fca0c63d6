"""How each layer of a network changes in training: its weights and gradients since the last report, and the table in the log."""
import numpy as np

from open_seq2seq.optimizers.layers import by_layer

# (key of a row, title, format of a number)
COLUMNS = (("relative_change", "change", "%.2e"), ("gradient_norm", "gradient", "%.2e"), ("dead_channels", "dead", "%.3f"),
           ("mean_drift", "mean drift", "%.3f"), ("variance_drift", "var. drift", "%.3f"))
MOST_ROWS = 24


class LayerProgress:
    """Compares the weights with those of the last report, of which it keeps a copy on the host.

    Args:
      variables: list of the trained variables.
      gradient_layers: list of the names of the layers whose gradient norms are given.
    """

    def __init__(self, variables, gradient_layers):
        self._variables, self._layers, self._gradient_layers = variables, by_layer(variables), list(gradient_layers)
        self._previous = None
        self._norms, self._steps = np.zeros([len(self._gradient_layers)]), 0

    def start(self, values):
        """Keeps the weights for the first comparison; ``values`` is a dict of variables' names -> arrays."""
        self._previous = self._weights(values)

    @property
    def names(self):
        """The variables' names."""
        return [variable.op.name for variable in self._variables]

    def _weights(self, values):
        return [values[name] for name in self.names]

    @property
    def steps(self):
        """Steps made since the last report."""
        return self._steps

    def add(self, gradient_norms):
        """Adds the gradient norms of a step that was made: float32 [layers]."""
        self._norms += gradient_norms
        self._steps += 1

    def rows(self, values):
        """The changes since the last report, or since this process started.

        Args:
          values: dict of variables' names -> arrays.

        Returns:
          List of a dict for each layer, in the order of the network: ``layer``, its name; ``parameter_norm``, Euclidean norm of
          its variables now; ``relative_change``, norm of the difference to the last report over the norm then (Kaldi's relative
          parameter difference); ``gradient_norm``, mean over the steps since, None if there were none.
        """
        values = self._weights(values)
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


def table(rows):
    """Lines of a table of the layers for the log.

    Args:
      rows: see :meth:`LayerProgress.rows`; with dead_channels, mean_drift and variance_drift where they are known.

    Returns:
      List of str. If a network has more than 24 layers, those with the same first part of the name are merged (conv22 with its
      branches), with the largest number of each column. If there are still more than 24 rows, those that changed most are shown.
    """
    if len(rows) > MOST_ROWS:
        merged = {}
        for row in rows:
            merged.setdefault(row["layer"].split("/")[0], []).append(row)
        rows = [dict({key: max((row[key] for row in members if row.get(key) is not None), default=None)
                      for key, _, _ in COLUMNS}, layer=scope) for scope, members in merged.items()]
    if len(rows) > MOST_ROWS:
        most = sorted(rows, key=lambda row: row["relative_change"] or 0.0)[-MOST_ROWS:]
        rows = [row for row in rows if row in most]
    width = max([len(row["layer"]) for row in rows] + [5])
    lines = ["%-*s" % (width, "layer") + "".join("  %10s" % title for _, title, _ in COLUMNS)]
    for row in rows:
        cells = ["" if row.get(key) is None else form % row[key] for key, _, form in COLUMNS]
        lines.append(("%-*s" % (width, row["layer"]) + "".join("  %10s" % cell for cell in cells)).rstrip())
    return lines
