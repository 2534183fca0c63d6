"""Audio inside an HTML page."""
import base64
import contextlib
import io

import numpy as np
import soundfile

MP3_LEVEL = 0.7                        # of libsndfile, 0 to 1; about 30 kbit/s for speech at 16 kHz


def audio_address(samples, sample_rate):
    """Audio as a data address.

    Args:
      samples: float32 [n], -1 to 1.
      sample_rate: int.

    Returns:
      str: MP3, or FLAC where this libsndfile has no MP3 or MP3 does not have the rate.
    """
    samples, file = np.clip(samples, -1.0, 1.0), io.BytesIO()
    with contextlib.suppress(soundfile.SoundFileError, ValueError):
        soundfile.write(file, samples, sample_rate, format="MP3", subtype="MPEG_LAYER_III", compression_level=MP3_LEVEL,
                        bitrate_mode="VARIABLE")
        return data_address("audio/mpeg", file)
    file = io.BytesIO()
    soundfile.write(file, samples, sample_rate, format="FLAC", subtype="PCM_16")
    return data_address("audio/flac", file)


def data_address(kind, file):
    """The data address of what an ``io.BytesIO`` contains; kind: its media type."""
    return "data:%s;base64,%s" % (kind, base64.b64encode(file.getvalue()).decode("ascii"))
