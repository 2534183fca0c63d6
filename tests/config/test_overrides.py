import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_seq2seq.config.overrides import apply_override, parse_overrides, parse_value, prefer_typed_length, section_of, typed
from open_seq2seq.config.parameters import Dict, Either, List, NoLiteral, Parameter, Report, String, Struct, check_parameters
from open_seq2seq.config.provenance import KeyPath, Sources
from open_seq2seq.errors import UsageError

LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12)
KEYS = st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1, max_size=8)


def apply(params, *words):
    path, report = KeyPath(Sources("c.py")), Report()
    for override in parse_overrides(list(words)):
        apply_override(params, section_of(override)[1], override, path, report)
    return params, path, report


@given(LITERALS)
def test_every_literal_comes_back(value):
    assert parse_value(repr(value)) == value


@given(KEYS, LITERALS, st.booleans())
def test_a_key_and_its_value_survive_both_ways_of_writing_them(key, value, apart):
    words = ["--" + key, repr(value)] if apart else ["--%s=%r" % (key, value)]
    (override,) = parse_overrides(words)
    assert override.keys == (key,) and override.value == value


@given(st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1).filter(
    lambda word: word not in ("true", "false")))
def test_a_plain_word_is_a_string(word):
    assert parse_value(word) == word


@given(st.text() | st.text("([{'\"ab,+ \0"))
def test_nothing_is_evaluated_and_text_that_is_not_a_literal_is_kept(text):
    value = parse_value(text)
    if isinstance(value, NoLiteral):
        assert value == text and text[0] in "([{'\""


@pytest.mark.parametrize("text, value", [
    ("16", 16), ("1e-3", 0.001), ("-5", -5), ("True", True), ("true", True), ("FALSE", False), ("None", None),
    ("runs/first", "runs/first"), ("__import__('os')", "__import__('os')"), ("a.csv", "a.csv"), ("", "")])
def test_values(text, value):
    parsed = parse_value(text)
    assert parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize("text", ["(ForwardPass/a|b).*", "(my run)", "[ab]+", "{x", "'x"])
@pytest.mark.parametrize("old", [None, "runs"])
def test_a_string_can_begin_like_a_literal(text, old):
    params, _, _ = apply({"key": old}, "--key=" + text)
    report = Report()
    checked = check_parameters([Parameter("key", String(), default=None)], params, "params", report)
    assert checked == {"key": text} and type(checked["key"]) is str and not report.problems


@pytest.mark.parametrize("kind", [List(String()), Either(List(String()), String()), Dict(), Struct([])])
def test_a_list_without_quotes_is_refused_with_the_remedy(kind):
    params, path, report = apply({"files": "a.csv"}, "--files=[a.csv]")
    check_parameters([Parameter("files", kind)], params, path, report)
    (problem,) = report.problems
    assert problem.startswith("command line: --files is [a.csv], which is not a Python literal; expected a ")
    assert problem.endswith(""". Quote the strings inside, and the argument for the shell: --key="['a.csv', 'b.csv']\"""")


def test_a_key_without_a_value_means_true_and_a_negative_number_is_a_value():
    overrides = parse_overrides(["--finetune", "--larc_params/epsilon", "-0.5", "--use_horovod"])
    assert [(override.keys, override.value) for override in overrides] == [
        (("finetune",), True), (("larc_params", "epsilon"), -0.5), (("use_horovod",), True)]


@pytest.mark.parametrize("words, message", [
    (["batch=3"], "'batch=3' belongs to no flag"),
    (["--a//b=3"], "has an empty key"),
    (["--=3"], "has an empty key"),
    (["--"], "belongs to no flag"),
    (["-b=3"], "belongs to no flag"),
])
def test_arguments_that_are_not_overrides(words, message):
    with pytest.raises(UsageError, match=message):
        parse_overrides(words)


def test_the_last_value_takes_precedence_in_dicts_and_lists():
    params = {"batch": 1, "encoder_params": {"convnet_layers": [{"n": 1}, {"n": 2}], "pair": (1, 2)}}
    params, path, report = apply(
        params, "--batch=2", "--batch=3", "--encoder_params/convnet_layers/1/n=7", "--encoder_params/pair/0=9",
        "--new_params/x/y=1", "--train_params/z=4")
    assert params == {"batch": 3, "encoder_params": {"convnet_layers": [{"n": 1}, {"n": 7}], "pair": [9, 2]},
                      "new_params": {"x": {"y": 1}}, "z": 4}
    assert not report.problems
    assert str(path.child("encoder_params").child("convnet_layers").child(1).child("n")) == (
        "command line: --encoder_params/convnet_layers/1/n")
    assert str(path.child("z")) == "command line: --train_params/z"
    assert str(path.child("new_params").child("x")) == "command line: --new_params/x"
    assert str(path.child("encoder_params").child("convnet_layers").child(0).child("n")) == (
        'c.py: base_params["encoder_params"]["convnet_layers"][0]["n"]')


def test_a_value_for_a_string_in_the_config_is_a_string():
    params, _, _ = apply({"logdir": "runs", "steps": 3, "load_model": "x"}, "--logdir=2020", "--steps=7", "--load_model=None")
    assert params == {"logdir": "2020", "steps": 7, "load_model": None}


def test_a_key_without_a_value_is_not_a_string():
    params, _, _ = apply({"logdir": "runs", "name": "x"}, "--logdir", "--name='y z'")
    assert params == {"logdir": True, "name": "y z"}
    assert [typed(override) for override in parse_overrides(["--logdir", "--a/0/b", "3", "--c='d e'"])] == [
        "--logdir", "--a/0/b=3", "--c='d e'"]


def test_keys_that_lead_nowhere_are_problems():
    _, _, report = apply({"layers": [1], "name": "x"}, "--layers/3=1", "--layers/first=1", "--name/x=1")
    assert report.problems == [
        "command line: --layers/3 leads to item 3 of a list of 1; items count from 0",
        "command line: --layers/first leads to item first of a list of 1; items count from 0",
        "command line: --name/x leads into 'x', which is neither a dict nor a list"]


def test_sections():
    assert [section_of(override) for override in parse_overrides(["--train_params/a/b=1", "--a/b=1", "--train_params=1"])] == [
        ("train_params", ("a", "b")), (None, ("a", "b")), (None, ("train_params",))]


def test_a_length_on_the_command_line_replaces_the_one_in_the_config():
    path, report = KeyPath(Sources("c.py")), Report()
    params = {"num_epochs": 50, "max_steps": 3}
    prefer_typed_length(params, parse_overrides(["--max_steps=3"]), path, report)
    assert params == {"num_epochs": None, "max_steps": 3}
    assert report.notes == ['c.py: base_params["num_epochs"] has no effect: the command line says --max_steps=3']


def test_an_override_is_copied_for_each_mode():
    (override,) = parse_overrides(["--files=['a']"])
    first, second = {}, {}
    for params in (first, second):
        apply_override(params, override.keys, override, KeyPath(Sources("c.py")), Report())
    first["files"].append("b")
    assert second == {"files": ["a"]}
