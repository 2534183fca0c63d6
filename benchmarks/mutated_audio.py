"""The audio reader and the upload of the web page for benchmarks/mutated_inputs.py."""
import contextlib
import io
import itertools
import os
import tempfile

import numpy as np
import soundfile
from mutations import Reader, Silent

from open_seq2seq.data.speech2text.audio import MAX_MISSING_FRACTION, inspect_audio, read_audio
from open_seq2seq.errors import JasperError
from open_seq2seq.transcription.audio_stream import blocks_of_file

JOINED_WEIGHT = 3
SAMPLE_RATE = 16000


def _tone(num_samples, channels=1):
    time_axis = np.arange(num_samples) / float(SAMPLE_RATE)
    samples = 0.3 * np.sin(2 * np.pi * 300 * time_axis) * (1 + np.sin(2 * np.pi * 3 * time_axis)) / 2
    samples += 0.01 * np.random.RandomState(num_samples).randn(num_samples)
    return samples if channels == 1 else np.stack([samples, 0.5 * samples], 1)


def _encoded(container, subtype, num_samples, channels=1):
    buffer = io.BytesIO()
    soundfile.write(buffer, _tone(num_samples, channels), SAMPLE_RATE, format=container, subtype=subtype)
    return buffer.getvalue()


def _joined_files():
    """(name, list of the parts' bytes) of files that consist of several, and of streams that do not state their length."""
    ogg, opus, mp3, wav = (("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("WAV", "PCM_16"))
    for name, (container, subtype) in (("chained Vorbis", ogg), ("chained Opus", opus), ("joined MP3", mp3), ("joined WAV", wav)):
        yield name, [_encoded(container, subtype, length) for length in (12037, 11001)]
        yield name + " of three", [_encoded(container, subtype, length) for length in (9001, 12037, 11001)]
    yield "Vorbis and Opus", [_encoded(*ogg, 12037), _encoded(*opus, 11001)]
    yield "mono and stereo Vorbis", [_encoded(*ogg, 12037), _encoded(*ogg, 11001, 2)]
    id3v1, id3v2 = b"TAG" + b"a" * 125, b"ID3\3\0\0\0\0\2\0" + bytes(256)
    yield "joined MP3 with tags", [
        id3v2 + _encoded(*mp3, 12037) + id3v1, id3v2 + _encoded(*mp3, 11001) + id3v1]
    for name, (container, subtype) in (("Vorbis", ogg), ("Opus", opus), ("MP3", mp3)):
        whole = _encoded(container, subtype, 60037)
        # nearly as much as is tolerated
        yield name + " and other data", [whole + _encoded(*wav, 12037)[44:][:len(whole) // 110]]
        yield name + " and zeros", [whole + bytes(4096)]
    flac = bytearray(_encoded("FLAC", "PCM_16", 24037))
    flac[21] &= 0xF0
    flac[22:26] = bytes(4)
    yield "FLAC of unknown length", [bytes(flac)]


class AudioReader(Reader):
    """Scan, training and transcription, which must agree."""

    name, is_text = "audio", False
    CONTAINERS = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3", "NIST", "VOC")
    # a block of these encodings is a large part of a short file
    LONG = ("IMA_ADPCM", "MS_ADPCM", "GSM610", "G721_32", "G723_24", "G723_40", "NMS_ADPCM_16", "NMS_ADPCM_24", "NMS_ADPCM_32")

    def __init__(self):
        self.inputs = []
        for container in self.CONTAINERS:
            for subtype in sorted(soundfile.available_subtypes(container)):
                for channels in (1, 2):
                    samples = _tone(120037 if subtype in self.LONG else 12037, channels)
                    buffer = io.BytesIO()
                    try:
                        soundfile.write(buffer, samples, SAMPLE_RATE, format=container, subtype=subtype)
                    except (RuntimeError, ValueError, AssertionError):      # libsndfile announces more than it writes
                        continue
                    self.inputs.append(buffer.getvalue())
        self.inputs = [data for data in self.inputs if self._is_read(data)]
        joined = [(name, b"".join(parts)) for name, parts in _joined_files()]
        self._ends = {b"".join(parts): list(itertools.accumulate(map(len, parts))) for _, parts in _joined_files()}
        unread = [name for name, data in joined if not self._is_read(data)]
        if unread:
            raise AssertionError("these files are not read before they are damaged: %s" % ", ".join(unread))
        # their seams, too, are damaged often enough
        self.inputs += JOINED_WEIGHT * [data for _, data in joined]

    def _is_read(self, data):
        with tempfile.TemporaryDirectory() as folder:
            try:
                self.read(data, folder)
            except JasperError:
                return False
        return True

    def read(self, data, folder):
        path, answers, notes = self._write(data, folder, "a.audio"), [], []

        def scan():
            info = inspect_audio(path, SAMPLE_RATE)
            notes.extend(info.notes)
            return info.num_samples

        for function in (scan, lambda: len(read_audio(path, SAMPLE_RATE)),
                         lambda: sum(map(len, blocks_of_file(path, SAMPLE_RATE, warn=notes.append)))):
            try:
                answers.append(function())
            except JasperError as error:
                answers.append(error)
        scanned, read, streamed = answers
        if isinstance(read, JasperError) and isinstance(streamed, JasperError):
            raise read
        if not scanned == read == streamed:
            raise Silent("scan, training and transcription disagree: %s" % answers)
        return read, notes

    @staticmethod
    def unverifiable(data):
        """Sample rates and encodings that a container states once only; docs/audio.md lists them."""
        found = []
        for start, signature, offset, length in ((b"FORM", b"COMM", 16, 10), (b"caff", b"desc", 12, 8),
                                                 (b".snd", b".snd", 12, 12), (b"NIST", b"sample_rate", 0, 25)):
            if data.startswith(start):
                place = data.index(signature) + offset
                found.append((place, place + length))
        if data.startswith(b"Creative"):
            found.append((30, 36))
        return found

    def announced(self, original, valid, kind, data, folder):
        # nothing in a file announces that others were joined to it
        if kind == "cut":
            end = next((end for end in self._ends.get(valid, ()) if len(data) <= end), len(valid))
            return original if end == len(valid) else self.read(valid[:end], folder)[0]
        return original

    def judge(self, original, value):
        if abs(value - original) > MAX_MISSING_FRACTION * original:
            raise Silent("%d samples became %d" % (original, value))

    def judge_noted(self, original, value, notes):
        # another sample rate changes the number of samples after resampling; no other field contradicts it.
        # More samples are possible: the silence that an MP3 encoder adds. A cut within a sample loses all of it
        if not any("sample rate" in note for note in notes) and value + 1 < (1 - MAX_MISSING_FRACTION) * original:
            raise Silent("%d samples became %d, with a note that does not excuse it" % (original, value))


class UploadReader(AudioReader):
    """A form with a recording, as a browser sends it."""

    name = "upload"
    BOUNDARY = b"AaB03x"

    def __init__(self):
        buffer = io.BytesIO()
        soundfile.write(buffer, _tone(12037), SAMPLE_RATE, format="WAV", subtype="PCM_16")
        self._ends = {}
        self._wav = buffer.getvalue()
        self.inputs = [b"".join([
            b"--" + self.BOUNDARY, b'\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n',
            b"Content-Type: audio/wav\r\n\r\n", self._wav, b"\r\n--" + self.BOUNDARY + b"--\r\n"])]

    def read(self, data, folder):
        from werkzeug.wrappers import Request

        from open_seq2seq.transcription.web.http_error import HttpError
        from open_seq2seq.transcription.web.sound import check_sound, write_playback
        from open_seq2seq.transcription.web.uploads import RequestBody, receive

        path = os.path.join(folder, "upload")
        if os.path.exists(path):
            os.remove(path)
        request = Request({"REQUEST_METHOD": "POST", "QUERY_STRING": "", "CONTENT_LENGTH": str(len(data)),
                           "CONTENT_TYPE": "multipart/form-data; boundary=" + self.BOUNDARY.decode(),
                           "wsgi.input": RequestBody(io.BufferedReader(io.BytesIO(data)), len(data))})
        try:
            receive(request, path, 1 << 20)
        except HttpError as error:
            raise JasperError(str(error))
        notes = io.StringIO()
        with contextlib.redirect_stderr(notes):
            check_sound(path, 60.0)
            written = write_playback(path, os.path.join(folder, "playback.wav"), SAMPLE_RATE, 60.0, "upload")
        return written, notes.getvalue().splitlines()
