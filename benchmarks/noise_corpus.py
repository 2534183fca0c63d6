"""A corpus for measuring, not for learning: noise of one length with random letters, and the words that train on it."""
import csv
import os

import numpy as np
import soundfile

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CONFIG = os.path.join(REPOSITORY, "configs", "speech2text", "jasper_mini_digits.py")
VOCABULARY = os.path.join(REPOSITORY, "open_seq2seq", "test_utils", "toy_speech_data", "vocab.txt")
RATE = 16000  # Hz
LETTERS_A_SECOND = 12  # English read aloud


def write_corpus(folder, utterances, seconds):
    """Writes ``folder/train.csv`` and its audio; returns the path of the CSV. All utterances have the same length."""
    generator = np.random.RandomState(0)
    path = os.path.join(folder, "train.csv")
    with open(path, "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("wav_filename", "wav_filesize", "transcript"))
        for number in range(utterances):
            wav = os.path.join(folder, "%d.wav" % number)
            soundfile.write(wav, 0.1 * generator.randn(int(RATE * seconds)), RATE, subtype="PCM_16")
            letters = generator.choice(list("abcdefghijklmnopqrstuvwxyz"), int(LETTERS_A_SECOND * seconds))
            rows.writerow((wav, os.path.getsize(wav), "".join(letters)))
    return path


def run_words(python, corpus, batch_size, *others):
    """The words of a ``run.py`` command that trains mini Jasper on the corpus, every batch of the same shape."""
    return [python, os.path.join(REPOSITORY, "run.py"), "--config_file=" + CONFIG, "--device=cpu",
            "--batch_size_per_gpu=%d" % batch_size, "--data_layer_params/vocab_file=" + VOCABULARY,
            "--train_params/data_layer_params/dataset_files=%r" % [corpus],
            # a changed speed would change the length
            "--train_params/data_layer_params/augmentation/speed_perturbation_ratio=0.0"] + list(others)
