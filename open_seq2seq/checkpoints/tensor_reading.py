"""Reads the tensors of a checkpoint by several threads.

TensorFlow's ``CheckpointReader`` copies each tensor twice and keeps Python's lock meanwhile. The operation with which sessions
restore variables copies it once, into memory that another session takes without a copy, and compares the same checksums.
"""
import tensorflow.compat.v1 as tf

from open_seq2seq.cores import usable_cores

_MOST_THREADS = 4  # one or two already read as fast as the memory is


def read_tensors(checkpoint, shapes, types, names):
    """The values of tensors.

    Args:
      checkpoint: path without extension.
      shapes, types: dicts from all names in the checkpoint to shapes (lists of int) and to ``DType``.
      names: collection of str, which to read.

    Returns:
      Dict of names -> arrays; of a scalar a NumPy scalar.

    Raises:
      tf.errors.OpError: the checkpoint is damaged.
    """
    if not names:
        return {}
    threads = min(_MOST_THREADS, usable_cores())
    # every thread gets about the same number of large tensors
    by_size = sorted(set(names), key=lambda name: (tf.TensorShape(shapes[name]).num_elements(), name))
    parts = [part for part in (by_size[first::threads] for first in range(threads)) if part]
    with tf.Graph().as_default() as graph:
        values = [tf.raw_ops.RestoreV2(prefix=checkpoint, tensor_names=part, shape_and_slices=[""] * len(part),
                                       dtypes=[types[name] for name in part]) for part in parts]
        config = tf.ConfigProto(device_count={"CPU": 1, "GPU": 0}, inter_op_parallelism_threads=threads,
                                intra_op_parallelism_threads=usable_cores(), use_per_session_threads=True)
        with tf.Session(graph=graph, config=config) as session:
            arrays = session.run(values)
    return {name: array for part, of_part in zip(parts, arrays) for name, array in zip(part, of_part)}
