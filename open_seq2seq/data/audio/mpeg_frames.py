"""Frames of MPEG audio: their headers, and the Info frame that states how many there are.

Format: ISO/IEC 11172-3 and 13818-3; the Xing/Info frame with LAME's extension (gabriel.mp3-tech.org/mp3infotag.html), and
Fraunhofer's VBRI frame.
"""
import collections
import functools
import struct

_MPEG1, _LAYER_3 = 3, 1            # the header's codes
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_KBITS = {
    (True, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}

Header = collections.namedtuple("Header", "length samples kind rate channels side")
Header.__doc__ = """length: bytes of the frame. samples: of each channel. kind: (version, layer, rate, is mono), equal in all
frames of a stream. side: bytes of side information, behind which an Info frame has its tag."""


def parse_header(data):
    """The Header of a frame that begins with the 4 bytes ``data``, or None."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    # private, copyright, original and emphasis bits make no difference
    return _parse(data[1], data[2], data[3] & 0xC0)


def is_free_format(data):
    """Whether the 4 bytes ``data`` begin a frame of free bit rate, whose length only the place of the next frame tells."""
    return (len(data) == 4 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0 and data[2] >> 4 == 0
            and parse_header(bytes((data[0], data[1], data[2] | 0x10, data[3]))) is not None)


@functools.lru_cache(maxsize=None)
def _parse(second, third, mode):
    version, layer, bitrate, rate_code = second >> 3 & 3, second >> 1 & 3, third >> 4, third >> 2 & 3
    if version == 1 or layer == 0 or bitrate in (0, 15) or rate_code == 3:
        return None
    rate = _RATES[version][rate_code]
    kbits = _KBITS[version == _MPEG1, layer][bitrate - 1]
    padding = third >> 1 & 1
    mono = mode == 0xC0
    if layer == 3:
        length, samples = (12000 * kbits // rate + padding) * 4, 384
    else:
        samples = 576 if layer == _LAYER_3 and version != _MPEG1 else 1152
        length = samples // 8 * 1000 * kbits // rate + padding
    side = 0
    if layer == _LAYER_3:
        side = (17 if mono else 32) if version == _MPEG1 else 9 if mono else 17
    return Header(length, samples, (version, layer, rate, mono), rate, 1 if mono else 2, side)


def declared_frames(frame, header):
    """(number of frames or None, whether it is an Info frame, which holds no audio)."""
    place = 4 + header.side
    tag = frame[place:place + 4]
    if tag in (b"Xing", b"Info"):
        flags, count = struct.unpack(">II", frame[place + 4:place + 12].ljust(8, b"\0"))
        return (count if flags & 1 and _is_intact(frame, place, flags) else None), True
    if frame[36:40] == b"VBRI":
        return struct.unpack(">I", frame[50:54].ljust(4, b"\0"))[0], True
    return None, False


def has_encoder_name(frame, header):
    """Whether a frame has an encoder's name where an Info frame has it.

    LAME fills silent frames with its own name repeatedly, which is not an Info frame.
    """
    place = header.side + 124
    return frame[place:place + 4] in (b"LAME", b"Lavf", b"Lavc") and b"LAME" not in frame[header.side + 4:place]


def uses_reservoir(frame, header):
    """Whether a frame of layer III begins within the bytes of the frames in front of it: it is not the first of a file."""
    if not header.side:
        return False
    place = 4 if frame[1] & 1 else 6      # behind the frame's checksum, if any
    begin = frame[place:place + 2]
    return bool(len(begin) == 2 and (begin[0] << 1 | begin[1] >> 7 if header.kind[0] == _MPEG1 else begin[0]))


def _is_intact(frame, place, flags):
    """Whether an Info frame's table of positions ascends, and LAME's checksum of it is right; True where there are none."""
    table = place + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1)
    if flags & 4 and any(first > second for first, second in zip(frame[table:table + 99], frame[table + 1:table + 100])):
        return False      # positions in the file, which ascend
    lame = table + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    stored = frame[lame + 34:lame + 36]
    if len(stored) < 2 or not frame[lame:lame + 4].isalnum() or stored == b"\0\0":
        return True
    # libavformat sums up 190 bytes, with 0 in place of the checksum; that is the same only for stereo of MPEG-1
    libavformat = (frame[:lame + 34] + b"\0\0" + frame[lame + 36:]).ljust(190, b"\0")[:190]
    return struct.unpack(">H", stored)[0] in (_crc16(frame[:lame + 34]), _crc16(libavformat))


def _crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def info_frame(header, frames):
    """An Info frame of layer III that states ``frames``."""
    version, layer, rate, _ = header.kind
    # 64 kbit/s at least, so that there is room for the tag; no checksum
    second = 0xE0 | version << 3 | layer << 1 | 1
    third = (5 if version == _MPEG1 else 8) << 4 | _RATES[version].index(rate) << 2
    fourth = 0xC0 if header.channels == 1 else 0x00
    frame = bytes([0xFF, second, third, fourth]) + bytes(header.side) + b"Xing" + struct.pack(">II", 1, frames)
    return frame.ljust(_parse(second, third, fourth).length, b"\0")
