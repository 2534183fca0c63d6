"""A small corpus of speech-like audio, clean or with planted defects."""
import csv

import numpy as np
import pytest
import soundfile

from open_seq2seq.data.validation.rows import DataSet, Model
from open_seq2seq.text.vocabulary import Vocabulary

RATE = 16000
CHARACTERS = " abcdefghijklmnopqrstuvwxyz'"
WORDS = [a + b + c for a in "bdfgklmnprst" for b in "aeiou" for c in "lnrst"]      # 300


def speech(seconds, seed, rate=RATE):
    """float [seconds x rate]: noise of the band of speech that rises and falls like syllables."""
    random = np.random.RandomState(seed)
    time = np.arange(int(seconds * rate)) / float(rate)
    noise = np.convolve(random.randn(len(time)), np.hanning(7), "same")
    return (0.02 + np.abs(np.sin(2 * np.pi * 2.5 * time))) * noise / np.abs(noise).max() * 0.5


def sentence(seed, words=6):
    return " ".join(np.random.RandomState(seed).choice(WORDS, words))


class Corpus:
    """Rows of a manifest in a folder; each ``add`` writes the audio file of one."""

    def __init__(self, folder, name):
        self.folder, self.name, self.rows = folder, name, []
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, name, samples=None, transcript=None, rate=RATE, speaker="", subtype=None, content=None, **columns):
        """Adds a row and returns its number; ``samples`` None: the file is there already, or never."""
        path = self.folder / name
        if content is not None:
            path.write_bytes(content)
        elif samples is not None:
            soundfile.write(str(path), samples, rate, subtype=subtype)
        transcript = sentence(len(self.rows)) if transcript is None else transcript
        self.rows.append(dict(columns, wav_filename=name, wav_filesize="0", transcript=transcript, speaker=speaker))
        return len(self.rows) + 1

    def fill(self, count, seed=0):
        """Adds clean utterances of 2 to 3 seconds."""
        for number in range(count):
            self.add("%s %d.flac" % (self.name, number), speech(2 + 1.0 * number / count, seed + number),
                     sentence(seed + number), speaker="%s%d" % (self.name, number % 4))
        return self

    def write(self):
        path = self.folder / (self.name + ".csv")
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with open(str(path), "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(self.rows)
        return str(path)


@pytest.fixture(scope="session")
def model():
    """A model at 16 kHz with an output frame every 20 ms."""
    return Model(RATE, Vocabulary(CHARACTERS), lambda samples: -(-samples // 320),
                 feature_frames=lambda samples: -(-samples // 160))


@pytest.fixture
def corpus(tmp_path):
    """Factory of a Corpus: (name) -> Corpus in a folder of its own."""
    return lambda name: Corpus(tmp_path / name, name)


@pytest.fixture(scope="session")
def data_set(model):
    """Factory of a DataSet: (corpora or paths, name, mode, other fields of the model)."""
    def make(corpora, name="train", mode="train", **fields):
        return DataSet(name, mode, [one if isinstance(one, str) else one.write() for one in corpora], model._replace(**fields))
    return make
