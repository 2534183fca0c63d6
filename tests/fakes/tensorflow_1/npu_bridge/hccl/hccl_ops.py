"""Collective operations of HCCL."""
from fake_ascend import collectives


def allreduce(tensor, reduction, fusion=1, fusion_id=-1, group="hccl_world_group"):
    return collectives.allreduce(tensor, reduction, group)


def allgather(tensor, rank_size, group="hccl_world_group", fusion=0, fusion_id=-1):
    return collectives.allgather(tensor, rank_size, group)


def broadcast(tensor, root_rank, fusion=2, fusion_id=0, group="hccl_world_group"):
    if fusion not in (0, 2):
        raise ValueError("fusion %r of a broadcast: 0 or 2" % (fusion,))
    return collectives.broadcast(tensor, root_rank, group)


def reduce(tensor, reduction, root_rank, fusion=0, fusion_id=-1, group="hccl_world_group"):
    return collectives.allreduce(tensor, reduction, group)
