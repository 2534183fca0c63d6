"""``metrics.jsonl`` beside the checkpoints: what a run measured of itself, a line for each measurement.

A line is a JSON object with ``kind``, ``step`` (updates made), ``time`` (seconds since 1970) and the numbers of its kind, in the
units that their names say. Numbers that are not finite are ``null``: JSON has none.

    {"kind": "step", "step": 20, "time": 1700000000.0, "loss": 3.25, "learning_rate": 0.01, ...}
"""
import json
import math
import os
import time

import numpy as np

from open_seq2seq.errors import DataError
from open_seq2seq.log_lines import log_line

FILE_NAME = "metrics.jsonl"


class Metrics:
    """Appends measurements to a file; where that fails the training goes on, and says so once.

    Args:
      path: the file; it is made with the first line. None: nothing is written, as by all ranks but the first.
    """

    def __init__(self, path):
        self._path = path
        self._troubled = False
        # a process that was killed can leave a line without its end, to which the next must not be added
        self._torn = path is not None and _ends_within_a_line(path)

    def write(self, kind, step, **numbers):
        """Appends one line.

        Args:
          kind: what was measured: "start", "step", "evaluation", "subset", "layers", "epoch", ...
          step: updates made before.
          numbers: the line's values: numbers (NumPy's, too), strings, None, and lists or dicts of such.
        """
        if self._path is None:
            return
        line = json.dumps(_plain(dict(numbers, kind=kind, step=step, time=round(time.time(), 3))), sort_keys=True,
                          allow_nan=False)
        data = (("\n" if self._torn else "") + line + "\n").encode("utf-8")
        try:
            # one write to the end of the file: whoever reads meanwhile sees whole lines
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                self._torn = os.write(descriptor, data) < len(data)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._torn = _ends_within_a_line(self._path)
            if not self._troubled:
                self._troubled = True
                log_line("Metrics cannot be written to %s: %s. The training goes on; its report will have a gap"
                         % (self._path, error.strerror))


def data_set_name(data_layer):
    """What metrics call the data of a data layer: the file names of its manifests."""
    # a data layer of one's own may have none
    return ", ".join(os.path.basename(path) for path in getattr(data_layer, "manifests", [type(data_layer).__name__]))


def read_metrics(path):
    """What a run measured, without what it lost and did again.

    A run that was killed at step 70 goes on from its checkpoint of step 50, say; what was measured from 51 to 70 the first time
    is not part of the training that led to the weights, and is left out. Of several measurements of one kind (and one
    ``data_set``) at one step the last counts. Damaged lines, as a kill or a full disk leaves them, are passed over.

    Args:
      path: the file.

    Returns:
      List of dicts in the order of the file. A run may still be appending to it.

    Raises:
      DataError: it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
    except OSError as error:
        raise DataError("cannot read %s: %s. Expected the measurements of a training run, which --mode=train and "
                        "--mode=train_eval write beside their checkpoints" % (path, error.strerror))
    entries = {}
    for entry in filter(None, map(_entry, lines)):
        if entry["kind"] == "start":
            entries = {key: earlier for key, earlier in entries.items() if earlier["step"] <= entry["step"]}
        key = entry["kind"], entry["step"], str(entry.get("data_set"))
        entries.pop(key, None)  # so that the order is that of the last ones
        entries[key] = entry
    return list(entries.values())


def _entry(line):
    """The dict of a line, or None."""
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("kind"), str):
        return None
    return entry if type(entry.get("step")) is int else None


def _plain(value):
    """``value`` as JSON has it."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _ends_within_a_line(path):
    try:
        with open(path, "rb") as file:
            file.seek(0, os.SEEK_END)
            if file.tell() == 0:
                return False
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return False
