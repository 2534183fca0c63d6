"""Decoders of label sequences: a network's outputs -> transcripts.

Each is a class made from a :class:`~open_seq2seq.text.vocabulary.Vocabulary`, with a method ``decode_logits(logits, lengths)``:
float [B, T', V + 1] and int [B] valid frames -> list of B str.
"""
