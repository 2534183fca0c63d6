"""Transcribes a list of recordings: results in the requested formats, progress and errors on stderr."""
import json
import sys
import time

from open_seq2seq.decoding.writers import FORMATS, json_record
from open_seq2seq.errors import DataError, JasperError
from open_seq2seq.progress import ProgressBar
from open_seq2seq.transcription.audio_stream import duration_of_file, spooled
from open_seq2seq.transcription.recordings import STANDARD_INPUT, skipped_lines, write_results


class Batch:
    """The recordings of one command line.

    Args:
      recordings: list of Recording.
      formats: list of names of ``writers.FORMATS``.
      output: folder for the results; None for standard output, in one format.
      errors: list of JasperError that were found before.
      skipped: list of Skipped that were found before; they are reported and do not change the exit status.
    """

    def __init__(self, recordings, formats, output, errors=(), skipped=()):
        self._recordings, self._formats, self._output = recordings, formats, output
        self._errors, self._skipped = list(errors), skipped

    def run(self, transcriber):
        """Transcribes all recordings; after the error of one it continues with the next.

        Args:
          transcriber: a Transcriber.

        Returns:
          The exit status: 0, or that of the first error.
        """
        began, transcribed, audio_seconds = time.monotonic(), 0, 0.0
        several = len(self._recordings) > 1
        for line in skipped_lines(self._skipped):
            print(line, file=sys.stderr, flush=True)
        for error in self._errors:
            report(error)
        for number, recording in enumerate(self._recordings, 1):
            try:
                transcript = self._transcribe(transcriber, recording)
            except JasperError as error:
                self._errors.append(error)
                report(error)
                continue
            transcribed, audio_seconds = transcribed + 1, audio_seconds + transcript.duration
            if several:
                print("%d of %d: %s: %.1f s of audio, %d words" % (
                    number, len(self._recordings), recording.name, transcript.duration, len(transcript.words)),
                    file=sys.stderr, flush=True)
        if several:
            seconds = time.monotonic() - began
            print("%d of %d recordings transcribed, %.1f s of audio in %.1f s" % (
                transcribed, len(self._recordings), audio_seconds, seconds), file=sys.stderr)
        return self._errors[0].exit_status if self._errors else 0

    def _transcribe(self, transcriber, recording):
        if recording.path == STANDARD_INPUT:
            if sys.stdin is None:      # it was closed before Python started
                raise DataError("standard input is closed; pipe a recording into it")
            with spooled(sys.stdin.buffer) as path:
                transcript = self._read(transcriber, path, recording.name)
        else:
            transcript = self._read(transcriber, recording.path, recording.name)
        if self._output is not None:
            write_results(self._output, recording, self._formats, transcript)
        else:
            self._print(recording, transcript)
        return transcript

    @staticmethod
    def _read(transcriber, path, name):
        duration = duration_of_file(path) if sys.stderr is not None and sys.stderr.isatty() else None
        with ProgressBar(duration, description=name, on_stderr=True, seconds=True) as bar:
            return transcriber.transcribe(path, name=name, progress=bar.update)

    def _print(self, recording, transcript):
        name, = self._formats
        if len(self._recordings) > 1 and name == "text":
            text = "%s\t%s\n" % (recording.name, transcript.text)
        elif len(self._recordings) > 1 and name == "json":
            text = json.dumps(json_record(transcript, recording.name), ensure_ascii=False) + "\n"
        else:
            text = FORMATS[name][1](transcript, recording.name)
        sys.stdout.write(text)
        sys.stdout.flush()


def report(error):
    """Prints an error on stderr, red on a terminal."""
    message = describe(error)
    print("\033[31m%s\033[0m" % message if sys.stderr.isatty() else message, file=sys.stderr, flush=True)


def describe(error):
    """An error as one line: its class and its message."""
    # a rejection from a data set is an ordinary error here
    title = "DataError" if type(error).__name__ == "RejectedData" else type(error).__name__
    return "%s: %s" % (title, error)
