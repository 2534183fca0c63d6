"""Recognizes an audio container by its first bytes, and says which ones cannot be read.

The signatures are those of each format's specification; docs/audio.md lists what is read.
"""
import functools
import os
import stat

from open_seq2seq.data.audio.mpeg_frames import parse_header

START_BYTES = 512
_SEVERAL_FRAMES = 1 << 14          # three frames of MPEG audio or AAC

WAV, RF64, W64, AIFF, AU, CAF, FLAC, OGG, MP3, NIST, VOC = (
    "WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "Ogg", "MP3", "NIST SPHERE", "VOC")

W64_RIFF = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"

# containers that ffmpeg or sox converts: (offset of the signature, signature, name)
_CONVERTIBLE = (
    (0, b"#!AMR", "an AMR file"),
    (0, b"#!SILK", "a SILK file"),
    (1, b"#!SILK", "a SILK file"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a WMA or ASF file"),
    (0, b"\x1aE\xdf\xa3", "a WebM or Matroska file"),
    (0, b".RMF", "a RealMedia file"),
    (0, b".ra\xfd", "a RealAudio file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"TTA1", "a True Audio file"),
    (0, b"TTA2", "a True Audio file"),
    (0, b"MPCK", "a Musepack file"),
    (0, b"MP+", "a Musepack file"),
    (0, b"DSD ", "a DSD file"),
    (0, b"FRM8", "a DSDIFF file"),
    (0, b"FLV\x01", "a Flash video file"),
    (0, b"ajkg", "a Shorten file"),
    (0, b"\x02dss", "a DSS dictation file"),
    (0, b"\x03dss", "a DSS dictation file"),
    (0, b"\x03ds2", "a DS2 dictation file"),
    (0, b"\x06ds2", "a DS2 dictation file"),
    (0, b"OFR ", "an OptimFROG file"),
    (0, b"ADIF", "an AAC file"),
    (0, b"\x00\x00\x01\xba", "an MPEG program stream (video)"),
    (0, b"\x00\x00\x01\xb3", "an MPEG video file"),
    # containers that libsndfile opens, but whose completeness it cannot tell
    (0, b"2BIT", "an AVR file"),
    (0, b" paf", "an Ensoniq PARIS file"),
    (0, b"fap ", "an Ensoniq PARIS file"),
    (0, b"PVF1", "a PVF file"),
    (0, b"PVF2", "a PVF file"),
    (0, b"\x64\xa3", "an IRCAM file"),
    (2, b"\xa3\x64", "an IRCAM file"),
    (0, b"MATLAB 5", "a MATLAB file"),
    (0, b"Extended Instrument", "an XI instrument file"),
    (0, b"ALawSoundFile", "a Psion WVE file"),
    (0, b"\xf0\x7e", "a MIDI sample dump"),
    (0, b"\x01\x04", "an MPC sample file"),
)
_FORM_TYPES = {b"8SVX": "an 8SVX file", b"16SV": "a 16SV file"}
# files that are not audio at all
_NOT_AUDIO = (
    (0, b"%PDF", "a PDF"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip file"),
    (0, b"MThd", "a MIDI file, which holds notes and not sound"),
    (0, b"\x89PNG", "a PNG picture"),
    (0, b"\xff\xd8\xff", "a JPEG picture"),
    (0, b"GIF8", "a GIF picture"),
)
_QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")

# extensions of the containers that are read; a folder's files of these names are recordings
AUDIO_EXTENSIONS = (
    ".wav", ".wave", ".bwf", ".flac", ".mp3", ".mpga", ".mp2", ".mp1", ".mpa", ".m2a", ".ogg", ".oga", ".opus", ".aif", ".aiff",
    ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".bw64", ".voc", ".sph", ".nist", ".wv1", ".wv2")
# extensions of recordings that must be converted first; a folder's files of these names are reported as skipped
CONVERTIBLE_EXTENSIONS = (
    ".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".3gp", ".3g2", ".aac", ".amr", ".awb", ".wma", ".asf", ".wmv", ".webm", ".mkv",
    ".mka", ".ra", ".rm", ".ram", ".ape", ".wv", ".tta", ".mpc", ".dsf", ".dff", ".avi", ".flv", ".shn", ".ts", ".mpg", ".mpeg",
    ".silk", ".slk", ".ac3", ".dts", ".spx", ".avr", ".htk", ".paf", ".pvf", ".sf", ".ircam", ".mat", ".xi", ".wve", ".sds",
    ".sd2", ".8svx", ".iff", ".svx", ".gsm", ".raw", ".pcm", ".3ga", ".3gpp", ".3gp2", ".m4r", ".f4a", ".f4v", ".qt", ".mts",
    ".m2ts", ".vob", ".ogv", ".ogx", ".weba", ".ofr", ".eac3", ".ec3", ".ac4", ".dss", ".ds2", ".vox", ".mp+", ".mpp")
# the content of files with these extensions is not looked at: transcripts, results, tables, pictures, incomplete downloads
_OTHER_EXTENSIONS = frozenset((
    ".txt", ".json", ".jsonl", ".srt", ".vtt", ".ctm", ".csv", ".tsv", ".md", ".log", ".xml", ".html", ".yaml", ".yml", ".py",
    ".sh", ".npy", ".npz", ".pdf", ".png", ".jpg", ".jpeg", ".gif", ".lab", ".textgrid", ".eaf", ".trs", ".stm", ".wrd", ".phn",
    ".part", ".partial", ".crdownload", ".tmp"))


def container_of(start, is_certain=False):
    """The container that a file is, by its first bytes.

    Args:
      start: at least the first 16 bytes of the file.
      is_certain: do not take the two bytes of an MP3 frame for a signature, as any data may have them.

    Returns:
      One of the names above (``WAV``...), or None.
    """
    if start[:4] in (b"RIFF", b"RIFX") and start[8:12] == b"WAVE":
        return WAV
    if start[:4] in (b"RF64", b"BW64") and start[8:12] == b"WAVE":
        return RF64
    if start[:16] == W64_RIFF:
        return W64
    if start[:4] == b"FORM" and start[8:12] in (b"AIFF", b"AIFC"):
        return AIFF
    if start[:4] in (b".snd", b"dns."):
        return AU
    for signature, name in ((b"caff", CAF), (b"fLaC", FLAC), (b"OggS", OGG), (b"NIST_1A", NIST),
                            (b"Creative Voice File\x1a", VOC)):
        if start.startswith(signature):
            return name
    if start.startswith(b"ID3"):
        return MP3
    if not is_certain and len(start) > 1 and start[0] == 0xFF and start[1] & 0xE0 == 0xE0 and start[1] & 0x06:
        return MP3
    return None


def unsupported_sentence(start):
    """What a file is that cannot be read, by its first bytes, and what to do about it.

    Args:
      start: the first :data:`START_BYTES` of the file.

    Returns:
      One or two sentences, e.g. "It is an MP4 (M4A) file. Convert it to WAV first, e.g. with ffmpeg.", or None when the file
      is not known as unsupported.
    """
    convertible = _convertible(start)
    if convertible is not None:
        return "It is %s, which cannot be read here. Convert it to WAV first, e.g. ffmpeg -i INPUT OUTPUT.wav" % convertible
    for offset, signature, name in _NOT_AUDIO:
        if start[offset:].startswith(signature):
            return "It is %s." % name
    if start.lstrip()[:1] == b"<":
        return "It is an HTML or XML page saved under the name of an audio file."
    return None


def is_convertible(start):
    """Whether ``start`` is the beginning of a recording that must be converted before it can be read."""
    return _convertible(start) is not None


def audio_by_content(path):
    """What a file of a folder is whose extension is not one of an audio file, when its content is one.

    Args:
      path: the file.

    Returns:
      A sentence for the report of skipped files; None: it is not recognized as audio, or cannot be read.
    """
    if os.path.splitext(path)[1].lower() in _OTHER_EXTENSIONS:
        return None
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return _audio_by_content(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=1 << 16)      # --watch asks every second
def _audio_by_content(path, size, modified):
    try:
        with open(path, "rb", opener=open_without_waiting) as file:
            start = file.read(_SEVERAL_FRAMES)
    except OSError:
        return None
    container = container_of(start, is_certain=True) or (MP3 if _is_mpeg_stream(start) else None)
    if container is not None and not is_convertible(start):
        return ("Its content is audio (%s), but its extension is not one of an audio file; rename it, or name the file itself to "
                "transcribe it." % container)
    # a short signature may be found in any file
    name = _convertible(start)
    short = {known for _, signature, known in _CONVERTIBLE if len(signature) < 4}
    if name is None or name in short or start[0] == 0xFF and not _is_adts_stream(start):
        return None
    return unsupported_sentence(start)


def _is_mpeg_stream(start):
    """Whether three frames of MPEG audio follow each other."""
    position = 0
    for _ in range(3):
        header = parse_header(start[position:position + 4])
        if header is None:
            return False
        position += header.length
    return True


def _is_adts_stream(start):
    """Whether three frames of AAC follow each other."""
    position = 0
    for _ in range(3):
        head = start[position:position + 6]
        if len(head) < 6 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
            return False
        position += max(7, (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5)
    return True


def _convertible(start):
    if start[4:8] == b"ftyp":
        brand = start[8:12].strip()
        return "a 3GP file" if brand.startswith(b"3g") else "a QuickTime file" if brand == b"qt" else "an MP4 (M4A) file"
    if start[4:8] in _QUICKTIME_ATOMS:
        return "a QuickTime file"
    if start[:4] == b"RIFF" and start[8:12] == b"AVI ":
        return "an AVI video file"
    if start[:4] == b"FORM" and start[8:12] in _FORM_TYPES:
        return _FORM_TYPES[start[8:12]]
    if start[:1] == b"G" and start[188:189] == b"G" and start[376:377] == b"G":
        return "an MPEG transport stream (video)"
    if len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0:      # the layer bits of MPEG audio are 0 in ADTS
        return "an AAC file"
    if start[:4] == b"OggS" and b"Speex   " in start[:64]:
        return "a Speex file"
    for offset, signature, name in _CONVERTIBLE:
        if start[offset:].startswith(signature):
            return name
    return None


def unsupported_container(path):
    """What a file is that cannot be read, and what to do about it: the one sentence for folders, ``--watch`` and uploads.

    Args:
      path: the file.

    Returns:
      The sentences of :func:`unsupported_sentence`; None when the file is not known as unsupported, is not a regular file or
      cannot be opened.
    """
    try:
        with open(path, "rb", opener=open_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            return unsupported_sentence(file.read(START_BYTES))
    except (OSError, ValueError):      # ValueError: a NUL in the name
        return None


def open_without_waiting(path, flags):
    """An opener for ``open`` that does not wait for a writer when ``path`` is a pipe."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
