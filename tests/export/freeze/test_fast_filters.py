import numpy as np
import pytest

from open_seq2seq.export.freeze.fast_filters import PHASES, earliest, fast_filters, rows_needed

ROWS = 5


@pytest.mark.parametrize("width", range(1, 14))
def test_their_sums_are_the_convolution(width):
    generator = np.random.RandomState(width)
    kernel, inputs = generator.randn(width, 2, 3), generator.randn(PHASES * ROWS + width + 2 * PHASES, 2)
    expected = np.array([np.einsum("wi,wio->o", inputs[frame:frame + width], kernel) for frame in range(PHASES * ROWS)])

    def value(signal, row):
        if isinstance(signal, tuple):
            return value(signal[0], row) - value(signal[1], row)
        return inputs[PHASES * row + signal]

    outputs = np.zeros([ROWS, PHASES, 3])
    filters = fast_filters(kernel)
    for one in filters:
        for row in range(ROWS):
            result = sum(value(one.signal, row + tap) @ one.taps[tap] for tap in range(len(one.taps)))
            outputs[row, list(one.outputs)] += result
    np.testing.assert_allclose(outputs.reshape(-1, 3), expected, atol=2e-6)
    assert sorted(filters[-1].outputs) == [0, 1, 2, 3]


@pytest.mark.parametrize("width, taps", [(4, 9), (8, 18), (12, 27), (16, 36), (9, 22), (11, 26), (13, 31), (25, 58)])
def test_multiplications(width, taps):
    """9/16 of the 4 * width multiplications of four outputs, more where four does not divide the number of taps."""
    filters = fast_filters(np.ones([width, 1, 1]))
    assert len(filters) == 9 and sum(len(one.taps) for one in filters) == taps


def test_signals_are_named_from_their_earliest_input():
    assert earliest(3) == (3, 0) and earliest(6) == (2, 1)
    assert earliest((4, 5)) == ((0, 1), 1) and earliest((4, 3)) == ((4, 3), 0)
    assert earliest(((4, 5), (6, 7))) == (((0, 1), (2, 3)), 1)


def test_rows_needed():
    """With 8 taps all filters have 2, so every signal needs 1 row more than the outputs."""
    needed = rows_needed(fast_filters(np.ones([8, 1, 1])))
    rows, order = dict(needed), [signal for signal, _ in needed]
    assert rows[((0, 1), (2, 3))] == 1
    # z[4] - z[5] is z[0] - z[1] one row later and is not computed again
    assert rows[(0, 1)] == 2 and (4, 5) not in rows
    # the last input is z[6]
    assert {signal: rows[signal] for signal in range(4)} == {0: 2, 1: 2, 2: 2, 3: 1}
    for signal in order:
        if isinstance(signal, tuple):
            assert all(order.index(earliest(part)[0]) < order.index(signal) for part in signal)
