"""Tries the longest batch before the training starts: if memory does not suffice, that shows in the first minute.

On a CPU it is computed only if the estimate of its memory comes near what is available. The trial is a real step, with the
operations and fetches of every other step: it takes the same memory, and a device that compiles its graphs has compiled them
afterwards. Then all variables are reset to their values (weights, slots, averages, loss scale, counters); the data have not been
started yet.
"""
import time

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.data.speech2text.dataset import PREFETCHED_BATCHES, Batch
from open_seq2seq.data.speech2text.frame_targets import PretrainingBatch
from open_seq2seq.data.speech2text.task_targets import TaskBatch
from open_seq2seq.data.tasks import TaskTargets
from open_seq2seq.devices.session import open_session
from open_seq2seq.distributed.exchange import Exchange
from open_seq2seq.distributed.group import Single
from open_seq2seq.errors import DeviceError
from open_seq2seq.graph_analysis.step_memory import (
    BatchShape,
    advised_batch,
    advised_rows,
    largest_possible_bytes,
    step_memory,
)
from open_seq2seq.host_memory import available_bytes
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.graph import ShapeStepBuilder
from open_seq2seq.training.requests import Requests
from open_seq2seq.training.step_log import is_fetched_always

# Bytes that are available over those of the estimate from which a trial could only succeed; the estimate was 4 to 34 % too high
CERTAINLY = 2.0

ADVICE = "A larger iter_size compensates for a smaller batch. Or exclude the longest utterances: data_layer_params max_duration"


def try_longest_batches(session, params, graph, device, group):
    """Makes a step with the longest batch of every shape; all ranks together, with the variables set and the data not started.

    Args:
      session: the session of the training; it is closed if memory has run out.
      params: the checked config of mode "train".
      graph: the ``TrainingGraph``.
      device: a ``Device``.
      group: a ``ProcessGroup``.

    Raises:
      DeviceError: a batch does not fit into memory; the message has the batch size that would fit, if it is known.
    """
    # the same set of fetches as in every step: for another set the device would compile another graph
    optional = [is_fetched_always(params, device, key) for key in ("print_samples_steps", "save_summaries_steps")]
    available = _available_to_each(session, group) if device.name == "cpu" else float("inf")
    for number, shape_step in enumerate(graph.shape_steps):
        shape = BatchShape(*graph.data_layer.longest_shape(number if graph.data_layer.buckets else None))
        what = "%d utterances x %d frames, %d labels" % shape
        # a backstitch computes a second pass while it keeps copies of the weights
        fetches = (shape_step.backstitch or shape_step).update_fetches(*optional)
        if not _is_worth_trying(params, shape_step, list(fetches.values()), shape, what, available, group):
            continue
        begin = time.monotonic()
        # what fails here is not due to the batch
        before = graph_variables(session.graph).read(session)
        try:
            _make_step(session, graph, number, fetches, before)
        except DeviceError as error:
            if error.out_of_memory is None:
                raise
            session.close()
            fitting = _by_estimate(params, graph, device, number) or _by_trial(params, graph, device, group, shape)
            raise DeviceError("the longest batch (%s) does not fit into memory: %s. %s. %s" % (
                what, error.out_of_memory, fitting, ADVICE))
        log_line("The longest batch, %s, fits into memory (a step with it took %.1f s)" % (what, time.monotonic() - begin))


def _make_step(session, graph, number, fetches, before):
    graph.start_longest_batch(session, number)
    for _ in range(graph.iter_size - 1):
        session.run(graph.shape_steps[number].accumulate_fetches(), graph.requests.feed())
    session.run(fetches, graph.feed())
    graph_variables(session.graph).write(session, before)


def _available_to_each(session, group):
    """Bytes of the host's memory for each process: the minimum over all ranks, which then decide alike."""
    own = available_bytes()
    own = float("inf") if own is None else own // group.local_size
    if group.size == 1:
        return own
    return min(rank["available"] for rank in Exchange(group, ["available"]).all(session, {"available": own}))


def _is_worth_trying(params, shape_step, fetches, shape, what, available, group):
    """Whether to try the step with ``available`` bytes: if it needs more, the kernel kills the process without a message.

    Raises:
      DeviceError: the step needs more memory.
    """
    if available == float("inf"):
        return True
    most = largest_possible_bytes(fetches, shape)
    if most < available:
        log_line("The longest batch, %s, fits into memory: it takes at most %.3g GB, and %.3g GB are available" % (
            what, most / 1e9, available / 1e9))
        return False
    trainable = {variable.op.name for variable in tf.trainable_variables()}
    need = step_memory(fetches, shape_step.batch, shape, trainable)
    gigabytes = "about %.3g GB, and %.3g GB are available" % (need.total / 1e9, available / 1e9)
    if group.local_size > 1:
        gigabytes += " to each of %d processes" % group.local_size
    if need.total > available:
        fitting = need.rows_within(available)
        raise DeviceError("the longest batch (%s) does not fit into memory: it takes %s. %s. %s. --try_worst_batch=False trains "
                          "without this check" % (what, gigabytes, _advised(params, shape, fitting, "would fit"), ADVICE))
    if CERTAINLY * need.total < available:
        log_line("The longest batch, %s, fits into memory by an estimate: %s" % (what, gigabytes))
        return False
    copies = sum(variable.shape.num_elements() * variable.dtype.size for variable in tf.global_variables())
    if need.total + copies > available:
        log_line("The longest batch, %s, should fit into memory (%s). It is not tried, because the additional copy of the "
                 "variables would not fit" % (what, gigabytes))
        return False
    log_line("The longest batch, %s, is tried first: %s" % (what, gigabytes))
    return True


def _key(params):
    """The key of the config that decides how large the largest batch is."""
    return "data_layer_params/batch_frames" if params["data_layer_params"].get("batch_frames") else "batch_size_per_gpu"


def _advised(params, shape, rows, verb):
    """A clause on the largest batch that fits, of ``rows`` utterances of a BatchShape's length."""
    if params["data_layer_params"].get("batch_frames") and rows:
        return "%s=%d %s" % (_key(params), rows * shape.frames, verb)
    return advised_rows(rows, verb)


def advice_on_memory(params, graph, device, number):
    """What to do when the memory of the device did not suffice for a step, one or more sentences without the last period.

    Args:
      params, graph, device: see :func:`try_longest_batches`.
      number: of the shape step.
    """
    return "%s. %s" % (_by_estimate(params, graph, device, number) or "Lower " + _key(params), ADVICE)


def _by_estimate(params, graph, device, number):
    """A clause on the largest batch that fits into the memory of a device with static shapes; None for other devices."""
    if device.graph_memory is None:
        return None
    shape_step = graph.shape_steps[number]
    return advised_batch(device, list(shape_step.update_fetches().values()), shape_step.batch, params["npu_params"],
                         len(graph.shape_steps), "batch_size_per_gpu")


def _by_trial(params, graph, device, group, shape):
    """A clause on the largest batch that fits, found by steps with smaller batches."""
    if group.size > 1:
        # it would depend on the memory that other processes use at the time
        return "Lower " + _key(params)
    fitting, too_many = 0, shape.rows
    while too_many - fitting > 1:
        rows = (fitting + too_many) // 2
        fits = _is_computed(params, graph, device, shape._replace(rows=rows))
        log_line("A batch of %d %s" % (rows, "fits" if fits else "does not fit either"))
        fitting, too_many = (rows, too_many) if fits else (fitting, rows)
    return _advised(params, shape, fitting, "fits")


def _is_computed(params, graph, device, shape):
    """Whether a step with a batch of this shape fits, in a separate graph and session."""
    rows, frames, labels = shape
    batch = Batch(np.zeros([rows, frames, graph.data_layer.num_audio_features], np.float32), np.full([rows], frames, np.int32),
                  np.zeros([rows, labels], np.int32), np.full([rows], labels, np.int32), np.arange(rows, dtype=np.int32),
                  np.ones([rows], np.float32), np.arange(rows))
    if params.get("tasks"):
        batch = TaskBatch(*batch, targets=tuple(_largest_targets(target, rows, frames, labels)
                                                for target in graph.shape_steps[0].batch.targets))
    elif hasattr(graph.shape_steps[0].batch, "targets"):
        encoder_frames = params["encoder"].output_frames(params["encoder_params"], frames)
        sets = len(graph.data_layer.vocabulary.size)
        batch = PretrainingBatch(*batch, targets=np.zeros([rows, encoder_frames, sets], np.int32),
                                 mask=np.ones([rows, encoder_frames], bool))
    with tf.Graph().as_default():
        inputs = tf.nest.map_structure(lambda value: tf.placeholder(value.dtype, [rows] + [None] * (value.ndim - 1)), batch)
        if params.get("tasks"):
            for tensors, arrays in zip(inputs.targets, batch.targets):
                if arrays.labels.ndim == 3:
                    tensors.labels.set_shape([rows, None, arrays.labels.shape[2]])
        elif hasattr(batch, "targets"):
            inputs.targets.set_shape([rows, None, sets])
        inputs.features.set_shape([rows, None, batch.features.shape[2]])
        group = Single()
        shape_step = ShapeStepBuilder(graph.base_model, params, graph.data_layer, graph.last_step,
                                      graph.steps_per_epoch, device, group, Requests(group))(inputs)
        if device.name == "cpu":
            # prefetched batches use the same memory. Random, as a constant of zeros would be in memory twice
            tf.get_variable("waiting", [PREFETCHED_BATCHES + 1] + list(batch.features.shape), trainable=False,
                            initializer=tf.random_uniform_initializer(), collections=[tf.GraphKeys.LOCAL_VARIABLES])
        with open_session(device, params["use_xla_jit"]) as session:
            try:
                # one after the other: each operation that finds no memory waits ten seconds for some to be freed
                session.run(tf.global_variables_initializer())
                session.run(tf.local_variables_initializer())
                session.run((shape_step.backstitch or shape_step).update_fetches(), dict(zip(
                    tf.nest.flatten(inputs), tf.nest.flatten(batch))))
            except DeviceError as error:
                if error.out_of_memory is None:
                    raise
                return False
    return True


def _largest_targets(target, rows, frames, labels):
    """TaskTargets of arrays for a batch of this shape; ``target``: the TaskTargets of tensors of a batch."""
    rank = target.labels.shape.ndims
    if rank == 3:
        values, length = np.zeros([rows, frames, target.labels.shape.as_list()[2]], np.float32), frames
    else:
        values, length = np.zeros([rows, labels] if rank == 2 else [rows], np.int32), labels if rank == 2 else 0
    return TaskTargets(values, np.full([rows], length, np.int32), np.ones([rows], np.float32))
