from open_seq2seq.config.parameters import Report
from open_seq2seq.config.provenance import KeyPath, Sources, copied, nested_update


def merged(base, update):
    params, path, report = copied(base), KeyPath(Sources("c.py")), Report()
    nested_update(params, update, "train_params", path, report)
    return params, path, report


def test_dicts_merge_key_by_key_and_everything_else_is_replaced():
    params, _, report = merged({"a": 1, "d": {"x": [1, 2], "y": 2}, "n": None},
                               {"a": 5, "d": {"x": [3]}, "n": {"k": 1}, "e": {"f": 1}})
    assert params == {"a": 5, "d": {"x": [3], "y": 2}, "n": {"k": 1}, "e": {"f": 1}}
    assert not report.problems


def test_a_path_names_the_dict_in_which_the_value_was_written():
    _, path, _ = merged({"a": 1, "d": {"x": [1, 2], "y": 2}}, {"d": {"x": [{"k": 3}]}})
    d = path.child("d")
    assert str(d.child("x").child(0).child("k")) == 'c.py: train_params["d"]["x"][0]["k"]'
    assert str(d.child("y")) == 'c.py: base_params["d"]["y"]'
    assert str(d.child("missing")) == 'c.py: base_params["d"]["missing"]'


def test_sources_inside_a_replaced_value_are_dropped():
    sources = Sources("c.py")
    sources.record(("d", "x"), "train_params")
    sources.record(("d",), "eval_params")
    assert sources.source(("d", "x")) == "eval_params"
    assert sources.source(("e",)) == "base_params"


def test_a_dict_merged_with_another_type_is_a_problem():
    params, _, report = merged({"d": 3}, {"d": {"x": 1}})
    assert params == {"d": 3}
    assert report.problems == [
        'c.py: base_params["d"] is 3, but train_params has a dict there; make both a dict or neither']


def test_a_merge_does_not_change_the_dicts_of_the_config():
    base, update = {"d": {"x": [1]}}, {"e": {"y": [2]}}
    params, _, _ = merged(base, update)
    params["d"]["x"].append(9)
    params["e"]["y"].append(9)
    assert base == {"d": {"x": [1]}} and update == {"e": {"y": [2]}}


def test_a_copy_shares_functions_and_keeps_tuples():
    value = {"f": len, "t": (1, [2])}
    copy = copied(value)
    assert copy == value and copy["f"] is len and copy["t"][1] is not value["t"][1] and isinstance(copy["t"], tuple)
