"""Changes of a waveform: noise, rooms, channels, codecs, levels, pauses and tempo.

Functions of float32 [samples] and their sample rate, in NumPy. Whatever is random comes from the ``RandomState`` or from the
numbers that a function takes, so equal arguments give equal results. The augmentation of training
(:mod:`open_seq2seq.data.speech2text.augmentation`), the preparations of ``--mode=robustness`` and the synthetic corpus use them.
"""
