"""Reads and checks the parameter map of NpuOptimizer in the same way as the adapter.

Ordinary errors are raised from ``Session.run``; errors that are LOG(FATAL) in the adapter abort the process.
If a value is in a different field from the one that the adapter reads, the default of that field is used, without a message.
"""
import collections
import os
import re

import tensorflow.compat.v1 as tf

from fake_ascend.fatal import abort, log

PRECISION_MODES = ["force_fp32", "allow_fp32_to_fp16", "force_fp16", "must_keep_origin_dtype", "allow_mix_precision",
                   "cube_fp16in_fp32out", "allow_mix_precision_fp16", "allow_mix_precision_bf16", "allow_fp32_to_bf16"]
PRECISION_MODES_V2 = ["fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16"]
MIXED = ("allow_mix_precision", "allow_mix_precision_fp16", "allow_mix_precision_bf16", "mixed_float16", "mixed_bfloat16")
IMPLEMENTATION_MODES = ["high_precision", "high_performance", "high_precision_for_all", "high_performance_for_all"]
PLACE = "util/npu_attrs.cc"

Options = collections.namedtuple("Options", "offload mix_compile jit_compile iterator_offloaded")
HOST = Options(False, False, "auto", False)  # of a session without the NPU


class _Map:
    """The parameter map, read in the same way as by the adapter."""

    def __init__(self, parameter_map):
        self._map = parameter_map

    def __contains__(self, key):
        return key in self._map

    def text(self, key, default=""):
        return tf.compat.as_str_any(self._map[key].s) if key in self._map else default

    def number(self, key, default=0):
        return self._map[key].i if key in self._map else default

    def flag(self, key, default=False):
        return self._map[key].b if key in self._map else default


def npu_optimizer(config):
    """The custom optimizer entry named exactly ``NpuOptimizer`` of a session's ConfigProto, or None."""
    if config is None:
        return None
    for entry in config.graph_options.rewrite_options.custom_optimizers:
        if entry.name == "NpuOptimizer":
            return entry
    return None


def read_options(entry):
    """Checks every option of ``entry`` and returns the ones that affect the fake."""
    given = _Map(entry.parameter_map)
    _check_modes(given)
    _check_dump(given)
    _check_precision(given)
    _check_dynamic(given)
    _check_rest(given)
    job = given.text("job", "localhost")
    return Options(given.flag("use_off_line", True) and job not in ("ps", "default"), given.flag("mix_compile_mode"),
                   given.text("jit_compile", "auto"), given.flag("enable_data_pre_proc"))


def _one_of(given, key, values, error=tf.errors.InvalidArgumentError):
    if key in given and given.text(key) not in values:
        raise error(None, None, "'%s' is invalid, it should be one of the list:[%s]" % (
            given.text(key), ", ".join("'%s'" % value for value in values)))


def _fatal_unless_one_of(given, key, values):
    if key in given and given.text(key) not in values:
        abort(PLACE, "%s should be one of the list:[%s]" % (key, ", ".join(values)))


def _check_modes(given):
    if given.number("iterations_per_loop", 1) < 1:
        abort(PLACE, "iterator_per_loop should be int and must >= 1")
    if given.number("task_index") < 0:
        abort(PLACE, "task_index should be int and must >= 0")
    if given.number("graph_run_mode", 1) > 1:
        abort(PLACE, "graph_run_mode value must be 0 or 1")
    if "session_device_id" in given and given.number("session_device_id") < 0:
        abort(PLACE, "session_device_id must be nonnegative integer.")
    if "local_rank_id" in given and not 0 <= given.number("local_rank_id") <= 7:
        abort(PLACE, "local rank id should be in [0,7]")
    if "local_device_list" in given and not re.match(r"^\d+(,\d+)*$", given.text("local_device_list")):
        abort(PLACE, "local_device_list style is invalid, example:'1,2,3'")
    if "enable_exception_dump" in given and given.number("enable_exception_dump") not in (0, 1, 2):
        raise tf.errors.InternalError(None, None, "enable_exception_dump should be one of 0, 1 and 2.")


def _check_dump(given):
    if not (given.flag("enable_dump") or given.flag("enable_dump_debug")):
        return
    path = given.text("dump_path")
    if not path:
        raise tf.errors.InternalError(None, None, "if use dump function, dump_path must be set.")
    _check_folder(path, tf.errors.InternalError)
    _fatal_unless_one_of(given, "dump_mode", ["input", "output", "all"])
    if given.flag("enable_dump_debug"):
        _fatal_unless_one_of(given, "dump_debug_mode", ["aicore_overflow", "atomic_overflow", "all"])
    if "dump_data" in given and given.text("dump_data") not in ("tensor", "stats"):
        raise tf.errors.InternalError(None, None, "dump_data should be 'tensor' or 'stats'.")
    _check_dump_steps(given.text("dump_step"))


def _check_dump_steps(text):
    if not text:
        return
    sets = text.split("|")
    if not all(re.match(r"^\d+(-\d+)?$", steps) for steps in sets):
        raise tf.errors.InternalError(None, None, "dump_step string style is error, correct example:'0|5|10|50-100'")
    if len(sets) > 100:
        raise tf.errors.InternalError(None, None, "dump_step only support dump <= 100 sets of data")
    for steps in sets:
        first, _, last = steps.partition("-")
        if last and int(first) >= int(last):
            raise tf.errors.InternalError(None, None, "the first step must less than second step in dump steps, "
                                          "correct example:'0|5|10|50-100'")


def _check_folder(path, error):
    if not os.path.lexists(path):
        raise error(None, None, "the path %s is invalid." % path)
    if not os.path.isdir(path):
        raise error(None, None, "the path %s is not directory." % path)
    if not os.access(path, os.R_OK | os.W_OK):
        raise error(None, None, "the path %s does't have read, write permissions." % path)


def _check_precision(given):
    _one_of(given, "precision_mode", PRECISION_MODES)
    _one_of(given, "precision_mode_v2", PRECISION_MODES_V2)
    if "precision_mode" in given and "precision_mode_v2" in given:
        raise tf.errors.InternalError(
            None, None, "'precision_mode' and 'precision_mode_v2' can not be assigned at the same time.")
    if given.text("modify_mixlist") and given.text("precision_mode") not in MIXED \
            and given.text("precision_mode_v2") not in MIXED:
        raise tf.errors.InternalError(
            None, None, "modify_mixlist is assigned, please ensure that precision_mode is assigned to 'allow_mix_precision' "
                        "or precision_mode_v2 is assigned to 'mixed_float16'")
    _fatal_unless_one_of(given, "op_select_implmode", IMPLEMENTATION_MODES)
    if given.text("optypelist_for_implmode") and not given.text("op_select_implmode"):
        abort(PLACE, "when use optypelist_for_implmode, op_select_implmode must be set.")


def _check_dynamic(given):
    if "jit_compile" in given:
        if not given.text("jit_compile"):
            raise tf.errors.InvalidArgumentError(
                None, None, "The data type of jit_compile is invalid. Expected string type.")
        _one_of(given, "jit_compile", ["true", "false", "auto"])
    if given.flag("dynamic_input"):
        log("W", PLACE, "The dynamic_input option is deprecated, use jit_compile")
        _fatal_unless_one_of(given, "dynamic_graph_execute_mode", ["lazy_recompile", "dynamic_execute"])
    together = [key for key in ("input_shape", "dynamic_dims", "dynamic_node_type") if key in given]
    if not together:
        return
    if len(together) < 3:
        abort(PLACE, "input_shape, dynamic_dims and dynamic_node_type should use together.")
    if not re.match(r"^\d+(,\d+)*(;\d+(,\d+)*)*$", given.text("dynamic_dims")):
        abort(PLACE, "dynamic_dims string style is invalid")
    if given.number("dynamic_node_type") not in (0, 1):
        abort(PLACE, "dynamic_node_type should be 0 or 1.")
    if given.flag("mix_compile_mode"):
        abort(PLACE, "dynamic config can not use with mix compile.")


def _check_rest(given):
    _fatal_unless_one_of(given, "buffer_optimize", ["l2_optimize", "off_optimize"])
    _fatal_unless_one_of(given, "variable_placement", ["Host", "Device"])
    if given.flag("enable_compress_weight") and given.text("compress_weight_conf"):
        abort(PLACE, "enable_compress_weight can not use with compress_weight_conf.")
    if given.text("in_out_pair") and not given.flag("mix_compile_mode"):
        raise tf.errors.InternalError(None, None, "mix_compile_mode must be True when use in_out_pair.")
    if "graph_slice" in given and given.text("graph_slice") not in ("auto", "manual"):
        raise tf.errors.InternalError(None, None, "graph_slice must be in ['auto', 'manual']")
    mode = given.text("aoe_mode") or os.environ.get("AOE_MODE", "")
    if mode and mode not in ("1", "2", "4", "mdat"):
        raise tf.errors.InternalError(None, None, "aoe mode:%s is invalid, aoe mode should be one of the list:"
                                      "['1', '2', '4', 'mdat']" % mode)
    if mode and given.text("work_path") and not os.access(given.text("work_path"), os.R_OK | os.W_OK):
        abort(PLACE, "work_path %s should be a directory with read and write permissions" % given.text("work_path"))
