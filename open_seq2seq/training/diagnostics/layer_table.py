"""The table of a network's layers in the log: how they change, what is dead in them, what batch norm is wrong about."""
COLUMNS = (("relative_change", "change", "%.2e"), ("gradient_norm", "gradient", "%.2e"), ("dead_channels", "dead", "%.3f"),
           ("mean_drift", "mean drift", "%.3f"), ("variance_drift", "var. drift", "%.3f"))
MOST_ROWS = 24


def table(rows):
    """Lines of a table for the log: the layers with what is known of them.

    Args:
      rows: as of :meth:`LayerProgress.rows`, with dead_channels, mean_drift and variance_drift where they are known.

    Returns:
      List of str. A network of more than 24 layers is shown by the first parts of their names (conv22 with its branches),
      one of more such parts only by the 24 that changed most: the largest figure of the layers in a row is shown.
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
