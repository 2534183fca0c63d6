"""Parallel training: jobs that train on their own and are averaged between (docs/kaldi_training.md)."""
