"""The neural voice as many talkers: durations, pitch and vocal tract are the talker's, and what is missing is named."""
import sys

import numpy as np
import pytest

from open_seq2seq.data.importers import neural_speech, synthetic_digits
from open_seq2seq.data.importers.corpus_folder import DIGIT_WORDS
from open_seq2seq.errors import DataError, UsageError

RATE = neural_speech.SAMPLE_RATE
PLAIN = neural_speech.Talker(pitch=200.0, pitch_range=1.0, stretches=np.ones(len(neural_speech.KNOTS)), tilt=0.0, breath=-60.0,
                             friction=0.0, pace=1.0, jitter=0.0, intonation=".", has_accent=False)


@pytest.fixture(scope="module")
def voice():
    for package in ("hibari", "onnxruntime"):
        pytest.importorskip(package, reason="bash scripts/setup.sh --voices installs it")
    return neural_speech.NeuralVoice()


def spoken(voice, talker, words=("one", "three", "five", "nine"), seed=3):
    random = np.random.RandomState(seed)
    return [voice.speak(word, talker, random) for word in words]


def test_every_pronunciation_is_a_word_in_the_alphabet_of_the_voice(voice):
    assert tuple(neural_speech.PRONUNCIATIONS) == DIGIT_WORDS
    for word, pronunciations in neural_speech.PRONUNCIATIONS.items():
        assert len(set(pronunciations)) == len(pronunciations), word
        for phonemes in pronunciations:
            frames = voice.frames(phonemes + ".", 1.0)
            assert 0.15 < len(frames.pitch) * neural_speech.HOP / RATE < 0.9, (word, phonemes)
            assert (frames.pitch > neural_speech.VOICED).mean() > 0.2, (word, phonemes)


def pitch_of(samples):
    """Hz of the highest autocorrelation in the middle of a word."""
    middle = samples[len(samples) // 2 - 400:][:800] * np.hanning(800)
    products = np.correlate(middle, middle, "full")[799:]
    low, high = RATE // 400, RATE // 70
    return RATE / (low + products[low:high].argmax())


@pytest.mark.parametrize("pitch", [95.0, 140.0, 240.0])
def test_the_pitch_is_the_talkers(voice, pitch):
    heard = [pitch_of(samples) for samples in spoken(voice, PLAIN._replace(pitch=pitch, pitch_range=0.2))]
    assert np.median(heard) == pytest.approx(pitch, rel=0.12)


def test_a_longer_vocal_tract_moves_the_whole_spectrum_down(voice):
    def spectrum(factor):
        samples = np.concatenate(spoken(voice, PLAIN._replace(stretches=np.full(len(neural_speech.KNOTS), factor))))
        frames = samples[:len(samples) // 512 * 512].reshape(-1, 512) * np.hanning(512)
        return np.log((np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0) + 1e-9)

    frequencies = np.arange(257) * RATE / 512
    inside = (frequencies > 600) & (frequencies < 4500)
    plain, long = spectrum(1.0), spectrum(0.8)
    correlations = {factor: np.corrcoef(long[inside], np.interp(frequencies[inside] / factor, frequencies, plain))[0, 1]
                    for factor in (0.7, 0.8, 0.9, 1.0, 1.1)}
    assert max(correlations, key=correlations.get) == 0.8, correlations


def test_the_pace_is_the_talkers_and_equal_seeds_give_equal_samples(voice):
    normal, slow, again = (spoken(voice, PLAIN._replace(pace=pace)) for pace in (0.7, 1.05, 0.7))
    assert sum(map(len, slow)) / sum(map(len, normal)) == pytest.approx(1.5, rel=0.05)
    assert all(np.array_equal(one, other) for one, other in zip(normal, again))
    assert all(np.isfinite(samples).all() and np.abs(samples).max() > 1e-2 for samples in normal)


def test_talkers_differ():
    talkers = [neural_speech.draw_talker(np.random.RandomState(seed)) for seed in range(200)]
    pitches, tracts = [talker.pitch for talker in talkers], [talker.stretches.mean() for talker in talkers]
    assert min(pitches) < 100 and max(pitches) > 230 and min(tracts) < 0.85 and max(tracts) > 1.1
    assert 0.2 < np.mean([talker.has_accent for talker in talkers]) < 0.8


def test_it_speaks_half_of_train_and_nothing_else(voice, tmp_path):
    sizes = {"train": 12, "dev": 3, "test": 3}
    contents = {}
    for name, voices in (("espeak", "espeak"), ("all", "all"), ("again", "all")):
        assert synthetic_digits.make_corpus(str(tmp_path / name), sizes, seed=1, voices=voices)
        contents[name] = {str(path.relative_to(tmp_path / name)): path.read_bytes()
                          for path in (tmp_path / name).rglob("*") if path.suffix in (".wav", ".csv")}
    assert contents["all"] == contents["again"]
    of_others = [name for name, content in contents["espeak"].items() if contents["all"][name] == content]
    assert sorted(name for name in of_others if not name.startswith("train")) == sorted(
        ["dev.csv", "test.csv"] + ["%s/%06d.wav" % (split, number) for split in ("dev", "test") for number in range(3)])
    # the digits are the same, the talkers are not
    transcripts = [[line.split(b",")[2] for line in contents[name]["train.csv"].splitlines()] for name in ("espeak", "all")]
    assert transcripts[0] == transcripts[1]


@pytest.mark.parametrize("options", [{"language": "de"}, {"style": "studio"}])
def test_it_speaks_english_in_style_people_only(options, tmp_path):
    with pytest.raises(UsageError, match="--voices espeak"):
        synthetic_digits.make_corpus(str(tmp_path / "made"), {"train": 1, "dev": 1, "test": 1}, seed=1, voices="all", **options)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("files, named", [({}, "incomplete"), ({"hibari.onnx": "x", "vocab.json": "{"}, "incomplete"),
                                          ({"hibari.onnx": "x", "vocab.json": "{}"}, "another version")])
def test_a_damaged_package_is_named_with_the_fix(files, named, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    assets = tmp_path / "hibari" / "assets"
    assets.mkdir(parents=True)
    (tmp_path / "hibari" / "__init__.py").write_text("")
    for name, content in files.items():
        (assets / name).write_text(content)
    monkeypatch.delitem(sys.modules, "hibari", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(DataError) as caught:
        neural_speech.NeuralVoice()
    assert named in str(caught.value) and str(tmp_path) in str(caught.value) and "setup.sh --voices" in str(caught.value)
