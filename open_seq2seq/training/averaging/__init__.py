"""Weights that are means: over the steps of a training, or over its checkpoints. docs/averaging.md is the page on it."""
