"""Losses: logits and labels -> LossOutput(loss [], per_utterance [B], counted [B])."""
from open_seq2seq.losses.cross_entropy import CrossEntropyLoss
from open_seq2seq.losses.ctc_loss import CTCLoss, LossOutput
from open_seq2seq.losses.lfmmi import LFMMILoss
from open_seq2seq.losses.masked_prediction import MaskedPredictionLoss
from open_seq2seq.losses.regression import RegressionLoss

__all__ = ["CTCLoss", "CrossEntropyLoss", "LFMMILoss", "LossOutput", "MaskedPredictionLoss", "RegressionLoss"]
