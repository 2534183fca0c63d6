"""The synthetic corpus: complete or absent, equal for equal parameters, many voices, none of them in two splits."""
import csv
import hashlib
import os

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.importers import espeak, synthetic_digits
from open_seq2seq.data.importers.digit_strings import DIGIT_WORDS
from open_seq2seq.errors import DataError, StorageError

SIZES = {"train": 24, "dev": 6, "test": 6}


def digests(folder):
    found = {}
    for parent, _, names in os.walk(str(folder)):
        for name in names if ".import" not in parent else ():
            path = os.path.join(parent, name)
            with open(path, "rb") as stream:
                found[os.path.relpath(path, str(folder))] = hashlib.sha256(stream.read()).hexdigest()
    return found


def make(folder, style, sizes=SIZES, seed=1, language="en"):
    words = ["--%s=%d" % item for item in sorted(sizes.items())] + ["--output", str(folder), "--style", style, "--workers", "1"]
    synthetic_digits.main(words + ["--seed", str(seed), "--language", language])


@pytest.fixture(scope="module", params=["studio", "people"])
def style(request):
    return request.param


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, style):
    folder = tmp_path_factory.mktemp("made") / "synthetic"
    make(folder, style)
    return folder


def test_manifests_name_sixteen_kilohertz_pcm_files(corpus, style):
    for split, size in SIZES.items():
        with open(str(corpus / (split + ".csv")), newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        assert len(rows) == size
        for row in rows:
            path = corpus / row["wav_filename"]
            assert int(row["wav_filesize"]) == path.stat().st_size
            words = row["transcript"].split(" ")
            assert 1 <= len(words) <= 7 and set(words) <= set(DIGIT_WORDS)
            information = soundfile.info(str(path))
            assert (information.samplerate, information.channels, information.subtype) == (16000, 1, "PCM_16")
            assert 0.15 * len(words) < information.duration < (1.2 if style == "studio" else 2.0) * len(words) + 1.0


@pytest.mark.slow
def test_only_equal_seeds_give_equal_bytes(corpus, style, tmp_path):
    make(tmp_path / "again", style)
    assert digests(tmp_path / "again") == digests(corpus)
    make(tmp_path / "other", style, seed=2)
    other = digests(tmp_path / "other")
    assert not set(other.values()) & set(digests(corpus).values())


def test_a_larger_corpus_contains_the_smaller_one(corpus, style, tmp_path):
    make(tmp_path / "larger", style, dict(SIZES, dev=9))
    larger, smaller = digests(tmp_path / "larger"), digests(corpus)
    assert all(larger[name] == digest for name, digest in smaller.items() if name.endswith(".wav"))


def test_chunks_are_spoken_in_order_and_depend_on_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic_digits, "CHUNK", 4)
    make(tmp_path / "small", "people", dict(SIZES, train=4))
    make(tmp_path / "large", "people", dict(SIZES, train=10))
    small, large = digests(tmp_path / "small"), digests(tmp_path / "large")
    assert all(large[name] == digest for name, digest in small.items() if name.endswith(".wav"))
    with open(str(tmp_path / "large" / "train.csv"), newline="", encoding="utf-8") as stream:
        names = [row["wav_filename"] for row in csv.DictReader(stream)]
    assert names == ["train/%06d.wav" % number for number in range(10)]


def test_level_and_noise_vary(corpus, style):
    peaks, floors = [], []
    for path in sorted((corpus / "train").iterdir()):
        samples, _ = soundfile.read(str(path))
        peaks.append(np.abs(samples).max())
        floors.append(np.sqrt(np.mean(samples[:700] ** 2)) / peaks[-1])  # the first 44 ms are background
    if style == "studio":
        assert max(peaks) <= 10 ** (-0.9 / 20) and min(peaks) >= 10 ** (-20.1 / 20)
    assert np.ptp(20 * np.log10(peaks)) > 10
    assert np.ptp(20 * np.log10(np.maximum(floors, 1e-5))) > 10


def test_splits_share_no_voice():
    variants = [set(names) for names in synthetic_digits.VARIANTS.values()]
    assert not variants[0] & variants[1] and not variants[0] & variants[2] and not variants[1] & variants[2]
    assert [len(synthetic_digits.voices_of(split)) for split in ("train", "dev", "test")] == [320, 48, 48]
    assert len(synthetic_digits.voices_of("train", style="people")) == 368


def test_foreign_spellings_are_words_of_every_digit():
    assert all(len(words) == 10 == len(set(words)) for words in synthetic_digits.FOREIGN.values())
    with espeak.SpeakingProcess() as speaker:
        for accent, words in synthetic_digits.FOREIGN.items():
            for word in words:
                samples = speaker.speak(word, accent + "+m1", espeak.Manner(160, 50, 50))
                # spelled letter by letter, a word takes much longer
                assert 0.15 < len(samples) / espeak.SAMPLE_RATE < 1.6, (accent, word)


def test_german_digits(tmp_path):
    make(tmp_path / "de", "people", {"train": 4, "dev": 1, "test": 1}, language="de")
    rows = (tmp_path / "de" / "train.csv").read_text(encoding="utf-8").splitlines()[1:]
    words = set(" ".join(row.split(",")[2] for row in rows).split())
    assert words and words <= {"null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"}
    assert synthetic_digits.voices_of("dev", "de")[0] == "gmw/de+m2"
    # the English corpus of these parameters is a different one
    with pytest.raises(StorageError):
        make(tmp_path / "de", "people", {"train": 4, "dev": 1, "test": 1})


def test_voices_sound_different():
    """Mean spectra of one sentence in 32 bands, in dB, loudness removed: equal voices under two names would differ by 0."""
    variants = [variant for names in synthetic_digits.VARIANTS.values() for variant in names]
    names = ["gmw/en-US+" + variant for variant in variants] + [accent + "+f2" for accent in synthetic_digits.ACCENTS[1:]]
    spectra = []
    with espeak.SpeakingProcess() as speaker:
        for name in names:
            samples = speaker.speak("zero one two three four five six seven eight nine", name, espeak.Manner(160, 50, 50))
            frames = samples[:len(samples) // 512 * 512].reshape(-1, 512) * np.hanning(512)
            power = np.abs(np.fft.rfft(frames)) ** 2
            spectra.append(10 * np.log10(power.mean(axis=0)[:256].reshape(32, 8).mean(axis=1) + 1.0))
    spectra = np.array(spectra)
    spectra -= spectra.mean(axis=1, keepdims=True)  # loudness is not a property of the voice
    distances = np.sqrt(np.mean((spectra[:, None] - spectra[None]) ** 2, axis=2))
    pairs = [(distances[i, j], names[i], names[j]) for i in range(len(names)) for j in range(i)]
    assert min(pairs)[0] > 0.5, min(pairs)
    assert np.median([pair[0] for pair in pairs]) > 3.0
    heard = {"gmw/en-US+" + variant for variant in synthetic_digits.VARIANTS["train"]}
    unheard = {"gmw/en-US+" + variant for split in ("dev", "test") for variant in synthetic_digits.VARIANTS[split]}
    across = [pair for pair in pairs if {pair[1], pair[2]} & heard and {pair[1], pair[2]} & unheard]
    assert min(across)[0] > 1.0, min(across)


def test_equal_requests_to_new_processes_give_equal_speech(tmp_path):
    def speak():
        with espeak.SpeakingProcess() as speaker:
            manner = espeak.Manner(150, 40, 60)
            return [speaker.speak("nine, five", "gmw/en+" + variant, manner) for variant in ("f2", "m1", "f2")]

    for first, second in zip(speak(), speak()):
        np.testing.assert_array_equal(first, second)


def test_an_unknown_voice_is_refused_and_the_process_continues():
    with espeak.SpeakingProcess() as speaker:
        with pytest.raises(DataError, match="no voice 'nobody'"):
            speaker.speak("one", "nobody", espeak.Manner(150, 50, 50))
        assert len(speaker.speak("one", "gmw/en", espeak.Manner(150, 50, 50))) > espeak.SAMPLE_RATE // 10


def test_a_killed_synthesizer_is_reported():
    with espeak.SpeakingProcess() as speaker:
        speaker._process.kill()
        speaker._process.wait()
        with pytest.raises(DataError, match="ended without an answer"):
            speaker.speak("one", "gmw/en", espeak.Manner(150, 50, 50))


def test_a_complete_corpus_is_kept_and_other_parameters_are_refused(corpus, style, capsys):
    before = digests(corpus)
    make(corpus, style)
    assert "already complete" in capsys.readouterr().out
    for others in (dict(style=style, seed=3), dict(style="people" if style == "studio" else "studio")):
        with pytest.raises(StorageError, match="--overwrite"):
            make(corpus, **others)
    assert digests(corpus) == before
