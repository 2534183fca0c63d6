"""A watched folder: new and changed files once they stay unchanged; bad files, restarts, stopping."""
import os
import threading

import numpy as np
import pytest
import soundfile

from open_seq2seq.transcription import Transcriber
from open_seq2seq.transcription.watch import FolderWatch, Stopped


@pytest.fixture
def watched(tones, tmp_path):
    """(folder, output, function that makes a FolderWatch, function that writes a recording, lines of its log)"""
    folder, output, lines = tmp_path / "in", tmp_path / "out", []
    folder.mkdir()

    def watch(transcriber=None, stop=None):
        return FolderWatch(transcriber or Transcriber(tones.ToneModel()), str(folder), str(output), ["text"],
                           stop or threading.Event(), lines.append)

    def put(name, *words):
        (folder / name).parent.mkdir(exist_ok=True)
        samples, _ = tones.spoken(words, [0.3] * (len(words) + 1))
        soundfile.write(str(folder / name), samples, tones.RATE)
    return folder, output, watch, put, lines


def files(folder):
    return sorted(os.path.relpath(os.path.join(where, name), str(folder))
                  for where, _, names in os.walk(str(folder)) for name in names)


def test_a_file_is_transcribed_once_it_stays_unchanged(watched):
    folder, output, make, put, lines = watched
    watch = make()
    put("sub/a.wav", "abc")
    assert watch.poll() == 0 and not output.exists()
    assert watch.poll() == 1 and (output / "sub" / "a.wav.txt").read_text() == "abc\n"
    assert watch.poll() == 0 and files(output) == ["sub/a.wav.txt"]
    assert lines == ["%s: 0.8 s of audio, 1 words" % (folder / "sub" / "a.wav")]


def test_a_changed_file_is_transcribed_again(watched):
    folder, output, make, put, _ = watched
    watch = make()
    put("a.wav", "abc")
    watch.poll(), watch.poll()
    put("a.wav", "bad", "abc")
    assert [watch.poll(), watch.poll()] == [0, 1]
    assert (output / "a.wav.txt").read_text() == "bad abc\n"


def test_a_bad_file_is_reported_once_and_the_others_are_transcribed(watched):
    folder, output, make, put, lines = watched
    watch = make()
    (folder / "a.wav").write_bytes(b"%PDF-1.4")
    soundfile.write(str(folder / "b.wav"), np.full(16000, np.nan), 16000, subtype="FLOAT")
    put("c.wav", "abc")
    assert [watch.poll(), watch.poll(), watch.poll()] == [0, 1, 0] and files(output) == ["c.wav.txt"]
    assert len(lines) == 3 and lines[0].startswith("DataError: ")
    assert "begins with '%PDF-1.4'" in lines[0] and "b.wav: non-finite samples: a sample is NaN" in lines[1]
    put("a.wav", "bad")
    assert [watch.poll(), watch.poll()] == [0, 1] and (output / "a.wav.txt").read_text() == "bad\n"


def test_every_audio_extension_is_watched_and_audio_under_another_name_is_reported_once(watched):
    folder, output, make, put, lines = watched
    watch = make()
    put("a.wav", "abc")
    content = (folder / "a.wav").read_bytes()
    for name in ("b.mp2", "c.wave", "plain", "d.wav.part"):
        (folder / name).write_bytes(content)
    assert [watch.poll() for _ in range(4)] == [0, 3, 0, 0]
    assert files(output) == ["a.wav.txt", "b.mp2.txt", "c.wave.txt"]
    assert [line for line in lines if "skipped" in line] == [
        "skipped %s: Its content is audio (WAV), but its extension is not one of an audio file; rename it, or name the file "
        "itself to transcribe it." % (folder / "plain")]


def test_a_second_watch_transcribes_only_what_the_first_has_not(watched):
    folder, output, make, put, _ = watched
    first, second = make(), make()
    put("a.wav", "abc")
    first.poll(), first.poll()
    put("b.wav", "bad")
    assert [second.poll(), second.poll()] == [0, 1] and files(output) == ["a.wav.txt", "b.wav.txt"]
    os.remove(str(output / "a.wav.txt"))
    third = make()
    assert [third.poll(), third.poll()] == [0, 1] and (output / "a.wav.txt").exists()


def test_a_file_that_changes_while_it_is_read_is_not_written(watched, tones):
    folder, output, make, put, _ = watched
    transcriber = Transcriber(tones.ToneModel())
    read = transcriber.transcribe

    def transcribe(path, **options):
        transcript = read(path, **options)
        if transcript.text == "abc":
            put("a.wav", "bad")
        return transcript
    transcriber.transcribe = transcribe
    watch = make(transcriber)
    put("a.wav", "abc")
    assert [watch.poll(), watch.poll()] == [0, 0] and not output.exists()
    assert [watch.poll(), watch.poll()] == [0, 1] and (output / "a.wav.txt").read_text() == "bad\n"


def test_it_stops_in_the_middle_of_a_recording_and_writes_nothing(watched, tones):
    folder, output, make, put, lines = watched
    stop = threading.Event()
    transcriber = Transcriber(tones.ToneModel())
    hear = transcriber.model.logits_of_audio

    def heard(waveforms):
        stop.set()
        return hear(waveforms)
    transcriber.model.logits_of_audio = heard
    watch = make(transcriber, stop)
    put("a.wav", "abc")
    watch.poll()
    with pytest.raises(Stopped):
        watch.poll()
    assert not output.exists()
    watch.run()
    assert lines[-1] == "stopped watching %s" % folder


def test_a_missing_folder_is_reported_once_and_waited_for(watched):
    folder, output, make, put, lines = watched
    os.rmdir(str(folder))
    actions = iter([None, None, lambda: os.mkdir(str(folder)), lambda: os.rmdir(str(folder)), None])

    class Polls(threading.Event):
        def wait(self, timeout=None):
            for action in actions:
                return action and action()
            self.set()

    make(stop=Polls()).run()
    # once for each time that it was missing, not at every poll
    assert [line[:26] for line in lines[1:-1]] == ["DataError: cannot read the"] * 2 and str(folder) in lines[1]
    assert lines[-1] == "stopped watching %s" % folder


def test_files_of_other_formats_are_named_once(watched):
    folder, output, make, put, lines = watched
    watch = make()
    (folder / "memo.m4a").write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom" + bytes(400))
    put("a.wav", "abc")
    assert [watch.poll(), watch.poll(), watch.poll()] == [0, 1, 0]
    assert len(lines) == 2 and lines[0].startswith("skipped %s: It is an MP4 (M4A) file" % (folder / "memo.m4a"))
    assert files(output) == ["a.wav.txt"]


def test_a_folder_behind_a_link_is_watched_and_a_cycle_is_no_trap(watched, tmp_path):
    folder, output, make, put, lines = watched
    put("../elsewhere/a.wav", "abc")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(folder)
    watch = make()
    assert [watch.poll(), watch.poll(), watch.poll()] == [0, 1, 0] and files(output) == ["link/a.wav.txt"]
    assert [line for line in lines if line.startswith("skipped")] == [
        "skipped %s: It is a link to a folder that was already read as %s." % (folder / "link" / "back", folder)]
