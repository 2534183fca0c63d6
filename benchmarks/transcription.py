"""Time and memory of the transcription command, ``python -m open_seq2seq.transcribe``."""
import collections
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import soundfile

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SYLLABLES_A_SECOND = 4
PHRASE_SECONDS, PAUSE_SECONDS = 3.0, 0.5

# ru_maxrss includes the memory of a process before its exec, which is that of its parent. This process holds networks, so the
# command is started by a small process.
MEASURED = """
import os, sys
child = os.spawnv(os.P_NOWAIT, sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    file.write(str(usage.ru_maxrss * 1024))
sys.exit(1 if status else 0)
"""

Command = collections.namedtuple("Command", "first_word seconds peak_bytes characters")
Command.__doc__ = """One run. first_word, seconds: from its start to its first output and to its end; peak_bytes: its peak memory
(ru_maxrss); characters: length of its text."""


def write_recording(path, seconds, sample_rate, channels):
    """Writes noise with the rhythm of speech: syllables and pauses between phrases."""
    generator = np.random.RandomState(0)
    with soundfile.SoundFile(path, "w", sample_rate, channels, "PCM_16") as file:
        for second in range(seconds):
            times = second + np.arange(sample_rate) / sample_rate
            loudness = 0.55 + 0.45 * np.sin(2 * np.pi * SYLLABLES_A_SECOND * times)
            loudness[times % (PHRASE_SECONDS + PAUSE_SECONDS) > PHRASE_SECONDS] = 0.005
            file.write(0.1 * loudness[:, np.newaxis] * generator.randn(sample_rate, channels))


def transcribe(recording, model):
    """Runs the command on one recording; returns a :class:`Command`.

    Raises:
      RuntimeError: the command failed.
    """
    command = [sys.executable, "-m", "open_seq2seq.transcribe", recording, "--model", model]
    start = time.perf_counter()
    with tempfile.NamedTemporaryFile("r") as peak:
        process = subprocess.Popen([sys.executable, "-S", "-c", MEASURED, peak.name] + command, cwd=REPOSITORY,
                                   stdout=subprocess.PIPE)
        first = process.stdout.read(1)
        first_word = time.perf_counter() - start
        text = first + process.stdout.read()
        status = process.wait()
        seconds = time.perf_counter() - start
        if status:
            raise RuntimeError("transcribing %s with %s failed, status %d" % (recording, model, status))
        peak_bytes = int(peak.read())
    return Command(first_word, seconds, peak_bytes, len(text.strip()))
