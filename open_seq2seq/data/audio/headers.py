"""AIFF, AU, CAF, NIST SPHERE and VOC: what the header declares against what the file holds.

Formats: Apple, Audio Interchange File Format 1.3 and AIFF-C; Sun's .au; Apple Core Audio Format 1.0; NIST SPHERE 2.6;
Creative Voice File.
"""
import re
import struct

from open_seq2seq.data.audio.containers import container_of
from open_seq2seq.data.audio.source import Part
from open_seq2seq.data.audio.structure import Structure, contradiction, damaged
from open_seq2seq.data.rejection import EMPTY_AUDIO, NOT_AUDIO, RejectedData

_AIFF_WIDTHS = {b"ulaw": 1, b"ULAW": 1, b"alaw": 1, b"ALAW": 1, b"fl32": 4, b"FL32": 4, b"fl64": 8, b"FL64": 8, b"in24": 3,
                b"in32": 4, b"42ni": 3, b"23ni": 4, b"raw ": 1}
_AIFF_LINEAR = (b"NONE", b"twos", b"sowt")
_AIFF_BLOCKS = {b"ima4": (34, 64), b"GSM ": (33, 160)}      # bytes and samples of a block of one channel
_AIFF_FLOATS = (b"fl32", b"FL32", b"fl64", b"FL64")
# bytes a sample of AU's encodings; G.721 and G.723 have fractions of a byte
_AU_WIDTHS = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
_AU_FLOATS = (6, 7)
_NIST_WIDTHS = {b"pcm": None, b"ulaw": 1, b"mu-law": 1, b"alaw": 1}
_VOC_CODECS = {0: 1, 4: 2, 6: 1, 7: 1}


def inspect_aiff(source, checks):
    """The structure of an AIFF or AIFF-C file; arguments and errors as in :func:`~open_seq2seq.data.audio.riff.inspect_riff`."""
    form_size, = struct.unpack(">I", source.at(4, 4))
    position, common, sound = 12, None, None
    while position + 8 <= source.size:
        name, size = struct.unpack(">4sI", source.at(position, 8))
        if not all(0x20 <= byte < 0x7F for byte in name):
            break
        if name == b"COMM":
            common = source.at(position + 8, min(size, 64))
        elif name == b"SSND":
            if sound is not None:
                damaged("an AIFF file with two SSND chunks")
            sound = position + 8, size
        elif sound is not None and (position + 8 + size > source.size
                                    or container_of(source.at(position, 32), is_certain=True) is not None):
            break      # cut off, or another file begins here
        position += 8 + size + size % 2
    if common is None or len(common) < 18 or sound is None:
        raise RejectedData(NOT_AUDIO, "an AIFF file of %d bytes without its %s chunk; was it cut off while copying?"
                           % (source.size, "COMM" if common is None or len(common) < 18 else "SSND"))
    channels, frames, bits = struct.unpack(">HIH", common[:8])
    kind = common[18:22] if source.at(8, 4) == b"AIFC" and len(common) >= 22 else b"NONE"
    body, size = sound
    offset, = struct.unpack(">I", source.at(body, 4).ljust(4, b"\0"))
    if offset > 1 << 16:
        damaged("an AIFF file whose samples begin %d bytes behind the head of their chunk" % offset)
    data = body + 8 + offset
    if kind == b"DWVW":
        raise RejectedData(NOT_AUDIO, "an AIFF-C file with DWVW compression, which libsndfile cannot read completely. Convert it "
                                      "to WAV first, e.g. sox INPUT OUTPUT.wav")
    width = (bits + 7) // 8 if kind in _AIFF_LINEAR else _AIFF_WIDTHS.get(kind)
    if not frames:
        raise RejectedData(EMPTY_AUDIO, "an AIFF file without samples")
    if not channels:
        damaged("an AIFF file with 0 channels")
    stated = max(0, size - 8 - offset)
    if width:
        declared = frames * channels * width
        if size and abs(stated - declared) > max(1, checks.max_missing_fraction * declared):
            contradiction("%d samples of %d channels and %d bits are %d bytes, its SSND chunk states %d" % (
                frames, channels, bits, declared, stated))
        stated = declared
    elif kind in _AIFF_BLOCKS:
        block, in_block = _AIFF_BLOCKS[kind]
        blocks = -(-stated // (block * channels))
        # Apple counts blocks, libsndfile samples
        if not (blocks - 1 <= frames <= blocks or (blocks - 1) * in_block <= frames <= blocks * in_block):
            contradiction("it states %d samples, its SSND chunk holds %d blocks of %d" % (frames, blocks, in_block))
    checks.missing(stated, min(stated, max(0, source.size - data)), "bytes of samples")
    end = max(position, 8 + form_size + form_size % 2 if abs(8 + form_size - position) <= 1 else 0)
    checks.behind(source.size - end, stated, source=source)
    samples = min(stated, source.size - data) // (channels * width) if width else None
    # libsndfile would read another file behind this one as chunks
    return Structure((Part(0, min(end, source.size), samples),), None, channels, samples, None, kind in _AIFF_FLOATS)


def inspect_au(source, checks):
    """The structure of a Sun or NeXT .au file; arguments and errors as above."""
    order = ">" if source.at(0, 4) == b".snd" else "<"
    head = source.at(0, 24)
    if len(head) < 24:
        damaged("an AU file of %d bytes; its header has 24" % source.size)
    data, size, encoding, rate, channels = struct.unpack(order + "5I", head[4:])
    if data < 24 or data > source.size or not channels:
        damaged("an AU file whose samples begin at byte %d and have %d channels" % (data, channels))
    present, patches = source.size - data, ()
    if size in (0, 0xFFFFFFFF):
        size = present
    checks.missing(size, min(size, present), "bytes of samples")
    checks.behind(present - size, size, source=source)
    if not min(size, present):
        raise RejectedData(EMPTY_AUDIO, "an AU file without samples")
    width = _AU_WIDTHS.get(encoding)
    if width and size % (width * channels):
        checks.note("the AU file has %d bytes of samples, which is not a multiple of the %d bytes of %d channels"
                    % (size, width * channels, channels))
    if size > present:
        patches = ((8, struct.pack(order + "I", present)),)
    samples = min(size, present) // (width * channels) if width else None
    return Structure((Part(0, data + min(size, present), samples, patches=patches),), rate, channels, samples, None,
                     encoding in _AU_FLOATS)


def inspect_caf(source, checks):
    """The structure of a Core Audio file; arguments and errors as above."""
    position, description, data, table = 8, None, None, None
    while position + 12 <= source.size:
        name, size = struct.unpack(">4sq", source.at(position, 12))
        body = position + 12
        if name == b"desc":
            description = source.at(body, 32)
        elif name == b"pakt" and size >= 24:
            table = struct.unpack(">qqii", source.at(body, 24).ljust(24, b"\0"))
        elif name == b"data":
            if data is not None:
                damaged("a CAF file with two data chunks")
            data = body, (source.size - body if size == -1 else size)
            size = data[1]
        elif data is not None and (not name.strip(b"\0") or body + size > source.size):
            break
        if size < 0 or not all(0x20 <= byte < 0x7F for byte in name):
            damaged("a CAF file whose chunk at byte %d is not one" % position)
        position = body + size
    if description is None or len(description) < 32 or data is None or data[1] < 4:
        raise RejectedData(NOT_AUDIO, "a CAF file of %d bytes without its %s chunk; was it cut off while copying?"
                           % (source.size, "desc" if description is None else "data"))
    rate, kind, flags, packet, frames, channels, bits = struct.unpack(">d4sIIIII", description)
    body, size = data[0] + 4, data[1] - 4
    present = max(0, min(size, source.size - body))
    checks.missing(size, present, "bytes of samples")
    if source.at(position, 2) != b"\0":      # one byte of padding
        checks.behind(source.size - position, size, source=source)
    samples, linear = None, kind in (b"lpcm", b"ulaw", b"alaw")
    if table is not None and not linear:
        packets, samples, priming, remainder = table
        if samples <= 0 or samples + priming + remainder != packets * frames:
            contradiction("%d packets of %d samples, but %d + %d + %d samples" % (packets, frames, samples, priming, remainder))
    if linear:
        if frames != 1 or not channels or packet != channels * ((bits + 7) // 8 or 1):
            contradiction("packets of %d bytes and %d frames for %d channels of %d bits" % (packet, frames, channels, bits))
        samples = present // packet
        if not samples:
            raise RejectedData(EMPTY_AUDIO, "a CAF file without samples")
    patches = ((data[0] - 8, struct.pack(">q", present + 4)),) if present < size else ()
    return Structure((Part(0, source.size, samples, patches=patches),), None, channels, samples, None,
                     kind == b"lpcm" and bool(flags & 1))


def inspect_nist(source, checks):
    """The structure of a NIST SPHERE file; arguments and errors as above."""
    head = source.at(0, 16)
    found = re.match(rb"NIST_1A\n *([0-9]{1,6})\n", head)
    if not found:
        damaged("a NIST SPHERE file whose second line is not the size of its header")
    data = int(found.group(1))
    fields = {}
    for line in source.at(0, data).split(b"end_head")[0].split(b"\n")[2:]:
        pieces = line.split(None, 2)
        if len(pieces) == 3:
            fields[pieces[0]] = pieces[2].strip()

    def number(name, default=None):
        text = fields.get(name, default)
        if text is None or not re.match(rb"[0-9]{1,12}$", text):
            damaged("a NIST SPHERE file whose header has no number for %s" % name.decode())
        return int(text)

    rate, channels, width = number(b"sample_rate"), number(b"channel_count", b"1"), number(b"sample_n_bytes")
    coding = fields.get(b"sample_coding", b"pcm")
    if coding.startswith((b"pcm,", b"ulaw,", b"alaw,")):
        raise RejectedData(NOT_AUDIO, "a NIST SPHERE file with %s compression; decompress it with sph2pipe first"
                           % coding.split(b",")[1].decode("latin1"))
    if coding not in _NIST_WIDTHS or not channels or width not in (1, 2, 3, 4) or _NIST_WIDTHS[coding] not in (None, width):
        damaged("a NIST SPHERE file with %d channels of %d bytes of coding %s" % (
            channels, width, ascii(coding.decode("latin1"))))
    bits = number(b"sample_sig_bits", b"%d" % (8 * width))
    if (bits + 7) // 8 != width and bits != 14:
        contradiction("samples of %d bits in %d bytes" % (bits, width))
    present = max(0, source.size - data)
    if b"sample_count" in fields:
        declared = number(b"sample_count") * channels * width
        checks.missing(declared, min(declared, present), "bytes of samples")
        checks.behind(present - declared, declared, source=source)
        present = min(present, declared)
    samples = present // (channels * width)
    if not samples:
        raise RejectedData(EMPTY_AUDIO, "a NIST SPHERE file without samples")
    return Structure((Part(0, data + samples * channels * width, samples),), rate, channels, samples)


def inspect_voc(source, checks):
    """The structure of a Creative Voice file; arguments and errors as above."""
    head = source.at(0, 26)
    if len(head) < 26:
        damaged("a VOC file of %d bytes; its header has 26" % source.size)
    position, = struct.unpack("<H", head[20:22])
    sounds, rate, channels, samples = 0, None, None, None
    while True:
        block = source.at(position, 4)
        if not block or block[0] == 0:
            break
        if len(block) < 4:
            damaged("a VOC file that ends within the head of a block")
        size = block[1] | block[2] << 8 | block[3] << 16
        body = source.at(position + 4, 12)
        if block[0] in (1, 2, 9):
            sounds += 1
            offset = {1: 2, 2: 0, 9: 12}[block[0]]
            checks.rate_is_rounded = block[0] != 9      # the time of a sample in microseconds
            present = min(size, source.size - position - 4) - offset
            checks.missing(size - offset, max(0, present), "bytes of samples")
            if block[0] == 9 and len(body) == 12:
                rate, bits, channels, codec = struct.unpack("<IBBH", body[:8])
                if channels not in (1, 2) or codec not in _VOC_CODECS or bits != 8 * _VOC_CODECS[codec] or (
                        size - offset) % (channels * bits // 8):
                    contradiction("a VOC block of %d bytes for %d channels of %d bits with codec %d" % (
                        size - offset, channels, bits, codec))
                samples = present // (channels * _VOC_CODECS[codec])
        elif block[0] > 9:
            damaged("a VOC file with a block of the unknown type %d" % block[0])
        position += 4 + size
    if sounds != 1:
        raise RejectedData(NOT_AUDIO, "a VOC file with %d blocks of sound; 1 can be read. Convert it to WAV first, e.g. "
                                      "ffmpeg -i INPUT OUTPUT.wav" % sounds)
    checks.behind(source.size - position - 1, position, source=source)
    return Structure((Part(0, source.size, samples),), rate, channels, samples)
