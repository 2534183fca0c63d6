"""Searches for settings that training does not determine.

The weights of the language model, ``--mode=tune_lm``; in ``hyperparameters/`` the keys of a config, ``--mode=search``.
"""
