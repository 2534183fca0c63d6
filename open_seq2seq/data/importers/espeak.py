"""Speech synthesis by espeak-ng, from the wheel ``espeakng-loader`` (shared library and voices inside).

The library has global state that persists from one utterance to the next (the phase of the voice, a flutter counter, random
numbers), and initializing it again in the same process does not reset all of it. So it runs in a separate process: the same
requests in the same order get the same samples.
"""
import collections
import contextlib
import json
import subprocess
import sys

import numpy as np

from open_seq2seq.data.importers import espeak_server
from open_seq2seq.errors import DataError

SAMPLE_RATE = espeak_server.SAMPLE_RATE

Manner = collections.namedtuple("Manner", "rate pitch pitch_range")
Manner.__doc__ = "How a voice speaks: words per minute (80 to 450, normal 175), pitch and pitch range (0 to 100, normal 50)."


class SpeakingProcess:
    """A new espeak-ng process, as a context manager: the process ends with the block."""

    def __init__(self):
        self._process = subprocess.Popen([sys.executable, espeak_server.__file__], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        with contextlib.suppress(BrokenPipeError):  # it has already ended; speak() reported that
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def speak(self, text, voice, manner):
        """Speaks ``text``.

        Args:
          text: the words to speak; a comma is a short pause.
          voice: a language file of espeak-ng, "+" and a variant, e.g. ``"gmw/en-US+f2"``.
          manner: a :class:`Manner` of integers.

        Returns:
          int16 [samples] at ``SAMPLE_RATE``; they depend on the arguments and on the process's earlier requests.

        Raises:
          DataError: the library or the voice is missing, or the result is empty.
        """
        request = json.dumps((text, voice) + tuple(manner)) + "\n"
        try:
            self._process.stdin.write(request.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the process has ended; the missing answer is reported below
        header = self._process.stdout.read(espeak_server.ANSWER.size)
        if len(header) < espeak_server.ANSWER.size:
            raise DataError("espeak-ng ended without an answer (exit status %d) to the request %s; its own message, if any, "
                            "is above" % (self._process.wait(), request.strip()))
        status, size = espeak_server.ANSWER.unpack(header)
        content = self._process.stdout.read(size)
        if status != 0:
            raise DataError("%s; is the package espeakng-loader complete? (pip install --force-reinstall espeakng-loader)"
                            % content.decode())
        return np.frombuffer(content, np.int16)
