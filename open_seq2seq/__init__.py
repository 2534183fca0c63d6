"""Jasper speech recognition on TensorFlow 1.15 for Ascend NPUs, GPUs and CPUs, in the style of OpenSeq2Seq."""
from open_seq2seq.moved_modules import install as _install_moved_modules
from open_seq2seq.version import __version__  # noqa: F401

_install_moved_modules()
