"""Request bodies as files: names, lengths, forms."""
import email.message
import io
import re
import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.wrappers import Request

from open_seq2seq.transcription.web.http_error import HttpError
from open_seq2seq.transcription.web.uploads import (
    FORM_OVERHEAD,
    MAX_NAME,
    RequestBody,
    content_length,
    display_name,
    readable_size,
    receive,
)

FORM = "multipart/form-data; boundary=XyZ"


@pytest.mark.parametrize("name, shown", [
    ("a.wav", "a.wav"),
    ("../../etc/passwd", "passwd"),
    ("C:\\Users\\me\\a.wav", "a.wav"),
    ("/absolute/", "recording"),
    ("..", "recording"),
    ("", "recording"),
    ("a\x00b\r\nSet-Cookie: x.wav", "abSet-Cookie: x.wav"),
    ("\u202egpj.wav", "gpj.wav"),          # a control character that reverses the direction of writing
    ("Straße 1.flac", "Straße 1.flac"),
    ("x" * 500 + ".wav", "x" * MAX_NAME),
])
def test_display_name(name, shown):
    assert display_name(name) == shown


@given(st.text())
def test_display_name_has_no_folder_and_no_line_break(name):
    shown = display_name(name)
    assert shown and len(shown) <= MAX_NAME and shown.isprintable()
    assert "/" not in shown and "\\" not in shown and shown not in (".", "..")


def headers(*fields):
    message = email.message.Message()
    for name, value in fields:
        message[name] = value
    return message


def test_content_length():
    assert content_length(headers(("Content-Length", "1000"))) == 1000
    assert content_length(headers()) is None


@pytest.mark.parametrize("status, fields", [
    (411, [("Content-Length", "10"), ("Transfer-Encoding", "chunked")]),
    (400, [("Content-Length", "10"), ("Content-Length", "20")]),
    (400, [("Content-Length", "-1")]),
    (400, [("Content-Length", "1_0")]),
    (400, [("Content-Length", "٣")]),
    (400, [("Content-Length", "9" * 30)]),
])
def test_invalid_content_length(fields, status):
    with pytest.raises(HttpError, match="no Content-Length" if status == 411 else "not a number") as refused:
        content_length(headers(*fields))
    assert refused.value.code == status


class Pieces(io.BytesIO):
    """A stream that arrives in pieces of these sizes, the last of them repeated."""

    def __init__(self, content, sizes=()):
        super().__init__(content)
        self._sizes = list(sizes) or [1 << 30]

    def read1(self, size=-1):
        return super().read1(min(size, self._sizes.pop(0) if len(self._sizes) > 1 else self._sizes[0]))


def upload(folder, body, content_type=FORM, sizes=(), max_bytes=1 << 30, length=None, query=""):
    """(name, content) of what was received."""
    length = len(body) if length is None else length
    path = folder / "upload"
    request = Request({"REQUEST_METHOD": "POST", "CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(length),
                       "QUERY_STRING": query, "wsgi.input": RequestBody(Pieces(body, sizes), length)})
    try:
        return receive(request, str(path), max_bytes), path.read_bytes()
    finally:
        if path.exists():
            path.unlink()


def form(content, name=b'filename="a.wav"', before=b""):
    return (before + b'--XyZ\r\nContent-Disposition: form-data; name="file"; ' + name + b"\r\nContent-Type: audio/wav\r\n\r\n"
            + content + b"\r\n--XyZ--\r\n")


# pieces that resemble a delimiter are likely in it
PIECES = st.one_of(st.binary(max_size=50), st.sampled_from([b"\r\n", b"--", b"\r\n--", b"\r\n--XyY", b"XyZ", b"-", b"\r", b"\n"]))
CONTENTS = st.lists(PIECES, min_size=1, max_size=20).map(b"".join).filter(
    lambda content: content and not re.search(b"[\r\n]--XyZ", b"\r\n" + content))


@settings(max_examples=300, deadline=None)
@given(CONTENTS, st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_content_of_a_form_is_received_unchanged_in_pieces_of_any_size(tmp_path_factory, content, sizes):
    assert upload(tmp_path_factory.getbasetemp(), form(content), sizes=sizes) == ("a.wav", content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_anything_else_is_an_error_400(tmp_path_factory, body, sizes):
    with pytest.raises(HttpError) as refused:
        upload(tmp_path_factory.getbasetemp(), body, sizes=sizes)
    assert refused.value.code == 400


@pytest.mark.parametrize("field, name", [
    (b'filename="\xc3\xbcber.wav"', "über.wav"),
    (b"filename*=UTF-8''%C3%BCber.wav", "über.wav"),
    (b"filename=plain.wav", "plain.wav"),
    (b'filename="a \\"b\\".wav"', 'a "b".wav'),
    (b'filename="../../etc/passwd"', "passwd"),
])
def test_name_in_a_form(tmp_path, field, name):
    assert upload(tmp_path, form(b"123", field)) == (name, b"123")


def test_name_in_the_query(tmp_path):
    assert upload(tmp_path, b"123", "audio/wav", query="name=%C3%BCber.wav") == ("über.wav", b"123")
    assert upload(tmp_path, b"123", "audio/wav") == ("recording", b"123")


def test_other_fields_and_a_preamble_are_skipped(tmp_path):
    field = b'--XyZ\r\nContent-Disposition: form-data; name="language"\r\n\r\nen\r\n'
    assert upload(tmp_path, form(b"123", before=b"preamble\r\n" + field)) == ("a.wav", b"123")
    assert upload(tmp_path, form(b"123")[:-len(b"--XyZ--\r\n")] + field + b"--XyZ--\r\n") == ("a.wav", b"123")


@pytest.mark.parametrize("status, sentence, request_", [
    (400, "contains no file", {"body": b'--XyZ\r\nContent-Disposition: form-data; name="x"\r\n\r\nen\r\n--XyZ--\r\n'}),
    (400, "form is not valid", {"body": form(b"123")[:-10]}),
    (400, "form is not valid", {"body": b"--XyZ\r\nContent-Disposition: " + b"x" * (3 << 20)}),     # an endless header
    (400, "--data-binary", {"body": form(b"123", b'filename="na\xefve.wav"')}),
    (400, "no boundary", {"body": form(b"1"), "content_type": "multipart/form-data"}),
    (400, "boundary", {"body": form(b"1"), "content_type": "multipart/form-data; boundary=\u00fc"}),
    (400, r"0 bytes", {"body": form(b"")}),
    (400, r"0 bytes", {"body": b"", "content_type": "audio/wav"}),
    (400, "ended after 3 of its 10 bytes", {"body": b"123", "content_type": "audio/wav", "length": 10}),
    (413, "has 1024 MB; this server takes up to 0.977 kB", {"body": b"", "length": 1 << 30, "max_bytes": 1000}),
    (413, "has 1.95 kB", {"body": form(bytes(2000)), "max_bytes": 1000}),
    (413, "has 1.95 kB", {"body": bytes(2000), "content_type": "audio/wav", "max_bytes": 1000}),
])
def test_invalid_upload(tmp_path, status, sentence, request_):
    with pytest.raises(HttpError, match=sentence) as refused:
        upload(tmp_path, **request_)
    assert refused.value.code == status
    # a form may have more bytes than its file
    assert upload(tmp_path, form(bytes(1000)), max_bytes=1000)[1] == bytes(1000) and FORM_OVERHEAD > 1000


def test_silence_in_a_form_is_not_collected_in_memory(tmp_path):
    """Data without a line break after the first byte."""
    content = b"\r" + bytes(64 << 20)
    body = RequestBody(Pieces(form(content)), len(form(content)))
    request = Request({"REQUEST_METHOD": "POST", "CONTENT_TYPE": FORM, "CONTENT_LENGTH": str(body.unread), "wsgi.input": body})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert receive(request, str(tmp_path / "upload"), 1 << 30) == "a.wav"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 << 10       # kilobytes
    assert (tmp_path / "upload").read_bytes() == content


def test_readable_size():
    assert [readable_size(size) for size in (512, 200 << 20, 1 << 30, 1600000)] == ["0.5 kB", "200 MB", "1024 MB", "1.5 MB"]
