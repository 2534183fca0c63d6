"""Decoders: EncoderOutput -> DecoderOutput(logits [B, T', V + 1], logit_lengths [B]), or ClusterOutput for pre-training."""
from open_seq2seq.decoders.cluster_prediction import ClusterPredictionDecoder
from open_seq2seq.decoders.fully_connected import DecoderOutput, FullyConnectedCTCDecoder

__all__ = ["ClusterPredictionDecoder", "DecoderOutput", "FullyConnectedCTCDecoder"]
