"""The microphone, with a replacement of sounddevice that plays a recording: the real one needs a sound card."""
import io
import sys
import threading
import types

import numpy as np
import pytest

from open_seq2seq.errors import DeviceError
from open_seq2seq.transcription.microphone import LiveLine, listen, require_sounddevice
from open_seq2seq.transcription.streaming import StreamingTranscriber, StreamText
from tests.transcription.tone_network import ToneNetwork

DEVICE_RATE = 48000


class PortAudioError(Exception):
    pass


@pytest.fixture
def sounddevice(monkeypatch, tones):
    """A stand-in for the module; its microphone hears ``samples`` (16 kHz) and then sets ``stop``."""
    module = types.SimpleNamespace(PortAudioError=PortAudioError, samples=None, stop=threading.Event(), is_disconnected=False)

    class InputStream:
        def __init__(self, samplerate, device, channels, dtype, blocksize, callback):
            assert (samplerate, channels, dtype) == (DEVICE_RATE, 1, "float32")
            heard = np.repeat(module.samples, DEVICE_RATE // tones.RATE)[:, np.newaxis]
            self._play = lambda: [callback(heard[start:start + blocksize], blocksize, None, None)
                                  for start in range(0, len(heard), blocksize)]

        def __enter__(self):
            self._play()
            if not module.is_disconnected:
                module.stop.set()

        def __exit__(self, *exception):
            return False

    def query_devices(device, kind):
        if device == "nix":
            raise ValueError("No input device matching 'nix'")
        if module.samples is None:
            raise PortAudioError("Error querying device -1")
        return {"default_samplerate": float(DEVICE_RATE)}
    module.InputStream, module.query_devices = InputStream, query_devices
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


@pytest.fixture
def stream(tones):
    with ToneNetwork(tones) as network, StreamingTranscriber(network, 0.5, voice_activity=False) as opened:
        yield opened


def test_words_are_printed_while_they_are_spoken(sounddevice, stream, tones, capsys):
    sounddevice.samples, times = tones.spoken(["abc", "bad", "face"], [0.6, 0.9, 0.7, 1.0])
    transcript = listen(stream, ["text"], None, sounddevice.stop)
    captured = capsys.readouterr()
    assert captured.out == "abc bad face\n" and captured.err == "listening; Ctrl-C stops\n"
    assert transcript.duration == pytest.approx(len(sounddevice.samples) / tones.RATE, abs=0.001)
    assert [word.start for word in transcript.words] == [pytest.approx(start, abs=0.06) for start, _ in times]


def test_other_formats_are_written_at_the_end(sounddevice, stream, tones, capsys, tmp_path):
    sounddevice.samples, _ = tones.spoken(["abc"], [0.5, 0.5])
    listen(stream, ["vtt"], None, sounddevice.stop)
    assert capsys.readouterr().out.startswith("WEBVTT\n\n00:00:00.")
    sounddevice.stop.clear()
    listen(stream, ["text", "srt"], str(tmp_path), sounddevice.stop)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".srt", ".txt"] and capsys.readouterr().out == ""


def test_a_missing_microphone(sounddevice, stream):
    with pytest.raises(DeviceError, match="no microphone 'nix': No input device matching.*--microphone_device"):
        listen(stream, ["text"], None, sounddevice.stop, "nix")
    with pytest.raises(DeviceError, match="no microphone: the system has no default one. Connect one"):
        listen(stream, ["text"], None, sounddevice.stop)


def test_a_microphone_that_is_disconnected_ends_listening(sounddevice, stream, tones, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("open_seq2seq.transcription.microphone.SILENT_WAITS", 2)
    sounddevice.samples, _ = tones.spoken(["abc"], [0.5, 0.9])
    sounddevice.is_disconnected = True
    with pytest.raises(DeviceError, match="still connected"):
        listen(stream, ["text"], None, sounddevice.stop)
    # what was spoken before stays
    assert capsys.readouterr().out == "abc\n"
    with pytest.raises(DeviceError, match="still connected"):
        listen(stream, ["text"], str(tmp_path), sounddevice.stop)
    file, = tmp_path.iterdir()
    assert file.read_text() == "abc\n"


def test_a_terminal_shows_what_may_change(monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    file = io.StringIO()
    file.isatty = lambda: True
    line = LiveLine(file, " ")
    line.show([StreamText(False, "one tw", [], 0, 1, 0)])
    line.show([StreamText(True, "one", [], 0, 1, 0), StreamText(False, "two", [], 0, 1, 0)])
    assert file.getvalue().endswith("\r\033[Kone \033[2mtwo\033[0m")
    line.show([StreamText(False, "two " + 10 * "three ", [], 0, 1, 0)])
    assert len(file.getvalue().rpartition("\033[K")[2]) < 20 + len("\033[2m\033[0m")
    line.show([StreamText(True, "two", [], 0, 1, 0, True)])
    assert file.getvalue().endswith("\r\033[Kone two\n")


def test_without_sounddevice_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceError, match="pip install sounddevice"):
        require_sounddevice()
