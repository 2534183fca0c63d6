"""The version of the project; runs and exported models record it."""

__version__ = "0.1.0"
