"""Losses: logits and labels -> LossOutput(loss [], per_utterance [B], counted [B])."""
from open_seq2seq.losses.ctc_loss import CTCLoss, LossOutput
from open_seq2seq.losses.lfmmi import LFMMILoss
from open_seq2seq.losses.masked_prediction import MaskedPredictionLoss

__all__ = ["CTCLoss", "LFMMILoss", "LossOutput", "MaskedPredictionLoss"]
