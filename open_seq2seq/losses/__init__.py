"""Losses: logits and labels -> LossOutput(loss [], per_utterance [B], counted [B])."""
from open_seq2seq.losses.ctc_loss import CTCLoss, LossOutput

__all__ = ["CTCLoss", "LossOutput"]
