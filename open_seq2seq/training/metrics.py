"""``metrics.jsonl`` next to the checkpoints: the measurements of a run, one line each.

A line is a JSON object with ``kind``, ``step`` (updates made), ``time`` (seconds since 1970) and the numbers of its kind, in the
units that their names give. Numbers that are not finite are ``null``, because JSON has no others.

    {"kind": "step", "step": 20, "time": 1700000000.0, "loss": 3.25, "learning_rate": 0.01, ...}
"""
import json
import math
import os
import time

import numpy as np

from open_seq2seq.errors import DataError
from open_seq2seq.evaluation.task_evaluation import TaskResult
from open_seq2seq.files import printable
from open_seq2seq.log_lines import log_line

FILE_NAME = "metrics.jsonl"

# what is measured is computed in float32; a larger number is not a measurement
_LARGEST = float(np.finfo(np.float32).max)
_LARGEST_COUNT = 2 ** 53  # up to which a float has every integer
_END_OF_TIME = 253402300799  # the end of the year 9999, the last that a date can have

_TEXTS = frozenset(["run", "config", "version", "tensorflow", "device", "reason", "data_set", "task"])
_COUNTS = frozenset(["step", "last_step", "steps_per_epoch", "processes", "utterances_per_step", "epoch", "steps",
                     "skipped_steps", "evaluated_at", "best_step", "without_finite_loss", "limited_layer_changes",
                     "limited_total_changes", "limited_changes"])
_NUMBERS = frozenset(["loss", "learning_rate", "loss_scale", "gradient_norm", "seconds_per_step", "utterances_per_second",
                      "audio_seconds_per_second", "data_wait_share", "padding_share", "word_error_rate", "character_error_rate",
                      "sentence_error_rate", "frame_entropy", "seconds", "train_loss", "dev_loss", "dev_word_error_rate",
                      "best_word_error_rate", "parameter_norm", "relative_change", "dead_channels", "mean_drift",
                      "variance_drift", "accuracy"])
# how version 0.1 called the numbers of the kind "test"
_OLD_TEST_NAMES = {"wer": "word_error_rate", "cer": "character_error_rate"}


class Metrics:
    """Appends measurements to a file. Where that fails the training continues, with one line in the log.

    Args:
      path: the file; it is created with the first line. None: nothing is written, as on all ranks but the first.
      trackers: a ``Tracker`` that receives what is written, or None.
    """

    def __init__(self, path, trackers=None):
        self._path, self._trackers = path, trackers
        self._has_failed = False
        # a process that was killed can leave a line without its end, to which the next line must not be added
        self._is_torn = path is not None and _ends_within_a_line(path)

    def write(self, kind, step, **numbers):
        """Appends one line.

        Args:
          kind: what was measured: "start", "step", "evaluation", "task_evaluation" (of a task other than the main one), "test",
            "subset", "layers", "epoch", "skipped" or "end".
          step: updates made before.
          numbers: the values of the line: numbers (also NumPy's), strings, None, and lists or dicts of these.
        """
        if self._path is None:
            return
        seconds = round(time.time(), 3)
        if self._trackers is not None:
            self._trackers.metrics(kind, step, seconds, numbers)
        line = json.dumps(plain_numbers(dict(numbers, kind=kind, step=step, time=seconds)), sort_keys=True, allow_nan=False)
        data = (("\n" if self._is_torn else "") + line + "\n").encode("utf-8")
        try:
            # one write to the end of the file: a reader sees complete lines only
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                self._is_torn = os.write(descriptor, data) < len(data)
            finally:
                os.close(descriptor)
        except OSError as error:
            self._is_torn = _ends_within_a_line(self._path)
            if not self._has_failed:
                self._has_failed = True
                log_line("Metrics cannot be written to %s: %s. The training continues; its report will have a gap"
                         % (self._path, error.strerror))


def evaluation_numbers(result):
    """The numbers of the result of any evaluation: dict, the same for all kinds of metrics of data sets."""
    if isinstance(result, TaskResult):
        return {"loss": result.loss, "accuracy": result.accuracy, "utterances": result.num_utterances, "seconds": result.seconds}
    if result.word_error_rate is None:
        return dict(result.figures, loss=result.loss, utterances=result.num_utterances, seconds=result.seconds)
    return {"loss": result.loss, "word_error_rate": result.word_error_rate.rate,
            "character_error_rate": result.character_error_rate.rate, "sentence_error_rate": result.sentence_error_rate.rate,
            "frame_entropy": result.frame_entropy, "utterances": result.num_utterances,
            "without_finite_loss": result.num_uncounted, "seconds": result.seconds}


def read_metrics(path):
    """The measurements of a run, without those of steps that were made again after a crash.

    A run that was killed at step 70 and resumes from its checkpoint of step 50 makes the steps 51 to 70 again. What was measured
    of them the first time does not belong to the training that led to the weights, and is dropped. Of several measurements of one
    kind (and one ``data_set`` and ``task``) at one step the last is taken. Damaged lines are skipped, with a note in the log.

    Args:
      path: the file.

    Returns:
      List of dicts in the order of the file. A run may still be appending to it. Texts, counts and numbers that the report uses
      have their types and are in range; a number may be None.

    Raises:
      DataError: the file cannot be read.
    """
    entries, damaged = {}, []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    entry = _parsed(line)
                except (ValueError, RecursionError) as error:
                    damaged.append((number, "nested too deeply" if isinstance(error, RecursionError) else str(error)))
                    continue
                if entry["kind"] == "start":
                    entries = {key: earlier for key, earlier in entries.items() if earlier["step"] <= entry["step"]}
                key = entry["kind"], entry["step"], entry.get("data_set"), entry.get("task")
                entries.pop(key, None)  # keeps the order that of the last ones
                entries[key] = entry
    except OSError as error:
        raise DataError("cannot read %s: %s. Expected the measurements of a training run, which --mode=train and "
                        "--mode=train_eval write next to their checkpoints" % (path, error.strerror))
    if damaged:
        number, reason = damaged[0]
        log_line("Note: %s line %d of %s: %s" % (
            "1 damaged line was skipped:" if len(damaged) == 1 else "%d damaged lines were skipped, the first:" % len(damaged),
            number, path, reason))
    return list(entries.values())


def _parsed(line):
    """The dict of a line.

    Raises:
      ValueError, RecursionError: the line is damaged; the message says what is wrong with it.
    """
    try:
        entry = json.loads(line, parse_constant=_not_json)
    except json.JSONDecodeError:
        raise ValueError("not a JSON object")
    if not isinstance(entry, dict):
        raise ValueError("not a JSON object")
    if "\\ud" in line.lower():
        _require_encodable(entry)
    if not isinstance(entry.get("kind"), str):
        raise ValueError("kind is not a text")
    if not _is_count(entry.get("step")):
        raise ValueError("step is not a count")
    if entry["kind"] == "test":
        entry = {_OLD_TEST_NAMES.get(name, name): value for name, value in entry.items()}
    if not _is_number(entry.get("time"), 0, _END_OF_TIME):
        raise ValueError("time is not a number of seconds since 1970")
    _check(entry)
    layers = entry.get("layers", [])
    if not isinstance(layers, list) or not all(isinstance(row, dict) and isinstance(row.get("layer"), str) for row in layers):
        raise ValueError("layers is not a list of objects with a layer each")
    for row in layers:
        _check(row)
    return entry


def _not_json(constant):
    raise ValueError("%s is not a number of JSON" % constant)


def _require_encodable(entry):
    """Raises ValueError where a text, or the name of a value, has half of a surrogate pair: no UTF-8 file can contain it."""
    try:
        json.dumps(entry, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("a text contains \\u%04x, which is not a character" % ord(error.object[error.start]))


def _check(values):
    """Raises ValueError where a value is not of the type that its name says, or is out of range."""
    for name, value in values.items():
        if name in _TEXTS:
            if not isinstance(value, (str, type(None))):
                raise ValueError("%s is not a text" % name)
        elif name in _COUNTS:
            if value is not None and not _is_count(value):
                raise ValueError("%s is not a count" % name)
        elif name in _NUMBERS and not _is_number(value, -_LARGEST, _LARGEST):
            raise ValueError("%s is not a number of float32" % name)


def _is_count(value):
    return type(value) is int and 0 <= value <= _LARGEST_COUNT


def _is_number(value, least, most):
    return value is None or type(value) in (int, float) and least <= value <= most


def plain_numbers(value, non_finite_as_none=True):
    """``value`` as JSON has it, except that numbers that are not finite may stay."""
    if isinstance(value, dict):
        return {printable(str(key)): plain_numbers(inner, non_finite_as_none) for key, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain_numbers(inner, non_finite_as_none) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if non_finite_as_none and isinstance(value, float) and not math.isfinite(value):
        return None
    # the name of a file may not be valid UTF-8
    return printable(value) if isinstance(value, str) else value


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
