"""The part of CANN's ``hccl`` package that a trainer asks for its rank."""
