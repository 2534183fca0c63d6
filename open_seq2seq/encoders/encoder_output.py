"""What every encoder returns."""
import collections

EncoderOutput = collections.namedtuple("EncoderOutput", "outputs output_lengths")
EncoderOutput.__doc__ = """outputs: float32 or, in half precision, float16 [B, T', C], not masked; output_lengths: int32 [B],
true lengths in encoder frames."""
