"""Jasper speech recognition on TensorFlow 1.15 for Ascend NPUs, GPUs and CPUs, in the style of OpenSeq2Seq."""

__version__ = "0.1.0"
