"""Fusion of gradients for the all-reduce: no effect in the fake, which reduces every gradient separately."""


def set_split_strategy_by_idx(idxList, group="hccl_world_group"):
    """Accepts the indices after which a new segment begins."""


def set_split_strategy_by_size(dataSizeList, group="hccl_world_group"):
    """Accepts the shares of the segments in percent, whose sum must be 100."""
    if sum(dataSizeList) != 100:
        raise ValueError("the shares make %s, not 100" % sum(dataSizeList))
