"""Decoding with the pieces of a subword vocabulary: both searches against every path, word times, alignment."""
import collections
import itertools

import numpy as np
import pytest

from open_seq2seq.decoding.decoder import Character
from open_seq2seq.decoding.greedy import GreedyDecoder
from open_seq2seq.decoding.kenlm_files import load_kenlm
from open_seq2seq.decoding.language_model import search_spec
from open_seq2seq.decoding.options import default_options
from open_seq2seq.decoding.piece_alignment import align_pieces
from open_seq2seq.decoding.searches import LN_10, make_search
from open_seq2seq.decoding.word_times import timed_words
from open_seq2seq.errors import UsageError
from open_seq2seq.text.vocabulary import Vocabulary
from tests.decoding.language_models import ARPA, needs_packages

MARK = "\u2581"
PIECES = (MARK, MARK + "the", MARK + "c", "at", "c")
VOCABULARY = Vocabulary.of(PIECES)
BLANK = len(PIECES)


def log_probabilities(frames, seed, outputs=BLANK + 1):
    logits = np.random.RandomState(seed).randn(frames, outputs) * 2
    return (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32)


def paths_of(values):
    """Yields (labels of a path after the collapse, log probability, path) for every path."""
    for path in itertools.product(range(values.shape[1]), repeat=len(values)):
        labels = [label for label, _ in itertools.groupby(path) if label != BLANK]
        yield labels, float(values[np.arange(len(path)), list(path)].sum()), path


def scores_of_texts(values):
    scores = collections.defaultdict(lambda: -np.inf)
    for labels, score, _ in paths_of(values):
        text = VOCABULARY.decode(labels)
        scores[text] = np.logaddexp(scores[text], score)
    return scores


def search(**options):
    return make_search(search_spec(VOCABULARY, default_options(
        decoding="beam", beam_width=2000, cutoff_prob=1.0, token_min_logp=-40.0, beam_prune_logp=-1e9, **options))[0])


@pytest.mark.parametrize("seed", range(3))
def test_the_search_adds_up_all_ways_to_write_a_text(seed):
    needs_packages("kenlm", "pygtrie")
    values = log_probabilities(5, seed)
    scores = scores_of_texts(values)
    best = max(scores, key=scores.get)
    found = search().search(values)
    assert (found.text, found.score) == (best, pytest.approx(scores[best], abs=1e-3))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("alpha, beta", [(0.7, 1.1), (2.0, 0.0)])
def test_the_search_with_a_language_model_of_words_finds_the_best_text_of_all(tmp_path, seed, alpha, beta):
    needs_packages("kenlm", "pygtrie")
    path = tmp_path / "lm.arpa"
    path.write_text(ARPA)
    model, words = load_kenlm(str(path)), {"the", "cat", "sat", "all", "a"}
    values = log_probabilities(5, seed)

    def score(text, acoustic):
        return acoustic + (alpha * LN_10 * model.score(text) + beta * len(text.split()) if text else 0.0)

    scores = {text: score(text, acoustic) for text, acoustic in scores_of_texts(values).items() if words.issuperset(text.split())}
    best = max(scores, key=scores.get)
    found = search(lm_path=str(path), alpha=alpha, beta=beta).search(values)
    assert (found.text, found.score) == (best, pytest.approx(scores[best], abs=1e-2))


def test_a_lone_mark_in_one_hypothesis_does_not_split_words_of_others():
    """pyctcdecode alone finds "the at" here (findings/pyctcdecode_word_boundary_piece.sh)."""
    needs_packages("kenlm", "pygtrie")
    values = np.full([3, BLANK + 1], 0.001)
    for frame, label in enumerate((2, 3, BLANK)):
        values[frame, label] = 0.9
        values[frame, 0] = 0.095
    assert search().search(np.log(values).astype(np.float32)).text == "cat"


@pytest.mark.parametrize("text", ["the cat", "cat", "c", ""])
@pytest.mark.parametrize("seed", range(2))
def test_the_alignment_is_the_best_path_over_all_ways_to_write_the_text(text, seed):
    values = log_probabilities(5, 10 + seed)

    def writes(labels):
        # one mark before each word, which may be missing before the first one
        joined = "".join(PIECES[label] for label in labels)
        return joined in (MARK + text.replace(" ", MARK), text.replace(" ", MARK))

    paths = {path: score for labels, score, path in paths_of(values) if writes(labels)}
    best = max(paths, key=paths.get)
    expected, frame = [], 0
    for label, run in itertools.groupby(best):
        length = len(list(run))
        if label != BLANK:
            expected.append(Character(PIECES[label], frame, frame + length, pytest.approx(
                float(values[frame:frame + length, label].mean()), abs=1e-5)))
        frame += length
    assert align_pieces(values, text, PIECES) == (expected if text else [])


def test_no_path_is_long_enough_for_the_text():
    assert align_pieces(log_probabilities(2, 0), "the the the", PIECES) == []


def test_words_begin_at_marks():
    frames = [BLANK, 1, 1, BLANK, 2, 3, BLANK, 0, 4, 3, BLANK, BLANK]  # "the", "c" "at", a lone mark, "c" "at"
    logits = np.full([1, len(frames), BLANK + 1], -5.0)
    logits[0, np.arange(len(frames)), frames] = 5.0
    decoder = GreedyDecoder(VOCABULARY)
    hypothesis, = decoder.hypotheses(logits, [len(frames)])
    assert hypothesis.text == "the cat cat" == decoder.decode_best_path(np.array([frames]), [len(frames)])[0]
    words = timed_words(hypothesis.characters, PIECES, np.zeros([len(frames)], bool), 0.1)
    assert [(word.text, word.start, word.end) for word in words] == [("the", 0.1, 0.3), ("cat", 0.4, 0.6), ("cat", 0.8, 1.0)]
    assert [character.text for character in words[1].characters] == ["c", "at"]


def test_what_searches_with_characters_only_is_refused():
    with pytest.raises(UsageError, match="subwords.*coqui.*remove"):
        search_spec(VOCABULARY, default_options(decoding="beam", search_library="coqui"))
