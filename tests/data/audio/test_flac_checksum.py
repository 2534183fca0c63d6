"""The checksum of FLAC frames: CRC-16 with polynomial 0x8005, which catalogs list as CRC-16/UMTS or BUYPASS."""
import numpy as np
import pytest

from open_seq2seq.data.audio.flac import CRC_BLOCK, _crc16


def test_the_published_check_value():
    assert _crc16(b"123456789") == 0xFEE8


@pytest.mark.parametrize("length", [1, 2, CRC_BLOCK - 1, CRC_BLOCK, CRC_BLOCK + 1, 10 * CRC_BLOCK + 3])
def test_data_that_ends_with_its_checksum_gives_0_and_a_flipped_bit_does_not(length):
    data = np.random.RandomState(length).bytes(length)
    data += _crc16(data).to_bytes(2, "big")
    assert _crc16(data) == 0
    for place in {0, length // 2, length + 1}:
        assert _crc16(data[:place] + bytes([data[place] ^ 1]) + data[place + 1:]) != 0
