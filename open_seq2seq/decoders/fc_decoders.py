"""The fully connected decoder at the path from which configs of OpenSeq2Seq import it."""
from open_seq2seq.decoders.fully_connected import FullyConnectedCTCDecoder

__all__ = ["FullyConnectedCTCDecoder"]
