"""Session hooks."""
import os

import tensorflow.compat.v1 as tf

from npu_bridge.hccl import hccl_ops


class NPUBroadcastGlobalVariablesHook(tf.train.SessionRunHook):
    """Broadcasts only the TRAINABLE variables of one rank, despite its name: no moving averages, slots or global step."""

    def __init__(self, root_rank=None, index=None):
        self._root_rank, self._broadcast = root_rank, None

    def begin(self):
        if int(os.environ.get("RANK_SIZE") or "1") > 1:
            self._broadcast = broadcast_global_variables(self._root_rank)

    def after_create_session(self, session, coord):
        if self._broadcast is not None:
            session.run(self._broadcast)


def broadcast_global_variables(root_rank, index=None):
    return tf.group(*[tf.assign(variable, hccl_ops.broadcast([variable], root_rank)[0])
                      for variable in tf.trainable_variables()])


class NPUCheckpointSaverHook(tf.train.CheckpointSaverHook):
    """Saves checkpoints at intervals of steps or seconds."""
