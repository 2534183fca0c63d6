"""MPEG audio (MP3, also layers I and II): the frames of a file, one by one.

Format: ISO/IEC 11172-3 and 13818-3. The Xing/Info frame with LAME's extension (gabriel.mp3-tech.org/mp3infotag.html) and
Fraunhofer's VBRI frame state the number of frames. libsndfile estimates the length of a file without them from its first
frames, and cuts the file there; so it is given an Info frame with the true number.
"""
import collections
import struct

from open_seq2seq.data.audio.containers import MP3, START_BYTES
from open_seq2seq.data.audio.source import SEARCH_BLOCK, Part, behind_padding
from open_seq2seq.data.audio.structure import Structure, beginning_of
from open_seq2seq.data.rejection import EMPTY_AUDIO, NOT_AUDIO, WRONG_HEADER, RejectedData

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
MAX_JUNK = 1 << 16                 # bytes in front of the first frame
MAX_LYRICS = 1 << 20               # bytes of a Lyrics3 tag, whose size has 6 digits
_APE, _APE_HEADER, _APE_HAS_HEADER = b"APETAGEX", 1 << 29, 1 << 31

Header = collections.namedtuple("Header", "length samples kind rate channels side")
Header.__doc__ = """length: bytes of the frame. samples: of each channel. kind: (version, layer, rate, is mono), equal in all
frames of a stream. side: bytes of side information, behind which an Info frame has its tag."""
_headers = {}


def inspect_mpeg(source, checks, start=0, end=None):
    """The structure of an MPEG audio stream.

    Args:
      source: ByteSource.
      checks: Checks.
      start, end: the range of the file that holds the stream.

    Returns:
      Structure.

    Raises:
      RejectedData: there are no frames, or frames are missing.
    """
    source.block = SEARCH_BLOCK
    end = source.size if end is None else end
    streams = _streams(source, start, end, checks)
    rates = sorted({stream.header.rate for stream in streams})
    if len(rates) > 1:
        raise RejectedData(NOT_AUDIO, "MP3 streams with the sample rates %s Hz follow each other in the file; split it"
                           % ", ".join(map(str, rates)))
    present = sum(stream.frames for stream in streams)
    if not present:
        raise RejectedData(EMPTY_AUDIO, "an MP3 file without frames")
    # per stream: the frames of one file do not make up for those that another one lost
    declared = sum(stream.expected() for stream in streams)
    checks.missing(declared, present, "MPEG frames", "it is damaged, or was cut off while copying")
    other = sum(stream.other for stream in streams if stream.expected() == stream.frames)
    total, last = sum(stream.bytes for stream in streams), streams[-1].end
    if end == source.size and beginning_of(source.at(last, START_BYTES)) not in (None, MP3):
        checks.behind(source.size - last, total, "its last MPEG frame", source)
        other = max(0, other - (source.size - last))
    checks.unreadable(other, total,
                      "%d bytes between or behind the MPEG frames are not frames" % other)
    return Structure(tuple(stream.part() for stream in streams if stream.frames), streams[0].header.rate)


class _Stream:
    """The frames of one file; several may follow each other.

    Attributes:
      frames, bytes: what was found.
      other: bytes that are neither frames nor tags.
      declared: frames that its Info frame states, or None.
      tag: the Info frame.
    """

    def __init__(self, header, start):
        self.header, self.start, self.end = header, start, start
        self.frames, self.bytes, self.other = 0, 0, 0
        self.declared, self.tag = None, b""

    @property
    def is_complete(self):
        """Whether it has as many frames as it declares."""
        return self.declared is not None and self.frames >= self.declared

    def expected(self):
        """How many frames the stream had before it was damaged."""
        if self.is_complete:
            return self.frames
        mean = self.bytes / float(self.frames) if self.frames else self.header.length
        return max(self.declared or 0, self.frames + int(round(self.other / mean)))

    def part(self):
        if self.declared == self.frames:
            return Part(self.start, self.end)
        # drop the Info frame with its wrong number, if any
        start = self.start + (len(self.tag) if self.declared is not None else 0)
        return Part(start, self.end, None, _info_frame(self.header, self.tag, self.frames))


def _streams(source, start, end, checks):
    end = _without_last_tags(source, start, end)
    streams, stream, position = [], None, start
    # since the last frame: bytes that are not frames, zeros, and whether there was a tag
    other, zeros, is_separate = 0, 0, False
    following = start                  # where frames begin behind bytes that are not frames
    while position < end:
        rest = source.at(position, 4)
        if len(rest) < 4 and (rest[:1] == b"\xff" or b"ID3".startswith(rest)) and stream is not None and stream.is_complete:
            _refuse_cut_file(position)
        header = parse_header(rest)
        known = stream is not None and header is not None and header.kind == stream.header.kind
        if header is None or not (known or _is_followed(source, position, header, end)):
            behind = _behind_tag(source, position, end, stream)
            if behind > position:
                if source.at(position, 1) == b"\0":
                    zeros += behind - position
                else:
                    is_separate = True
                if behind > end and stream is not None:
                    _report_cut_tag(source, position, checks)
                position = behind
                continue
            if following <= position:
                following = _resynchronize(source, position + 1, end, stream)
                following = end if following is None else following
            if stream is None and (following == end or following - position > MAX_JUNK):
                break
            found = _tag_before(source, position + 1, following, end, stream)
            other += found - position
            position = found
            continue
        if position + header.length > end:
            if end == source.size and stream is not None and stream.is_complete:
                _refuse_cut_file(position)
            stream = stream or _append(streams, header, position)
            other += end - position
            break
        frame = source.at(position, min(header.length, 256)) if header.side else b""
        declared, tag = _declared_frames(frame, header)
        if stream is None and frame[header.side + 124:header.side + 128] in (b"LAME", b"Lavf", b"Lavc"):
            tag = True      # perhaps with a damaged name
        if not tag and not is_separate:
            other += zeros      # what is left of a frame, rather than padding
        if stream is not None:
            stream.other += other
            other = 0
        if tag or not known or is_separate or stream.is_complete:
            if stream is not None and not tag and not is_separate:
                _check_surplus(stream, position)
            stream = _append(streams, header, position)
            if tag:
                stream.declared, stream.tag = declared, source.at(position, header.length)
                if declared is None:
                    checks.note("the Info frame of the MP3 is damaged or states no length; all frames are decoded, with the "
                                "silence that the encoder added")
        stream.other += other
        other, zeros, is_separate = 0, 0, False
        if not tag:
            stream.frames += 1
            stream.bytes += header.length
        position += header.length
        stream.end = position
    if not streams:
        raise RejectedData(NOT_AUDIO, "the file has no MPEG audio frames; expected an MP3")
    streams[-1].other += other
    return streams


def _report_cut_tag(source, position, checks):
    """A tag at the beginning of a file that is cut means that the file is lost; other tags hold nothing that is used.

    Raises:
      RejectedData: the file ends within an ID3v2 tag.
    """
    if source.at(position, 3) == b"ID3":
        raise RejectedData(WRONG_HEADER, "the file ends within the ID3v2 tag at byte %d, which a second MP3 file begins with. "
                                         "Was it cut off while copying?" % position)
    checks.note("the file ends within the tag at byte %d; was it cut off while copying?" % position)


def _refuse_cut_file(position):
    raise RejectedData(WRONG_HEADER, "another recording (MP3) begins at byte %d, behind all frames that the Info frame "
                                     "declares, and is cut off; how much is missing is unknown" % position)


def _check_surplus(stream, position):
    """Raises RejectedData when frames behind a damaged stream belong to a file whose Info frame is lost."""
    if stream.declared is not None and stream.other:
        raise RejectedData(WRONG_HEADER, "the MP3 is damaged, and from byte %d on it has more frames than its Info frame "
                                         "declares: the Info frame of a second file is lost, and with it the number of its frames"
                           % position)


def _append(streams, header, position):
    streams.append(_Stream(header, position))
    return streams[-1]


def parse_header(data):
    """The Header of a frame that begins with the 4 bytes ``data``, or None."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    # private, copyright, original and emphasis bits make no difference
    key = data[1], data[2], data[3] & 0xC0
    if key not in _headers:
        _headers[key] = _parse(*key)
    return _headers[key]


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


def _is_followed(source, position, header, end):
    """Whether a frame of the same kind, or the end, follows a frame."""
    after = position + header.length
    if after >= end:
        return after == end
    following = parse_header(source.at(after, 4))
    return following is not None and following.kind == header.kind


def _resynchronize(source, position, end, stream):
    """Where the next frame begins that is followed by another one, or None."""
    while True:
        position = source.find(b"\xff", position, end)
        if position < 0:
            return None
        header = parse_header(source.at(position, 4))
        if header is not None and (stream is None or header.kind == stream.header.kind or _begins_stream(source, position)) \
                and _is_followed(source, position, header, end):
            return position
        position += 1


def _begins_stream(source, position):
    header = parse_header(source.at(position, 4))
    return bool(_declared_frames(source.at(position, 256), header)[1]) if header.side else False


def behind_id3(source, position):
    """The end of an ID3v2 tag at ``position``; None when there is none."""
    head = source.at(position, 10)
    if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 0x7F:
        return None
    size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return position + 10 + size + (10 if head[5] & 0x10 else 0)


def _without_last_tags(source, start, end):
    """``end`` without an ID3v1 and an APE tag in front of it."""
    if end - start > 128 and source.at(end - 128, 3) == b"TAG":
        end -= 128
    if end - start > 32 and source.at(end - 32, 8) == _APE:
        size, _, flags = struct.unpack("<III", source.at(end - 20, 12))
        size += 32 if flags & _APE_HAS_HEADER else 0
        if size < end - start:
            end -= size
    return end


def _behind_tag(source, position, end, stream):
    """The end of the tag or of the padding at ``position``; ``position`` when there is neither.

    Formats: id3.org (ID3v1, its extension "TAG+", ID3v2, Lyrics3), APE tags 1 and 2. Beyond ``end`` when the tag is cut.
    """
    head = source.at(position, 32)
    behind = position
    if head.startswith(b"ID3"):
        behind = behind_id3(source, position) or (end + 1 if end - position < 10 else position)
        frame = _frame_within(source, position + 10, min(behind, end), stream)
        behind = behind if frame is None else frame      # the size is wrong
    elif head.startswith(b"TAG+"):
        behind = position + 227
    elif head.startswith(b"TAG"):
        behind = position + 128
    elif head.startswith(_APE):
        size, _, flags = struct.unpack("<III", head[12:24].ljust(12, b"\0"))
        behind = position + 32 + (size if flags & _APE_HEADER else 0)
    elif head.startswith(b"LYRICSBEGIN"):
        ends = [place + 9 for place in (source.find(mark, position, min(end, position + MAX_LYRICS))
                                        for mark in (b"LYRICS200", b"LYRICSEND")) if place >= 0]
        behind = min(ends) if ends else end + 1 if end - position < MAX_LYRICS else position
    elif head.startswith(b"\0") and (stream is None or stream.is_complete):
        behind = behind_padding(source, position, end)
    else:
        # items of an APE tag of version 1, which has a footer only
        footer = source.find(_APE, position, min(end, position + MAX_JUNK)) if stream is not None and b"\0" in head[8:] else -1
        if footer >= 0:
            size, = struct.unpack("<I", source.at(footer + 12, 4).ljust(4, b"\0"))
            behind = footer + 32 if footer + 32 - size == position else position
    if behind > position and stream is not None and not head.startswith(b"\0") and _frame_within(
            source, position + 1, min(behind, end), stream) is not None:
        return position
    return behind


def _tag_before(source, position, limit, end, stream):
    """Where a tag begins within ``position`` to ``limit``; ``limit`` when there is none close by."""
    for mark in (b"ID3", b"TAG", _APE, b"LYRICSBEGIN"):
        place = source.find(mark, position, min(limit, position + MAX_JUNK))
        if place >= 0:
            behind = _behind_tag(source, place, end, stream)
            if place < behind and (behind >= end or parse_header(source.at(behind, 4)) is not None
                                   or source.at(behind, 3) in (b"ID3", b"TAG", b"APE", b"LYR")):
                limit = place
    return limit


def _frame_within(source, start, end, stream):
    """Where frames begin within a tag whose size is wrong: an Info frame, or frames of the same kind as ``stream``; or None."""
    if stream is not None:
        found = _resynchronize(source, start, end, stream)
        return found if found is not None and found + 4 < end else None
    for name in (b"Xing", b"Info"):
        place = source.find(name, start, end)
        while place >= 0:
            for side in (9, 17, 32):
                header = parse_header(source.at(place - side - 4, 4)) if place - side - 4 >= start else None
                if header is not None and header.side == side and _is_followed(source, place - side - 4, header, source.size):
                    return place - side - 4
            place = source.find(name, place + 1, end)
    return None


def _declared_frames(frame, header):
    """(number of frames or None, whether it is an Info frame, which holds no audio)."""
    place = 4 + header.side
    tag = frame[place:place + 4]
    if tag in (b"Xing", b"Info"):
        flags, count = struct.unpack(">II", frame[place + 4:place + 12].ljust(8, b"\0"))
        return (count if flags & 1 and _is_intact(frame, place, flags) else None), True
    if frame[36:40] == b"VBRI":
        return struct.unpack(">I", frame[50:54].ljust(4, b"\0"))[0], True
    return None, False


def _is_intact(frame, place, flags):
    """Whether an Info frame's table of positions ascends, and LAME's checksum of it is right; True where there are none."""
    table = place + 8 + 4 * (flags & 1) + 4 * (flags >> 1 & 1)
    if flags & 4 and any(first > second for first, second in zip(frame[table:table + 99], frame[table + 1:table + 100])):
        return False      # positions in the file, which ascend
    lame = table + 100 * (flags >> 2 & 1) + 4 * (flags >> 3 & 1)
    stored = frame[lame + 34:lame + 36]
    if len(stored) < 2 or not frame[lame:lame + 4].isalnum() or stored == b"\0\0":
        return True
    crc = 0
    for byte in frame[:lame + 34]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc == struct.unpack(">H", stored)[0]


def _info_frame(header, tag, frames):
    """An Info frame that states ``frames``; b"" for layers I and II, which have none and whose length libsndfile knows."""
    if not header.side:
        return b""
    version, layer, rate, _ = header.kind
    # 64 kbit/s at least, so that there is room for the tag; no checksum
    second = 0xE0 | version << 3 | layer << 1 | 1
    third = (5 if version == _MPEG1 else 8) << 4 | _RATES[version].index(rate) << 2
    fourth = 0xC0 if header.channels == 1 else 0x00
    frame = bytes([0xFF, second, third, fourth]) + bytes(header.side) + b"Xing" + struct.pack(">II", 1, frames)
    return frame.ljust(_parse(second, third, fourth).length, b"\0")
