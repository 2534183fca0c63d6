"""Names and lengths of uploads."""
import email.message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_seq2seq.transcription.web.downloads import content_disposition
from open_seq2seq.transcription.web.refusal import Refusal
from open_seq2seq.transcription.web.uploads import MAX_NAME, body_length, display_name, readable_size


@pytest.mark.parametrize("name, shown", [
    ("a.wav", "a.wav"),
    ("../../etc/passwd", "passwd"),
    ("C:\\Users\\me\\a.wav", "a.wav"),
    ("/absolute/", "recording"),
    ("..", "recording"),
    ("", "recording"),
    ("a\x00b\r\nSet-Cookie: x.wav", "abSet-Cookie: x.wav"),
    ("\u202egpj.wav", "gpj.wav"),          # writes the rest from right to left
    ("Straße 1.flac", "Straße 1.flac"),
    ("x" * 500 + ".wav", "x" * MAX_NAME),
])
def test_display_name(name, shown):
    assert display_name(name) == shown


@given(st.text())
def test_no_name_can_leave_a_folder_or_a_header(name):
    shown = display_name(name)
    assert shown and len(shown) <= MAX_NAME and "/" not in shown and "\\" not in shown and shown not in (".", "..")
    header = content_disposition(shown.encode("utf-8", "replace").decode("utf-8"), "srt")
    assert header.isascii() and header.isprintable() and ";" not in header.partition(";")[2]


def headers(**fields):
    message = email.message.Message()
    for name, value in fields.items():
        message[name.replace("_", "-")] = value
    return message


def test_length_up_to_the_limit():
    assert body_length(headers(Content_Length="1000"), 1000) == 1000


@pytest.mark.parametrize("fields, status, words", [
    ({"Content_Length": str(1 << 30)}, 413, "has 1024 MB; this server takes up to 0.977 kB"),
    ({}, 411, "how long it is"),
    ({"Content_Length": "10", "Transfer_Encoding": "chunked"}, 411, "how long it is"),
    ({"Content_Length": "-1"}, 400, "no number"),
    ({"Content_Length": "1_0"}, 400, "no number"),
    ({"Content_Length": "٣"}, 400, "no number"),
    ({"Content_Length": "9" * 30}, 400, "no number"),
])
def test_length_that_is_refused(fields, status, words):
    with pytest.raises(Refusal, match=words) as refused:
        body_length(headers(**fields), 1000)
    assert refused.value.status == status


def test_two_lengths_are_refused():
    fields = headers(Content_Length="10")
    fields["Content-Length"] = "20"
    with pytest.raises(Refusal, match="no number"):
        body_length(fields, 1000)


def test_readable_size():
    assert [readable_size(size) for size in (512, 200 << 20, 1 << 30, 1600000)] == ["0.5 kB", "200 MB", "1024 MB", "1.5 MB"]
