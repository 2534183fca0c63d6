"""The microphone as a stream of blocks, through PortAudio (the Python package sounddevice).

``--microphone`` shows words while they are spoken, and writes the results when it is stopped.
"""
import queue
import shutil
import sys
import time

import numpy as np

from open_seq2seq.decoding.transcript import make_transcript
from open_seq2seq.decoding.writers import FORMATS
from open_seq2seq.errors import DeviceError
from open_seq2seq.transcription.audio_stream import Resampler
from open_seq2seq.transcription.recordings import Recording, write_results

BLOCK_SECONDS = 0.1
LONGEST_BACKLOG = 60.0       # seconds of audio in the queue before a warning
SILENT_WAITS = 50            # times BLOCK_SECONDS without a block, after which the microphone is lost; silence has blocks, too


def microphone_blocks(sample_rate, stop, device=None, warn=None):
    """Yields the audio of the microphone until ``stop`` is set.

    Args:
      sample_rate: samples per second to yield; the microphone's own rate is resampled to it.
      stop: ``threading.Event``.
      device: name or number of the microphone in sounddevice; None for the default one.
      warn: function of a line of text, called when samples are lost or the model is too slow.

    Yields:
      float32 [samples], one channel.

    Raises:
      DeviceError: sounddevice or PortAudio is missing, the microphone does not exist, or it was disconnected.
    """
    sounddevice = require_sounddevice()
    blocks = queue.Queue()

    def heard(samples, frames, time, status):
        if status and warn is not None:
            warn("the microphone lost samples: %s" % status)
        blocks.put(samples[:, 0].copy())

    try:
        rate = require_microphone(device)
        stream = sounddevice.InputStream(samplerate=rate, device=device, channels=1, dtype="float32",
                                         blocksize=int(rate * BLOCK_SECONDS), callback=heard)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _no_microphone(device, error)
    resampler, warned, waits = Resampler(rate, sample_rate, "the microphone"), False, 0
    with stream:
        while not stop.is_set():
            try:
                block, waits = blocks.get(timeout=BLOCK_SECONDS), 0
            except queue.Empty:
                waits += 1
                if waits == SILENT_WAITS:
                    raise DeviceError("the microphone%s has sent nothing for %.0f s. Is it still connected? Start again when it "
                                      "is" % ("" if device is None else " %r" % device, SILENT_WAITS * BLOCK_SECONDS))
                continue
            if blocks.qsize() * BLOCK_SECONDS > LONGEST_BACKLOG and not warned and warn is not None:
                warned = True
                warn("the model is slower than real time: %.0f s of audio are waiting" % (blocks.qsize() * BLOCK_SECONDS))
            yield resampler(block)
    while not blocks.empty():
        yield resampler(blocks.get())
    yield resampler(np.zeros([0], np.float32), last=True)


def require_microphone(device=None):
    """The sample rate in Hz of a microphone; arguments and errors: see :func:`microphone_blocks`."""
    sounddevice = require_sounddevice()
    try:
        return float(sounddevice.query_devices(device, "input")["default_samplerate"])
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _no_microphone(device, error)


def _no_microphone(device, error):
    # PortAudio's words for no default microphone are "Error querying device -1"
    reason = "the system has no default one" if device is None and "device -1" in str(error) else str(error).strip().rstrip(".")
    return DeviceError("no microphone%s: %s. Connect one, or choose another with --microphone_device: python -m sounddevice "
                       "lists them" % ("" if device is None else " %r" % device, reason))


def require_sounddevice():
    """The module sounddevice.

    Raises:
      DeviceError: it or its library is missing; the message says how to install it.
    """
    try:
        import sounddevice
    except ImportError:
        raise DeviceError("the microphone needs the package sounddevice; install it: python -m pip install sounddevice")
    except OSError as error:      # the package is installed, but not the library that it wraps
        raise DeviceError("the microphone needs the library PortAudio (%s); install it: apt-get install libportaudio2" % error)
    return sounddevice


def listen(stream, formats, output, stop, device=None):
    """Transcribes the microphone until ``stop`` is set.

    Text on standard output is printed word by word, a line for each segment; on a terminal with the words that may still change.
    Other formats, and all results in a folder, are written at the end.

    Args:
      stream: a StreamingTranscriber.
      formats: list of names of ``writers.FORMATS``.
      output: folder for the results, named by date and time; None for standard output, in one format.
      stop: ``threading.Event``.
      device: name or number of the microphone.

    Returns:
      Transcript of the whole recording.

    Raises:
      DeviceError: see :func:`microphone_blocks`; after a disconnection the results are written first.
      StorageError: a result cannot be written.
    """
    name = time.strftime("microphone_%Y-%m-%d_%H-%M-%S")
    words, samples = [], 0
    # where the results go to a folder, the words are shown on stderr
    shown = LiveLine(sys.stdout if output is None and formats == ["text"] else sys.stderr, stream.separator)
    _log("listening; Ctrl-C stops")
    lost = None
    try:
        for block in microphone_blocks(stream.sample_rate, stop, device, _log):
            samples += len(block)
            words += shown.show(stream.feed(block))
    except DeviceError as error:
        if not samples:
            raise
        lost = error        # disconnected: what was spoken before is written
    words += shown.show(stream.finish())
    shown.end()
    transcript = make_transcript(words, round(samples / float(stream.sample_rate), 3), stream.separator)
    if output is not None:
        write_results(output, Recording(name, name, name), formats, transcript)
    elif formats != ["text"]:
        sys.stdout.write(FORMATS[formats[0]][1](transcript, name))
        sys.stdout.flush()
    if lost is not None:
        raise lost
    return transcript


class LiveLine:
    """Shows the text of a stream, a line for each segment.

    Args:
      file: text file. On a terminal the words that may change follow the final ones, dimmed; elsewhere only final words are
        written.
      separator: text between two words.
    """

    def __init__(self, file, separator):
        self._file, self._separator, self._line = file, separator, ""
        self._terminal = file.isatty()

    def show(self, texts):
        """Shows StreamTexts; returns the list of their Words that are final."""
        words = []
        for text in texts:
            if text.final:
                words += text.words
                added = (self._separator if self._line and text.text else "") + text.text
                self._line += added
                self._write("" if self._terminal else added)
            self._redraw("" if text.final else text.text)
            if text.ends_segment:
                self.end()
        return words

    def end(self):
        """Ends the line."""
        if self._line:
            self._redraw("")
            self._write(("\r\033[K" + self._line if self._terminal else "") + "\n")
        self._line = ""

    def _redraw(self, partial):
        if not self._terminal:
            return
        # one row of the terminal: a longer line would be written again below itself
        columns = shutil.get_terminal_size().columns - 1
        partial = partial[-columns:]
        room = columns - len(partial) - len(self._separator)
        line = self._line[-room:] + self._separator if self._line and room > 0 else ""
        self._write("\r\033[K%s\033[2m%s\033[0m" % (line, partial))

    def _write(self, text):
        self._file.write(text)
        self._file.flush()


def _log(text):
    print(text, file=sys.stderr, flush=True)
