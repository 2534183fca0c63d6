"""The table of the adapter's options against the documented facts, and the check of single values."""
import os
import re

import pytest

from open_seq2seq.config.parameters import Bool, Choice, Int, NamePath, Report
from open_seq2seq.devices.npu_option_kinds import DumpSteps, ExistingFile, ExistingFolder, Folder, PathOption, Text, Word
from open_seq2seq.devices.npu_options import OPTION_BY_NAME, OPTIONS


def check(name, value):
    """(value to use, problems) of one option."""
    report = Report()
    return OPTION_BY_NAME[name].kind.check(value, NamePath("params").child(name), report), report.problems


def accepted(name, value):
    checked, problems = check(name, value)
    return not problems and checked is not None


def documented_options(folder):
    """{name: (field, default, accepted)} from the table of the adapter's facts."""
    with open(os.path.join(folder, "options.md"), encoding="utf-8") as file:
        text = file.read().replace("\\|", "\0")
    found = {}
    for line in text.splitlines():
        cells = [cell.strip().replace("\0", "|") for cell in line.strip().strip("|").split("|")]
        if re.fullmatch(r"`\w+`", cells[0]) and len(cells) >= 5:
            found[cells[0].strip("`")] = (cells[1], cells[3], cells[4])
    return found


@pytest.mark.shared
def test_the_table_has_every_option_in_its_field(adapter_facts):
    documented = documented_options(adapter_facts)
    assert len(documented) == 92
    assert {option.name: option.field for option in OPTIONS} == {name: facts[0] for name, facts in documented.items()}


@pytest.mark.shared
def test_the_table_accepts_what_is_documented(adapter_facts):
    for name, (field, _, values) in documented_options(adapter_facts).items():
        kind = OPTION_BY_NAME[name].kind
        if values == "bool":
            assert isinstance(kind, Bool), name
        elif re.fullmatch(r"(`\w+`, )+`\w+`", values):
            assert isinstance(kind, Choice) and sorted(kind.values) == sorted(re.findall(r"`(\w+)`", values)), name
        elif values.startswith("path"):
            assert isinstance(kind, PathOption), name
        elif values.startswith("existing"):
            assert isinstance(kind, ExistingFolder), name
        elif field == "i":
            assert accepted(name, 0) or accepted(name, 1), name
            numbers = re.match(r"int (0/1|0, 1, 2|0 \(.*\) or 1|\d\.\.\d|>= \d)", values)
            if numbers is not None:
                allowed = [int(number) for number in re.findall(r"\d", numbers.group(1))]
                assert accepted(name, allowed[0]) and accepted(name, allowed[-1]), name
                assert not accepted(name, min(allowed) - 1), name
                assert ">=" in values or not accepted(name, max(allowed) + 1), name
        else:
            assert isinstance(kind, (Text, Word, Choice)), name
            for example in re.findall(r"`([^`]+)`", values.split("regex")[0]):
                if not example.startswith(("str(", "localhost")) and "..." not in example:
                    assert accepted(name, example), (name, example)


@pytest.mark.shared
def test_the_tables_defaults_are_the_documented_ones(adapter_facts):
    for name, (field, default, _) in documented_options(adapter_facts).items():
        ours = OPTION_BY_NAME[name].default
        if default in ('""', "unset") or default.startswith(("env", "unset", "JSON")) or "(unset)" in default or default == "-1":
            assert ours in (None, -1), name
        else:
            word = default.split(" ")[0]
            assert ours == (word == "True" if field == "b" else int(word) if field == "i" else word), name


def test_every_option_is_documented():
    assert all(option.doc and "|" not in option.doc.replace("step|0.9", "").replace("loss|1.02", "").replace("0|5|10-20", "")
               for option in OPTIONS)
    assert {option.field for option in OPTIONS} == {"b", "i", "s"}
    assert all(isinstance(option.kind, Bool) == (option.field == "b") for option in OPTIONS)
    assert all(isinstance(option.kind, (Int, Choice)) for option in OPTIONS if option.field == "i")


@pytest.mark.parametrize("name,value,wrong", [
    ("precision_mode", "mixed", "expected one of 'force_fp32'"),
    ("precision_mode", "allow_mixed_precision", "did you mean 'allow_mix_precision'"),
    ("use_off_line", "false", "expected True or False"),
    ("graph_run_mode", 2, "expected one of 0, 1"),
    ("iterations_per_loop", 0, "at least 1"),
    ("iterations_per_loop", 2 ** 40, "at most 2147483647"),
    ("aoe_mode", "7", "expected one of '1', '2', '4', 'mdat'"),
    ("local_rank_id", 8, "at most 7"),
    ("local_device_list", "1;2", "a text like 1,2,3"),
    ("graph_run_mode", -1, "expected one of 0, 1"), ("deterministic", 3, "expected one of 0, 1"),
    ("enable_small_channel", 5, "expected one of 0, 1"), ("ac_parallel_enable", "2", "expected one of '0', '1'"),
    ("hccl_timeout", -1, "at least 0"),
    *[("experimental_accelerate_train_mode", mode, "expected fast|step|R with R from 0.2 to 0.9") for mode in (
        "fast|epoch|1", "step", "fast", "fast|step|", "fast|step|0.9|1", "slow|step|0.5", "FAST|step", "fast|step|0.19",
        "fast|step|0.91", "fast|step|1", "fast|step|half", "fast|step|nan", "fast|step|5e-1", "fast|step| 0.5", "fast|loss|1.0",
        "fast|loss|0.9", "fast|loss|1.51", "fast2|loss|1.1")],
    *[("in_out_pair", pairs, "expected pairs of input and output names") for pairs in (
        "a,b", "[]", "[[['a']]]", "[['a'],['b']]", "[[['a'],['b']]", [], ["a"], [[["a"], []]], [[["a"], ["b c"]]], [[["a"], [1]]],
        [[["a"], ["b"], ["c"]]])],
    ("dump_step", "5-", "steps and ranges of steps"), ("dump_step", "5-5", "5-5 does not begin before its end"),
    ("profiling_options", "on", "a JSON object"),
    ("graph_memory_max_size", "26 GB", "a number of bytes, or a product"),
    ("profiling_options", "output=/tmp", "a JSON object"),
    ("profiling_options", "[1]", "a JSON object"), ("profiling_options", 100000 * "[", "a JSON object"),
    ("dump_step", "0|a", "steps and ranges of steps"),
    ("dump_step", "0|9-3", "9-3 does not begin before its end"),
    ("dump_step", "|".join(map(str, range(101))), "at most 100"),
    ("dump_path", "", "expected the path of a directory"),
    ("soc_config", 1.5, "expected a text"),
    ("op_debug_level", "2", "expected an integer"),
])
def test_wrong_values(name, value, wrong):
    problems = check(name, value)[1]
    assert len(problems) == 1 and problems[0].startswith(name) and wrong in problems[0]


@pytest.mark.parametrize("name,value,used", [
    ("jit_compile", True, "true"), ("jit_compile", "auto", "auto"),  # what true means on a command line
    ("aoe_mode", 2, "2"), ("ac_parallel_enable", 1, "1"), ("local_device_list", 3, "3"), ("soc_config", 910, "910"),
    ("graph_memory_max_size", 26 * 2 ** 30, "27917287424"),
    ("graph_memory_max_size", "26 * 1024 * 1024 * 1024", "26 * 1024 * 1024 * 1024"),
    ("profiling_options", {"training_trace": "on", "output": "/tmp"}, '{"output": "/tmp", "training_trace": "on"}'),
    ("dump_step", "0|5|10-20", "0|5|10-20"), ("dump_step", "|".join(map(str, range(100))), "|".join(map(str, range(100)))),
    *[("experimental_accelerate_train_mode", mode, mode) for mode in (
        "fast|step", "fast|step|0.2", "fast1|step|0.9", "fast|loss", "fast|loss|1.01", "fast1|loss|1.5")],
    ("in_out_pair", [[["a"], ("b", "c:1")]], "[[['a'],['b','c:1']]]"), ("in_out_pair", "[[['a'], ['b']]]", "[[['a'], ['b']]]"),
    ("dynamic_node_type", 1, 1), ("hcom_parallel", False, False), ("stream_sync_timeout", -1, -1),
])
def test_values_are_converted_to_the_type_that_the_adapter_reads(name, value, used):
    assert check(name, value) == (used, [])
    assert type(check(name, value)[0]) is type(used)


def test_paths_are_checked_on_the_machine_with_the_device(tmp_path):
    text = tmp_path / "mixlist.json"
    text.write_text("{not JSON")
    assert "no such file" in ExistingFile().check_path(str(tmp_path / "absent"))
    assert "no such file" in ExistingFile().check_path(str(tmp_path))
    assert "not valid JSON" in ExistingFile(json=True).check_path(str(text))
    text.write_text(100000 * "[")
    assert "not valid JSON" in ExistingFile(json=True).check_path(str(text))
    assert ExistingFile().check_path(str(text)) is None
    assert "no such directory" in ExistingFolder().check_path(str(tmp_path / "absent"))
    assert "no such directory" in ExistingFolder().check_path(str(text))
    assert ExistingFolder().check_path(str(tmp_path)) is None
    assert Folder().check_path(str(tmp_path / "a" / "b")) is None
    assert "mixlist.json is not a directory" in Folder().check_path(str(text / "below"))


def test_a_dump_of_one_step():
    assert DumpSteps().check("7", NamePath("params"), Report()) == "7"
