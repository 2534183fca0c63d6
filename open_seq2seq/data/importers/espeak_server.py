"""The espeak-ng process: requests on stdin, samples on stdout. Started by ``espeak.SpeakingProcess``.

A request is one line of JSON, ``[text, voice, rate, pitch, pitch_range]``. An answer is ``ANSWER`` (status, bytes) and
that many bytes: int16 samples if the status is 0, else a message in UTF-8. The process ends at the end of its input.
API: espeak-ng's ``speak_lib.h``.
"""
import ctypes
import json
import signal
import struct
import sys

import espeakng_loader

ANSWER = struct.Struct("<iI")

SAMPLE_RATE = 22050  # Hz, of every voice of espeak-ng
SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to a callback, in the calling thread, no sound device
POS_CHARACTER = 1
CHARACTERS_UTF8 = 1
RATE, VOLUME, PITCH, PITCH_RANGE = 1, 2, 3, 4  # espeak_PARAMETER
VOLUME_PERCENT = 50  # at 100 some voices clip
RANDOM_SEED = 1  # otherwise the seed is the time
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Synthesizer:
    """espeak-ng in this process. Raises OSError if the library or its data cannot be loaded."""

    def __init__(self):
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path()
        if self._library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), 0) != SAMPLE_RATE:
            raise OSError("espeak-ng cannot be initialized with its data in %s" % data)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(RANDOM_SEED))
        self._pieces = []
        self._callback = CALLBACK(self._receive)  # the library keeps no reference, so this object must
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples, count, _events):
        if samples and count > 0:
            self._pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    def speak(self, text, voice, rate, pitch, pitch_range):
        """Returns int16 samples as bytes; raises ValueError if the voice does not exist or there are no samples."""
        del self._pieces[:]
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError("espeak-ng has no voice %r" % voice)
        for parameter, value in ((RATE, rate), (VOLUME, VOLUME_PERCENT), (PITCH, pitch), (PITCH_RANGE, pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)
        encoded = text.encode()
        status = self._library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded) + 1), 0, POS_CHARACTER, 0, CHARACTERS_UTF8,
                                            None, None)
        if status != 0 or not self._pieces:
            raise ValueError("espeak-ng returned no samples for %r with voice %r (status %d)" % (text, voice, status))
        return b"".join(self._pieces)


def serve(requests, answers):
    """Answers each line of ``requests`` until their end."""
    synthesizer = None
    for line in requests:
        try:
            synthesizer = synthesizer or Synthesizer()
            status, content = 0, synthesizer.speak(*json.loads(line))
        except (OSError, ValueError) as error:
            status, content = 1, str(error).encode()
        answers.write(ANSWER.pack(status, len(content)))
        answers.write(content)
        answers.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the importer, which then closes this input
    serve(sys.stdin.buffer, sys.stdout.buffer)
