"""The weighted mean of checkpoints, and how it is written as a checkpoint."""
import os
import tempfile

import numpy as np
import tensorflow.compat.v1 as tf

import open_seq2seq
from open_seq2seq.checkpoints.description import resolved_config_of, vocabulary_of
from open_seq2seq.checkpoints.files import ORDINARY, STATE_FILES, checkpoints_in, remove_checkpoint, write_state
from open_seq2seq.checkpoints.manifest import read_manifest
from open_seq2seq.checkpoints.subword_model import KEY as SUBWORD_MODEL
from open_seq2seq.checkpoints.subword_model import keep_model, kept_model, subword_digest
from open_seq2seq.checkpoints.writer import write_checkpoint
from open_seq2seq.errors import StorageError, UsageError
from open_seq2seq.evaluation.record import forget_evaluations


def weighted_mean(sources, weights=None):
    """The weighted mean of the networks of several checkpoints, variable by variable.

    Sums are taken in float64. In memory are the result and one variable at a time, however many checkpoints there are.

    Args:
      sources: list of ``SourceCheckpoint`` of the same network.
      weights: one number for each; None: equal weights.

    Returns:
      Dict name -> float32 array. A variable that is not floating-point is that of the newest checkpoint.

    Raises:
      CheckpointError: one is damaged.
    """
    weights = np.full([len(sources)], 1.0 / len(sources)) if weights is None else np.asarray(weights, np.float64)
    newest = newest_of(sources)
    mean = {}
    for name in sorted(newest.shapes):
        if not newest.is_float(name):
            mean[name] = newest.read(name)
            continue
        total = np.zeros(newest.shapes[name], np.float64)
        for source, weight in zip(sources, weights):
            if weight:
                total += weight * source.read(name).astype(np.float64)
        mean[name] = total.astype(np.float32)
    return mean


def newest_of(sources):
    """The source with the highest step; of several the last in the list."""
    return max(enumerate(sources), key=lambda pair: (pair[1].global_step(), pair[0]))[1]


def require_output(directory, sources):
    """Checks the folder of the result before anything is computed, and creates it.

    Raises:
      UsageError: it has the sources or checkpoints of a training in it, or is a file.
      StorageError: it cannot be created or written.
    """
    for source in sources:
        if os.path.realpath(os.path.dirname(source.path)) == os.path.realpath(directory):
            raise UsageError("--output is %s, the folder of checkpoint %s; the run would take the average for one of its own "
                             "checkpoints. Choose another folder" % (directory, source.path))
    for path in checkpoints_in(directory) + checkpoints_in(directory, best=True):
        if "averaged" not in (read_manifest(path) or {}):
            raise UsageError("--output is %s, which has the checkpoint %s of a training in it. Choose another folder"
                             % (directory, path))
    if os.path.exists(directory) and not os.path.isdir(directory):
        raise UsageError("--output is %s, which is a file; expected a folder or nothing" % directory)
    try:
        os.makedirs(directory, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise StorageError("the folder %s cannot be written: %s. Choose another with --output" % (directory, error.strerror))


def write_mean(directory, values, sources, facts):
    """Writes a network as an ordinary checkpoint, which replaces an earlier result in the folder.

    The optimizer's state is not written: it belongs to the weights of one step.

    Args:
      directory: folder of the result, checked by :func:`require_output`.
      values: dict name -> array, the variables of the network.
      sources: list of ``SourceCheckpoint``.
      facts: dict for JSON that the manifest has as "averaged": how the result was made. Its "weights" are one number for each
        source; the step of the result is that of the newest source whose weight is above 0.

    Returns:
      Path of the checkpoint, without extension.

    Raises:
      StorageError: it cannot be written.
    """
    newest = newest_of([source for source, weight in zip(sources, facts["weights"]) if weight])
    step = newest.global_step()
    config, vocabulary = resolved_config_of(newest.path), vocabulary_of(newest.path)
    facts = {"step": step, "averaged": facts, "version": open_seq2seq.__version__, "tensorflow": tf.__version__,
             "resolved_config": config[0] if config is not None else None,
             "vocabulary": list(vocabulary) if vocabulary is not None else None}
    earlier = checkpoints_in(directory)
    checkpoint = os.path.join(directory, "%s-%d" % (ORDINARY, step))
    subword_model = kept_model(newest.path)
    if subword_model is not None:
        facts[SUBWORD_MODEL] = subword_digest(newest.path)
        with open(subword_model, "rb") as file:
            keep_model(checkpoint, file.read(), facts[SUBWORD_MODEL])
    # the earlier result may have the same step
    forget_evaluations(directory)
    write_checkpoint(checkpoint, dict(values, global_step=np.int64(step)), facts)
    write_state(directory, STATE_FILES[ORDINARY], [checkpoint])
    for path in earlier:
        if os.path.realpath(path) != os.path.realpath(checkpoint):
            remove_checkpoint(path)
    return checkpoint
