"""Lattice-free MMI on the characters of spoken digit strings, instead of CTC: docs/kaldi_training.md.

For: comparing the two losses; the network is that of jasper_mini_digits.py.
Cost: 1.1 times that of jasper_mini_digits.py.
Expected WER: not measured for a complete training. After 600 steps on 800 utterances the WER was 6.3 % with a language model
(7.0 % with CTC) and 17.3 % with greedy decoding (13.5 % with CTC): decode with --lm_path=FILE.

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
        "xent_regularize": 1.0,
        "l2_regularize": 5e-5,
    },
)
