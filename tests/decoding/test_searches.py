"""Both searches against the libraries' own results, and what the libraries do unexpectedly."""
import json
import os

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.decoding.decoder import Decoder
from open_seq2seq.decoding.greedy import GreedyDecoder
from open_seq2seq.decoding.kenlm_files import load_kenlm
from open_seq2seq.decoding.language_model import is_installed
from open_seq2seq.decoding.options import COQUI, PYCTCDECODE, default_options
from open_seq2seq.decoding.searches import LN_10, SearchSpec, make_search
from open_seq2seq.text.vocabulary import Vocabulary
from tests.decoding.language_models import ARPA, BLANK, VOCABULARY, logits_of, needs_packages

needs_packages("kenlm", "pygtrie")

CASES = ("random_T60", "random_flat_T80", "clear_T100", "ambiguous_T120", "ambiguous_T200", "oov_T120", "doubles_T110",
         "all_blank_T60")


def normalized(logits):
    return Decoder(VOCABULARY).log_probabilities(logits[np.newaxis], [len(logits)])[0]


def spec(library, lm_file=None, words=None, is_constrained=False, **options):
    options.setdefault("cutoff_prob", 1.0)
    return SearchSpec(VOCABULARY.characters, default_options(**options), library, lm_file, words, is_constrained)


@pytest.fixture(scope="module")
def cases(goldens):
    logits = np.load(os.path.join(goldens, "decoding", "logits.npz"))
    return {name: normalized(logits[name]) for name in CASES}


def golden(goldens, name):
    with open(os.path.join(goldens, "decoding", name + ".json"), encoding="utf-8") as file:
        return json.load(file)


@pytest.mark.shared
@pytest.mark.parametrize("number", range(10))
def test_coquis_results(goldens, cases, number):
    needs_packages("coqui_stt_ctcdecoder")
    case = golden(goldens, "coqui")[number]
    settings = case["settings"]
    search = make_search(spec(
        COQUI, os.path.join(goldens, "decoding", "lm.scorer") if settings["scorer"] else None,
        alpha=settings["alpha"] or 0.0, beta=settings["beta"] or 0.0, beam_width=settings["beam_size"],
        cutoff_prob=settings["cutoff_prob"], cutoff_top_n=settings["cutoff_top_n"], hot_words=settings["hot_words"],
        score_sentence_end=False))
    for name, (best, *_) in case["results"].items():
        if name.startswith("random") and settings["beam_size"] == 500 and not settings["scorer"]:
            continue  # takes seconds
        found = search.search(cases[name])
        if settings["cutoff_prob"] < 1:
            # the blank stays in every frame here, so that no beam dies
            assert found.score > max(-1000, best["confidence"] - 1e-3)
            continue
        assert found.text == " ".join(best["text"].split())
        assert found.score == pytest.approx(best["confidence"], abs=1e-4)


@pytest.mark.shared
@pytest.mark.parametrize("number", range(13))
def test_pyctcdecodes_results(goldens, cases, number):
    case, folder = golden(goldens, "pyctcdecode")[number], os.path.join(goldens, "decoding")
    settings = case["settings"]
    with open(os.path.join(folder, "words.txt"), encoding="utf-8") as file:
        words = file.read().split()
    search = make_search(spec(
        PYCTCDECODE, os.path.join(folder, "lm.arpa") if settings["language_model"] else None, words,
        alpha=settings["alpha"], beta=settings["beta"], beam_width=settings["beam_width"],
        token_min_logp=settings["token_min_logp"], beam_prune_logp=settings["beam_prune_logp"],
        unk_score_offset=settings["unk_score_offset"], score_sentence_end=settings["lm_score_boundary"],
        hot_words={word: settings["hotword_weight"] for word in settings["hotwords"] or ()}))
    # the others take many seconds
    names = CASES if settings["beam_width"] <= 10 else ("clear_T100", "ambiguous_T120", "doubles_T110", "all_blank_T60")
    if settings["token_min_logp"] < -5:
        names = ("all_blank_T60",) if settings["token_min_logp"] < -50 else ("clear_T100", "all_blank_T60")
    texts = {"clear_T100": "the cat sat on the mat", "all_blank_T60": ""}
    equal = 0
    for name in names:
        best, found = case["results"][name][0], search.search(cases[name])
        assert found.text == texts.get(name, found.text)
        # pyctcdecode counts an unknown word after a space at the end, and in an empty text; then our best scores higher
        assert found.score > best["lm_score"] - 1e-4
        if found.score < best["lm_score"] + 1e-4:
            assert found.text == best["text"]
            assert found.acoustic_score == pytest.approx(best["logit_score"], abs=1e-4)
            equal += 1
    assert equal or settings["alpha"] == 2.0


@pytest.mark.shared
def test_kenlms_scores(goldens):
    model = load_kenlm(os.path.join(goldens, "decoding", "lm.arpa"))
    for case in golden(goldens, "kenlm"):
        if "perplexity" not in case:
            assert model.score(case["text"], bos=case["bos"], eos=case["eos"]) == pytest.approx(case["log10"], abs=1e-5)


@pytest.mark.shared
def test_without_language_model_as_tensorflow(goldens, cases):
    needs_packages("coqui_stt_ctcdecoder")
    search = make_search(spec(COQUI, beam_width=10))
    results = golden(goldens, "tensorflow")
    for name in ("random_T60", "ambiguous_T200", "all_blank_T60"):
        text, score = results[name]["beam10_merge_repeated_false"][0]
        found = search.search(cases[name])
        assert (found.text, found.score) == (text, pytest.approx(score, abs=1e-4))


LIBRARIES = [pytest.param(COQUI, id="coqui"), pytest.param(PYCTCDECODE, id="pyctcdecode")]


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    path = tmp_path_factory.mktemp("lm") / "lm.arpa"
    path.write_text(ARPA)
    return str(path)


@pytest.fixture(scope="module")
def make(lm):
    """Function that makes the search of a library, with the language model or without."""
    from open_seq2seq.decoding.language_model import search_spec

    def make(library, with_lm=True, **options):
        if library == COQUI:
            needs_packages("coqui_stt_ctcdecoder")
        return make_search(search_spec(VOCABULARY, default_options(
            decoding="beam", lm_path=lm if with_lm else None, search_library=library, **options))[0])
    return make


@pytest.mark.parametrize("library", LIBRARIES)
def test_double_letters_stay(make, library):
    logits = logits_of("all")
    assert make(library).search(normalized(logits)).text == "all"
    assert make(library, with_lm=False).search(normalized(logits)).text == "all"
    with tf.Session() as session:  # the default of TensorFlow's search merges them
        decoded, _ = tf.nn.ctc_beam_search_decoder(tf.constant(logits[:, np.newaxis]), [len(logits)], merge_repeated=True)
        assert VOCABULARY.decode(session.run(decoded[0]).values) == "al"


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("with_lm", [True, False])
def test_silence_stays_empty(make, library, with_lm):
    logits = np.random.RandomState(1).randn(30, BLANK + 1).astype(np.float32)
    logits[:, BLANK] += 7.0
    found = make(library, with_lm, alpha=2.0, beta=0.0).search(normalized(logits), with_characters=True)
    assert found.text == "" and found.characters == []
    assert found.score == found.acoustic_score == pytest.approx(normalized(logits)[:, BLANK].sum(), abs=0.2)
    assert make(library, with_lm).search(normalized(logits[:0])) == ("", 0.0, 0.0, None)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("score_sentence_end", [True, False])
def test_the_score_is_that_of_its_parts(make, lm, library, score_sentence_end):
    log_probabilities = normalized(logits_of("the cat sat"))
    found = make(library, alpha=0.7, beta=1.1, score_sentence_end=score_sentence_end).search(log_probabilities)
    model = load_kenlm(lm)
    # pyctcdecode knows only both ends of the sentence or none
    begins = score_sentence_end or library == COQUI
    language = 0.7 * LN_10 * model.score(found.text, bos=begins, eos=score_sentence_end) + 1.1 * 3
    assert found.text == "the cat sat"
    assert found.score == pytest.approx(found.acoustic_score + language, abs=1e-3)
    assert found.acoustic_score == pytest.approx(make(library, with_lm=False).search(log_probabilities).score, abs=0.05)


@pytest.mark.parametrize("library", LIBRARIES)
def test_spaces_at_the_ends_are_removed(make, library):
    assert make(library).search(normalized(logits_of("the cat "))).text == "the cat"
    assert make(library, with_lm=False).search(normalized(logits_of(" the cat "))).text == "the cat"


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_weight_is_not_no_language_model(make, library):
    log_probabilities = normalized(logits_of("the bat sat"))
    weightless, without = make(library, alpha=0.0, beta=0.0), make(library, with_lm=False)
    assert without.search(log_probabilities).text == "the bat sat"
    assert set(weightless.search(log_probabilities).text.split()) <= {"the", "cat", "sat", "all", "a"}


@pytest.mark.parametrize("library", LIBRARIES)
def test_characters_have_their_frames(make, library):
    log_probabilities = normalized(logits_of("the cat"))
    characters = make(library).search(log_probabilities, with_characters=True).characters
    assert [character.text for character in characters] == list("the cat")
    assert [(character.first_frame, character.end_frame) for character in characters] == [
        (1 + 3 * number, 2 + 3 * number) for number in range(7)]
    assert characters[0].log_probability == pytest.approx(log_probabilities[1, VOCABULARY.encode("t")[0]], abs=1e-5)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("rounded", [lambda logits: logits.astype(np.float16), lambda logits: np.round(logits, 2)],
                         ids=["float16", "decimals"])
def test_rounded_logits_have_nearly_the_same_score(make, library, rounded):
    """pyctcdecode takes rounded probabilities for logits; both searches get normalized log probabilities instead."""
    logits = logits_of("the cat sat")
    exact, found = (make(library).search(normalized(values)) for values in (logits, rounded(logits)))
    assert found.text == exact.text and found.score == pytest.approx(exact.score, abs=0.05)


def test_pruning_leaves_a_text(make):
    """With Coqui's own pruning the score is -3.4e38 here: no word begins with the characters that are left."""
    logits = logits_of("zzz zzz")
    found = make(COQUI, cutoff_prob=0.5, cutoff_top_n=1).search(normalized(logits))
    assert -1e4 < found.score <= make(COQUI, cutoff_prob=1.0).search(normalized(logits)).score + 1e-3


@pytest.mark.parametrize("library", [COQUI, PYCTCDECODE])
def test_searches_find_the_text_after_a_tag(library):
    if not is_installed(library):
        pytest.skip("%s is not installed" % library)
    vocabulary = Vocabulary([" ", "a", "b", "<ky>"])
    path = [3, 1, 1, 0, 2, 4]
    logits = np.log(0.02 + np.eye(5)[path])[np.newaxis]
    rows = GreedyDecoder(vocabulary).log_probabilities(logits, [len(path)])
    search = make_search(SearchSpec(vocabulary.characters, default_options(beam_width=16), library, None, None, False))
    assert search.search(rows[0], with_characters=True).text == "a b"
