"""The rank of this process; available after HCCL is initialized (npu_ops.initialize_system)."""
import os

from fake_ascend import collectives

_WORLD = collectives.WORLD


def _asked(name, group):
    if group != _WORLD:
        raise ValueError("the fake adapter has the group %r only, not %r" % (_WORLD, group))
    if not collectives.started():
        raise RuntimeError("HCCL is not initialized: run npu_ops.initialize_system() first")
    return int(os.environ[name])


def get_rank_id(group=_WORLD):
    return _asked("HOROVOD_RANK", group)


def get_rank_size(group=_WORLD):
    return _asked("HOROVOD_SIZE", group)


def get_local_rank_id(group=_WORLD):
    return _asked("HOROVOD_LOCAL_RANK", group)


def get_local_rank_size(group=_WORLD):
    return _asked("HOROVOD_LOCAL_SIZE", group)


def create_group(group, rank_num, rank_ids):
    raise NotImplementedError("the fake adapter has the group %r only" % _WORLD)


def destroy_group(group):
    raise NotImplementedError("the fake adapter has the group %r only" % _WORLD)
