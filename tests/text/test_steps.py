"""The normalization that a config chooses: the steps, their declaration, their mistakes."""
import importlib.util

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.text.steps import Changes, Emptied, Normalization, Refused, chosen, parameters
from open_seq2seq.text.vocabulary import Vocabulary

HAS_NUMBERS = importlib.util.find_spec("num2words") is not None
ENGLISH = Vocabulary(" abcdefghijklmnopqrstuvwxyz'")


def checked(steps=None, unknown="refuse"):
    """(checked params, problems)."""
    report = Report()
    values = {"normalization": steps, "unknown_characters": unknown}
    return check_parameters(parameters(), values, "data", report), report.problems


def normalization(steps=None, unknown="refuse", vocabulary=ENGLISH):
    params, problems = checked(steps, unknown)
    assert not problems
    return Normalization.of(params, vocabulary)


@pytest.mark.parametrize("steps, unknown, text, expected", [
    ([], "refuse", "As  It is\u2014", "As  It is\u2014"),
    (["lower"], "refuse", " As  It IS", "as it is"),
    ([{"lower": "tr"}], "refuse", "DI\u015e \u0130Z i\u0307yi", "d\u0131\u015f iz iyi"),
    # Latin and other Cyrillic letters in words of the language; not other words, and not Y, which may be two letters
    ([{"letters": "ky"}, {"lower": "ky"}], "refuse", "\u041a\u04e9\u043a K\u04e9k \u0436a\u04a3\u044b \u043a\u0259 "
     "\u0442\u0275\u0440\u0442 \u0436\u0430\u04ca\u044b Facebook cop Y\u0439",
     "\u043a\u04e9\u043a k\u04e9k \u0436\u0430\u04a3\u044b \u043a\u0259 \u0442\u04e9\u0440\u0442 \u0436\u0430\u04a3\u044b "
     "facebook cop y\u0439"),
    ([{"letters": "kk"}], "refuse", "\u0456\u0437 i\u0437 \u049b\u0259\u043b\u0430\u043c", "\u0456\u0437 \u0456\u0437 "
     "\u049b\u04d9\u043b\u0430\u043c"),
    ([{"letters": "tr"}, {"lower": "tr"}], "refuse", "ba\u0219ka I\u0219\u0131k i\u0307yi", "ba\u015fka \u0131\u015f\u0131k iyi"),
    (["nfkc"], "refuse", "\ufb01ve\u00a0\uff41\u2026", "five a..."),
    (["punctuation"], "refuse", "well-known: it\u2019s \u2018so\u2019 \u2014 dogs\u2019 & 5%", "well known it's so dogs & 5%"),
    ([{"punctuation": "remove"}], "refuse", "well-known, don't", "wellknown don't"),
    ([{"map": {"&": " and ", "e\u0301": "e", "x": ""}}], "refuse", "r&b caf\u00e9x", "r and b cafe"),
    ([], "drop", "caf\u00e9 5 a", "caf a"),
    ([], {"\u00e9": "e", "5": "five"}, "caf\u00e9 5 \u00ea", "cafe five \u00ea"),
    (["lower", {"map": {"\u0451": "\u0435"}}], "refuse", "\u0401\u043b\u043a\u0430", "\u0435\u043b\u043a\u0430"),
    ([{"map": {"\u0451": "\u0435"}}, "lower"], "refuse", "\u0401\u043b\u043a\u0430", "\u0435\u043b\u043a\u0430"),
])
def test_steps(steps, unknown, text, expected):
    assert normalization(steps, unknown).apply(text).text == expected


def test_all_steps_and_what_is_counted():
    pytest.importorskip("num2words")
    changes = Changes()
    steps = normalization(["nfkc", {"numbers": "en"}, "lower", "punctuation"], "drop")
    for text in ("It\u2019s \u201c21\u201d cats\u2026", "plain", "\u00e9 A"):
        changes.add(text, steps.apply(text))
    assert str(changes) == (
        "normalization changed 2 of 3 transcripts (nfkc 1, numbers 1, lower 2, punctuation 1, spaces 1, unknown_characters 1), "
        "e.g. "
        "'It\u2019s \u201c21\u201d cats\u2026' becomes \"it's twenty one cats\"; '\u00e9 A' becomes 'a'")
    with pytest.raises(Refused) as error:
        steps.apply("on the 1st")
    assert "'1st'" in str(error.value)


def test_the_vocabulary_decides_which_punctuation_stays():
    text = "rock'n'roll \u2014 well-known"
    for characters, expected in (("-", "rocknroll well-known"), ("'\u2014", "rock'n'roll \u2014 well known")):
        assert normalization(["punctuation"], vocabulary=Vocabulary(" " + characters)).apply(text).text == expected


@pytest.mark.parametrize("steps, unknown, text", [(["punctuation"], "refuse", "..."), ([], "drop", "123"),
                                                  ([{"map": {"a": ""}}], "refuse", "aaa")])
def test_nothing_left(steps, unknown, text):
    with pytest.raises(Emptied) as error:
        normalization(steps, unknown).apply(text)
    assert text in str(error.value)
    assert normalization(steps, unknown).apply("").text == ""


def test_a_map_from_a_file_becomes_part_of_the_config(tmp_path):
    path = tmp_path / "map.txt"
    path.write_text("\u00e9\te\n&\t and \nx\t\n", encoding="utf-8")
    expected = {"\u00e9": "e", "&": " and ", "x": ""}
    params, problems = checked([{"map": str(path)}], str(path))
    assert not problems and params == {"normalization": [{"map": expected}], "unknown_characters": expected}
    path.unlink()
    # the result is accepted again, e.g. from a run's resolved config
    assert checked(params["normalization"], params["unknown_characters"]) == (params, [])
    assert chosen(params) == params and chosen({"normalization": []}) == {} == chosen(checked()[0])


@pytest.mark.parametrize("steps, told", [
    (["lwoer"], ["[0]", "unknown", "lower"]), ("lower", ["['lower']"]), ([3], ["3", "list of steps"]),
    (7, ["7", "list of steps"]),
    (["lower", "nfkc"], ["lower, nfkc", "nfkc, lower"]), (["lower", "lower"], ["'lower'", "2 times"]),
    ([{"letters": "de"}], ["de", "ky"]), (["letters"], ["letters", "ky"]),
    ([{"lower": "de"}], ["de", "tr"]), ([{"punctuation": "x"}], ["x", "remove"]), ([{"nfkc": 1}], ["no option"]),
    (["numbers"], ["LANGUAGE"]), (["map"], ["CHARACTER"]), ([{"map": {}}], ["single characters"]),
    ([{"map": {"sch": "s"}}], ["'sch'", "3 characters", "single"]), ([{"map": {"a": 1}}], ['["a"]', "1", "text"]),
    ([{"map": {"\u00e9": "e", "e\u0301": "a"}}], ["twice", "E WITH ACUTE"]),
    ([{"map": {"a": "b", "b": "c"}}], ["'a'", "'b'", "'c'"]), (["lower", {"map": {"a": "B"}}], ["'a'", "'B'", "'b'"]),
    ([{"map": "missing.txt"}], ["missing.txt", "No such file", "tab"]),
    ([{"map": __file__}], ["test_steps.py:1", "tab"]),
])
def test_mistakes_in_the_steps(steps, told):
    problems = checked(steps)[1]
    assert problems and all(text in problems[0] for text in ["normalization"] + told), problems


@pytest.mark.parametrize("unknown, told", [("dorp", ["dorp", "not a file", '"drop"']), ({"ab": "c"}, ["'ab'", "single"]),
                                           (3, ["3"])])
def test_mistakes_in_unknown_characters(unknown, told):
    problems = checked(None, unknown)[1]
    assert problems and all(text in problems[0] for text in ["unknown_characters"] + told), problems


def test_a_language_that_cannot_be_read():
    pytest.importorskip("num2words")
    assert not checked([{"numbers": "ky"}])[1]
    problems = checked([{"numbers": "uz"}])[1]
    assert "'uz'" in problems[0] and " kz " in problems[0]


_CHARACTERS = st.one_of(st.sampled_from(
    "aB \u00c9e\u0301'\u2019-\u2014.,5\u00bd\u0130I\u03a3\ufb01\uff01\u00a0\u0451\u0401\u64ea%\u0345\u1e9e"),
                        st.characters(blacklist_categories=("Cs",)))
_STEPS = [["nfkc"], ["lower"], [{"lower": "tr"}], ["punctuation"], [{"punctuation": "remove"}],
          [{"map": {"\u0451": "\u0435", "%": " percent "}}]]
_LISTS = st.sampled_from([[], *_STEPS, ["nfkc", "lower", "punctuation"], _STEPS[5] + ["nfkc", "lower", {"punctuation": "remove"}]]
                         + [["nfkc", {"numbers": "en"}, "lower", "punctuation"]] * HAS_NUMBERS)


@settings(max_examples=400, deadline=None)
@given(_LISTS, st.sampled_from(["refuse", "drop", {"\u00e9": "e", "5": "five"}]), st.lists(_CHARACTERS, max_size=20))
def test_normalized_twice_is_normalized_once(steps, unknown, characters):
    steps = normalization(steps, unknown)
    try:
        once = steps.apply("".join(characters)).text
    except Refused:
        return
    assert steps.apply(once) == (once, [])
