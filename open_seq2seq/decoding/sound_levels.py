"""Which frames of a recording are loud: by their energy, compared with the noise floor."""
import numpy as np

DEAD_DECIBELS = -100.0            # the power of 16-bit rounding; the level of a frame of zeros
PAUSE_RANGE = 0.25                # a pause is below the floor plus this fraction of the distance to the loud frames
LEAST_PAUSE_RANGE = 3.0           # dB
PAUSE_BELOW_LOUD = 6.0            # dB
LOUD_FRAMES = 5                   # the loudest frames; fewer are a click


def loud_frames(samples, frame, count):
    """Whether there is sound in each frame of the logits.

    Args:
      samples: float [samples], of one utterance.
      frame: samples of a frame of the logits.
      count: number of frames.

    Returns:
      bool [count]. The last frame may be incomplete; it is quiet then.
    """
    loud = ~quiet_frames(levels_of(samples, frame))[:count]
    return np.pad(loud, (0, count - len(loud)), mode="constant")


def levels_of(samples, frame):
    """float [frames], dB below full scale of each whole frame of ``frame`` samples; a constant offset is ignored."""
    frames = samples[:len(samples) // frame * frame].reshape(-1, frame)
    # arrays may hold any numbers: in float32 the square of 1e20 is infinite
    return 10 * np.log10(np.maximum(frames.var(axis=1, dtype=np.float64), 10 ** (DEAD_DECIBELS / 10)))


def quiet_frames(levels):
    """bool [frames]: as quiet as the pauses between words; ``levels`` in dB."""
    if not len(levels):
        return np.zeros([0], bool)
    floor, loud = np.percentile(levels, 10), np.sort(levels)[-LOUD_FRAMES:][0]
    # where all frames are equally loud, none is a pause
    return levels < min(floor + max(LEAST_PAUSE_RANGE, PAUSE_RANGE * (loud - floor)), loud - PAUSE_BELOW_LOUD)
