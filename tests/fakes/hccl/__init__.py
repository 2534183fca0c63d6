"""The part of CANN's ``hccl`` package that returns the rank of a process."""
