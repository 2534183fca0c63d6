"""FLAC in Ogg: libsndfile 1.2.2 cannot read it (its libFLAC is built without Ogg), so its packets become a FLAC file in memory.

Format: RFC 9639, section 10.1. The first packet holds the signature and STREAMINFO, the next ones hold other metadata, and each
of the rest is a frame.
"""
import struct

from open_seq2seq.data.audio.flac import inspect_flac
from open_seq2seq.data.audio.source import MemorySource, Part
from open_seq2seq.data.audio.structure import damaged

FLAC_IN_OGG = b"\x7fFLAC"
_SIGNATURE, _STREAMINFO_BYTES, _LAST_METADATA = 9, 38, 0x80
_TOTAL = 8 + 10                    # offset of the 64 bits of a FLAC file whose last 36 are the number of samples


def flac_part(packets, last_position, checks):
    """A Part whose prefix is the whole FLAC file.

    Args:
      packets: iterator of the stream's packets, bytes.
      last_position: position of the last page, the number of samples.
      checks: Checks.

    Returns:
      Part without a range of the Ogg file.

    Raises:
      RejectedData: the stream is damaged or has no frames.
    """
    first = next(packets, b"")
    header = first[_SIGNATURE:_SIGNATURE + 4 + _STREAMINFO_BYTES]
    if len(header) < 4 + _STREAMINFO_BYTES or not header.startswith(b"fLaC"):
        damaged("the first packet of FLAC in the Ogg file has no STREAMINFO")
    header = bytearray(header)
    header[4] |= _LAST_METADATA
    packed, = struct.unpack_from(">Q", header, _TOTAL)
    if not packed & (1 << 36) - 1 and 0 < last_position < 1 << 36:      # STREAMINFO leaves the length open
        struct.pack_into(">Q", header, _TOTAL, packed | last_position)
    data = bytes(header) + b"".join(packet for packet in packets if packet.startswith(b"\xff"))
    part, = inspect_flac(MemorySource(data), checks).parts
    data = bytearray(data[:part.end])
    for place, replacement in part.patches:
        data[place:place + len(replacement)] = replacement
    return Part(0, 0, part.samples, bytes(data))
