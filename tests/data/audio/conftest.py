"""Files of audio with given bytes."""
import pytest


@pytest.fixture
def write(tmp_path):
    """Function (bytes) -> path of a file that holds them."""
    def write(data):
        (tmp_path / "a.audio").write_bytes(data)
        return str(tmp_path / "a.audio")
    return write
