"""Convolution over time with fewer multiplications: the fast FIR algorithm (Parker and Messerschmitt, 1997).

A sequence has four phases, each of a quarter of its length: frame 4 r + q is row r of phase q. A convolution is a sum over phases
of inputs z and of taps h, y[q] = sum over i of h[i] * z[q + i], where z[4 + q] is z[q] one row later. That takes 16 convolutions
of a quarter of the taps for a quarter of the frames each, which is the same amount of work. With only two phases it would be

    y0 = h0 * z0 + h1 * z1          y1 = h0 * z1 + h1 * z2

and three convolutions give the same result as these four, as in Karatsuba's multiplication:

    S = (h0 + h1) * z1,   U = h0 * (z0 - z1),   V = h1 * (z2 - z1),        y0 = U + S,   y1 = V + S

Applied to the even and odd phases of the four, and to each half again, this leaves 9 of the 16 convolutions. In float32 the
result is as exact as the direct one. This module does algebra on taps and on names of inputs; ``fast_inference_graph`` builds
the TensorFlow graph from it.
"""
import collections

import numpy as np

PHASES = 4

Filter = collections.namedtuple("Filter", "taps signal outputs")
Filter.__doc__ = """One convolution. taps: float32 [n, Cin, Cout]. signal: its input, a number j for z[j], or a pair of signals
for the first minus the second. outputs: tuple of the phases to which the result is added."""


def fast_filters(kernel):
    """The small convolutions whose sums are the outputs of a convolution.

    Args:
      kernel: array [width, Cin, Cout].

    Returns:
      A list of :class:`Filter`; the last one is added to all outputs.
    """
    phases = [kernel[phase::PHASES].astype(np.float64) for phase in range(PHASES)]
    filters = _filters(phases, list(range(2 * PHASES - 1)), tuple(range(PHASES)))
    return [one._replace(taps=one.taps.astype(np.float32)) for one in filters]


def _filters(phases, signals, outputs):
    if len(phases) == 1:
        # a kernel with fewer taps than phases has empty phases
        return [Filter(phases[0], signals[0], outputs)] if len(phases[0]) else []
    even, odd = phases[0::2], phases[1::2]
    first, common, second = signals[0:-2:2], signals[1::2], signals[2::2]
    both = [_sum(*pair) for pair in zip(even, odd)]
    # the outputs of a half are every second output
    halves = outputs[0::2], outputs[1::2]
    return (_filters(even, list(zip(first, common)), halves[0]) + _filters(odd, list(zip(second, common)), halves[1])
            + [one._replace(outputs=one.outputs + _partners(one.outputs, halves)) for one in _filters(both, common, halves[0])])


def _partners(outputs, halves):
    return tuple(halves[1][halves[0].index(output)] for output in outputs)


def _sum(longer, shorter):
    """Sum of taps [n, ...] and [m, ...], n >= m; the shorter is padded with zeros."""
    return longer + np.concatenate([shorter, np.zeros((len(longer) - len(shorter),) + longer.shape[1:])])


def earliest(signal):
    """(signal, rows): the signal moved ``rows`` rows earlier, which makes its earliest input one of the first PHASES."""
    rows = _earliest_input(signal) // PHASES
    return _earlier(signal, rows * PHASES), rows


def _earliest_input(signal):
    return min(map(_earliest_input, signal)) if isinstance(signal, tuple) else signal


def _earlier(signal, inputs):
    if isinstance(signal, tuple):
        return tuple(_earlier(part, inputs) for part in signal)
    return signal - inputs


def rows_needed(filters):
    """The number of rows that each signal needs beyond the rows of the outputs.

    Returns:
      List of (signal, rows), signals as :func:`earliest` returns them. A pair comes after the signals that it consists of.
    """
    needed = {}

    def need(signal, rows):
        signal, later = earliest(signal)
        needed[signal] = max(needed.get(signal, 0), rows + later)
        if isinstance(signal, tuple):
            for part in signal:
                need(part, needed[signal])

    for one in filters:
        need(one.signal, len(one.taps) - 1)
    return sorted(needed.items(), key=lambda item: (_depth(item[0]), item))


def _depth(signal):
    return 1 + max(map(_depth, signal)) if isinstance(signal, tuple) else 0
