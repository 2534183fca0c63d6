"""Exported models that run: one interface for every format, features, scoring on manifests."""
