"""WAV, RF64 and W64: the chunks of a file against its length.

Formats: Microsoft/IBM, Multimedia Programming Interface and Data Specifications 1.0 (1991); the extensible format of the
Windows Driver Kit; EBU Tech 3306 (RF64, 2018); Sonic Foundry's Wave64.
"""
import collections
import struct

from open_seq2seq.data.audio.containers import container_of
from open_seq2seq.data.audio.mpeg import inspect_mpeg
from open_seq2seq.data.audio.source import Part
from open_seq2seq.data.audio.structure import Structure, beginning_of, contradiction, damaged
from open_seq2seq.data.rejection import EMPTY_AUDIO, NOT_AUDIO, WRONG_HEADER, RejectedData

PCM, MS_ADPCM, IEEE_FLOAT, ALAW, MULAW, IMA_ADPCM, GSM610, NMS_ADPCM, G721, MPEG_LAYER_III, EXTENSIBLE = (
    0x01, 0x02, 0x03, 0x06, 0x07, 0x11, 0x31, 0x38, 0x40, 0x55, 0xFFFE)
LINEAR_BITS = {PCM: (8, 16, 24, 32), IEEE_FLOAT: (32, 64), ALAW: (8,), MULAW: (8,)}
KSDATAFORMAT_TAIL = b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"

# A writer that cannot seek back (a pipe) leaves 0 or a very large size: ffmpeg 0xFFFFFFFF, sox 0x7FFFF000, others 2e9.
# A size from LEAST_PLACEHOLDER on, of which less than half is there, is taken for one: 1.9e9 bytes are 16 h of speech.
SURE_PLACEHOLDER, LEAST_PLACEHOLDER = 0x7FFFEC00, 1900000000
UNKNOWN_SIZE_64 = 1 << 62
OPEN_FACTS = (0, 0xFFFFFFFF)
MAX_RIFF = 0xFFFFFF00
UNKNOWN_SAMPLES = 1 << 62          # libsndfile leaves such a number in the fact chunk of W64

# chunks that come behind the samples; one of them cut off loses no audio
_TRAILING_CHUNKS = (b"LIST", b"list", b"id3 ", b"ID3 ", b"iXML", b"bext", b"cue ", b"smpl", b"inst", b"PEAK", b"fact", b"axml",
                    b"JUNK", b"junk", b"PAD ", b"afsp", b"DISP", b"_PMX", b"cart", b"MD5 ", b"note", b"labl", b"plst", b"aXML",
                    b"umid", b"levl", b"chna", b"minf", b"elm1", b"regn", b"acid", b"strc", b"AFAn", b"LGWV", b"FLLR", b"ICRD")
_W64_TAIL = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"
_W64_FIRST_CHUNK = 40              # behind the GUID and size of "riff", and the GUID "wave"

Format = collections.namedtuple("Format", "encoding channels sample_rate block bits samples_per_block bytes")
Wave = collections.namedtuple("Wave", "format data size fact next is_stream")
Wave.__doc__ = """One WAV within a file: its Format; the offset and the number of bytes of its samples; the fact chunk's number of
samples or None; where the next WAV of the file begins, or None; whether the header leaves the number of bytes open."""


def inspect_riff(source, checks):
    """The structure of a WAV or RF64 file, also of several WAV files that were joined.

    Args:
      source: ByteSource.
      checks: Checks.

    Returns:
      Structure.

    Raises:
      RejectedData: a header is damaged, declares more than the file holds, or there are no samples.
    """
    waves, start = [], 0
    while start is not None:
        waves.append(_read_wave(source, checks, start))
        start = waves[-1].next
    return _structure(source, checks, waves)


def inspect_w64(source, checks):
    """As :func:`inspect_riff`, for Sony's Wave64."""
    fmt = fact = None
    position = _W64_FIRST_CHUNK
    while True:
        head = source.at(position, 24)
        if len(head) < 24:
            raise RejectedData(NOT_AUDIO, 'a W64 file of %d bytes without a "data" chunk; was it cut off while copying?'
                               % source.size)
        name, size = head[:4], struct.unpack("<Q", head[16:])[0] - 24
        if head[4:16] != _W64_TAIL or size < 0:
            damaged("a W64 file whose chunk at byte %d is not one" % position)
        body = position + 24
        if name == b"data" and fmt is not None:
            break
        if name == b"fmt ":
            fmt = _format(source.at(body, min(size, 4096)), "<", checks)
        elif name == b"fact" and size >= 8:
            fact, = struct.unpack("<Q", source.at(body, 8))
        position = body + size + -size % 8
    present = source.size - body
    is_stream = size == 0 or size >= UNKNOWN_SIZE_64
    if is_stream:
        size = present
    checks.missing(size, min(size, present), "bytes of samples")
    position = body + size
    if beginning_of(source.at(position, 16)) is None:      # else the last chunk is not padded
        position += -size % 8
    while position < source.size and source.at(position + 4, 12) == _W64_TAIL:
        length, = struct.unpack("<Q", source.at(position + 16, 8).ljust(8, b"\0"))
        position += max(length, 24) + -length % 8
    checks.behind(source.size - position, size, source=source)
    return _structure(source, checks, [Wave(fmt, body, min(size, present), fact, None, is_stream)])


def _read_wave(source, checks, start):
    """The Wave that begins at ``start``."""
    order = ">" if source.at(start, 4) == b"RIFX" else "<"
    riff_size, = struct.unpack(order + "I", source.at(start + 4, 4))
    position, fmt, fact, wide = start + 12, None, None, None
    while True:
        head = source.at(position, 8)
        if len(head) < 8:
            raise RejectedData(NOT_AUDIO, "a RIFF file of %d bytes without a %s chunk; was it cut off while copying?"
                               % (source.size, '"fmt "' if fmt is None else '"data"'))
        name, size = struct.unpack(order + "4sI", head)
        body = position + 8
        if name == b"data" and fmt is not None:
            break
        if name == b"fmt ":
            fmt = _format(source.at(body, min(size, 4096)), order, checks)
        elif name == b"fact" and size >= 4:
            fact, = struct.unpack(order + "I", source.at(body, 4).ljust(4, b"\0"))
        elif name == b"ds64" and size >= 24:
            wide = struct.unpack(order + "QQQ", source.at(body, 24).ljust(24, b"\0"))
        position = _behind_chunk(source, body, size)
    if wide is not None and size == 0xFFFFFFFF:
        size = wide[1] if 0 < wide[1] < UNKNOWN_SIZE_64 else 0xFFFFFFFF
    size, known = _data_size(source, body, size, riff_size, fmt, checks)
    riff_end = start + 8 + (wide[0] if wide is not None and riff_size == 0xFFFFFFFF else riff_size)
    following = _walk_behind(source, checks, body, size, riff_end, order) if known else _joined_stream(source, body)
    if not known and following is not None:
        size = following - body
    return Wave(fmt, body, size, fact, following, not known)


def _behind_chunk(source, body, size):
    """Where the chunk after one of ``size`` bytes begins: at an even offset, which some writers do not keep."""
    end = body + size
    if size % 2:
        following = source.at(end, 5)
        known = _TRAILING_CHUNKS + (b"data", b"fmt ", b"RIFF")
        if following[:1] == b"\0" or following[1:5] in known or following[:4] not in known and not _is_name(following[:4]):
            end += 1
    return end


def _is_name(name):
    return len(name) == 4 and all(0x20 <= byte < 0x7F for byte in name) and (name[:1].isalpha() or name[:1] == b"_")


def _data_size(source, body, size, riff_size, fmt, checks):
    """(bytes of samples that are there, whether the header states them)."""
    present = source.size - body
    if size == 0 and (not present or _is_name(source.at(body, 4)) and body + 8 + _size_at(source, body) <= source.size):
        return 0, True
    if size == 0 or size > present and (size >= SURE_PLACEHOLDER or size >= LEAST_PLACEHOLDER and present < size // 2):
        return present, False
    checks.missing(size, min(size, present), "bytes of samples")
    return min(size, present), True


def _size_at(source, position):
    return struct.unpack("<I", source.at(position + 4, 4).ljust(4, b"\0"))[0]


def _joined_stream(source, body):
    """Where another WAV begins in data of unknown size, or None."""
    found = source.find(b"WAVEfmt ", body)
    return found - 8 if found >= 0 and source.at(found - 8, 4) == b"RIFF" else None


def _walk_behind(source, checks, body, data_size, riff_end, order):
    """Goes through the chunks behind the samples; returns where another WAV begins, or None."""
    position = _behind_chunk(source, body, data_size) if body + data_size < source.size else source.size
    while position < source.size:
        head = source.at(position, 12)
        name, size = head[:4], struct.unpack(order + "I", head[4:8].ljust(4, b"\0"))[0]
        if name in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE":
            return position
        # "ID3 " is a chunk, an ID3v2 tag has a version there
        if name not in _TRAILING_CHUNKS and container_of(head + source.at(position + 12, 16), is_certain=True) is not None:
            break
        if name == b"data":
            raise RejectedData(WRONG_HEADER, "the file has a second data chunk; save it again, e.g. ffmpeg -i INPUT OUTPUT.wav")
        if not _is_name(name) or position + 8 + size > source.size and name not in _TRAILING_CHUNKS:
            break
        position = _behind_chunk(source, position + 8, size)
    rest = source.size - position
    # some programs fill the file up to a whole sector; then the size of the RIFF agrees with that of the samples
    if rest > 0 and not (abs(riff_end - position) <= 1 and rest < 1 << 16 and not source.at(position, rest).strip(b"\0")):
        checks.behind(rest, data_size, source=source)
    return None


def _format(fmt, order, checks):
    """The Format of a "fmt " chunk."""
    if len(fmt) < 16:
        raise RejectedData(NOT_AUDIO, 'a RIFF file whose "fmt " chunk has %d bytes; expected at least 16' % len(fmt))
    encoding, channels, sample_rate, byte_rate, block, bits = struct.unpack(order + "HHIIHH", fmt[:16])
    if encoding == EXTENSIBLE and len(fmt) >= 40 and fmt[26:40] == KSDATAFORMAT_TAIL:
        encoding, = struct.unpack(order + "H", fmt[24:26])
    if not channels:
        damaged("a WAV file with 0 channels")
    samples_per_block = struct.unpack(order + "H", fmt[18:20])[0] if len(fmt) >= 20 else 0
    if encoding in LINEAR_BITS:
        width = (bits + 7) // 8
        if encoding == PCM and width < 4 and block == 4 * channels:
            # Cool Edit's "16.8 float" has the header of 24 bits in 4 bytes; the extensible format states 32 bits in 4 bytes
            damaged("a WAV file with %d bits in 4 bytes per sample: Cool Edit stores floats under such a header, other programs "
                    "integers. Save it as 24-bit PCM or as 32-bit float" % bits)
        if 8 * width not in LINEAR_BITS[encoding] or block != channels * width:
            contradiction("%d channels of %d bits in blocks of %d bytes (encoding %d)" % (channels, bits, block, encoding))
        if byte_rate and byte_rate != sample_rate * block:
            checks.note("the header states %d bytes per second, but %d Hz and %d bytes are %d; the sample rate is used"
                        % (byte_rate, sample_rate, block, sample_rate * block))
        samples_per_block = 1
    else:
        expected = _samples_per_block(encoding, channels, block)
        if expected is not None and encoding in (IMA_ADPCM, MS_ADPCM, GSM610) and expected != samples_per_block:
            contradiction("%d samples in blocks of %d bytes (encoding %d, %d channels)" % (
                samples_per_block, block, encoding, channels))
        samples_per_block = expected
    return Format(encoding, channels, sample_rate, block, bits, samples_per_block, fmt)


def _samples_per_block(encoding, channels, block):
    """Samples of each channel in a block of a compressed encoding; None where this module does not know it."""
    if encoding == GSM610:
        return 320 if block == 65 and channels == 1 else 0
    if encoding == IMA_ADPCM:
        return (block - 4 * channels) * 2 // channels + 1
    if encoding == MS_ADPCM:
        return (block - 7 * channels) * 2 // channels + 2
    if encoding == NMS_ADPCM:
        return 160 if block in (42, 62, 82) else None
    return 120 if encoding == G721 else None


def _structure(source, checks, waves):
    first = waves[0].format
    rates = sorted({wave.format.sample_rate for wave in waves})
    if len(rates) > 1:
        raise RejectedData(WRONG_HEADER, "the file consists of %d WAV files with the sample rates %s Hz; split it"
                           % (len(waves), ", ".join(map(str, rates))))
    if first.encoding == MPEG_LAYER_III and len(waves) == 1:
        return inspect_mpeg(source, checks, waves[0].data, waves[0].data + waves[0].size)
    if not any(wave.size for wave in waves):
        raise RejectedData(EMPTY_AUDIO, "a WAV file without samples")
    parts = tuple(_part(source, wave, checks) for wave in waves)
    known = [part.samples for part in parts]
    plain = len(waves) == 1 and first.encoding == PCM and first.bits == 16 and source.at(0, 4) != b"RIFX"
    return Structure(parts, first.sample_rate, first.channels if len(waves) == 1 else None, None if None in known else sum(known),
                     waves[0].data if plain else None, any(wave.format.encoding == IEEE_FLOAT for wave in waves))


def _part(source, wave, checks):
    """A Part whose header is rewritten with the sizes that the file really has."""
    fmt = wave.format
    samples, size = None, wave.size
    if fmt.encoding in LINEAR_BITS:
        samples = wave.size // fmt.block
        if not samples and wave.size:
            raise RejectedData(EMPTY_AUDIO, "a WAV file without samples")
        size = samples * fmt.block
    elif fmt.samples_per_block:
        # G.721's blocks are those of libsndfile, not those of the header
        block = 60 if fmt.encoding == G721 else fmt.block
        samples = -(-wave.size // block) * fmt.samples_per_block
        # a stream's writer does not know the number; others leave 0 when they do not fill it in
        if wave.fact is None or wave.fact in OPEN_FACTS:
            if not wave.is_stream:
                checks.note("the fact chunk, which states the number of samples, is %s; the last block is used completely"
                            % ("missing" if wave.fact is None else "not filled in"))
        elif wave.size and wave.fact < UNKNOWN_SAMPLES:
            samples = _with_fact(wave.fact, samples, fmt, checks)
    return Part(wave.data, wave.data + size, samples, _header(fmt, size, source.at(0, 4) == b"RIFX"))


def _header(fmt, size, is_big_endian):
    """A header for ``size`` bytes of samples: RIFF, or RF64 for more than it can state."""
    order, riff = (">", b"RIFX") if is_big_endian else ("<", b"RIFF")
    chunk = b"fmt " + struct.pack(order + "I", len(fmt.bytes)) + fmt.bytes + b"\0" * (len(fmt.bytes) % 2)
    length = 12 + len(chunk) + size + size % 2
    if length <= MAX_RIFF:
        return riff + struct.pack(order + "I", length) + b"WAVE" + chunk + b"data" + struct.pack(order + "I", size)
    if is_big_endian or fmt.encoding not in LINEAR_BITS:
        # libsndfile miscounts the blocks of ADPCM and GSM
        raise RejectedData(NOT_AUDIO, "libsndfile cannot read more than 4 GiB of this WAV encoding (%d%s); split the file"
                           % (fmt.encoding, ", big-endian" if is_big_endian else ""))
    return (b"RF64\xff\xff\xff\xffWAVEds64" + struct.pack("<IQQQI", 28, length + 36, size, size // fmt.block, 0)
            + chunk + b"data\xff\xff\xff\xff")


def _with_fact(fact, samples, fmt, checks):
    """The number of samples, given the fact chunk's and that of whole blocks."""
    # only a part of the last block is used
    tolerance = fmt.samples_per_block
    if fact > samples:
        checks.note("the fact chunk states %d samples, the blocks hold %d; the smaller number is used" % (fact, samples))
        return samples
    if fact > samples - tolerance:
        return fact
    # libsndfile divides by the number of channels once too often
    if fmt.channels > 1 and abs(fact * fmt.channels - samples) < tolerance * fmt.channels:
        return samples
    contradiction("the fact chunk states %d samples, the blocks hold %d" % (fact, samples))
