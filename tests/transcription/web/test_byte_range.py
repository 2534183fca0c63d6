"""Parts of a file that a browser asks for."""
import pytest

from open_seq2seq.transcription.web.byte_range import byte_range


@pytest.mark.parametrize("header, part", [
    (None, None),
    ("bytes=0-99", (0, 100)),
    ("bytes=10-", (10, 1000)),
    ("bytes=-10", (990, 1000)),
    ("bytes=-5000", (0, 1000)),
    ("bytes=990-5000", (990, 1000)),
    ("bytes=5-4", None),                   # malformed: as if it were not there (RFC 9110, 14.1.1)
    ("bytes=-", None),
    ("bytes=0-1,5-6", None),
    ("seconds=0-1", None),
    ("bytes=٣-", None),
])
def test_part(header, part):
    assert byte_range(header, 1000) == part


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=2000-3000", "bytes=-0"])
def test_part_outside(header):
    with pytest.raises(ValueError, match="of a file of 1000"):
        byte_range(header, 1000)
