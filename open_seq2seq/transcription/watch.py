"""``--watch``: transcribes the files that appear in a folder, until it is stopped.

The folder is polled, because the kernel sends no notifications for network shares. A file is transcribed once it was unchanged in
two polls, so that a file that is still being copied is not read.
"""
import os
import sys

from open_seq2seq.errors import DataError, JasperError
from open_seq2seq.transcription.batch import describe
from open_seq2seq.transcription.recordings import audio_files, result_paths, skipped_lines, write_results

POLL_SECONDS = 1.0


class Stopped(Exception):
    """The watch was stopped in the middle of a recording."""


class FolderWatch:
    """Keeps the results for the recordings of a folder up to date.

    Args:
      transcriber: a Transcriber.
      folder: the watched folder; folders in it are watched too.
      output: folder for the results, possibly the same.
      formats: list of names of ``writers.FORMATS``.
      stop: ``threading.Event``; set to stop the watch; a transcription is then cancelled and nothing of it written.
      log: function of a line of text.
    """

    def __init__(self, transcriber, folder, output, formats, stop, log=None):
        self._transcriber, self._folder, self._output, self._formats = transcriber, folder, output, formats
        self._stop, self._log = stop, log or _log_to_stderr
        self._seen, self._done = {}, {}      # path -> signature in the last poll; when it was transcribed, failed or skipped

    def run(self, poll_seconds=POLL_SECONDS):
        """Watches until ``stop`` is set."""
        self._log("watching %s; results go to %s; Ctrl-C stops" % (self._folder, self._output))
        reported = None
        while not self._stop.is_set():
            try:
                self.poll()
                reported = None
            except Stopped:
                break
            except DataError as error:      # the folder cannot be read: it may be unmounted for a while
                if str(error) != reported:
                    self._log(describe(error))
                reported = str(error)
            self._stop.wait(poll_seconds)
        self._log("stopped watching %s" % self._folder)

    def poll(self):
        """Looks at the folder once, and transcribes files that are new or changed and were unchanged since the last poll.

        Returns:
          Number of recordings transcribed.

        Raises:
          Stopped: ``stop`` was set in the middle of a recording.
          DataError: the folder cannot be read.
        """
        signatures = {}
        transcribed = 0
        recordings, skipped = audio_files(self._folder)
        for item in skipped:
            signatures[item.path] = item.reason
            # a file may still be incomplete when it is first seen
            if item.reason == self._seen.get(item.path) and item.reason != self._done.get(item.path):
                self._done[item.path] = item.reason
                self._log(next(skipped_lines([item])))
        for recording in recordings:
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
        """Whether an earlier watch has written all results since the file last changed."""
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
                return 0      # it changed in the meantime: it is transcribed again once it stays unchanged
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
    """The properties that change when a file does: size, times, inode."""

    def __init__(self, status):
        self.st_ctime_ns = status.st_ctime_ns
        self._values = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)

    def __eq__(self, other):
        return isinstance(other, _Signature) and self._values == other._values

    __hash__ = None


def _signature(path):
    try:
        return _Signature(os.stat(path))
    except OSError:      # removed since the folder was listed
        return None


def _log_to_stderr(text):
    print(text, file=sys.stderr, flush=True)
