"""Lattice-free MMI on the characters of spoken digit strings, instead of CTC: docs/kaldi_training.md.

For: comparing the two losses; the network is that of jasper_mini_digits.py.
Cost: 1.1 times that of jasper_mini_digits.py.
Expected WER: not measured for a complete training; compare with CTC on your data.

Data: as for jasper_mini_digits.py; every mode that computes losses reads the transcripts of train.csv.
"""
from jasper_mini_digits import base_model, base_params, eval_params, infer_params, train_params  # noqa: F401

from open_seq2seq.losses import LFMMILoss

base_params = dict(
    base_params,
    logdir="runs/jasper_mini_digits_lfmmi",
    loss=LFMMILoss,
    loss_params={
        "transcripts": train_params["data_layer_params"]["dataset_files"],
        "ngram_order": 3,
        "xent_regularize": 0.1,
        "l2_regularize": 5e-5,
    },
)
