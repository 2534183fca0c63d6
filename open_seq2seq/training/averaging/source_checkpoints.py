"""The checkpoints to be averaged: the last or the best of a run, or a list, all of the same network and vocabulary."""
import collections
import json
import os

import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.description import vocabulary_of
from open_seq2seq.checkpoints.files import BEST_MODELS, checkpoint_step, checkpoints_in
from open_seq2seq.checkpoints.manifest import fault_of
from open_seq2seq.checkpoints.moving_average import SUFFIX, is_average
from open_seq2seq.checkpoints.restore import open_checkpoint, require_finite
from open_seq2seq.checkpoints.source_names import MASTER_COPY, MODEL_SCOPE
from open_seq2seq.checkpoints.subword_model import subword_digest
from open_seq2seq.decoding.options import GREEDY
from open_seq2seq.errors import CheckpointError, UsageError
from open_seq2seq.evaluation.record import FILE_NAME as EVALUATIONS
from open_seq2seq.log_lines import log_line
from open_seq2seq.text.vocabulary import shown_labels


class SourceCheckpoint:
    """The network of a checkpoint, whose variables are read one by one.

    Args:
      path: without extension.
      averaged: whether to read the moving average of a weight instead of the weight, where there is one.

    Attributes:
      path: as given.
      step: int, of the name; -1 if it has none.
      shapes: dict name -> list, of the network's variables.
      names: dict name -> name of the variable that is read: itself, its moving average or its float32 master copy.

    Raises:
      CheckpointError: it is missing, damaged or has no network.
    """

    def __init__(self, path, averaged=True):
        self.path, self.step = path, checkpoint_step(path)
        if not os.path.exists(path + ".index"):
            raise CheckpointError("there is no checkpoint %s: expected %s.index and %s.data-*" % ((path,) + 2 * (
                os.path.basename(path),)))
        fault = fault_of(path)
        if fault is not None:
            raise CheckpointError("checkpoint %s is damaged: %s. Average without it" % (path, fault.reason))
        self._reader = open_checkpoint(path)
        shapes, self._types = self._reader.get_variable_to_shape_map(), self._reader.get_variable_to_dtype_map()
        self.shapes = {name: shapes[name] for name in shapes if name.startswith(MODEL_SCOPE) and not is_average(name)}
        if not self.shapes:
            raise CheckpointError("checkpoint %s has no network: no variable is under %s" % (path, MODEL_SCOPE))
        masters = {name.split(MASTER_COPY, 1)[1]: name for name in shapes if MASTER_COPY in name}
        self.names = {name: name + SUFFIX if averaged and name + SUFFIX in shapes else
                      masters[name] if name in masters else name for name in self.shapes}

    @property
    def num_averaged(self):
        """How many variables are read as moving averages."""
        return sum(is_average(name) for name in self.names.values())

    def is_float(self, name):
        """Whether a variable is of a floating-point type, which has a mean."""
        return self._types[self.names[name]].is_floating

    def read(self, name):
        """The value of a variable of the network, an array.

        Raises:
          CheckpointError: it cannot be read, or is not finite.
        """
        try:
            value = self._reader.get_tensor(self.names[name])
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            raise CheckpointError("checkpoint %s is damaged: %s cannot be read: %s" % (
                self.path, name, str(error).split("\n")[0]))
        if self.is_float(name):
            require_finite([(name, value)], self.path)
        return value

    def global_step(self):
        """The step in the checkpoint, or else in its name; an int."""
        return int(self._reader.get_tensor("global_step")) if self._reader.has_tensor("global_step") else max(self.step, 0)


def last_checkpoints(directory, count):
    """Paths of the newest ``count`` checkpoints of a run, the oldest first.

    Args:
      directory: where they lie.
      count: int.

    Raises:
      CheckpointError: there are fewer.
    """
    found = sorted(_whole(checkpoints_in(directory)), key=checkpoint_step)
    if len(found) < count:
        raise CheckpointError("--last=%d, and %s has %s. Use a smaller --last, or train with a larger num_checkpoints" % (
            count, directory, _listed(found)))
    return found[-count:]


def best_checkpoints(directory, count):
    """Paths of those ``count`` checkpoints of a run whose recorded word error rates are the lowest, the best first.

    Of several data sets the one that was evaluated last decides; of equal rates the later step is better.

    Args:
      directory, count: see :func:`last_checkpoints`.

    Raises:
      CheckpointError: fewer checkpoints were evaluated.
    """
    by_step = {}
    for path in _whole(checkpoints_in(directory, best=True) + checkpoints_in(os.path.join(directory, BEST_MODELS))
                       + checkpoints_in(directory)):
        by_step[checkpoint_step(path)] = path
    data_set, rates = _recorded(os.path.join(directory, EVALUATIONS))
    evaluated = sorted((rates[step], -step) for step in by_step if step in rates)
    if len(evaluated) < count:
        raise CheckpointError(
            "--best=%d; of the %s in %s, %d have an evaluation recorded in %s%s. Evaluate at the steps that are saved "
            "(eval_steps, save_checkpoint_steps), evaluate each with --mode=eval, or use a smaller --best"
            % (count, _listed(by_step.values()), directory, len(evaluated), EVALUATIONS, " on %s" % data_set if data_set else ""))
    log_line("The best by the word error rates recorded on %s: %s" % (data_set, ", ".join(
        "%.4f at step %d" % (rate, -step) for rate, step in evaluated[:count])))
    return [by_step[-step] for _, step in evaluated[:count]]


def checkpoint_directory(run_directory):
    """The directory of the checkpoints that a ``RunDirectory`` finds; a CheckpointError if there are none."""
    directory = os.path.dirname(run_directory.require_checkpoint())
    return os.path.dirname(directory) if os.path.basename(directory) == BEST_MODELS else directory


def opened(paths, averaged=True):
    """The :class:`SourceCheckpoint` of each path, in their order; all of the same network and vocabulary.

    Args:
      paths: at least two, with or without ``.index``.
      averaged: see :class:`SourceCheckpoint`.

    Raises:
      UsageError: fewer than two, or the same one twice.
      CheckpointError: one is missing or damaged, or two are of different networks or vocabularies.
    """
    paths = [path[:-len(".index")] if path.endswith(".index") else path for path in paths]
    if len(paths) < 2:
        raise UsageError("%d checkpoint%s to be averaged; expected two or more" % (len(paths), "" if len(paths) == 1 else "s"))
    for path, times in collections.Counter(map(os.path.realpath, paths)).items():
        if times > 1:
            raise UsageError("checkpoint %s is listed %d times; list it once" % (path, times))
    sources = [SourceCheckpoint(path, averaged) for path in paths]
    for source in sources[1:]:
        _require_same_network(sources[0], source)
        _require_same_vocabulary(sources[0], source)
    if len({source.num_averaged > 0 for source in sources}) > 1:
        without = next(source for source in sources if not source.num_averaged)
        log_line("Note: checkpoint %s has no moving averages, unlike others; its weights themselves are used" % without.path)
    return sources


def _whole(checkpoints):
    """Those of the checkpoints that are not damaged."""
    for path in checkpoints:
        fault = fault_of(path)
        if fault is None:
            yield path
        else:
            log_line("Checkpoint %s is damaged: %s. It is skipped" % (path, fault.reason))


def _listed(checkpoints):
    steps = sorted(checkpoint_step(path) for path in checkpoints)
    return "%d (steps %s)" % (len(steps), ", ".join(map(str, steps))) if steps else "none"


def _recorded(path):
    """(data set that was evaluated last, dict step -> its word error rate); (None, {}) where nothing is recorded."""
    entries = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    if entry.get("test") or entry.get("task") or entry.get("decoder", GREEDY) != GREEDY:
                        # the test set must not decide which model is best; a beam search is not the network alone; the main
                        # task decides
                        continue
                    entries.append((str(entry["data_set"]), int(entry["step"]), float(entry["wer"])))
                except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
                    continue  # a damaged line, e.g. after a crash
    except OSError:
        pass
    data_set = entries[-1][0] if entries else None
    return data_set, {step: rate for name, step, rate in entries if name == data_set}


def _require_same_network(first, other):
    missing = sorted(set(first.shapes) - set(other.shapes))
    surplus = sorted(set(other.shapes) - set(first.shapes))
    different = sorted(name for name in first.shapes if name in other.shapes and first.shapes[name] != other.shapes[name])
    lines = ["%s is missing" % name for name in missing] + ["%s is only in the second" % name for name in surplus] + [
        "%s is %s in the second, %s in the first" % (name, other.shapes[name], first.shapes[name]) for name in different]
    if lines:
        raise CheckpointError("checkpoints %s and %s are of different networks, %d variables differ: %s%s. Average checkpoints "
                              "of one architecture" % (first.path, other.path, len(lines), "; ".join(lines[:3]),
                                                       "; ..." if len(lines) > 3 else ""))


def _require_same_vocabulary(first, other):
    vocabularies = [vocabulary_of(source.path) for source in (first, other)]
    if None not in vocabularies and vocabularies[0] != vocabularies[1]:
        raise CheckpointError("checkpoints %s and %s are of different vocabularies: %s and %s. Average checkpoints of one "
                              "vocabulary" % ((first.path, other.path) + tuple(map(shown_labels, vocabularies))))
    digests = [subword_digest(source.path) for source in (first, other)]
    if None not in digests and digests[0] != digests[1]:
        raise CheckpointError("checkpoints %s and %s have different subword models with the same pieces. Average checkpoints of "
                              "one model" % (first.path, other.path))
