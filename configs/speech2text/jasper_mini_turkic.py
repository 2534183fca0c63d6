"""One encoder for Kyrgyz, Kazakh and Turkish, with an output layer for each: a language with few recordings learns from others.

For: a small corpus next to larger ones of related languages (docs/new_language.md, docs/multi_task.md).
Cost: 0.05 GFLOP for each second of audio in a training step; docs/new_language.md has the time.
Expected WER: 31 % on the Kyrgyz test set, 54 % with Kyrgyz alone (docs/new_language.md).

Data: train.csv, dev.csv, test.csv and vocab.txt in the folders ky, kk and tr of $JASPER_DATA (corpus by default), which
docs/new_language.md makes.
"""
import os

import jasper_mini_kyrgyz as kyrgyz
from jasper_mini_kyrgyz import base_model, eval_params, infer_params  # noqa: F401

corpora = os.environ.get("JASPER_DATA", "corpus")


def language(code):
    """The task of a language: its own alphabet, manifests and output layer."""
    folder = os.path.join(corpora, code)
    return {"data": {
        "vocab_file": os.path.join(folder, "vocab.txt"),
        "normalization": [{"letters": code}, {"numbers": code}, {"lower": code}, "punctuation"],
        "dataset_files": [os.path.join(folder, "train.csv")],
        "eval_files": [os.path.join(folder, "dev.csv")],
    }}


base_params = dict(
    kyrgyz.base_params,
    tasks={"kyrgyz": language("ky"), "kazakh": language("kk"), "turkish": language("tr")},
    # a third of the rows are Kyrgyz, so these are as many Kyrgyz utterances as in jasper_mini_kyrgyz.py
    max_steps=3 * kyrgyz.base_params["max_steps"],
    best_metric="kyrgyz.wer",
    logdir="runs/jasper_mini_turkic",
)

train_params = {
    "data_layer_params": dict(
        kyrgyz.train_params["data_layer_params"],
        # equally many utterances of each language, whatever their numbers
        sampling_temperature=100.0,
    ),
}
