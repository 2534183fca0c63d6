"""FLAC: the header against the first and the last frame of the file.

Format: RFC 9639. The number of the last frame tells how many samples the file holds, so a scan reads two blocks of a file
and decodes nothing.
"""
import functools
import struct

import numpy as np

from open_seq2seq.data.audio.containers import START_BYTES, container_of
from open_seq2seq.data.audio.source import Part
from open_seq2seq.data.audio.structure import Structure, contradiction, damaged
from open_seq2seq.data.rejection import EMPTY_AUDIO, WRONG_HEADER, RejectedData

JOINED = "another FLAC file begins at byte %d of the file, behind the first recording; split the file there"
_TAGS = (b"APETAGEX", b"LYRICSBEGIN", b"TAG", b"ID3")      # of other programs, behind the samples
TAIL = 1 << 14                     # bytes read from the end at first
MAX_METADATA = 1 << 26
_STREAMINFO, _INFO_BYTES = 0, 34
_RATES = {1: 88200, 2: 176400, 3: 192000, 4: 8000, 5: 16000, 6: 22050, 7: 24000, 8: 32000, 9: 44100, 10: 48000, 11: 96000}
_BITS = {1: 8, 2: 12, 4: 16, 5: 20, 6: 24, 7: 32}


def inspect_flac(source, checks, start=0):
    """The structure of a FLAC file.

    Args:
      source: ByteSource.
      checks: Checks.
      start: where the file begins, behind an ID3 tag.

    Returns:
      Structure.

    Raises:
      RejectedData: the header is damaged or contradicts the frames.
    """
    info, audio = _metadata(source, start)
    packed, = struct.unpack(">Q", info[10:18])
    rate, channels, bits, declared = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1, packed & (1 << 36) - 1
    first = parse_frame_header(source.at(audio, 16), bits)
    if first is None:
        if audio >= source.size and not declared:
            raise RejectedData(EMPTY_AUDIO, "a FLAC file without samples")
        damaged("the FLAC file has no intact frame behind its header, which ends at byte %d of %d" % (audio, source.size))
    _compare(first, rate, channels, bits)
    end, present, exact = _last_frame(source, audio, first, bits)
    if not present:
        raise RejectedData(EMPTY_AUDIO, "a FLAC file without samples")
    if not exact:
        end, present = _with_rest(source, checks, audio, end, present, declared, first, bits)
    if declared and present != declared:
        joined = joined_file(source, start)
        if joined >= 0:
            raise RejectedData(WRONG_HEADER, JOINED % joined)
    if declared and present > declared:
        raise RejectedData(WRONG_HEADER, "the header declares %d samples, the file holds at least %d; save it again, "
                                         "e.g. ffmpeg -i INPUT OUTPUT.flac" % (declared, present))
    if declared:
        checks.missing(declared, present, "samples")
    if declared == present and exact:
        return Structure((Part(start, source.size, present),), rate, channels, present)
    # replace the declared number of samples with the correct one
    packed = packed >> 36 << 36 | present
    return Structure((Part(start, end, present, patches=((audio_info(start) + 10, struct.pack(">Q", packed)),)),),
                     rate, channels, present)


def audio_info(start):
    """Offset of the STREAMINFO block's content."""
    return start + 8


def _with_rest(source, checks, audio, end, present, declared, first, bits):
    """(end, samples) of the intact frames of a file that continues behind those that :func:`_last_frame` found.

    Another file's bytes hide the end of the frame before them: there the checksum is right, and a known signature follows.

    Raises:
      RejectedData: another recording begins there, or a file of unknown length was cut off.
    """
    channels = first.channels
    largest = (first.samples * channels * ((first.bits or bits) + 1)) // 8 + 64 + 16 * channels
    data = source.at(end, largest + 16)
    header = parse_frame_header(data[:16], bits)
    if header is not None and header.is_like(first):
        for size in _checksum_ends(data[:largest]):
            rest = data[size:size + 16]
            if container_of(rest, is_certain=True) or rest.startswith(_TAGS) or declared == header.end(first.samples) and (
                    container_of(rest) or not rest.strip(b"\0") or source.size - end > 2 * largest):
                end, present = end + size, header.end(first.samples)
                break
    rest = source.at(end, START_BYTES)
    if not declared and container_of(rest, is_certain=True) is None and not rest.startswith(_TAGS) and (
            rest.strip(b"\0") or source.size - end > START_BYTES):
        raise RejectedData(WRONG_HEADER, "the FLAC file of unknown length continues for %d bytes behind its last intact frame: "
                                         "it was cut off or is damaged, and how much is missing is unknown" % (source.size - end))
    if present == declared or not declared:
        if not rest.startswith(_TAGS):
            checks.behind(source.size - end, end - audio, "its last frame", source)
    return end, present


def _checksum_ends(data):
    """Yields the lengths after which the checksum of the frame that ``data`` begins with is right."""
    crc = 0
    for place, byte in enumerate(data, 1):
        crc = (crc << 8 & 0xFFFF) ^ _CRC16[crc >> 8 ^ byte]
        if not crc:
            yield place


def joined_file(source, start):
    """Offset of another FLAC file behind the first one, or -1; reads the whole file."""
    return source.find(b"fLaC\x00\x00\x00\x22", start + 8)


def _metadata(source, start):
    """(content of STREAMINFO, offset of the first frame)."""
    position, info = start + 4, None
    while position - start < MAX_METADATA:
        head = source.at(position, 4)
        if len(head) < 4:
            damaged("the FLAC file ends within its header, at byte %d" % source.size)
        kind, size = head[0] & 0x7F, struct.unpack(">I", b"\0" + head[1:])[0]
        if info is None:
            info = source.at(position + 4, _INFO_BYTES)
            if kind != _STREAMINFO or size != _INFO_BYTES or len(info) < _INFO_BYTES:
                damaged("the FLAC file does not begin with a STREAMINFO block")
        position += 4 + size
        if head[0] & 0x80:
            return info, position
    damaged("the header of the FLAC file does not end within %d MB" % (MAX_METADATA >> 20))


class FrameHeader:
    """number: of the frame, or of its first sample where ``is_variable``. samples: of each channel. rate, bits: None where the
    frame refers to STREAMINFO."""

    def __init__(self, number, samples, is_variable, rate, channels, bits):
        self.number, self.samples, self.is_variable = number, samples, is_variable
        self.rate, self.channels, self.bits = rate, channels, bits

    def end(self, block):
        """Number of the sample behind the frame; ``block`` is the block size of a stream whose block size is fixed."""
        return (self.number if self.is_variable else self.number * block) + self.samples

    def is_like(self, other):
        return (self.is_variable, self.rate, self.channels, self.bits) == (
            other.is_variable, other.rate, other.channels, other.bits)


def parse_frame_header(data, bits=None):
    """The FrameHeader that ``data`` begins with, or None; the header's checksum is verified."""
    if len(data) < 6 or data[0] != 0xFF or data[1] & 0xFE != 0xF8 or data[3] & 1:
        return None
    size_code, rate_code, channel_code, bits_code = data[2] >> 4, data[2] & 15, data[3] >> 4, data[3] >> 1 & 7
    if size_code == 0 or rate_code == 15 or channel_code > 10 or bits_code == 3:
        return None
    number, place = _coded_number(data)
    if number is None:
        return None
    if size_code in (6, 7):
        width = size_code - 5
        samples = int.from_bytes(data[place:place + width], "big") + 1
        place += width
    else:
        samples = 192 if size_code == 1 else 576 << size_code - 2 if size_code < 6 else 256 << size_code - 8
    rate = _RATES.get(rate_code)
    if rate_code >= 12:
        width = 1 if rate_code == 12 else 2
        rate = int.from_bytes(data[place:place + width], "big") * {12: 1000, 13: 1, 14: 10}[rate_code]
        place += width
    if place >= len(data) or _crc8(data[:place]) != data[place]:
        return None
    return FrameHeader(number, samples, bool(data[1] & 1), rate, channel_code + 1 if channel_code < 8 else 2,
                       _BITS.get(bits_code, bits))


def _coded_number(data):
    """(number in UTF-8's extended coding at byte 4, offset behind it), or (None, 0)."""
    first = data[4]
    length = 0
    while length < 8 and first & 0x80 >> length:
        length += 1
    if length in (1, 8) or len(data) < 5 + max(length - 1, 0):
        return None, 0
    if length == 0:
        return first, 5
    number = first & 0x7F >> length
    for byte in data[5:4 + length]:
        if byte & 0xC0 != 0x80:
            return None, 0
        number = number << 6 | byte & 0x3F
    return number, 4 + length


def _compare(first, rate, channels, bits):
    for name, stated, found in (("Hz", rate, first.rate), ("channels", channels, first.channels), ("bits", bits, first.bits)):
        if found is not None and found != stated:
            contradiction("it states %d %s, the first frame %d" % (stated, name, found))


def _last_frame(source, audio, first, bits):
    """(end of the last intact frame, samples up to it, whether the file ends there).

    A damaged frame before the last one shows when the file is decoded.
    """
    file_end = source.size
    if file_end - audio > 128 and source.at(file_end - 128, 3) == b"TAG":      # ID3v1
        file_end -= 128
    span = TAIL
    while True:
        begin = max(audio, file_end - span)
        data = source.at(begin, file_end - begin)
        found = _intact_end(data, first, bits)
        if found is not None:
            end, samples = found
            return begin + end, samples, begin + end == file_end
        if begin == audio:
            damaged("the FLAC file has no intact frame")
        span *= 4


def _intact_end(data, first, bits):
    """(end, samples up to it) of the last frame in ``data`` whose checksum is right, or None."""
    sync = b"\xff\xf9" if first.is_variable else b"\xff\xf8"
    candidates, place = [], data.find(sync)
    while place >= 0:
        header = parse_frame_header(data[place:place + 16], bits)
        if header is not None and header.is_like(first):
            candidates.append((place, header))
        place = data.find(sync, place + 1)
    stops = [place for place, _ in candidates[1:]] + [len(data)]
    # frames end where the next one begins; a false header within a frame makes its end come later
    for index in range(len(candidates) - 1, -1, -1):
        place, header = candidates[index]
        for stop in reversed(stops[index:index + 3]):
            if stop - place > 2 and _crc16(data[place:stop]) == 0:
                return stop, header.end(first.samples)
    return None


def _table(polynomial, width, bits):
    """CRC table of all values of ``bits`` bits, the most significant bit first, for a checksum of ``width`` bits."""
    table, top, mask = [], 1 << width - 1, (1 << width) - 1
    for value in range(1 << bits):
        crc = value << width - bits
        for _ in range(bits):
            crc = (crc << 1 ^ polynomial if crc & top else crc << 1) & mask
        table.append(crc)
    return table


_CRC8 = _table(0x07, 8, 8)
_CRC16 = _table(0x8005, 16, 8)
CRC_BLOCK = 64                     # bytes
_CRC_PLACES = 256 * np.arange(CRC_BLOCK)


@functools.lru_cache(maxsize=None)
def _crc16_tables():
    """uint16 [256 * CRC_BLOCK]: at 256 * place + value, the checksum of a block that is zero except for one byte; and a list that
    gives the checksum after another block of zeros."""
    steps = np.arange(1 << 16, dtype=np.uint32)
    table = np.array(_CRC16, np.uint32)

    def with_zero(crc):
        return (crc << 8 & 0xFFFF) ^ table[crc >> 8]

    places = [table]
    for _ in range(CRC_BLOCK - 1):
        places.append(with_zero(places[-1]))
    for _ in range(CRC_BLOCK):
        steps = with_zero(steps)
    return np.concatenate(places[::-1]).astype(np.uint16), steps.tolist()


def _crc8(data):
    crc = 0
    for byte in data:
        crc = _CRC8[crc ^ byte]
    return crc


def _crc16(data):
    """The frame's checksum; 0 for data that ends with its own checksum.

    The checksum is linear: that of a block is the sum (without carry) of the checksums of its bytes alone.
    """
    table, after_zeros = _crc16_tables()
    zeros = -len(data) % CRC_BLOCK      # in front of the data they do not change the checksum
    values = np.frombuffer(bytes(zeros) + bytes(data), np.uint8).reshape(-1, CRC_BLOCK)
    blocks = np.bitwise_xor.reduce(table[values + _CRC_PLACES], axis=1)
    crc = 0
    for block in blocks.tolist():
        crc = after_zeros[crc] ^ block
    return crc
