import pytest
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import NamePath, Report, check_parameters
from open_seq2seq.devices.npu_option_checks import (
    NpuParams,
    checked_npu_params,
    computes_in_float16,
    require_existing_paths,
    with_defaults,
    write_parameter_map,
)
from open_seq2seq.errors import ConfigError
from open_seq2seq.models.base_params import RUN


def check(**params):
    report = Report()
    return NpuParams().check(params, NamePath("npu_params"), report), report


def test_defaults():
    assert check()[0] == {"bucket_frames": None, "ctc_on_host": False}
    checked = check_parameters(RUN, {"batch_size_per_gpu": 1}, NamePath("base_params"), Report())
    assert checked["npu_params"] == {"bucket_frames": None, "ctc_on_host": False}


def test_options_that_are_none_are_dropped():
    assert check(precision_mode=None, dump_path=None)[0] == {"bucket_frames": None, "ctc_on_host": False}


def test_all_mistakes_are_reported_at_once():
    _, report = check(precision_mod="force_fp16", use_off_line="no", graph_run_mode=3, bucket_frames=[800, 400],
                      enable_dump=True, job="ps")
    assert len(report.problems) == 6
    text = "\n".join(report.problems)
    assert 'precision_mod is unknown (did you mean "precision_mode"?)' in text
    assert "use_off_line is 'no' (str), expected True or False" in text
    assert "graph_run_mode is 3 (int), expected one of 0, 1" in text
    assert "bucket_frames is [800, 400] (list), expected an ascending list of at most 4" in text
    assert "enable_dump needs dump_path" in text
    assert "job is 'ps', with which the adapter silently offloads nothing" in text


def test_options_that_are_not_a_dict():
    report = Report()
    NpuParams().check("force_fp32", NamePath("npu_params"), report)
    assert report.problems == ["npu_params is 'force_fp32' (str), expected a dict of the adapter's options"]


@pytest.mark.parametrize("params,problem", [
    (dict(precision_mode="force_fp32", precision_mode_v2="origin"), "and precision_mode are both given"),
    (dict(modify_mixlist="a.json", precision_mode="force_fp16"), "modify_mixlist needs mixed precision"),
    (dict(enable_compress_weight=True, compress_weight_conf="a.cfg"), "and enable_compress_weight are both given"),
    (dict(optypelist_for_implmode="Pooling"), "needs op_select_implmode"),
    (dict(in_out_pair="[[['a'],['b']]]"), "needs mix_compile_mode True"),
    (dict(enable_dump=True), "needs dump_path"),
    (dict(experimental_accelerate_train_mode="fast|step|0.9", precision_mode="allow_mix_precision"),
     "cannot be used with precision_mode 'allow_mix_precision', which is the precision of the rest of the training; the adapter "
     "accepts only allow_fp32_to_fp16 or must_keep_origin_dtype"),
    (dict(experimental_accelerate_train_mode="fast1|loss", precision_mode_v2="mixed_float16"), "adapter accepts only origin"),
    (dict(dynamic_input=True), "dynamic_input cannot be used: the graphs of this trainer have static shapes"),
    (dict(dynamic_inputs_shape_range="getnext:[1~10]"), "cannot be used"),
    (dict(iterations_per_loop=10), "the host chooses and feeds the bucket of each step"),
    (dict(job="default"), "set use_off_line to False"),
    (dict(bucket_frames=[100, 200, 300, 400, 500]), "at most 4"),
    (dict(bucket_frames=[400, 400]), "ascending list"),
    (dict(bucket_frames=[0, 400]), "bucket_frames[0] is 0 (int), expected an integer at least 1"),
])
def test_combinations_for_which_the_adapter_would_abort_are_errors(params, problem):
    report = check(**params)[1]
    assert len(report.problems) == 1, report.problems
    assert problem in report.problems[0]


def test_options_of_dynamic_sizes_need_each_other_and_contradict_the_buckets():
    problems = check(dynamic_dims="400;800", dynamic_node_type=0)[1].problems
    assert problems[0] == "dynamic_dims needs input_shape as well"
    assert [problem.split(" ")[0] for problem in problems[1:]] == ["dynamic_dims", "dynamic_node_type"]
    assert all("static shapes" in problem for problem in problems[1:])
    complete = check(input_shape="getnext:-1,64", dynamic_dims="400;800", dynamic_node_type=0)[1].problems
    assert len(complete) == 3 and all("static shapes" in problem for problem in complete)


@pytest.mark.parametrize("params", [
    dict(modify_mixlist="a.json"), dict(modify_mixlist="a.json", precision_mode_v2="mixed_float16"),
    dict(enable_compress_weight=False, compress_weight_conf="a.cfg"), dict(enable_dump=True, dump_path="/tmp"),
    dict(mix_compile_mode=True, in_out_pair="[[['a'],['b']]]"), dict(dynamic_input=False), dict(iterations_per_loop=1),
    dict(job="localhost"), dict(bucket_frames=[400, 800, 1200, 1680]), dict(bucket_frames=(1664,)),
])
def test_valid_combinations(params):
    checked, report = check(**params)
    assert report.problems == []
    assert all(checked[name] == (list(value) if isinstance(value, tuple) else value) for name, value in params.items())


def test_deprecated_options_and_options_without_effect_give_notes():
    notes = check(op_debug_level=1, dump_mode="all", profiling_options="{}", work_path="/tmp", auto_tune_mode="RL,GA")[1].notes
    assert sorted(notes) == [
        "auto_tune_mode has no effect: the adapter gives the graph engine an empty text. Tune with aoe_mode",
        "dump_mode has no effect without enable_dump or enable_dump_debug",
        "op_debug_level is deprecated by the adapter; replaced by op_debug_config",
        "profiling_options has no effect without profiling_mode",
        "work_path has no effect without aoe_mode"]


def test_a_run_completes_the_options():
    assert with_defaults(checked_npu_params({}), training=True) == {
        "use_off_line": True, "graph_run_mode": 1, "precision_mode": "allow_mix_precision"}
    assert with_defaults(checked_npu_params({}), training=False)["graph_run_mode"] == 0
    second = with_defaults(checked_npu_params({"precision_mode_v2": "mixed_float16", "op_debug_level": None}), training=True)
    assert second == {"use_off_line": True, "graph_run_mode": 1, "precision_mode_v2": "mixed_float16"}
    assert with_defaults(checked_npu_params({"precision_mode": "force_fp32"}), True)["precision_mode"] == "force_fp32"


def test_ctc_on_the_host_needs_mix_compile_mode():
    assert with_defaults(checked_npu_params({"ctc_on_host": True}), training=True)["mix_compile_mode"] is True
    assert "mix_compile_mode" not in with_defaults(checked_npu_params({}), training=True)
    assert "needs mix_compile_mode" in check(ctc_on_host=True, mix_compile_mode=False)[1].problems[0]


def test_training_in_inference_mode_is_an_error():
    with pytest.raises(ConfigError, match="graph_run_mode.* is 0 .inference., but this run trains"):
        with_defaults(checked_npu_params({"graph_run_mode": 0}), training=True)
    assert with_defaults(checked_npu_params({"graph_run_mode": 1}), training=False)["graph_run_mode"] == 1


def test_variables_of_a_training_are_on_the_device():
    params = checked_npu_params({"variable_placement": "Host"})
    with pytest.raises(ConfigError, match='variable_placement"] is "Host".*by reference. Remove it'):
        with_defaults(params, training=True)
    assert with_defaults(params, training=False)["variable_placement"] == "Host"
    assert with_defaults(checked_npu_params({"variable_placement": "Device"}), True)["variable_placement"] == "Device"


def test_an_accelerated_training_has_a_precision_that_the_adapter_can_change():
    params = checked_npu_params({"experimental_accelerate_train_mode": "fast|step"})
    assert with_defaults(params, training=True) == {
        "use_off_line": True, "graph_run_mode": 1, "precision_mode": "allow_fp32_to_fp16",
        "experimental_accelerate_train_mode": "fast|step"}
    # an evaluation has no steps
    assert with_defaults(params, training=False) == {
        "use_off_line": True, "graph_run_mode": 0, "precision_mode": "allow_fp32_to_fp16"}


def accelerated(mode, **params):
    return dict(params, experimental_accelerate_train_mode=mode)


@pytest.mark.parametrize("params,float16", [
    (accelerated("fast|step"), True), (accelerated("fast|loss|1.2", precision_mode="must_keep_origin_dtype"), True),
    (accelerated("fast|step", precision_mode_v2="origin"), True), (accelerated("fast1|step"), True),
    (accelerated("fast1|step", precision_mode="must_keep_origin_dtype"), False),
    (accelerated("fast1|step|0.5", precision_mode_v2="origin"), False),
    ({}, True), ({"precision_mode": "force_fp16"}, True), ({"precision_mode": "force_fp32"}, False),
    ({"precision_mode": "must_keep_origin_dtype"}, False), ({"precision_mode": "allow_mix_precision_bf16"}, False),
    ({"precision_mode_v2": "mixed_float16"}, True), ({"precision_mode_v2": "mixed_bfloat16"}, False),
    ({"precision_mode_v2": "origin"}, False), ({"precision_mode_v2": "cube_fp16in_fp32out"}, True),
])
def test_which_modes_compute_in_float16(params, float16):
    assert computes_in_float16(checked_npu_params(params)) is float16


def test_every_missing_path_is_named(tmp_path):
    with pytest.raises(ConfigError) as refused:
        require_existing_paths({"dump_path": str(tmp_path / "dumps"), "op_debug_config": str(tmp_path / "debug.cfg"),
                        "debug_dir": str(tmp_path)})
    assert str(refused.value).count("\n") == 1
    assert 'npu_params["dump_path"]' in str(refused.value) and 'npu_params["op_debug_config"]' in str(refused.value)


def test_values_go_into_the_field_that_the_adapter_reads():
    optimizer = tf.ConfigProto().graph_options.rewrite_options.custom_optimizers.add()
    write_parameter_map({"use_off_line": False, "graph_run_mode": 0, "precision_mode": "force_fp32", "hccl_timeout": 1800},
                        optimizer.parameter_map)
    fields = {name: (value.WhichOneof("value"), getattr(value, value.WhichOneof("value")))
              for name, value in optimizer.parameter_map.items()}
    assert fields == {"use_off_line": ("b", False), "graph_run_mode": ("i", 0), "precision_mode": ("s", b"force_fp32"),
                      "hccl_timeout": ("i", 1800)}
