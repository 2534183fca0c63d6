"""Encoders: features [B, T, F] -> EncoderOutput(outputs [B, T', C], output_lengths [B])."""
from open_seq2seq.encoders.interface import EncoderOutput, Execution
from open_seq2seq.encoders.tdnn_encoder import TDNNEncoder

Wave2LetterEncoder = TDNNEncoder  # the name that OpenSeq2Seq's older configs import

__all__ = ["EncoderOutput", "Execution", "TDNNEncoder", "Wave2LetterEncoder"]
