"""Reverberation: impulse responses of rectangular rooms by the image method (Allen and Berkley, 1979), and convolution."""
import collections

import numpy as np
import scipy.fft

SPEED_OF_SOUND = 343.0   # m/s
Room = collections.namedtuple("Room", "size source microphone reverberation_time")
Room.__doc__ = """size, source, microphone: [3], m. reverberation_time: s, in which the energy falls by 60 dB."""
DIRECT_TO_TAIL = 0.05    # s after which the reflections are replaced by decaying noise
SMALLEST_ROOM, LARGEST_ROOM = np.array([2.0, 2.0, 2.2]), np.array([9.0, 7.0, 4.0])
FROM_WALL = 0.4          # m, least distance of source and microphone from a wall


def random_room(reverberation_time, distance, random):
    """A room with a source and a microphone ``distance`` m apart (less where the room is too small)."""
    size = random.uniform(SMALLEST_ROOM, LARGEST_ROOM)
    source = random.uniform(FROM_WALL, size - FROM_WALL)
    direction = random.standard_normal(3)
    microphone = source + distance * direction / np.sqrt(np.sum(direction ** 2))
    return Room(size, source, np.clip(microphone, FROM_WALL, size - FROM_WALL), reverberation_time)


def impulse_response(room, sample_rate, random):
    """The impulse response of a room: float32 [samples], the direct sound first. Its amplitude is 1.

    Reflections that arrive within 50 ms of the direct sound are computed by the image method; the later ones are noise that
    decays at the same rate, since they are too dense to be told apart. The walls' coefficients are negative: with positive ones
    the reflections of low frequencies would add up (Lehmann and Johansson, 2008).
    """
    reflection = _reflection_coefficient(room)
    reach = SPEED_OF_SOUND * DIRECT_TO_TAIL + np.sqrt(np.sum((room.source - room.microphone) ** 2))
    counts = np.ceil(reach / (2 * room.size)).astype(int)
    grids = np.meshgrid(*[np.arange(-count, count + 1) for count in counts], [0, 1], [0, 1], [0, 1], indexing="ij")
    cells = np.stack([grid.reshape(-1) for grid in grids])
    orders, mirrors = cells[:3], cells[3:]
    images = (1 - 2 * mirrors) * room.source[:, np.newaxis] + 2 * orders * room.size[:, np.newaxis]
    distances = np.maximum(np.sqrt(np.sum((images - room.microphone[:, np.newaxis]) ** 2, axis=0)), 0.05)
    reflections = np.sum(np.abs(orders - mirrors) + np.abs(orders), axis=0)
    direct = distances.min()
    delays = np.round((distances - direct) / SPEED_OF_SOUND * sample_rate).astype(int)
    amplitudes = (-reflection) ** reflections * direct / distances
    early = int(DIRECT_TO_TAIL * sample_rate)
    length = max(int(room.reverberation_time * sample_rate), early + 1)
    response = np.zeros(length)
    np.add.at(response, delays[delays < early], amplitudes[delays < early])
    _add_tail(response, early, room.reverberation_time * sample_rate, random)
    return response.astype(np.float32)


def _reflection_coefficient(room):
    """Of every wall, from the reverberation time by Eyring's formula."""
    volume = np.prod(room.size)
    surface = 2 * (room.size[0] * room.size[1] + room.size[0] * room.size[2] + room.size[1] * room.size[2])
    absorption = 1 - np.exp(-24 * np.log(10) * volume / (SPEED_OF_SOUND * surface * max(room.reverberation_time, 0.03)))
    return np.sqrt(1 - min(absorption, 0.99))


def _add_tail(response, start, decay_samples, random):
    """Adds noise from ``start`` on whose energy falls by 60 dB in ``decay_samples``, as loud there as the reflections before."""
    before = response[start // 2:start]
    decay = 10 ** (-3 * np.arange(len(response)) / decay_samples)
    level = np.sqrt(np.mean(before ** 2)) / decay[start * 3 // 4]
    response[start:] += level * decay[start:] * random.standard_normal(len(response) - start)


def convolved(waveform, response):
    """The waveform in a room: float32 [samples], cut to the length of the waveform, as loud as before.

    Raises:
      ValueError: the response is all zeros.
    """
    peak = np.abs(response).max() if len(response) else 0.0
    if not peak > 0:
        raise ValueError("the impulse response has no sample other than 0")
    if not len(waveform):
        return waveform
    size = scipy.fft.next_fast_len(len(waveform) + len(response) - 1, real=True)
    wet = scipy.fft.irfft(scipy.fft.rfft(waveform, size) * scipy.fft.rfft(response.astype(np.float32), size), size)
    # the direct sound stays where it was
    wet = wet[int(np.argmax(np.abs(response))):][:len(waveform)]
    wet = np.pad(wet, (0, len(waveform) - len(wet)), mode="constant")
    loudness, before = np.sqrt(np.mean(wet ** 2)), np.sqrt(np.mean(waveform ** 2))
    return (wet * (before / loudness if loudness > 0 else 1)).astype(np.float32)
