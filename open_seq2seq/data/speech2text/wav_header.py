"""What a RIFF WAVE header says, held against the length of the file.

Format: Microsoft/IBM, Multimedia Programming Interface and Data Specifications 1.0 (1991), and the extensible format of
the Windows Driver Kit. Only what a scan of very many files needs; odder formats are left to libsndfile.
"""
import collections
import os
import struct

from open_seq2seq.data.speech2text.rejection import EMPTY_AUDIO, NOT_AUDIO, WRONG_HEADER, RejectedData

PCM, IEEE_FLOAT, EXTENSIBLE = 0x0001, 0x0003, 0xFFFE

# a writer that cannot seek back (a pipe) leaves 0 or a very large size; ffmpeg writes the last, sox the one before
LARGEST_TRUE_SIZE = 0x7FFFF000

WavHeader = collections.namedtuple("WavHeader", "encoding sample_rate channels bits num_samples data_offset")
WavHeader.__doc__ = """encoding: PCM or IEEE_FLOAT; bits per sample; num_samples: per channel; data_offset: in bytes."""


def read_wav_header(file):
    """Reads the header of an open WAV file.

    Args:
      file: a binary file at its start; afterwards it stands at the first sample.

    Returns:
      WavHeader, or None when it is no RIFF WAVE file or one with another encoding than PCM and float.

    Raises:
      RejectedData: the header is broken, promises more data than the file holds, or there are no samples.
    """
    file_size = os.fstat(file.fileno()).st_size
    start = file.read(12)
    if len(start) < 12 or start[:4] != b"RIFF" or start[8:] != b"WAVE":
        return None
    riff_size, = struct.unpack("<4xI", start[:8])
    layout = None
    while True:
        chunk = file.read(8)
        if len(chunk) < 8:
            raise RejectedData(NOT_AUDIO, "a RIFF file of %d bytes without a %s chunk; was it cut off while copying?"
                               % (file_size, '"fmt "' if layout is None else '"data"'))
        name, size = struct.unpack("<4sI", chunk)
        if name == b"fmt ":
            layout = _layout(file.read(size))
            if layout is None:
                return None
            file.seek(size & 1, os.SEEK_CUR)
        elif name == b"data" and layout is not None:
            break
        else:
            # chunks start at even offsets
            file.seek(size + (size & 1), os.SEEK_CUR)
    encoding, channels, sample_rate, bits = layout
    offset = file.tell()
    present = file_size - offset
    num_bytes = _data_size(size, present, riff_size, file_size)
    num_samples = num_bytes // (channels * bits // 8)
    if num_samples == 0:
        raise RejectedData(EMPTY_AUDIO, "a WAV file without samples")
    return WavHeader(encoding, sample_rate, channels, bits, num_samples, offset)


def _layout(fmt):
    """(encoding, channels, sample rate, bits) of a "fmt " chunk, or None for what libsndfile must judge."""
    if len(fmt) < 16:
        raise RejectedData(NOT_AUDIO, 'a RIFF file whose "fmt " chunk has %d bytes; expected at least 16' % len(fmt))
    encoding, channels, sample_rate, _, block, bits = struct.unpack("<HHIIHH", fmt[:16])
    if encoding == EXTENSIBLE and len(fmt) >= 26:
        encoding, = struct.unpack("<H", fmt[24:26])
    if encoding not in (PCM, IEEE_FLOAT) or bits % 8 or not bits or not channels or block != channels * bits // 8:
        return None
    if not sample_rate:
        raise RejectedData(NOT_AUDIO, "a WAV file with a rate of 0 samples per second")
    return encoding, channels, sample_rate, bits


def _data_size(size, present, riff_size, file_size):
    """Bytes of samples, given what the header says and what is there."""
    if size == 0 and riff_size + 8 != file_size:
        return present
    if size > present:
        if size >= LARGEST_TRUE_SIZE:
            return present
        raise RejectedData(WRONG_HEADER, "the header promises %d bytes of samples, the file holds %d; was it cut off while "
                                         "copying?" % (size, present))
    return size
