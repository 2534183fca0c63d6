"""The losses of each task in the training batches of this process, since the last log line or metrics."""
import numpy as np


class TaskFigures:
    """Sums of losses of tasks.

    Args:
      names: list of the tasks' names, in the order of the model.
    """

    def __init__(self, names):
        self._names = list(names)
        self.restart()

    def restart(self):
        """Begins new sums."""
        self._sums, self._weights = np.zeros([len(self._names), 2]), None

    def add(self, task_sums):
        """Adds a batch: float32 [tasks, 3], see ``models.multi_task.MultiTaskLoss``."""
        self._sums += task_sums[:, :2]
        self._weights = task_sums[:, 2]

    def figures(self):
        """Dict from names of tasks to dicts: loss (mean per utterance; NaN without one), utterances, and the task's weight."""
        if self._weights is None:
            return {}
        return {name: {"loss": total / count if count else float("nan"), "utterances": int(count), "weight": float(weight)}
                for name, (total, count), weight in zip(self._names, self._sums, self._weights)}

    def line(self):
        """The figures as text: "kyrgyz 12.3456, turkish 8.7654 (weight 0.5)"; tasks without utterances have no number."""
        parts = []
        for name, figures in self.figures().items():
            text = "%s %s" % (name, "%.4f" % figures["loss"] if figures["utterances"] else "-")
            parts.append(text + (" (weight %.3g)" % figures["weight"] if figures["weight"] != 1.0 else ""))
        return "Losses of the tasks: " + ", ".join(parts)
