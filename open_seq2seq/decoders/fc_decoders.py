"""The path under which OpenSeq2Seq's configs may import the fully connected decoder."""
from open_seq2seq.decoders.fully_connected import FullyConnectedCTCDecoder

__all__ = ["FullyConnectedCTCDecoder"]
