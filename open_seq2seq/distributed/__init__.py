"""Processes that train together behind one interface: one, several through Horovod (CPU, GPU) or through HCCL (Ascend NPU)."""
from open_seq2seq.distributed.group import ProcessGroup, Single
from open_seq2seq.distributed.opening import open_group

__all__ = ["ProcessGroup", "Single", "open_group"]
