"""Fine-tuning of the encoder that jasper_mini_digits_hubert.py has pre-trained: CTC on the transcripts of spoken digit strings.

For: few transcripts. load_model takes the encoder of the pre-training; what only the pre-training has is listed and not used.
Cost: that of jasper_mini_digits.py for each step.
Expected WER: docs/pretraining.md compares it with training from scratch.

Data: as for jasper_mini_digits.py; only train.csv needs transcripts.
"""
import os

from jasper_mini_digits import base_model, base_params, eval_params, infer_params, train_params  # noqa: F401

base_params = dict(
    base_params,
    logdir="runs/jasper_mini_digits_finetune",
    load_model=os.path.join("runs", "jasper_mini_digits_hubert"),
    # the best on the dev set by the loss of masked prediction
    restore_best_checkpoint=True,
    max_steps=1500,
    eval_steps=250,
    save_checkpoint_steps=250,
    # all layers from the first step: with so few steps it is better than the output layer alone at first (docs/pretraining.md)
    freeze_encoder_steps=0,
    encoder_lr_scale=1.0,
)
