"""Log-mel energies of frames in generated machine code: as many frames at a time as a vector register has lanes.

The transform of N real samples is a complex one of N / 2, with the even samples as real and the odd ones as imaginary parts. It
is computed in place, by decimation in frequency with radix 4 (and once 2), and its results stay where they arise. All arrays of
a group of frames fit into the first-level cache, and nothing is computed for frequencies that no filter contains.
"""
import numpy as np

from open_seq2seq.data.speech2text.vector_code import VectorCode, vector_lanes

SMALLEST_TRANSFORM = 8
MOST_FILTERS = 2  # that contain the same frequency, as triangles do that overlap with their neighbors only


def is_supported(num_fft, filters):
    """Whether :class:`LogMel` can compute a transform of ``num_fft`` samples followed by ``filters`` [bins, features]."""
    return (num_fft >= SMALLEST_TRANSFORM and num_fft & (num_fft - 1) == 0
            and int(np.count_nonzero(filters, axis=1).max()) <= MOST_FILTERS)


class LogMel:
    """log(power spectrum x filters + floor) of the overlapping frames of a waveform.

    Args:
      window: float [frame], not longer than the transform.
      hop: samples from the start of a frame to that of the next.
      num_fft: samples of the transform.
      filters: float [num_fft / 2 + 1, features]; see :func:`is_supported`.
      floor: added to the energies, a normal float32 above 0.
    """

    def __init__(self, window, hop, num_fft, filters, floor):
        self._lanes, self._hop, self._half = vector_lanes(), hop, num_fft // 2
        self._features = filters.shape[1]
        pairs = -(-len(window) // 2)
        self._window = np.zeros([2 * pairs], np.float32)
        self._window[:len(window)] = window
        # samples of a group of frames are kept in an array [hop, row]: column r begins at sample r * hop of the group
        self._columns = self._lanes + -(-len(window) // hop) - 1
        self._rows = -(-hop // self._lanes) * self._lanes
        place = np.arange(2 * pairs) % hop * self._columns + np.arange(2 * pairs) // hop
        place[len(window):] = 0
        self._bins = np.flatnonzero(filters.any(axis=1))
        self._twiddles = _twiddles(self._half)
        self._places = np.concatenate([place, self._places_of_bins(filters)]).astype(np.int64)
        self._factors = self._factors_of_bins(filters)
        self._function = self._code(float(floor)).compile()

    def needed_samples(self, frames):
        """Length of the array of samples for ``frames`` frames; those after the last frame's end only have to be finite."""
        groups = -(-frames // self._lanes)
        return (groups * self._lanes - self._lanes + self._columns - 1) * self._hop + self._rows

    def __call__(self, samples, frames):
        """Computes the energies of frames. Thread-safe; other threads can use the interpreter meanwhile.

        Args:
          samples: float32 [needed_samples(frames)]; frame t begins at sample t * hop.
          frames: int, at least 1.

        Returns:
          float32 [frames, features].
        """
        if samples.dtype != np.float32 or not samples.flags.c_contiguous or len(samples) < self.needed_samples(frames):
            raise ValueError("samples are %s [%d], expected contiguous float32 [%d]" % (
                samples.dtype, len(samples), self.needed_samples(frames)))
        groups = -(-frames // self._lanes)
        computed = np.empty([groups * self._lanes, self._features], np.float32)
        scratch = np.empty([self._rows * self._columns + (2 * self._half + self._features) * self._lanes], np.float32)
        self._function(samples.ctypes.data, groups, self._window.ctypes.data, self._twiddles.ctypes.data,
                       self._places.ctypes.data, self._factors.ctypes.data, scratch.ctypes.data, computed.ctypes.data)
        return computed[:frames]

    def _places_of_bins(self, filters):
        """int [4 * bins]: for each bin the places of the two results that it is made of, and of its two filters' energies."""
        position, half = np.empty([self._half], np.int64), self._half
        position[_order(half)] = np.arange(half)
        own = [np.resize(np.append(np.flatnonzero(filters[bin]), [0, 0])[:MOST_FILTERS], MOST_FILTERS) for bin in self._bins]
        places = np.column_stack([position[self._bins % half], position[-self._bins % half], np.array(own)])
        return (places * self._lanes).reshape(-1)

    def _factors_of_bins(self, filters):
        """float32 [4 * bins]: for each bin the factor that separates even from odd samples, and the weights of its filters."""
        factor = np.exp(-1j * np.pi * self._bins / self._half)
        weights = np.zeros([len(self._bins), MOST_FILTERS])
        for row, bin in enumerate(self._bins):
            values = filters[bin][np.flatnonzero(filters[bin])]
            weights[row, :len(values)] = values / 4  # the sums below are twice the spectrum
        return np.column_stack([factor.real, factor.imag, weights]).astype(np.float32).reshape(-1)

    def _code(self, floor):
        code = VectorCode("log_mel", "samples: float*, groups: i64, window: float*, twiddles: float*, places: i64*, "
                                     "factors: float*, scratch: float*, computed: float*", self._lanes)
        lanes, half = self._lanes, self._half
        columns = code.argument("scratch")
        real = code.element(columns, self._rows * self._columns)
        imaginary = code.element(real, half * lanes)
        energies = code.element(imaginary, half * lanes)
        with code.loop(code.argument("groups")) as group:
            self._gather(code, code.element(code.argument("samples"), group * (lanes * self._hop)), columns)
            self._window_frames(code, columns, real, imaginary)
            self._transform(code, real, imaginary)
            with code.loop(self._features) as feature:
                code.store(code.splat(floor), energies, feature * lanes)
            self._filter(code, real, imaginary, energies)
            computed = code.element(code.argument("computed"), group * (lanes * self._features))
            with code.loop(self._features) as feature:
                energy = code.logarithm(code.load(energies, feature * lanes))
                for lane in range(lanes):
                    code.store_scalar(energy[lane], computed, feature + lane * self._features)
        return code

    def _gather(self, code, samples, columns):
        """Sample n of column r goes to n * columns + r, so a sample of all frames of the group is a vector."""
        with code.loop(self._columns) as column:
            with code.loop(self._rows, step=self._lanes) as row:
                values = code.load(samples, column * self._hop + row)
                for lane in range(self._lanes):
                    code.store_scalar(values[lane], columns, (row + lane) * self._columns + column)

    def _window_frames(self, code, columns, real, imaginary):
        window, places, pairs = code.argument("window"), code.argument("places"), len(self._window) // 2
        with code.loop(pairs) as pair:
            for part, array in enumerate((real, imaginary)):
                sample = pair * 2 + part
                weight = code.splat(code.load_scalar(window, sample))
                code.store(code.load(columns, code.load_scalar(places, sample)) * weight, array, pair * self._lanes)
        with code.loop(self._half - pairs) as pair:
            for array in (real, imaginary):
                code.store(code.splat(0.0), array, (pair + pairs) * self._lanes)

    def _transform(self, code, real, imaginary):
        size, table = self._half, 0
        while size >= 4:
            quarter = size // 4
            with code.loop(self._half, step=size) as block:
                with code.loop(quarter) as column:
                    self._butterfly(code, real, imaginary, (block + column) * self._lanes, quarter * self._lanes,
                                    column * 6 + table if quarter > 1 else None)
            size, table = quarter, table + 6 * quarter
        if size == 2:
            with code.loop(self._half, step=2) as block:
                for array in (real, imaginary):
                    first, second = (code.load(array, (block + part) * self._lanes) for part in (0, 1))
                    code.store(first + second, array, block * self._lanes)
                    code.store(first - second, array, (block + 1) * self._lanes)

    @staticmethod
    def _butterfly(code, real, imaginary, place, step, factors):
        """Four values at ``place`` + 0, 1, 2, 3 times ``step``; their factors e^(-2 pi i j / size) begin at ``factors``."""
        places = [place + step * number for number in range(4)]
        a, b, c, d = (_Complex(code.load(real, at), code.load(imaginary, at)) for at in places)
        even, even_difference, odd, odd_difference = a + c, a - c, b + d, (b - d).times_i()
        results = [even + odd, even_difference - odd_difference, even - odd, even_difference + odd_difference]
        for number, (at, result) in enumerate(zip(places, results)):
            if factors is not None and number:
                parts = [code.splat(code.load_scalar(code.argument("twiddles"), factors + 2 * (number - 1) + part))
                         for part in (0, 1)]
                result = result * _Complex(*parts)
            code.store(result.real, real, at)
            code.store(result.imaginary, imaginary, at)

    def _filter(self, code, real, imaginary, energies):
        places, factors, first = code.argument("places"), code.argument("factors"), len(self._window)
        with code.loop(len(self._bins)) as bin:
            here, mirrored, *filters = (code.load_scalar(places, bin * 4 + first + number) for number in range(4))
            factor_real, factor_imaginary, *weights = (
                code.splat(code.load_scalar(factors, bin * 4 + number)) for number in range(4))
            one, other = (_Complex(code.load(real, at), code.load(imaginary, at)) for at in (here, mirrored))
            # twice the spectra of the even samples and of i times the odd ones
            even = _Complex(one.real + other.real, one.imaginary - other.imaginary)
            odd = _Complex(one.imaginary + other.imaginary, other.real - one.real)
            spectrum = even + odd * _Complex(factor_real, factor_imaginary)
            power = spectrum.real * spectrum.real + spectrum.imaginary * spectrum.imaginary
            for place, weight in zip(filters, weights):
                code.store(code.load(energies, place) + power * weight, energies, place)


class _Complex:
    """A vector of complex numbers in generated code."""

    def __init__(self, real, imaginary):
        self.real, self.imaginary = real, imaginary

    def __add__(self, other):
        return _Complex(self.real + other.real, self.imaginary + other.imaginary)

    def __sub__(self, other):
        return _Complex(self.real - other.real, self.imaginary - other.imaginary)

    def __mul__(self, other):
        return _Complex(self.real * other.real - self.imaginary * other.imaginary,
                        self.real * other.imaginary + self.imaginary * other.real)

    def times_i(self):
        return _Complex(self.imaginary * -1.0, self.real)


def _twiddles(size):
    """float32: for each stage, for each of its quarter's columns j, the real and imaginary parts of e^(-2 pi i j k / size)."""
    parts = []
    while size >= 4:
        angles = np.outer(np.arange(size // 4), [1, 2, 3]) / size
        factors = np.exp(-2j * np.pi * angles)
        parts.append(np.stack([factors.real, factors.imag], 2).reshape(-1))
        size //= 4
    return np.concatenate(parts).astype(np.float32)


def _order(size):
    """int [size]: the number of the result that arises at each place."""
    if size <= 2:
        return np.arange(size)
    quarter = _order(size // 4)
    return np.concatenate([4 * quarter + number for number in range(4)])
