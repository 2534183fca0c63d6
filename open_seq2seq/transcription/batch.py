"""Transcribes a list of recordings: results as they are asked for, progress on stderr, errors by recording."""
import json
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from open_seq2seq.errors import DataError, JasperError
from open_seq2seq.transcription.audio_stream import duration_of_file, spooled
from open_seq2seq.transcription.recordings import STANDARD_INPUT, write_results
from open_seq2seq.transcription.writers import FORMATS, json_record


class Batch:
    """The work that one command line asks for.

    Args:
      recordings: list of Recording.
      formats: list of names of ``writers.FORMATS``.
      output: folder of the results, or None for standard output; then there is one format.
      errors: list of JasperError that were found before.
    """

    def __init__(self, recordings, formats, output, errors=()):
        self._recordings, self._formats, self._output = recordings, formats, output
        self._errors = list(errors)

    def run(self, transcriber):
        """Transcribes; a recording that cannot be transcribed does not keep the others from it.

        Args:
          transcriber: a Transcriber.

        Returns:
          The exit status: 0, or that of the first error.
        """
        began, transcribed, audio_seconds = time.monotonic(), 0, 0.0
        for error in self._errors:
            report(error)
        with _Bar(len(self._recordings)) as bar:
            for number, recording in enumerate(self._recordings, 1):
                try:
                    transcript = self._transcribe(transcriber, recording, bar)
                except JasperError as error:
                    self._errors.append(error)
                    report(error)
                    continue
                transcribed, audio_seconds = transcribed + 1, audio_seconds + transcript.duration
                bar.done("%d of %d: %s: %.1f s of audio, %d words" % (
                    number, len(self._recordings), recording.name, transcript.duration, len(transcript.words)))
        if len(self._recordings) > 1:
            seconds = time.monotonic() - began
            print("%d of %d recordings transcribed, %.1f s of audio in %.1f s" % (
                transcribed, len(self._recordings), audio_seconds, seconds), file=sys.stderr)
        return self._errors[0].exit_status if self._errors else 0

    def _transcribe(self, transcriber, recording, bar):
        if recording.path == STANDARD_INPUT:
            if sys.stdin is None:      # Python's way to say that it was closed
                raise DataError("standard input is closed; pipe a recording into it")
            with spooled(sys.stdin.buffer) as path:
                transcript = self._read(transcriber, path, recording.name, bar)
        else:
            transcript = self._read(transcriber, recording.path, recording.name, bar)
        if self._output is not None:
            write_results(self._output, recording, self._formats, transcript)
        else:
            self._print(recording, transcript)
        return transcript

    @staticmethod
    def _read(transcriber, path, name, bar):
        bar.begin(name, path)
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
    """Prints an error as run.py does, on stderr."""
    message = describe(error)
    print("\033[31m%s\033[0m" % message if sys.stderr.isatty() else message, file=sys.stderr, flush=True)


def describe(error):
    """An error as a line: what kind of one, and what it says."""
    # that a recording is rejected from a data set means nothing here
    title = "DataError" if type(error).__name__ == "RejectedData" else type(error).__name__
    return "%s: %s" % (title, error)


class _Bar:
    """Progress on stderr: a bar within each recording on a terminal; a line for each of several recordings elsewhere."""

    def __init__(self, total):
        self._lines = total > 1
        self._progress = self._task = None
        if sys.stderr.isatty():
            self._progress = Progress(TextColumn("{task.description}"), BarColumn(),
                                      TextColumn("{task.completed:.0f} s"), TimeRemainingColumn(),
                                      console=Console(file=sys.stderr), transient=True, redirect_stdout=sys.stdout.isatty())

    def __enter__(self):
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *exception):
        if self._progress is not None:
            self._progress.stop()
        return False

    def begin(self, name, path):
        if self._progress is not None:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._task = self._progress.add_task(name.replace("[", "\\["), total=duration_of_file(path))

    def update(self, seconds):
        if self._progress is not None:
            self._progress.update(self._task, completed=seconds)

    def done(self, line):
        if self._lines:
            print(line, file=sys.stderr, flush=True)
