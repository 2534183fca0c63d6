"""Kazakh and Turkish together: the model from which a transfer to Kyrgyz starts (scripts/transfer.sh, docs/new_language.md).

For: a language whose recordings come later than those of its relatives.
Cost: 0.05 GFLOP for each second of audio in a training step; docs/new_language.md has the time.
Expected WER: 28 % on the Kyrgyz test set after the transfer (docs/new_language.md).

Data: as for jasper_mini_turkic.py, without ky.
"""
import os

import jasper_mini_turkic as turkic
from jasper_mini_turkic import base_model, train_params  # noqa: F401

base_params = dict(
    turkic.base_params,
    tasks={name: task for name, task in turkic.base_params["tasks"].items() if name != "kyrgyz"},
    # with as many steps of Kyrgyz afterwards as jasper_mini_turkic.py in all
    max_steps=turkic.base_params["max_steps"] * 2 // 3,
    best_metric="kazakh.wer",
    logdir="runs/jasper_mini_turkic_source",
    data_layer_params=dict(
        turkic.base_params["data_layer_params"],
        vocab_file=os.path.join(turkic.corpora, "kk", "vocab.txt"),
    ),
)

eval_params = {
    "data_layer_params": {
        "dataset_files": [os.path.join(turkic.corpora, "kk", "dev.csv")],
        "shuffle": False,
    },
}

infer_params = {
    "data_layer_params": {
        "dataset_files": [os.path.join(turkic.corpora, "kk", "test.csv")],
        "shuffle": False,
    },
}
