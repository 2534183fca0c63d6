"""The recordings that the server keeps, and the thread that transcribes them one after the other.

All files of a recording are in a folder of its own below one temporary folder, which is removed when the server ends.
"""
import collections
import os
import secrets
import shutil
import sys
import tempfile
import threading
import traceback

from open_seq2seq.errors import JasperError
from open_seq2seq.transcription.audio_stream import warn_on_stderr
from open_seq2seq.transcription.web.http_error import HttpError
from open_seq2seq.transcription.web.sound import write_playback
from open_seq2seq.transcription.web.spectrogram import spectrogram

UPLOADING, WAITING, WORKING, DONE, FAILED = "uploading", "waiting", "working", "done", "failed"

Limits = collections.namedtuple("Limits", "max_bytes max_seconds max_waiting max_kept")
Limits.__doc__ = """max_bytes: of an upload. max_seconds: of a recording. max_waiting: recordings that are uploaded, waiting or
transcribed. max_kept: finished recordings; the oldest is removed for a new one."""


class Recording:
    """One upload and its result. Its fields are read and written under the lock of its Recordings.

    Attributes:
      identity: str that cannot be guessed; whoever knows it may read the transcript.
      folder: contains ``upload``, ``audio.wav``, ``spectrogram``.
      name: the client's name for it.
      state: UPLOADING, WAITING, WORKING, DONE or FAILED.
      fraction: transcribed share, 0..1.
      error: a sentence if it failed, else None.
      warnings: list of sentences about what is wrong with it although it is used.
      transcript: Transcript once it is done, else None.
      spectrogram: Spectrogram without its points, None until it is computed.
      duration: of the recording in s, None until it is known.
    """

    def __init__(self, root):
        self.identity = secrets.token_urlsafe(16)
        self.folder = os.path.join(root, self.identity)
        self.name, self.state, self.fraction, self.error = "", UPLOADING, 0.0, None
        self.warnings = []
        self.transcript = self.spectrogram = self.duration = None
        self.forgotten = False
        os.mkdir(self.folder, 0o700)

    def path(self, file):
        """Path of one of its files."""
        return os.path.join(self.folder, file)


class _Removed(Exception):
    """The recording was removed while it was transcribed."""


class Recordings:
    """Accepts recordings and transcribes them in the order of their arrival.

    Args:
      transcriber: ``Transcriber``; playback and spectrogram are at its model's sample rate.
      limits: Limits.
    """

    def __init__(self, transcriber, limits):
        self._transcriber, self.limits, self._sample_rate = transcriber, limits, transcriber.sample_rate
        self._root = tempfile.mkdtemp(prefix="jasper-web-")     # readable by nobody else
        self._changed = threading.Condition()
        self._recordings = collections.OrderedDict()
        self._queue = collections.deque()
        self._closed = False
        self._worker = threading.Thread(target=self._work, name="transcription", daemon=True)
        self._worker.start()

    def new(self):
        """A Recording whose upload may begin.

        Raises:
          HttpError: 503, ``max_waiting`` recordings are not finished.
        """
        with self._changed:
            busy = sum(recording.state in (UPLOADING, WAITING, WORKING) for recording in self._recordings.values())
            if self._closed:
                raise HttpError(503, "The server is stopping.")
            if busy >= self.limits.max_waiting:
                raise HttpError(503, "%d recordings are not finished. Try again later." % busy,
                              {"Retry-After": "10"})
            recording = Recording(self._root)
            self._recordings[recording.identity] = recording
            return recording

    def wait(self, recording, states=(DONE, FAILED), timeout=None):
        """Waits until a recording is in one of the states.

        Returns:
          Whether it is; False when ``timeout`` seconds passed first.
        """
        with self._changed:
            return self._changed.wait_for(lambda: recording.state in states, timeout)

    def submit(self, recording):
        """Puts an uploaded Recording in the queue."""
        with self._changed:
            recording.state = WAITING
            self._queue.append(recording)
            self._remove_oldest(1)
            self._changed.notify_all()

    def find(self, identity):
        """The Recording of that identity.

        Raises:
          HttpError: 404, there is none, or it was removed.
        """
        with self._changed:
            if identity not in self._recordings:
                raise HttpError(404, "There is no such recording; it may have been removed because newer ones were uploaded.")
            return self._recordings[identity]

    def forget(self, identity):
        """Removes a recording in any state; a transcription of it is cancelled.

        Raises:
          HttpError: 404, there is none.
        """
        with self._changed:
            self._forget(self.find(identity))

    def discard(self, recording):
        """Removes a recording whose upload did not succeed."""
        with self._changed:
            if not recording.forgotten:
                self._forget(recording)

    def describe(self, recording):
        """A recording as the page shows it: a dict of JSON types."""
        with self._changed:
            description = {"id": recording.identity, "name": recording.name, "state": recording.state,
                           "fraction": round(recording.fraction, 4), "error": recording.error,
                           "warnings": list(recording.warnings), "duration": recording.duration}
            # it may have been removed since it was found
            if recording.state == WAITING and not recording.forgotten:
                # the one being transcribed counts, too
                description["ahead"] = self._queue.index(recording) + any(
                    item.state == WORKING for item in self._recordings.values())
            if recording.spectrogram is not None:
                description["spectrogram"] = {"seconds_per_column": recording.spectrogram.seconds_per_column,
                                              "band_hz": recording.spectrogram.band_hz}
            if recording.transcript is not None:
                description["text"] = recording.transcript.text
                description["words"] = [
                    {"text": word.text, "start": round(word.start, 3), "end": round(word.end, 3),
                     "confidence": None if word.confidence is None else round(word.confidence, 4)}
                    for word in recording.transcript.words]
            return description

    def count(self):
        """(number of unfinished recordings, number of finished recordings)"""
        with self._changed:
            finished = sum(recording.state in (DONE, FAILED) for recording in self._recordings.values())
            return len(self._recordings) - finished, finished

    def close(self, patience=10.0):
        """Cancels the transcription and removes every file.

        Args:
          patience: seconds to wait for the transcription of one window to end.
        """
        with self._changed:
            self._closed = True
            for recording in list(self._recordings.values()):
                self._forget(recording)
            self._changed.notify_all()
        self._worker.join(patience)
        shutil.rmtree(self._root, ignore_errors=True)

    def _remove_oldest(self, coming):
        """Removes the oldest finished recordings, so that at most ``max_kept`` remain including the ``coming`` ones."""
        finished = [item for item in self._recordings.values() if item.state in (DONE, FAILED)]
        for oldest in finished[:max(len(finished) + coming - self.limits.max_kept, 0)]:
            self._forget(oldest)

    def _forget(self, recording):
        recording.forgotten = True
        del self._recordings[recording.identity]
        if recording in self._queue:
            self._queue.remove(recording)
        shutil.rmtree(recording.folder, ignore_errors=True)

    def _work(self):
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                recording = self._queue.popleft()
                recording.state = WORKING
                self._changed.notify_all()
            try:
                self._transcribe(recording)
            except _Removed:
                continue
            except JasperError as error:
                self._fail(recording, str(error))
            except Exception:
                if not recording.forgotten:
                    traceback.print_exc(file=sys.stderr)
                self._fail(recording, "Internal server error, not a fault of the recording; "
                                      "see the terminal that the server was started in.")

    def _transcribe(self, recording):
        def check_removed():
            if recording.forgotten:
                raise _Removed

        def progress(seconds):
            check_removed()
            recording.fraction = min(seconds / recording.duration, 1.0)

        def warn(text):
            warn_on_stderr(text)
            prefix = recording.name + ": "      # the page shows the name already
            with self._changed:
                recording.warnings.append(text[len(prefix):] if text.startswith(prefix) else text)

        playback, upload = recording.path("audio.wav"), recording.path("upload")
        samples = write_playback(upload, playback, self._sample_rate, self.limits.max_seconds, recording.name, check_removed,
                                 warn)
        drawn = spectrogram(playback, check_removed)
        with open(recording.path("spectrogram"), "wb") as file:
            file.write(drawn.points.tobytes())
        with self._changed:
            recording.duration = samples / float(self._sample_rate)
            recording.spectrogram = drawn._replace(points=None)
        transcript = self._transcriber.transcribe(upload, name=recording.name, progress=progress,
                                                  warn=lambda text: None)      # the same as before
        check_removed()
        os.remove(upload)
        with self._changed:
            recording.transcript, recording.state, recording.fraction = transcript, DONE, 1.0
            # several may have been waiting when older ones were removed for them
            self._remove_oldest(0)
            self._changed.notify_all()

    def _fail(self, recording, sentence):
        shutil.rmtree(recording.folder, ignore_errors=True)
        with self._changed:
            recording.state, recording.error = FAILED, sentence
            self._remove_oldest(0)
            self._changed.notify_all()
