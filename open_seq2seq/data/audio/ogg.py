"""Ogg (Vorbis, Opus, FLAC): the pages of a file, one by one.

Format: RFC 3533. Pages have a checksum, a sequence number and the position of their last sample, so lost, damaged and cut ones
are found without decoding. Chained files (one stream after another) are split into their streams.
"""
import struct
import zlib

from open_seq2seq.data.audio.containers import START_BYTES
from open_seq2seq.data.audio.ogg_flac import FLAC_IN_OGG, flac_part
from open_seq2seq.data.audio.source import SEARCH_BLOCK, Part, behind_padding
from open_seq2seq.data.audio.structure import Structure, beginning_of, damaged
from open_seq2seq.data.rejection import NOT_AUDIO, WRONG_HEADER, RejectedData

_CONTINUED, _FIRST, _LAST = 1, 2, 4
_NO_POSITION = -1
_REVERSED = bytes(int("{:08b}".format(byte)[::-1], 2) for byte in range(256))
_AUDIO = (b"\x01vorbis", b"OpusHead", FLAC_IN_OGG, b"fishead\0", b"Speex   ")


def inspect_ogg(source, checks):
    """The structure of an Ogg file.

    Args:
      source: ByteSource.
      checks: Checks.

    Returns:
      Structure; libsndfile tells the sample rate and the number of samples.

    Raises:
      RejectedData: pages are damaged or missing.
    """
    source.block = SEARCH_BLOCK
    links, position = [], 0
    while position < source.size:
        page = _page_at(source, position)
        if page is None:
            if not links:
                damaged("the first page of the Ogg file is damaged")
            begin = behind_padding(source, position, source.size) if links[-1].ended else position
            found = _next_page(source, begin)
            found = source.size if found is None else found
            links[-1].skip(found - begin)
            position = found
            continue
        kind, granule, serial, sequence, length = page
        if kind & _FIRST and (not links or links[-1].has_data):
            links.append(_Link(position))
        if not links:
            raise RejectedData(NOT_AUDIO, "the Ogg file does not begin with the first page of a stream; is its start missing?")
        if links[-1].repeats(serial, sequence):
            links[-1].skip(length)
        else:
            links[-1].add(position, kind, granule, serial, sequence, source.at(position, min(length, 400)))
            links[-1].end = position + length
        position += length
    other = sum(link.judge(checks) for link in links)
    rest = source.at(links[-1].end, START_BYTES)
    if rest and b"OggS".startswith(rest[:4]):
        raise RejectedData(WRONG_HEADER, "the Ogg page at byte %d, behind the last page of its stream, is damaged or cut off: "
                                         "another stream begins there" % links[-1].end)
    if beginning_of(rest) is not None:
        behind = source.size - links[-1].end
        checks.behind(behind, source.size - other, "its last Ogg page", source)
        other = max(0, other - behind)
    checks.unreadable(other, source.size - other,
                      "%d bytes between or behind the pages of the Ogg file are not new pages" % other)
    return Structure(tuple(link.part(source, checks) for link in links))


def _page_at(source, position):
    """(flags, position of the last sample, serial number, sequence number, bytes) of an intact page, or None."""
    head = source.at(position, 27)
    if len(head) < 27 or head[:5] != b"OggS\0":
        return None
    kind, granule, serial, sequence, checksum, segments = struct.unpack("<BqIIIB", head[5:])
    length = 27 + segments + sum(source.at(position + 27, segments))
    page = source.at(position, length)
    if len(page) < length or page_checksum(page[:22] + b"\0\0\0\0" + page[26:]) != checksum:
        return None
    return kind, granule, serial, sequence, length


def _next_page(source, position):
    while True:
        position = source.find(b"OggS\0", position)
        if position < 0:
            return None
        if _page_at(source, position) is not None:
            return position
        position += 1


def _packets(source, start, end, serial):
    """Yields the packets of one stream within a range; those of which a page is damaged or missing are skipped."""
    position, packet, expected = start, None, 0
    while position < end:
        page = _page_at(source, position)
        if page is None:
            position = _next_page(source, position + 1)
            position = end if position is None else position
            continue
        kind, _, owner, sequence, length = page
        if owner == serial:
            if not kind & _CONTINUED:
                packet = b""
            elif sequence != expected:
                packet = None      # its beginning is missing
            expected = (sequence + 1) % (1 << 32)
            data = source.at(position, length)
            place = 27 + data[26]
            for size in data[27:place]:
                packet = None if packet is None else packet + data[place:place + size]
                place += size
                if size < 255:
                    if packet is not None:
                        yield packet
                    packet = b""
        position += length


def page_checksum(data):
    """Ogg's CRC-32: the polynomial of zlib's, but the bits of each byte in the other order, from 0 and not inverted."""
    reflected = zlib.crc32(data.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reflected.to_bytes(4, "little").translate(_REVERSED), "big")


class _Link:
    """One stream of a chained file, with the streams that are multiplexed with it."""

    def __init__(self, start):
        self.start = self.end = start
        self.serial = None             # of the audio; other streams (video, skeleton) are not checked
        self.has_data, self.ended, self._is_flac = False, False, False
        self._serials = set()
        self._sequence = -1
        self._last, self._lost, self._holes, self._is_damaged = 0, 0, 0, False
        self._within, self._behind = 0, 0      # bytes that are not pages, before and behind the last page of the audio

    def skip(self, count):
        """Takes ``count`` bytes that are not a new page."""
        if self.ended:
            self._behind += count
        else:
            self._within += count

    def repeats(self, serial, sequence):
        """Whether a page is the latest page of the audio once more."""
        return serial == self.serial and sequence == self._sequence

    def add(self, position, kind, granule, serial, sequence, beginning):
        """Takes an intact page.

        Raises:
          RejectedData: the page belongs to a stream whose first page is missing; how long that stream is, is unknown.
        """
        if kind & _FIRST:
            self._serials.add(serial)
            body = beginning[27 + beginning[26]:]
            if self.serial is None and body.startswith(_AUDIO) and not body.startswith(b"fishead"):
                self.serial, self._is_flac = serial, body.startswith(FLAC_IN_OGG)
        else:
            self.has_data = True
        if serial not in self._serials or serial == self.serial and self.ended:
            raise RejectedData(WRONG_HEADER, "the Ogg page at byte %d belongs to no stream: the first page of its stream is "
                                             "damaged or missing, and the stream cannot be decoded" % position)
        if serial != self.serial:
            return
        if sequence != (self._sequence + 1) % (1 << 32):
            self._holes += 1
            self._is_damaged = True
        self._sequence = sequence
        if granule != _NO_POSITION:
            if self._is_damaged:
                # what the page itself holds cannot be told from what is missing before it
                self._lost += max(0, granule - self._last)
                self._is_damaged = False
            self._last = granule
        self.ended = bool(kind & _LAST)

    def part(self, source, checks):
        """The Part that libsndfile decodes.

        Args:
          source: ByteSource.
          checks: Checks.

        Raises:
          RejectedData: the FLAC stream in it is damaged.
        """
        if not self._is_flac:
            return Part(self.start, self.end)
        return flac_part(_packets(source, self.start, self.end, self.serial), self._last, checks)

    def judge(self, checks):
        """Applies the rules for incomplete files.

        Returns:
          The number of bytes that are neither pages nor what is left of missing pages.

        Raises:
          RejectedData: too much is missing, or nobody knows how much.
        """
        if self.serial is None:
            raise RejectedData(NOT_AUDIO, "the Ogg file has no stream of Vorbis, Opus or FLAC")
        if not self.ended:
            raise RejectedData(WRONG_HEADER, "the Ogg file has no last page; how much of it is missing is unknown. "
                                             "Was it cut off while copying? To use what is there: ffmpeg -i INPUT OUTPUT.wav")
        if not self._holes:
            return self._behind + self._within
        checks.missing(self._last, self._last - max(self._lost, 1), "samples in intact Ogg pages",
                       "%d places are damaged or missing" % self._holes)
        return self._behind
