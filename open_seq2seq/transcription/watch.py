"""``--watch``: transcribes what comes into a folder, until it is told to stop.

The folder is looked at again and again: notifications of the kernel do not come from network shares. A file is taken when it
has looked the same twice, so that one that is still being copied is left in peace.
"""
import os
import sys

from open_seq2seq.errors import DataError, JasperError
from open_seq2seq.transcription.batch import describe
from open_seq2seq.transcription.recordings import audio_files, result_paths, write_results

POLL_SECONDS = 1.0


class Stopped(Exception):
    """The watch was told to stop in the middle of a recording."""


class FolderWatch:
    """Keeps the results of a folder's recordings up to date.

    Args:
      transcriber: a Transcriber.
      folder: what is watched, with the folders in it.
      output: folder of the results, possibly the same.
      formats: list of names of ``writers.FORMATS``.
      stop: ``threading.Event``; set to end the watch. A recording that is being transcribed is given up, nothing of it written.
      log: function of a line of text.
    """

    def __init__(self, transcriber, folder, output, formats, stop, log=None):
        self._transcriber, self._folder, self._output, self._formats = transcriber, folder, output, formats
        self._stop, self._log = stop, log or _log_to_stderr
        self._seen, self._done = {}, {}      # path -> signature when last looked at, when transcribed or found to be faulty

    def run(self, poll_seconds=POLL_SECONDS):
        """Watches until ``stop`` is set."""
        self._log("watching %s; results go to %s; Ctrl-C stops" % (self._folder, self._output))
        told = None
        while not self._stop.is_set():
            try:
                self.look()
                told = None
            except Stopped:
                break
            except DataError as error:      # the folder: unmounted, say, and perhaps there again soon
                if str(error) != told:
                    self._log(describe(error))
                told = str(error)
            self._stop.wait(poll_seconds)
        self._log("stopped watching %s" % self._folder)

    def look(self):
        """Looks once at the folder and transcribes what is new or changed since, and stayed as it was since the last look.

        Returns:
          Number of recordings transcribed.

        Raises:
          Stopped: in the middle of one.
          DataError: the folder cannot be read.
        """
        signatures = {}
        transcribed = 0
        for recording in audio_files(self._folder):
            signature = _signature(recording.path)
            signatures[recording.path] = signature
            if signature is None or signature == self._done.get(recording.path):
                continue
            if recording.path not in self._done and self._is_up_to_date(recording, signature):
                self._done[recording.path] = signature
            elif signature == self._seen.get(recording.path):
                transcribed += self._transcribe(recording, signature)
        self._seen = signatures
        self._done = {path: signature for path, signature in self._done.items() if path in signatures}
        return transcribed

    def _is_up_to_date(self, recording, signature):
        """Whether a watch before this one has written all results since the file last changed."""
        try:
            return all(os.stat(path).st_mtime_ns > signature.st_ctime_ns
                       for path in result_paths(self._output, recording, self._formats))
        except OSError:
            return False

    def _transcribe(self, recording, signature):
        try:
            transcript = self._transcriber.transcribe(recording.path, name=recording.name,
                                                        progress=self._raise_if_stopped)
            self._raise_if_stopped()
            if _signature(recording.path) != signature:
                return 0      # it changed meanwhile: the next look but one takes it again
            write_results(self._output, recording, self._formats, transcript)
        except JasperError as error:
            self._done[recording.path] = signature
            self._log(describe(error))
            return 0
        self._done[recording.path] = signature
        self._log("%s: %.1f s of audio, %d words" % (recording.name, transcript.duration, len(transcript.words)))
        return 1

    def _raise_if_stopped(self, seconds=None):
        if self._stop.is_set():
            raise Stopped()


class _Signature:
    """What changes when a file does: size, times, identity."""

    def __init__(self, status):
        self.st_ctime_ns = status.st_ctime_ns
        self._values = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def __eq__(self, other):
        return isinstance(other, _Signature) and self._values == other._values

    __hash__ = None


def _signature(path):
    try:
        return _Signature(os.stat(path))
    except OSError:      # taken away between the listing and now
        return None


def _log_to_stderr(text):
    print(text, file=sys.stderr, flush=True)
