"""Several outputs of one encoder on spoken digit strings: characters, classes of sounds, and the features of clean audio.

For: an example of tasks on one data set (docs/multi_task.md); the network is that of jasper_mini_digits.py with two further
output layers, which only the training needs.
Cost: 1.1 times that of jasper_mini_digits.py, whose inference is unchanged.
Expected WER: not measured.

Data: as for jasper_mini_digits.py.
"""
from jasper_mini_digits import base_model, base_params, eval_params, infer_params, train_params  # noqa: F401

# a coarse transcript of the same words: one letter for all vowels, and one for each manner of articulation of consonants
SOUNDS = {"a": "aeiou", "f": "fvsxhz", "t": "tgk", "n": "nm", "r": "rlwy"}
CLASS_OF_LETTER = {letter: of_class for of_class, letters in SOUNDS.items() for letter in letters}

base_params = dict(
    base_params,
    logdir="runs/jasper_mini_digits_tasks",
    tasks={
        # the first is the main task: the one that is exported, and whose WER is the model's
        "characters": {"data": {"kind": "transcript"}},
        # hierarchical CTC (arXiv:1807.06234): the lower blocks learn a coarser transcript
        "sounds": {
            "data": {"kind": "transcript", "normalization": ["lower", {"map": CLASS_OF_LETTER}]},
            "layer": "conv42",
            # strong in the beginning, when it shapes the lower blocks
            "weight": {"start": 0.5, "end": 0.1, "last_step": 5000},
        },
        # denoising: the features of the audio without the noise and echo that the augmentation adds
        "clean": {
            "data": {"kind": "features"},
            "layer": "conv21",
            "weight": 1.0,
            "encoder_gradient_scale": 0.5,
        },
    },
)
