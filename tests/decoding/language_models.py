"""Small language models and logits for the tests of the beam search."""
import numpy as np
import pytest

from open_seq2seq.text.vocabulary import Vocabulary

VOCABULARY = Vocabulary(" abcdefghijklmnopqrstuvwxyz'")
BLANK = VOCABULARY.size

# a bigram model by hand: after "the" comes "cat", or else anything
ARPA = """\\data\\
ngram 1=8
ngram 2=5

\\1-grams:
-2.5\t<unk>
-99\t<s>\t-0.3
-1.2\t</s>
-0.9\tthe\t-0.4
-1.1\tcat\t-0.2
-1.1\tsat\t-0.2
-1.3\tall\t-0.1
-1.4\ta\t-0.1

\\2-grams:
-0.3\t<s> the
-0.2\tthe cat
-0.5\tcat sat
-0.4\tsat </s>
-0.6\t<s> all

\\end\\
"""


def needs_packages(*names):
    """Skips a test file where packages of ``setup.sh --decoding`` are missing."""
    for name in names:
        pytest.importorskip(name, reason="%s is not installed; `bash scripts/setup.sh --decoding` installs it" % name)


def logits_of(text, vocabulary=VOCABULARY, frames_each=3, strength=6.0, seed=0):
    """float32 [T', V + 1]: each character for a frame, then blanks; noise of standard deviation 1."""
    logits = np.random.RandomState(seed).randn(frames_each * len(text) + 2, vocabulary.size + 1).astype(np.float32)
    logits[:, vocabulary.size] += strength
    for number, label in enumerate(vocabulary.encode(text)):
        logits[1 + frames_each * number, [label, vocabulary.size]] += strength, -strength
    return logits
