"""Checks that every rank can read its data: where only some ranks can, all of them stop and report which rank failed and why.

A rank that cannot read its data builds no network. Without this check the others would wait for it and report a lost peer.
"""
import contextlib

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.distributed.gathering import gather_numbers
from open_seq2seq.errors import DataError, DeviceError


@contextlib.contextmanager
def data_being_read(group, new_session):
    """Context in which manifests and vocabularies are read, before ``group.start``.

    Args:
      group: a ``ProcessGroup``; a rank that has read its data calls :func:`confirm_data` afterwards.
      new_session: function that returns a session on the device, for the current graph.

    Raises:
      DataError: the data are wrong on every rank.
      DeviceError: the data are wrong on this rank, but not on all.
    """
    try:
        yield
    except DataError as error:
        if group.size > 1:
            with tf.Graph().as_default(), contextlib.closing(new_session()) as session:
                group.start(session)
                confirm_data(group, session, str(error))
        raise


def confirm_data(group, session, problem=""):
    """Reports to the other ranks that this one has its data, or its problem; all ranks call it together.

    Args:
      group: a ``ProcessGroup`` that was started.
      session: a session, in which nothing need be initialized.
      problem: the error message, "" for none.

    Raises:
      DeviceError: on every rank, if some have a problem and others have none.
    """
    if group.size == 1:
        return
    text = np.frombuffer(problem.encode("utf-8"), np.uint8).astype(np.int32)
    lengths = gather_numbers(group, session, np.array([len(text)], np.int32))[:, 0]
    if not lengths.any() or lengths.all():
        return
    row = np.zeros(lengths.max(), np.int32)
    row[:len(text)] = text
    rows = gather_numbers(group, session, row)
    problems = ["rank %d of %d cannot read its data, but other ranks can: %s" % (
        rank, group.size, rows[rank, :length].astype(np.uint8).tobytes().decode("utf-8"))
        for rank, length in enumerate(lengths) if length]
    raise DeviceError("%s. Every rank reads the same manifests and vocabulary; put them on a file system that all machines share"
                      % "\n".join(problems))
