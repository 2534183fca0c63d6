"""The file in a form, whatever it holds and however it arrives."""
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.transcription.web.multipart import FilePart, boundary_of
from open_seq2seq.transcription.web.refusal import Refusal

BOUNDARY = b"XyZ"


def form(content, name=b'filename="a.wav"', before=b""):
    return (before + b'--XyZ\r\nContent-Disposition: form-data; name="file"; ' + name + b"\r\nContent-Type: audio/wav\r\n\r\n"
            + content + b"\r\n--XyZ--\r\n")


def parse(body, sizes=()):
    """(name, content) of a body that arrives in pieces of these sizes, the last of them again and again."""
    stream, left = io.BytesIO(body), list(sizes) or [len(body)]

    def read(size):
        return stream.read(min(size, left.pop(0) if len(left) > 1 else left[0]))

    part = FilePart(read, BOUNDARY)
    return part.name, b"".join(part.chunks())


# pieces of what could be taken for a delimiter are likely in it
PIECES = st.one_of(st.binary(max_size=50), st.sampled_from([b"\r\n", b"--", b"\r\n--", b"\r\n--XyY", b"XyZ", b"-", b"\r"]))
CONTENTS = st.lists(PIECES, max_size=20).map(b"".join).filter(lambda content: b"\r\n--XyZ" not in b"\r\n" + content)


@settings(max_examples=300, deadline=None)
@given(CONTENTS, st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_any_content_in_any_pieces_comes_out_as_it_went_in(content, sizes):
    assert parse(form(content), sizes) == ("a.wav", content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_anything_else_is_refused_and_nothing_worse(body, sizes):
    try:
        name, content = parse(body, sizes)
    except Refusal as refusal:
        assert refusal.status == 400
    else:
        assert name is not None and content in body


@pytest.mark.parametrize("field, name", [
    (b'filename="\xc3\xbcber.wav"', "über.wav"),
    (b"filename*=UTF-8''%C3%BCber.wav", "über.wav"),
    (b"filename=plain.wav", "plain.wav"),
    (b'filename="a \\"b\\".wav"', 'a "b".wav'),
    (b'filename="../../etc/passwd"', "../../etc/passwd"),      # display_name takes the folders away
])
def test_name(field, name):
    assert parse(form(b"123", field)) == (name, b"123")


def test_fields_before_the_file_and_a_preamble_are_skipped():
    before = b'preamble\r\n--XyZ\r\nContent-Disposition: form-data; name="language"\r\n\r\nen\r\n'
    assert parse(form(b"123", before=before)) == ("a.wav", b"123")


def test_form_without_a_file():
    with pytest.raises(Refusal, match="holds no file") as refused:
        parse(b'--XyZ\r\nContent-Disposition: form-data; name="language"\r\n\r\nen\r\n--XyZ--\r\n')
    assert refused.value.status == 400


def test_form_that_ends_inside_the_file():
    with pytest.raises(Refusal, match="in the middle of a field"):
        parse(form(b"123")[:-10])


def test_endless_header_is_not_collected():
    with pytest.raises(Refusal, match="holds no file"):
        parse(b"--XyZ\r\nContent-Disposition: " + b"x" * (1 << 20))


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=" + "x" * 71,
                                          "multipart/form-data; boundary=\u00fc"])
def test_boundary_that_is_none(content_type):
    with pytest.raises(Refusal, match="boundary"):
        boundary_of(content_type)


def test_boundary_in_quotes():
    assert boundary_of('multipart/form-data; boundary="a b"') == b"a b"
