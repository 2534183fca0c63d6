"""Validation of manifests and their audio before a training: what is wrong, in which rows, and a repaired copy."""
