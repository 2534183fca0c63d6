"""The estimated models are lmplz's, sum to 1, and entropy pruning keeps the best of them."""
import io
import json
import os

import numpy as np
import pytest

from open_seq2seq.text.ngrams import counts
from open_seq2seq.text.ngrams.arpa import write_arpa
from open_seq2seq.text.ngrams.counts import TokenizedText, count_ngrams
from open_seq2seq.text.ngrams.kneser_ney import estimate
from open_seq2seq.text.ngrams.pruning import prune_by_entropy

with open(os.path.join(os.path.dirname(__file__), "lmplz.json"), encoding="utf-8") as golden:
    GOLDEN = json.load(golden)


def tokenized(sentences):
    text = TokenizedText()
    for sentence in sentences:
        text.add(sentence.split())
    return text


def model_of(sentences, order, prune=(), most_words=None):
    text = tokenized(sentences)
    return estimate(text.words, *count_ngrams(text.tokens(), len(text.words), order), prune=prune, most_words=most_words)


def ngrams(model):
    """Dict from n-gram to [log10 probability, log10 back-off], read from the ARPA file."""
    file = io.StringIO()
    write_arpa(model, file)
    found, fields = {}, [line.split("\t") for line in file.getvalue().splitlines()]
    for line in fields:
        if len(line) > 1:
            found[line[1]] = [float(line[0])] + [float(value) for value in line[2:]]
    header = [line[0] for line in fields if line[0].startswith("ngram ")]
    assert header == ["ngram %d=%d" % (number, len(order.word)) for number, order in enumerate(model.orders, 1)]
    return found


@pytest.mark.parametrize("chunk_bits", [counts.CHUNK_BITS, 6])
@pytest.mark.parametrize("golden", GOLDEN["models"], ids=lambda model: "%d %s" % (model["order"], model["prune"]))
def test_the_numbers_are_those_of_lmplz(golden, chunk_bits, monkeypatch):
    monkeypatch.setattr(counts, "CHUNK_BITS", chunk_bits)
    monkeypatch.setattr(counts, "LEAST_CHUNK_BITS", chunk_bits)
    own, theirs = ngrams(model_of(GOLDEN["text"], golden["order"], golden["prune"])), golden["ngrams"]
    assert set(own) == set(theirs)
    # lmplz computes in float32
    worst = max(abs(mine - other) for key in own for mine, other in zip(own[key], theirs[key]))
    assert worst < 3e-6 and all(len(own[key]) == len(theirs[key]) for key in own)


def total_probability(model, context):
    """The sum of the probabilities of all words after ``context``, a list of words, by the rules of back-off."""
    known = ngrams(model)

    def score(history, word):
        if " ".join(history + [word]) in known:
            return 10 ** known[" ".join(history + [word])][0]
        backoff = known.get(" ".join(history), [0.0, 0.0])
        return 10 ** (backoff[1] if len(backoff) > 1 else 0.0) * score(history[1:], word)
    return sum(score(context, word) for word in model.words if word != "<s>")


@pytest.mark.parametrize("change", [
    lambda sentences: model_of(sentences, 3),
    lambda sentences: model_of(sentences, 4, prune=(0, 1, 1)),
    lambda sentences: model_of(sentences, 3, most_words=40),
    lambda sentences: prune_by_entropy(model_of(sentences, 3), 1e-4),
    lambda sentences: model_of(["one"], 3)], ids=["3-gram", "pruned by count", "most words", "pruned by entropy", "one word"])
def test_probabilities_sum_to_one_after_every_context(change):
    model = change(GOLDEN["text"])
    first = model.words[3]
    for context in ([], ["<s>"], [first], ["<s>", first], ["of", "the"], ["the", "unseen"]):
        assert total_probability(model, context) == pytest.approx(1, abs=2e-5), context


def test_most_words_are_the_most_frequent_ones():
    model = model_of(["b a c", "a b", "a d"], 2, most_words=2)
    assert model.words == ["<unk>", "<s>", "</s>", "b", "a"]


def test_entropy_pruning_loses_less_than_pruning_by_count_at_the_same_size():
    random = np.random.RandomState(0)
    # words follow the two words before them, with Zipf's frequencies
    sentences = []
    for _ in range(1500):
        words = ["w0", "w1"]
        for _ in range(8):
            words.append("w%d" % ((int(words[-1][1:]) * 7 + int(words[-2][1:]) + min(random.zipf(1.7), 40)) % 60))
        sentences.append(" ".join(words[2:]))
    training, test = sentences[:1200], sentences[1200:]
    full, counted = model_of(training, 3), model_of(training, 3, prune=(0, 1, 2))

    def size(model):
        return sum(len(order.word) for order in model.orders)

    candidates = [prune_by_entropy(full, 10 ** exponent) for exponent in np.arange(-7, -3, 0.1)]
    pruned = min(candidates, key=lambda model: abs(size(model) - size(counted)))
    assert abs(size(pruned) - size(counted)) < 0.1 * size(counted) and size(counted) < 0.6 * size(full)

    def log_probability(model):
        known, total = ngrams(model), 0.0
        for sentence in test:
            words = ["<s>"] + sentence.split() + ["</s>"]
            for end in range(1, len(words)):
                history = words[max(0, end - 2):end]
                while " ".join(history + [words[end]]) not in known:
                    total += (known.get(" ".join(history)) or [0, 0])[-1] if history else 0
                    history = history[1:]
                total += known[" ".join(history + [words[end]])][0]
        return total
    assert log_probability(full) > log_probability(counted)
    assert log_probability(pruned) > log_probability(counted)
