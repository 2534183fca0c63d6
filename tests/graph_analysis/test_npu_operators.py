import json
import os

import pytest

from open_seq2seq.errors import DeviceError
from open_seq2seq.graph_analysis.npu_operators import (
    DEFAULT_OPP_PATH,
    built_in_operator_list,
    load_operator_list,
    operator_list_files,
)


def write_list(path, operators):
    os.makedirs(os.path.dirname(str(path)))
    path.write_text(json.dumps(operators))


@pytest.mark.shared
def test_the_built_in_list_is_the_public_one(adapter_facts):
    with open(os.path.join(adapter_facts, "npu_supported_ops.json")) as file:
        public = json.load(file)
    ours = built_in_operator_list()
    assert ours.supported == frozenset(public) and len(ours.supported) == 692
    assert ours.gray == frozenset(name for name, facts in public.items() if facts["isGray"]) and len(ours.gray) == 162


def test_the_list_of_the_operator_package_replaces_the_built_in_one(tmp_path):
    write_list(tmp_path / "framework" / "built-in" / "tensorflow" / "npu_supported_ops.json",
               {"Conv2D": {"isGray": False}, "Where": {"isGray": True}, "Broken": True})
    found = load_operator_list({"ASCEND_OPP_PATH": str(tmp_path)})
    assert found.supported == {"Conv2D", "Where"} and found.gray == {"Where"}
    assert found.source == str(tmp_path / "framework" / "built-in" / "tensorflow" / "npu_supported_ops.json")


def test_a_folder_built_in_changes_the_path_of_the_list(tmp_path):
    write_list(tmp_path / "framework" / "built-in" / "tensorflow" / "npu_supported_ops.json", {"Conv2D": {}})
    write_list(tmp_path / "built-in" / "framework" / "tensorflow" / "npu_supported_ops.json", {"MatMul": {}})
    assert load_operator_list({"ASCEND_OPP_PATH": str(tmp_path)}).supported == {"MatMul"}
    (tmp_path / "built-in" / "framework" / "tensorflow" / "npu_supported_ops.json").unlink()
    # no fallback to the old path: the adapter would offload nothing
    assert operator_list_files({"ASCEND_OPP_PATH": str(tmp_path)}) == []


def test_operators_of_vendors_are_added(tmp_path):
    write_list(tmp_path / "opp" / "built-in" / "framework" / "tensorflow" / "npu_supported_ops.json", {"MatMul": {}})
    write_list(tmp_path / "opp" / "vendors" / "mine" / "framework" / "tensorflow" / "npu_supported_ops.json", {"MyOp": {}})
    write_list(tmp_path / "custom" / "framework" / "tensorflow" / "npu_supported_ops.json", {"Other": {"isGray": True}})
    found = load_operator_list({"ASCEND_OPP_PATH": str(tmp_path / "opp"), "ASCEND_CUSTOM_OPP_PATH": str(tmp_path / "custom")})
    assert found.supported == {"MatMul", "MyOp", "Other"} and found.gray == {"Other"}


def test_without_a_package_the_built_in_list_is_used_and_named(tmp_path):
    found = load_operator_list({"ASCEND_OPP_PATH": str(tmp_path)})
    assert "built-in" in found.source and found.files == () and "FusedBatchNormV3" in found.supported
    if not os.path.isdir(DEFAULT_OPP_PATH):
        assert load_operator_list({}).files == ()


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_list_is_an_error(tmp_path, text):
    path = tmp_path / "framework" / "built-in" / "tensorflow" / "npu_supported_ops.json"
    write_list(path, {})
    path.write_text(text)
    with pytest.raises(DeviceError, match="install the operator package"):
        load_operator_list({"ASCEND_OPP_PATH": str(tmp_path)})
