"""MPEG audio (MP3, also layers I and II): the frames of a file, one by one.

An Info frame states the number of frames (mpeg_frames.py). libsndfile estimates the length of a file without one from its first
frames, and cuts the file there; so it is given an Info frame with the right number. Layers I and II have no Info frames: zeros
behind the file keep libsndfile's estimate above the right number, which counts.
"""
import struct

from open_seq2seq.data.audio.containers import MP3, START_BYTES
from open_seq2seq.data.audio.mpeg_frames import (
    declared_frames,
    has_encoder_name,
    info_frame,
    is_free_format,
    parse_header,
    uses_reservoir,
)
from open_seq2seq.data.audio.source import SEARCH_BLOCK, Part, behind_padding
from open_seq2seq.data.audio.structure import Structure, beginning_of
from open_seq2seq.data.rejection import EMPTY_AUDIO, NOT_AUDIO, WRONG_HEADER, RejectedData

MAX_JUNK = 1 << 16                 # bytes in front of the first frame
MAX_FRAME = 1 << 11                # bytes of a frame
MAX_LYRICS = 1 << 20               # bytes of a Lyrics3 tag, whose size has 6 digits
LARGEST_TO_SMALLEST = 20           # ratio of the bit rates of a layer: libsndfile estimates a length from the first frames
_APE, _APE_HEADER, _APE_HAS_HEADER = b"APETAGEX", 1 << 29, 1 << 31


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
    walk = _Walk(source, start, end, checks)
    walk.run()
    streams = walk.streams
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


def begins_within_frame(source):
    """Whether a file begins within an MPEG frame, as a recording of a running stream does: 8 frames follow close by."""
    position, limit = -1, min(source.size, 2 * MAX_FRAME)
    while position is not None:
        position = _resynchronize(source, position + 1, limit, None)
        if position is not None and _are_frames(source, position, 8):
            return True
    return False


def _are_frames(source, position, count):
    """Whether that many frames of one kind follow each other."""
    first = parse_header(source.at(position, 4))
    for _ in range(count):
        header = parse_header(source.at(position, 4))
        if header is None or header.kind != first.kind:
            return False
        position += header.length
    return True


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
        """How many frames the stream had before it was damaged; without an Info frame, the other bytes tell."""
        if self.declared is None or self.is_complete:
            return self.frames
        mean = self.bytes / float(self.frames) if self.frames else self.header.length
        return max(self.declared, self.frames + int(round(self.other / mean)))

    def part(self):
        if not self.header.side:
            return Part(self.start, self.end, self.frames * self.header.samples,
                        padding=LARGEST_TO_SMALLEST * (self.end - self.start))
        if self.declared == self.frames:
            return Part(self.start, self.end)
        # the Info frame with its wrong number, if any, is replaced
        return Part(self.start + len(self.tag), self.end, None, info_frame(self.header, self.frames))


class _Walk:
    """Walks from frame to frame and collects the streams.

    Args:
      source: ByteSource.
      start, end: of the bytes to walk through.
      checks: Checks.

    Attributes:
      streams: list of _Stream.
    """

    def __init__(self, source, start, end, checks):
        self._source, self._checks = source, checks
        self._position, self._end = start, _without_last_tags(source, start, end)
        self.streams, self._stream = [], None
        # since the last frame: bytes that are not frames, zeros, and whether there was a tag
        self._other, self._zeros, self._is_separate = 0, 0, False
        self._following = start        # where frames begin behind bytes that are not frames

    def run(self):
        """Walks to the end.

        Raises:
          RejectedData: there are no frames, or the file is cut off within one.
        """
        source, is_open = self._source, True
        while is_open and self._position < self._end:
            rest, stream = source.at(self._position, 4), self._stream
            if len(rest) < 4 and (rest[:1] == b"\xff" or b"ID3".startswith(rest)) and stream is not None and stream.is_complete:
                _refuse_cut_file(self._position)
            header = parse_header(rest)
            is_known = stream is not None and header is not None and header.kind == stream.header.kind
            if header is None or not (is_known or _is_followed(source, self._position, header, self._end)):
                is_open = self._skip_other_bytes()
            elif self._position + header.length > self._end:
                self._end_within(header)
                is_open = False
            else:
                self._take(header, is_known)
        if not self.streams:
            self._refuse_free_format()
            raise RejectedData(NOT_AUDIO, "the file has no MPEG audio frames; expected an MP3")
        self.streams[-1].other += self._other

    def _refuse_free_format(self):
        """Raises RejectedData when the file begins with frames of free bit rate."""
        source, start = self._source, self._position
        first = source.at(start, 4)
        if is_free_format(first):
            following = source.find(first[:2], start + 4, min(self._end, start + MAX_JUNK))
            if following >= 0 and is_free_format(source.at(following, 4)):
                raise RejectedData(NOT_AUDIO, "an MPEG audio file of free bit rate (free format), which is not read; convert "
                                              "it: mpg123 -w OUTPUT.wav INPUT")

    def _skip_other_bytes(self):
        """Goes past a tag, padding or junk; False if no frames follow at the beginning of a file."""
        source, position, end, stream = self._source, self._position, self._end, self._stream
        behind = _behind_tag(source, position, end, stream)
        if behind > position:
            if source.at(position, 1) == b"\0":
                self._zeros += behind - position
            else:
                self._is_separate = True
            if behind > end and stream is not None:
                _report_cut_tag(source, position, self._checks)
            self._position = behind
            return True
        if self._following <= position:
            following = _resynchronize(source, position + 1, end, stream)
            self._following = end if following is None else following
        if stream is None and (self._following == end or self._following - position > MAX_JUNK):
            return False
        self._position = _tag_before(source, position + 1, self._following, end, stream)
        self._other += self._position - position
        return True

    def _end_within(self, header):
        """The bytes end within a frame."""
        if self._end == self._source.size and self._stream is not None and self._stream.is_complete:
            _refuse_cut_file(self._position)
        if self._stream is None:
            self._stream = _append(self.streams, header, self._position)
        self._other += self._end - self._position

    def _continues(self, begins_stream):
        """Whether a frame directly follows all that the Info frame declares, in a file that is not damaged so far."""
        return not begins_stream and not self._is_separate and self._stream.is_complete and not self._stream.other

    def _take(self, header, is_known):
        """Counts a frame; an Info frame, another kind of frames, or a tag in front of it begins a new stream."""
        source, position = self._source, self._position
        frame = source.at(position, min(header.length, 256)) if header.side else b""
        declared, is_info = declared_frames(frame, header)
        if self._stream is None and has_encoder_name(frame, header):
            is_info = True      # perhaps with a damaged name
        if not is_info and not self._is_separate:
            self._other += self._zeros      # what is left of a frame, rather than padding
        if self._stream is not None:
            self._stream.other += self._other
            self._other = 0
        if self._stream is not None and self._continues(is_info or not is_known) and uses_reservoir(frame, header):
            self._stream.declared = None      # not the first frame of another file
            self._checks.note("the Info frame of the MP3 states fewer frames than follow; all are decoded, with the silence that "
                              "the encoder added")
        if is_info or not is_known or self._is_separate or self._stream.is_complete:
            if self._stream is not None and not is_info and not self._is_separate:
                _check_surplus(self._stream, position)
            self._stream = _append(self.streams, header, position)
            if is_info:
                self._stream.declared, self._stream.tag = declared, source.at(position, header.length)
                if declared is None:
                    self._checks.note("the Info frame of the MP3 is damaged or states no length; all frames are decoded, with "
                                      "the silence that the encoder added")
        self._stream.other += self._other
        self._other, self._zeros, self._is_separate = 0, 0, False
        if not is_info:
            self._stream.frames += 1
            self._stream.bytes += header.length
        self._position += header.length
        self._stream.end = self._position


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
    return bool(declared_frames(source.at(position, 256), header)[1]) if header.side else False


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


