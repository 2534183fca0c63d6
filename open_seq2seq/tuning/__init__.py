"""Searches for settings that training does not determine: the weights of the language model, ``--mode=tune_lm``."""
