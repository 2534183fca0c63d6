"""Decoders: EncoderOutput -> DecoderOutput(logits [B, T', V + 1], logit_lengths [B]), or ClusterOutput for pre-training.

The logits of :class:`UtteranceClassifier` are [B, classes], those of :class:`FrameRegression` features [B, T, F].
"""
from open_seq2seq.decoders.cluster_prediction import ClusterPredictionDecoder
from open_seq2seq.decoders.frame_regression import FrameRegression
from open_seq2seq.decoders.fully_connected import DecoderOutput, FullyConnectedCTCDecoder
from open_seq2seq.decoders.utterance_classifier import UtteranceClassifier

__all__ = ["ClusterPredictionDecoder", "DecoderOutput", "FrameRegression", "FullyConnectedCTCDecoder", "UtteranceClassifier"]
