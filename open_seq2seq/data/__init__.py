"""Data layers."""
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer

__all__ = ["Speech2TextDataLayer"]
