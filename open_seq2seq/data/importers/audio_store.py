"""The audio of an import: files stay where they are, or are written into the corpus's folder, complete or not at all."""
import collections
import contextlib
import io
import os
import struct

import numpy as np
import soundfile

from open_seq2seq.data.audio import containers
from open_seq2seq.data.audio.inspection import inspect_file, open_audio_file
from open_seq2seq.data.audio.reading import samples_between
from open_seq2seq.data.importers.entries import UNSUPPORTED, checked_path
from open_seq2seq.data.rejection import MISSING_FILE, UNREADABLE, RejectedData

KEEP, FLAC, WAV = "keep", "flac", "wav"
FORMATS = (KEEP, FLAC, WAV)
_EXTENSIONS = {containers.WAV: ".wav", containers.RF64: ".wav", containers.W64: ".w64", containers.AIFF: ".aiff",
               containers.AU: ".au", containers.CAF: ".caf", containers.FLAC: ".flac", containers.OGG: ".ogg",
               containers.MP3: ".mp3", containers.NIST: ".sph", containers.VOC: ".voc"}
_CACHED_SECONDS = 4 * 3600

StoredAudio = collections.namedtuple("StoredAudio", "path size seconds")
StoredAudio.__doc__ = "An audio file of a manifest: path, size in bytes, duration in seconds."


class AudioStore:
    """Makes the audio files of a corpus.

    Args:
      folder: where files are written.
      temporary_path: function that returns the path of a file that does not exist, in the same file system.
      form: KEEP: whole files stay where they are, embedded ones are written as they are, parts as FLAC. FLAC, WAV: everything is
        written so, with 16 bits and one channel, at the recording's rate.
    """

    def __init__(self, folder, temporary_path, form):
        self._folder, self._temporary_path, self._form = folder, temporary_path, form
        self._decoded = None      # ((path, channel), samples, Inspection) of a recording whose container cannot be searched

    def store(self, entry):
        """Makes the audio file of an Entry.

        Raises:
          RejectedData: the recording is missing, damaged or not audio, or does not contain the segment.
          OSError: a file cannot be written.
        """
        with self._file_of(entry.recording) as (path, is_embedded):
            with open_audio_file(path) as file:
                inspection = inspect_file(file)
                whole = (0, inspection.num_samples)
                first, end = whole if entry.segment is None else entry.segment.samples(
                    inspection.sample_rate, inspection.num_samples)
                channel = None if entry.segment is None else entry.segment.channel
                if channel == 0 and inspection.channels == 1:
                    channel = None
                is_own = path.startswith(self._folder + os.sep)      # an importer has made it
                if (self._form == KEEP or is_own) and (first, end) == whole and channel is None:
                    if not is_embedded:
                        return StoredAudio(checked_path(path), os.fstat(file.fileno()).st_size, inspection.duration)
                    target = self._target(entry.name + _EXTENSIONS[inspection.container])
                    os.replace(path, target)
                else:
                    samples = self._samples(file, inspection, first, end, channel)
                    target = self.write(entry.name, samples, inspection.sample_rate)
        return StoredAudio(target, os.path.getsize(target), (end - first) / float(inspection.sample_rate))

    def write(self, name, samples, rate, form=None):
        """Writes int16 [samples], or float32 [samples] in -1..1, as 16-bit FLAC or WAV; returns the path.

        Args:
          name: as of an Entry.
          samples: array.
          rate: Hz.
          form: FLAC or WAV; None: the form of this store.
        """
        form = form or (WAV if self._form == WAV else FLAC)
        temporary = self._temporary_path()
        # soundfile rounds floats differently for FLAC and WAV
        integers = samples if samples.dtype == np.int16 else np.clip(
            np.rint(samples * np.float32(32768)), -32768, 32767).astype(np.int16)
        # libsndfile would wait for the disk after each file
        content = io.BytesIO()
        soundfile.write(content, integers, rate, format=form.upper(), subtype="PCM_16")
        with open(temporary, "wb") as file:
            file.write(content.getbuffer())
        target = self._target(name + "." + form)
        os.replace(temporary, target)
        return target

    def _target(self, name):
        target = os.path.join(self._folder, *name.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        return target

    def _samples(self, file, inspection, first, end, channel):
        if inspection.pcm16 is not None or inspection.container == containers.FLAC:
            return _complete(samples_between(file, inspection, first, end, channel), end - first)
        key = (file.name, os.fstat(file.fileno()).st_mtime_ns, channel)
        if self._decoded is None or self._decoded[0] != key:
            self._decoded = None
            if inspection.duration > _CACHED_SECONDS:
                return _complete(samples_between(file, inspection, first, end, channel), end - first)
            self._decoded = key, samples_between(file, inspection, 0, inspection.num_samples, channel)
        return _complete(self._decoded[1][first:end], end - first)

    @contextlib.contextmanager
    def _file_of(self, recording):
        """(path of a file that contains the recording alone, whether it was made for this purpose)."""
        if recording.data is None and recording.offset is None:
            yield recording.path, False
            return
        temporary = self._temporary_path()
        try:
            with open(temporary, "wb") as file:
                file.write(recording.data if recording.data is not None else _wav_at(recording.path, recording.offset))
            yield temporary, True
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(temporary)


def as_pcm16(samples):
    """Floats in -1..1 as int16, rounded as libsndfile rounds them for WAV files: to 32 bits, of which the upper 16 are kept."""
    scaled = np.clip(np.rint(samples.astype(np.float64) * 2.0 ** 31), -2.0 ** 31, 2.0 ** 31 - 1)
    return (scaled.astype(np.int64) >> 16).astype(np.int16)


def _complete(samples, count):
    if len(samples) < count:
        raise RejectedData(UNREADABLE, "decoding gave %d samples of %d" % (len(samples), count))
    return samples


def _wav_at(path, offset):
    """The bytes of the WAV file that begins at ``offset``, as in an archive of Kaldi."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(offset)
            head = file.read(12)
            if head[:4] != b"RIFF" or head[8:] != b"WAVE":
                raise RejectedData(UNSUPPORTED, "%s contains no WAV file at byte %d, but %s%s" % (
                    path, offset, ascii(head[:8]), ", which is a matrix or vector of Kaldi" if head[:2] == b"\0B" else ""))
            length = struct.unpack("<I", head[4:8])[0] + 8
            if offset + length > size:
                raise RejectedData(UNREADABLE, "%s: the WAV file at byte %d has %d bytes, the archive ends after %d; was it "
                                   "cut off while copying?" % (path, offset, length, size - offset))
            return head + file.read(length - len(head))
    except FileNotFoundError:
        raise RejectedData(MISSING_FILE, "%s does not exist" % path)
    except OSError as error:
        raise RejectedData(UNREADABLE, "%s: %s" % (path, error.strerror))
