"""Averaged weights: means and combinations of checkpoints; see docs/averaging.md."""
