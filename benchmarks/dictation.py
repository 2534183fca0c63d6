"""How long after a word was spoken it is in the window: the command of dictation under X11, a recording played in real time.

    python benchmarks/dictation.py --model runs/digits --recording dev/000000_george.wav [--repeat 5]

The hotkey is pressed with xdotool; a terminal writes what it receives to a file. The end of each word in the recording is that of
``python -m open_seq2seq.transcribe``. Needs the programs of scripts/install_test_tools.sh.
"""
import argparse
import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, REPOSITORY)

from open_seq2seq.transcription import Transcriber  # noqa: E402
from tests.fixtures.desktop import Desktop, wait_for  # noqa: E402

POLL = 0.002        # s


def start_dictation(desktop, options, folder):
    """Starts the command and waits until it is ready; returns its process."""
    log = folder / "dictation.log"
    with open(str(log), "w") as out:
        process = subprocess.Popen([sys.executable, "-m", "open_seq2seq.dictate"] + options, cwd=REPOSITORY, stdout=out,
                                   stderr=out, env=dict(os.environ, **desktop.environment))
    wait_for(lambda: "ready" in log.read_text() or process.poll() is not None, "the dictation", log.read_text)
    assert process.poll() is None, log.read_text()
    return process


def arrivals(desktop, terminal, words, seconds):
    """Presses the key; returns the seconds from the press until the terminal had 1, 2, ... words."""
    desktop.run("xdotool", "keydown", "F9")
    pressed, found = time.monotonic(), []
    before = len(terminal.text().split())
    while time.monotonic() < pressed + seconds and len(found) < words:
        # a word is complete when its last letter is there: a word is typed at once
        while len(terminal.text().split()) - before > len(found):
            found.append(time.monotonic() - pressed)
        time.sleep(POLL)
    desktop.run("xdotool", "keyup", "F9")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--recording", required=True)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--latency", default="0.5")
    arguments = parser.parse_args()
    transcriber = Transcriber(arguments.model)
    expected = transcriber.transcribe(arguments.recording)
    transcriber.close()
    print("%s: %.2f s, %r" % (arguments.recording, expected.duration, expected.text))
    delays = []
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        desktop = Desktop(folder, stack)
        terminal = desktop.terminal("terminal")
        process = start_dictation(desktop, ["--model", arguments.model, "--stdin", arguments.recording, "--latency",
                                            arguments.latency], folder)
        for _ in range(arguments.repeat):
            found = arrivals(desktop, terminal, len(expected.words), expected.duration + 5)
            delays.append([moment - word.end for moment, word in zip(found, expected.words)])
            print("seconds from the end of each word to the window: %s" % " ".join("%.2f" % delay for delay in delays[-1]),
                  flush=True)
            time.sleep(2)
        print("typed: %r" % terminal.text())
        process.terminate()
        process.wait()
    print("first word: median %.2f s, most %.2f s; all words: median %.2f s, most %.2f s" % (
        np.median([row[0] for row in delays]), max(row[0] for row in delays), np.median(np.concatenate(delays)),
        np.max(np.concatenate(delays))))


if __name__ == "__main__":
    main()
