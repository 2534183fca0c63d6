"""Processes that train together: one, several over Horovod (CPU, GPU) or several over HCCL (Ascend NPU), behind one interface."""
from open_seq2seq.distributed.group import ProcessGroup, Single
from open_seq2seq.distributed.opening import open_group

__all__ = ["ProcessGroup", "Single", "open_group"]
