"""Generated machine code: arithmetic of vectors, the logarithm, and energies compared with NumPy's transform."""
import numpy as np
import pytest

from open_seq2seq.data.speech2text import log_mel_code, mel, vector_code
from open_seq2seq.data.speech2text.log_mel_code import LogMel, is_supported
from open_seq2seq.data.speech2text.vector_code import VectorCode, vector_lanes

FLOOR = 1e-20


def test_a_function_of_vectors_computes_what_numpy_computes():
    code = VectorCode("fit", "x: float*, y: float*, groups: i64, slope: float, places: i64*", lanes=8)
    with code.loop(code.argument("groups")) as group:
        x = code.load(code.argument("x"), group * 8)
        place = code.load_scalar(code.argument("places"), group)
        code.store(x * code.splat(code.argument("slope")) - x * x + 0.5, code.argument("y"), place)
    function = code.compile()
    x, y, places = np.linspace(-3, 3, 40, dtype=np.float32), np.zeros(40, np.float32), np.array([32, 0, 8, 16, 24])
    function(x.ctypes.data, y.ctypes.data, 5, 1.25, places.ctypes.data)
    expected = np.float32(1.25) * x - x * x + np.float32(0.5)
    np.testing.assert_allclose(np.roll(y, 8), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_logarithms_are_exact_to_float32(lanes):
    code = VectorCode("log", "x: float*, count: i64", lanes)
    with code.loop(code.argument("count"), step=lanes) as index:
        code.store(code.logarithm(code.load(code.argument("x"), index)), code.argument("x"), index)
    rng = np.random.RandomState(0)
    x = np.exp(rng.uniform(-85, 85, 32000)).astype(np.float32)
    x[:32] = np.linspace(0.999, 1.001, 32)
    x[32:40] = [1e-20, 1.0, 2.0, 0.5, 3.0e38, 1.2e-38, np.e, 0.70710678]
    found = x.copy()
    code.compile()(found.ctypes.data, len(x))
    np.testing.assert_allclose(found, np.log(x.astype(np.float64)), rtol=2e-7, atol=2e-8)


@pytest.mark.parametrize("lanes", [4, 8, 16])
@pytest.mark.parametrize("num_fft,frame,hop,features", [
    (512, 320, 160, 64), (512, 400, 160, 80), (8, 8, 3, 1), (16, 9, 9, 2), (32, 31, 5, 3), (64, 64, 16, 8), (256, 200, 100, 20),
    (1024, 551, 220, 64), (2048, 1200, 300, 40), (4096, 4096, 5000, 64)])
def test_energies_are_those_of_numpys_transform(monkeypatch, lanes, num_fft, frame, hop, features):
    monkeypatch.setattr(log_mel_code, "vector_lanes", lambda: lanes)
    filters, window = mel.slaney_mel_filters(16000, num_fft, features), np.hamming(frame)
    assert is_supported(num_fft, filters)
    log_mel = LogMel(window, hop, num_fft, filters, FLOOR)
    for frames in (1, 3, lanes, lanes + 1, 37):
        samples = np.random.RandomState(frames).standard_normal(log_mel.needed_samples(frames)).astype(np.float32)
        framed = np.stack([samples[hop * number:hop * number + frame] for number in range(frames)]) * window
        expected = np.log(np.abs(np.fft.rfft(framed, num_fft)) ** 2 @ filters + FLOOR)
        np.testing.assert_allclose(log_mel(samples, frames), expected, rtol=0, atol=3e-4)


def test_code_for_a_processor_whose_features_are_unknown(monkeypatch):
    def unknown():
        raise RuntimeError("failed to get host cpu features.")

    filters, samples = mel.slaney_mel_filters(16000, 512, 64), np.random.RandomState(0).standard_normal(40000).astype(np.float32)
    expected = LogMel(np.hanning(320), 160, 512, filters, FLOOR)(samples, 100)
    monkeypatch.setattr(vector_code.llvm, "get_host_cpu_features", unknown)
    assert vector_lanes() == 4
    np.testing.assert_allclose(LogMel(np.hanning(320), 160, 512, filters, FLOOR)(samples, 100), expected, rtol=0, atol=3e-4)


def test_what_cannot_be_computed_is_refused():
    assert vector_lanes() in (4, 8, 16)
    filters = mel.slaney_mel_filters(16000, 512, 64)
    for num_fft in (4, 320, 1000):
        assert not is_supported(num_fft, mel.slaney_mel_filters(16000, num_fft, 1))
    assert not is_supported(512, np.ones([257, 3]))
    log_mel = LogMel(np.hanning(320), 160, 512, filters, FLOOR)
    for samples in (np.zeros(log_mel.needed_samples(5) - 1, np.float32), np.zeros(9999, np.float64),
                    np.zeros(20000, np.float32)[::2]):
        with pytest.raises(ValueError, match="expected contiguous float32"):
            log_mel(samples, 5)
