"""The queue: order, limits, and that no file of a removed recording remains."""
import os
import shutil

import pytest

from open_seq2seq.transcription.web.http_error import HttpError
from open_seq2seq.transcription.web.recordings import Limits, Recordings

LIMITS = Limits(max_bytes=1 << 20, max_seconds=60.0, max_waiting=3, max_kept=2)


@pytest.fixture
def recordings(transcriber, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    held = Recordings(transcriber, LIMITS)
    yield held
    transcriber.gate.set()
    held.close()
    assert os.listdir(str(tmp_path / "temporary")) == []


def send(recordings, path, name):
    recording = recordings.new()
    shutil.copy(str(path), recording.path("upload"))
    recording.name = name
    recordings.submit(recording)
    return recording


def wait(recordings, recording, *states):
    assert recordings.wait(recording, states or ("done", "failed"), timeout=60)
    return recordings.describe(recording)


def test_one_after_the_other_in_the_order_of_arrival(recordings, transcriber, wav):
    transcriber.gate.clear()
    sent = [send(recordings, wav(hz), name) for hz, name in ((500, "a"), (1000, "b"), (2000, "c"))]
    assert transcriber.started.wait(60)
    assert [recordings.describe(recording).get("ahead") for recording in sent] == [None, 1, 2]
    assert transcriber.calls == ["a"]
    transcriber.gate.set()
    assert [wait(recordings, recording)["text"] for recording in sent] == ["one", "two", "three"]
    assert transcriber.calls == ["a", "b", "c"]


def test_description_of_one_that_is_removed_after_it_was_found(recordings, transcriber, wav):
    transcriber.gate.clear()
    first, second = [send(recordings, wav(500), name) for name in "ab"]
    assert transcriber.started.wait(60)
    recordings.forget(second.identity)
    assert "ahead" not in recordings.describe(second)
    transcriber.gate.set()
    assert wait(recordings, first)["state"] == "done"


def test_description_of_a_finished_recording(recordings, wav):
    description = wait(recordings, send(recordings, wav(500, 1000), "mine.wav"))
    assert description["state"] == "done" and description["name"] == "mine.wav" and description["error"] is None
    assert description["duration"] == 1.75 and description["fraction"] == 1.0
    assert description["words"] == [{"text": "one", "start": 0.25, "end": 0.75, "confidence": 0.95},
                                    {"text": "two", "start": 1.0, "end": 1.5, "confidence": 0.5}]
    assert description["spectrogram"]["seconds_per_column"] == pytest.approx(0.01)


def test_warnings_are_described_and_printed_once(recordings, wav, capsys):
    path = wav(500)
    path.write_bytes(path.read_bytes()[:-30])
    description = wait(recordings, send(recordings, path, "mine.wav"))
    warning = "the header declares 32000 bytes of samples, the file holds 31970 (0.09 % missing)"
    assert description["state"] == "done" and description["warnings"] == [warning]
    assert capsys.readouterr().err == "warning: mine.wav: %s\n" % warning
    assert wait(recordings, send(recordings, wav(500), "whole.wav"))["warnings"] == []


def test_no_more_than_may_wait(recordings, transcriber, wav):
    transcriber.gate.clear()
    sent = [send(recordings, wav(500), "a") for _ in range(2)] + [recordings.new()]     # one that is being uploaded
    with pytest.raises(HttpError, match="3 recordings are not finished") as refused:
        recordings.new()
    assert refused.value.code == 503 and refused.value.headers["Retry-After"]
    recordings.forget(sent[2].identity)
    recordings.new()


def test_only_the_newest_are_kept(recordings, wav):
    sent = []
    for _ in range(3):
        sent.append(send(recordings, wav(500), "a"))
        wait(recordings, sent[-1])
    assert not os.path.exists(sent[0].folder)
    with pytest.raises(HttpError, match="newer ones were uploaded") as refused:
        recordings.find(sent[0].identity)
    assert refused.value.code == 404
    assert [recordings.find(recording.identity) for recording in sent[1:]] == sent[1:]
    assert sorted(os.listdir(sent[2].folder)) == ["audio.wav", "spectrogram"]       # the upload itself is removed


def test_removing_the_one_being_transcribed_starts_the_next(recordings, transcriber, wav):
    transcriber.gate.clear()
    first, second = send(recordings, wav(500), "a"), send(recordings, wav(1000), "b")
    assert transcriber.started.wait(60)
    recordings.forget(first.identity)
    assert not os.path.exists(first.folder)
    wait(recordings, second, "working")
    transcriber.gate.set()
    assert wait(recordings, second)["text"] == "two"


def test_removing_one_that_is_waiting(recordings, transcriber, wav):
    transcriber.gate.clear()
    first, second = send(recordings, wav(500), "a"), send(recordings, wav(1000), "b")
    recordings.forget(second.identity)
    transcriber.gate.set()
    assert wait(recordings, first)["text"] == "one"
    assert recordings.count() == (0, 1) and transcriber.calls == ["a"]


def test_identities_cannot_be_guessed(recordings):
    identities = {recordings.new().identity for _ in range(3)}
    assert len(identities) == 3 and {len(identity) for identity in identities} == {22}      # 128 bits


def test_closing_during_a_transcription(recordings, transcriber, wav, tmp_path):
    transcriber.gate.clear()
    send(recordings, wav(500), "a")
    assert transcriber.started.wait(60)
    recordings.close(patience=60)
    assert os.listdir(str(tmp_path / "temporary")) == []
    with pytest.raises(HttpError):
        recordings.new()


def test_recordings_that_waited_together_are_limited_as_well(recordings, transcriber, wav):
    transcriber.gate.clear()
    three = [send(recordings, wav(500), name) for name in "abc"]
    transcriber.gate.set()
    assert recordings.wait(three[2], timeout=60)
    assert recordings.count() == (0, LIMITS.max_kept) and three[0].forgotten and not three[1].forgotten
