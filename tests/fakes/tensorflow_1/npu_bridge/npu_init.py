"""All public names. As in the adapter, importing this module moves EVERY later session of the process to the NPU."""
import atexit  # noqa: F401  (the adapter's `import *` also exports it)
import os

import tensorflow.compat.v1 as tf
from hccl.manage.api import create_group, destroy_group, get_local_rank_id, get_local_rank_size, get_rank_id, get_rank_size  # noqa: F401
from hccl.split.api import set_split_strategy_by_idx, set_split_strategy_by_size  # noqa: F401

from npu_bridge.estimator import npu_ops
from npu_bridge.estimator.npu import npu_scope, util  # noqa: F401
from npu_bridge.estimator.npu.npu_hook import NPUBroadcastGlobalVariablesHook, NPUCheckpointSaverHook  # noqa: F401
from npu_bridge.estimator.npu.npu_loss_scale_manager import ExponentialUpdateLossScaleManager, FixedLossScaleManager  # noqa: F401
from npu_bridge.estimator.npu.npu_loss_scale_optimizer import NPULossScaleOptimizer  # noqa: F401
from npu_bridge.estimator.npu.npu_optimizer import NPUDistributedOptimizer, NPUOptimizer  # noqa: F401
from npu_bridge.hccl import hccl_ops  # noqa: F401

_ranks = {}


def npu_config_proto(config_proto=None):
    """A ConfigProto to which the NpuOptimizer entry and its rewrite options are added if they are missing."""
    config = config_proto if isinstance(config_proto, tf.ConfigProto) else tf.ConfigProto()
    rewrite_options = config.graph_options.rewrite_options
    if not any(entry.name == "NpuOptimizer" for entry in rewrite_options.custom_optimizers):
        rewrite_options.custom_optimizers.add().name = "NpuOptimizer"
        rewrite_options.memory_optimization = rewrite_options.OFF
    rewrite_options.remapping = rewrite_options.OFF
    config.allow_soft_placement = True
    config.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.OFF
    return config


def npu_hooks_append(hooks_list=()):
    return list(hooks_list) + [NPUBroadcastGlobalVariablesHook(0, int(os.getenv("RANK_ID", "0")))]


def npu_tf_optimizer(opt):
    return NPUDistributedOptimizer(opt)


def init_resource(config=None):
    """Starts HCCL in a separate session: (session, operation that shuts HCCL down)."""
    start, npu_shutdown = npu_ops.initialize_system(), npu_ops.shutdown_system()
    sess = tf.Session(config=npu_config_proto(config))
    sess.run(start)
    if os.environ.get("RANK_TABLE_FILE"):
        _ranks.update(rank_id=get_rank_id(), rank_size=get_rank_size(), local_rank_id=get_local_rank_id(),
                      local_rank_size=get_local_rank_size())
    return sess, npu_shutdown


def shutdown_resource(sess, npu_shutdown):
    sess.run(npu_shutdown)


def close_session(sess):
    sess.close()


def get_npu_rank_id():
    return _ranks.get("rank_id", 0)


def get_npu_rank_size():
    return _ranks.get("rank_size", 1)


def get_npu_local_rank_id():
    return _ranks.get("local_rank_id", 0)


def get_npu_local_rank_size():
    return _ranks.get("local_rank_size", 1)


def _pull_to_npu(session_class):
    original = session_class.__init__

    def __init__(self, target="", graph=None, config=None):
        original(self, target, graph, npu_config_proto(config))
    session_class.__init__ = __init__


_pull_to_npu(tf.Session)
_pull_to_npu(tf.InteractiveSession)
