"""The command of dictation, for real: a trained model, real time, an X11 desktop with a terminal and a browser."""
import contextlib
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from open_seq2seq.dictate import main
from tests.fixtures.chromium import find_chromium
from tests.fixtures.desktop import require_package, require_program, wait_for
from tests.paths import REPOSITORY

RATE = 16000
PAGE = """<title>field</title><textarea autofocus rows="9" cols="60"
oninput="document.title = 'field ' + JSON.stringify(this.value)"></textarea>"""


@pytest.fixture(scope="module")
def recording(trained_digits, tmp_path_factory):
    """Two utterances with a pause between them, and the words of each that a stream of them has."""
    require_package("webrtcvad")
    from open_seq2seq.transcription.streaming import StreamingTranscriber
    with open(str(trained_digits.folder / "dev.csv")) as file:
        rows = [line.split(",") for line in file.read().splitlines()[1:]]
    chosen = [row[0] for row in rows if len(row[2].split()) == 4][:2]
    pause = np.zeros([int(1.2 * RATE)], np.float32)
    pieces = []
    for name in chosen:
        samples, rate = soundfile.read(os.path.join(str(trained_digits.folder), name), dtype="float32")
        assert rate == RATE
        pieces += [samples, pause]
    path = str(tmp_path_factory.mktemp("recording") / "digits.wav")
    samples = np.concatenate(pieces)
    soundfile.write(path, samples, RATE)
    phrases = [[]]
    with StreamingTranscriber(str(trained_digits.run)) as stream:
        for event in stream.feed(samples, RATE) + stream.finish():
            if event.final:
                phrases[-1] += [word.text for word in event.words]
            if event.ends_segment:
                phrases.append([])
    phrases = [phrase for phrase in phrases if phrase]
    # whether the model is right does not matter here
    assert len(phrases) == 2 and min(map(len, phrases)) >= 2, phrases
    return path, phrases


@pytest.fixture
def dictation(desktop, trained_digits, recording, tmp_path):
    """Starts the command with flags; returns (process, function that returns what it printed)."""
    with contextlib.ExitStack() as stack:
        def start(*flags):
            log = tmp_path / "log"
            with open(str(log), "w") as out:
                process = subprocess.Popen(
                    [sys.executable, "-m", "open_seq2seq.dictate", "--model", str(trained_digits.run), "--stdin", recording[0]]
                    + list(flags), cwd=REPOSITORY, env=dict(os.environ, **desktop.environment), stdout=out, stderr=out)
            stack.callback(process.wait)
            stack.callback(process.kill)
            wait_for(lambda: "ready" in log.read_text() or process.poll() is not None, "the command", log.read_text)
            return process, log.read_text
        yield start


def dictate(desktop, *arguments):
    """Runs the command as a shortcut of the desktop does; returns what it printed."""
    done = desktop.run(sys.executable, "-m", "open_seq2seq.dictate", *arguments)
    return (done.stdout + done.stderr).strip()


@pytest.mark.slow
def test_spoken_words_arrive_in_a_terminal_and_in_the_text_field_of_a_browser(dictation, desktop, recording, tmp_path):
    require_program("Chromium", find_chromium())
    first, second = recording[1]
    phrases = tmp_path / "phrases.ini"
    replaced = {second[0]: " GitHub"}
    replaced.setdefault(next(word for word in second + first if word != second[0]), ",")
    phrases.write_text("[replacements]\n" + "".join("%s = %s\n" % (spoken, text.strip()) for spoken, text in replaced.items()))
    expected = "".join(replaced.get(word, " " + word) for word in first + second).lstrip(" ")
    terminal = desktop.terminal("terminal")
    process, printed = dictation("--phrases", str(phrases))
    assert process.poll() is None, printed()
    desktop.run("xdotool", "keydown", "F9")
    assert terminal.text_after(expected) == expected
    desktop.run("xdotool", "keyup", "F9")
    wait_for(lambda: dictate(desktop, "--status") == "idle", "the end")
    terminal.close()
    page = tmp_path / "page.html"
    page.write_text(PAGE)
    desktop.program("field", find_chromium(), "--no-sandbox", "--user-data-dir=%s" % (tmp_path / "profile"), "--disable-gpu",
                    "--no-first-run", "--disable-dev-shm-usage", "--disable-background-networking", "--app=file://%s" % page)
    assert dictate(desktop, "--toggle") == "listening"
    wait_for(lambda: desktop.focused_title() == "field " + json.dumps(expected), expected, desktop.focused_title)
    assert dictate(desktop, "--toggle") in ("finishing", "idle")
    assert dictate(desktop, "--quit") == "ended" and process.wait() == 0
    # neither words nor sound are kept
    assert first[1] not in printed() and "Traceback" not in printed()


@pytest.mark.slow
def test_a_window_that_closes_while_text_arrives_ends_the_dictation_and_no_other_gets_text(dictation, desktop, recording):
    words = sum(recording[1], [])
    other, terminal = desktop.terminal("other"), desktop.terminal("first")
    process, printed = dictation("--hotkey", "ctrl+alt+d", "--press", "toggle")
    assert dictate(desktop, "--start") == "listening"
    wait_for(lambda: words[0] in terminal.text(), words[0], terminal.text)
    terminal.close()
    wait_for(lambda: "closed" in printed(), "the message", printed)
    wait_for(lambda: dictate(desktop, "--status") == "idle", "the end")
    assert '"first"' in printed() and process.poll() is None
    assert desktop.focused_title() == "other" and other.text() == ""
    # the next press dictates into the other window, from the recording's beginning
    desktop.run("xdotool", "key", "ctrl+alt+d")
    assert other.text_after(" ".join(words)) == " ".join(words)
    desktop.run("xdotool", "key", "ctrl+alt+d")
    wait_for(lambda: dictate(desktop, "--status") == "idle", "the end")
    process.terminate()
    assert process.wait() == 0
    other.close()


@pytest.mark.slow
def test_dictation_without_a_display_prints_the_text(trained_digits, recording, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    with open(recording[0], "rb") as sound:
        done = subprocess.run([sys.executable, "-m", "open_seq2seq.dictate", "--model", str(trained_digits.run), "--now",
                               "--typing", "stdout", "--by", "phrase", "--stdin", "-"], cwd=REPOSITORY, stdin=sound,
                              capture_output=True, env=dict(environment, XDG_RUNTIME_DIR=str(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().split() == sum(recording[1], [])


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """An environment without a desktop, the user's file and a running dictation."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SWAYSOCK", "HYPRLAND_INSTANCE_SIGNATURE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    return monkeypatch


@pytest.mark.parametrize("variables, flags, status, expected", [
    ({}, [], 4, ["no display", "DISPLAY", "--typing stdout"]),
    ({"DISPLAY": ":12345"}, [], 4, [":12345|python-xlib"]),
    # without python-xlib and programs
    ({"DISPLAY": ":0", "PATH": ""}, ["--hotkey", "none"], 4, ["python-xlib", "xdotool", "apt-get install xdotool"]),
    ({"DISPLAY": ":0", "PATH": ""}, [], 4, ["hotkey", "python-xlib", "--toggle"]),
    ({"WAYLAND_DISPLAY": "wayland-0", "PATH": ""}, [], 4, ["apt-get install wtype", "ydotool"]),
    ({"WAYLAND_DISPLAY": "wayland-0", "PATH": ""}, ["--typing", "ydotool"], 4, ["apt-get install ydotool"]),
    ({"WAYLAND_DISPLAY": "wayland-0"}, ["--typing", "xdotool"], 2, ["X11", "wtype"]),
    ({"WAYLAND_DISPLAY": "wayland-0"}, ["--hotkey", "F9", "--typing", "stdout"], 2, ["--hotkey", "--toggle"]),
    ({}, ["--typing", "stdout", "--microphone_device", "no such microphone"], 4,
     ["no such microphone|sounddevice|PortAudio", "install|python -m sounddevice"]),
    ({}, ["--typing", "stdout", "--stdin", "missing.wav"], 3, ["missing.wav"]),
    ({}, ["--typing", "stdout", "--stdin", __file__], 3, ["test_dictate.py"]),
])
def test_what_is_missing_is_said_before_the_model_is_loaded(environment, capsys, variables, flags, status, expected):
    for name, value in variables.items():
        environment.setenv(name, value)
    if "PATH" in variables:
        # as if python-xlib were not installed
        environment.setitem(sys.modules, "Xlib", None)
    assert main(["--model", "/nonexistent"] + flags) == status
    message = capsys.readouterr().err
    assert all(re.search(part, message) for part in expected), message


def test_a_taken_hotkey_and_a_second_dictation_end_the_command(desktop, environment, capsys, recording_of_silence):
    from open_seq2seq.dictation.control import ControlSocket
    from open_seq2seq.dictation.hotkey import Hotkey
    from open_seq2seq.dictation.x11 import X11Connection
    environment.setenv("DISPLAY", desktop.display)
    arguments = ["--model", "/nonexistent", "--stdin", recording_of_silence]
    with contextlib.closing(X11Connection()) as connection, contextlib.closing(Hotkey(connection, "F9", None, None, None)):
        assert main(arguments) == 4
        assert re.search("F9.*another program.*--hotkey", capsys.readouterr().err)
    with contextlib.closing(ControlSocket(str)):
        assert main(arguments) == 4 and "already running" in capsys.readouterr().err
        assert main(["--toggle"]) == 0 and capsys.readouterr().out == "toggle\n"
    assert main(arguments) == 3 and "/nonexistent" in capsys.readouterr().err


@pytest.fixture
def recording_of_silence(tmp_path):
    path = str(tmp_path / "silence.wav")
    soundfile.write(path, np.zeros([RATE]), RATE)
    return path
