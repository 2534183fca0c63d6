"""Decoders: EncoderOutput -> DecoderOutput(logits [B, T', V + 1], logit_lengths [B])."""
from open_seq2seq.decoders.fully_connected import DecoderOutput, FullyConnectedCTCDecoder

__all__ = ["DecoderOutput", "FullyConnectedCTCDecoder"]
