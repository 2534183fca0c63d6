"""The microphone, with a replacement of sounddevice that plays a recording: the real one needs a sound card."""
import sys
import threading
import types

import numpy as np
import pytest

from open_seq2seq.errors import DeviceError
from open_seq2seq.transcription import Transcriber
from open_seq2seq.transcription.microphone import listen, require_sounddevice

DEVICE_RATE = 48000


class PortAudioError(Exception):
    pass


@pytest.fixture
def sounddevice(monkeypatch, tones):
    """A stand-in for the module; its microphone hears ``samples`` (16 kHz) and then sets ``stop``."""
    module = types.SimpleNamespace(PortAudioError=PortAudioError, samples=None, stop=threading.Event())

    class InputStream:
        def __init__(self, samplerate, device, channels, dtype, blocksize, callback):
            assert (samplerate, channels, dtype) == (DEVICE_RATE, 1, "float32")
            heard = np.repeat(module.samples, DEVICE_RATE // tones.RATE)[:, np.newaxis]
            self._play = lambda: [callback(heard[start:start + blocksize], blocksize, None, None)
                                  for start in range(0, len(heard), blocksize)]

        def __enter__(self):
            self._play()
            module.stop.set()

        def __exit__(self, *exception):
            return False

    def query_devices(device, kind):
        if device == "nix":
            raise ValueError("No input device matching 'nix'")
        return {"default_samplerate": float(DEVICE_RATE)}
    module.InputStream, module.query_devices = InputStream, query_devices
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    return module


def test_words_are_printed_window_by_window(sounddevice, tones, capsys):
    sounddevice.samples, times = tones.spoken(["abc", "bad", "face"], [1.0, 2.5, 2.5, 1.0])
    transcript = listen(Transcriber(tones.ToneModel()), ["text"], None, sounddevice.stop)
    captured = capsys.readouterr()
    assert captured.out.split() == ["abc", "bad", "face"] and len(captured.out.splitlines()) > 1
    assert captured.err == "listening; Ctrl-C stops\n"
    assert transcript.duration == pytest.approx(len(sounddevice.samples) / tones.RATE, abs=0.001)
    assert [word.start for word in transcript.words] == [pytest.approx(start, abs=0.03) for start, _ in times]


def test_other_formats_are_written_at_the_end(sounddevice, tones, capsys, tmp_path):
    sounddevice.samples, _ = tones.spoken(["abc"], [0.5, 0.5])
    listen(Transcriber(tones.ToneModel()), ["vtt"], None, sounddevice.stop)
    assert capsys.readouterr().out.startswith("WEBVTT\n\n00:00:00.")
    sounddevice.stop.clear()
    listen(Transcriber(tones.ToneModel()), ["text", "srt"], str(tmp_path), sounddevice.stop)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".srt", ".txt"] and capsys.readouterr().out == ""


def test_a_missing_microphone(sounddevice, tones):
    with pytest.raises(DeviceError, match="no microphone 'nix': No input device matching"):
        listen(Transcriber(tones.ToneModel()), ["text"], None, sounddevice.stop, "nix")


def test_without_sounddevice_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(DeviceError, match="pip install sounddevice"):
        require_sounddevice()
