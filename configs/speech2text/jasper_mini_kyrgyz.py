"""The network of jasper_mini_digits.py with half the width, on the Kyrgyz sentences of one small corpus.

For: a language with few recordings, alone; docs/new_language.md compares it with jasper_mini_turkic.py, which trains Kazakh and
Turkish along, and with a transfer from them.
Cost: 0.05 GFLOP for each second of audio in a training step; docs/new_language.md has the time.
Expected WER: 54 % on the Kyrgyz test set (0.1 hours of training data, docs/new_language.md).

Data: train.csv, dev.csv, test.csv and vocab.txt in $JASPER_DATA/ky (corpus/ky by default), which docs/new_language.md makes.
"""
import os

import jasper_mini_digits as digits
from jasper_mini_digits import base_model  # noqa: F401

kyrgyz = os.path.join(os.environ.get("JASPER_DATA", "corpus"), "ky")

base_params = dict(
    digits.base_params,
    width_multiplier=0.5,
    max_steps=600,
    eval_steps=200,
    save_checkpoint_steps=200,
    print_samples_steps=200,
    logdir="runs/jasper_mini_kyrgyz",
    data_layer_params=dict(
        digits.base_params["data_layer_params"],
        vocab_file=os.path.join(kyrgyz, "vocab.txt"),
        normalization=[{"letters": "ky"}, {"numbers": "ky"}, {"lower": "ky"}, "punctuation"],
    ),
)

train_params = {
    "data_layer_params": {
        "dataset_files": [os.path.join(kyrgyz, "train.csv")],
        # synthetic speech without noise in all sets; for recordings see "recipe" in docs/robustness.md
        "augmentation": {
            "speed_perturbation_ratio": 0.2,
            "n_freq_mask": 2,
            "n_time_mask": 2,
            "width_freq_mask": 12,
            "width_time_mask": 10,
        },
        "shuffle": True,
        "length_pool": 16,
    },
}

eval_params = {
    "data_layer_params": {
        "dataset_files": [os.path.join(kyrgyz, "dev.csv")],
        "shuffle": False,
    },
}

infer_params = {
    "data_layer_params": {
        "dataset_files": [os.path.join(kyrgyz, "test.csv")],
        "shuffle": False,
    },
}
