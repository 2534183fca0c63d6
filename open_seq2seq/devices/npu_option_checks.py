"""Checks the config key ``npu_params``: options of the adapter (``npu_options.py``), two of this project, and their combinations.

The adapter aborts the process for most of these contradictions and ignores the others.
"""
from open_seq2seq.config.parameters import Bool, Int, NamePath, Parameter, Report, Struct, child_path
from open_seq2seq.devices.npu_option_kinds import AscendingList, PathOption
from open_seq2seq.devices.npu_options import OPTION_BY_NAME, OPTIONS
from open_seq2seq.errors import ConfigError

# each length needs a separate graph, which is compiled for minutes and kept in the device's memory
MOST_BUCKETS = 4

OWN_PARAMETERS = (
    Parameter("bucket_frames", AscendingList(Int(minimum=1), MOST_BUCKETS), default=None,
              doc="lengths in frames to which utterances are padded, each a compiled graph; None: from the manifest"),
    Parameter("ctc_on_host", Bool(), default=False, doc="compute the CTC loss on the host's CPU instead of the device"),
)
OWN_DEFAULTS = {parameter.name: parameter.default for parameter in OWN_PARAMETERS}

DEFAULT_PRECISION_MODE = "allow_mix_precision"
ACCELERATION = "experimental_accelerate_train_mode"
# the precisions that a training may have after it was accelerated, as the adapter checks them; the first is the default here
_AFTER_ACCELERATION = {"precision_mode": ("allow_fp32_to_fp16", "must_keep_origin_dtype"), "precision_mode_v2": ("origin",)}
_MIXED = {"precision_mode": (DEFAULT_PRECISION_MODE, "allow_mix_precision_fp16", "allow_mix_precision_bf16"),
          "precision_mode_v2": ("mixed_float16", "mixed_bfloat16")}
_WITHOUT_FLOAT16 = {"precision_mode": ("force_fp32", "must_keep_origin_dtype", "allow_mix_precision_bf16", "allow_fp32_to_bf16"),
                    "precision_mode_v2": ("origin", "mixed_bfloat16")}

_TOGETHER = ("input_shape", "dynamic_dims", "dynamic_node_type")
_DYNAMIC = ("dynamic_input", "dynamic_graph_execute_mode", "dynamic_inputs_shape_range") + _TOGETHER

# option: (the option without which it has no effect, the value that this option must have; None: any)
_ONLY_WITH = {
    "dump_debug_mode": ("enable_dump_debug", True), "profiling_options": ("profiling_mode", True),
    "aoe_config_file": ("aoe_mode", None), "distribute_config": ("aoe_mode", None), "work_path": ("aoe_mode", None),
    "in_out_pair_flag": ("in_out_pair", None), "graph_parallel_option_path": ("enable_graph_parallel", True)}


def _declared(option):
    doc = option.doc
    if option.deprecated is not None:
        doc += "; deprecated" + (", see %s" % option.deprecated if option.deprecated in OPTION_BY_NAME else "")
    if option.default is not None:
        doc += " (adapter: %s)" % option.default
    return Parameter(option.name, option.kind, default=None, doc=doc)


class NpuParams(Struct):
    """The dict ``npu_params``. The checked dict has this project's own keys and the adapter's options that were given."""

    description = "a dict of the adapter's options"

    def __init__(self):
        super().__init__(OWN_PARAMETERS + tuple(_declared(option) for option in OPTIONS))

    def check(self, value, path, report):
        checked = super().check(value, path, report)
        if not isinstance(value, dict):
            return checked
        checked = {key: setting for key, setting in checked.items() if setting is not None or key in OWN_DEFAULTS}
        _check_pairs(checked, path, report)
        _check_dump(checked, path, report)
        _check_shapes(checked, path, report)
        _check_trainer(checked, path, report)
        _check_without_effect(checked, path, report)
        return checked


def _check_pairs(params, path, report):
    if "precision_mode" in params and "precision_mode_v2" in params:
        report.problem(child_path(path, "precision_mode_v2"), "and precision_mode are both given; keep one of them")
    elif "modify_mixlist" in params and not _is_mixed(params):
        report.problem(child_path(path, "modify_mixlist"), "needs mixed precision: precision_mode one of %s, or "
                       "precision_mode_v2 one of %s" % tuple(", ".join(_MIXED[key]) for key in sorted(_MIXED)))
    if params.get("enable_compress_weight") is True and "compress_weight_conf" in params:
        report.problem(child_path(path, "compress_weight_conf"), "and enable_compress_weight are both given; the file "
                       "selects weights, the other option compresses all of them. Keep one of them")
    if ACCELERATION in params:
        for key, supported in _AFTER_ACCELERATION.items():
            if key in params and params[key] not in supported:
                report.problem(child_path(path, ACCELERATION), "cannot be used with %s %r, which is the precision of the rest of "
                               "the training; the adapter accepts only %s" % (key, params[key], " or ".join(supported)))
    if "optypelist_for_implmode" in params and "op_select_implmode" not in params:
        report.problem(child_path(path, "optypelist_for_implmode"), "needs op_select_implmode")
    if "in_out_pair" in params and params.get("mix_compile_mode") is not True:
        report.problem(child_path(path, "in_out_pair"), "needs mix_compile_mode True")
    if params.get("ctc_on_host") is True and params.get("mix_compile_mode") is False:
        report.problem(child_path(path, "ctc_on_host"), "needs mix_compile_mode, which is False: the adapter would offload "
                       "only the larger one of the graph's parts before and after the loss and silently leave the other on the "
                       "host. Remove mix_compile_mode")


def _check_dump(params, path, report):
    for name in ("enable_dump", "enable_dump_debug"):
        if params.get(name) is True and "dump_path" not in params:
            report.problem(child_path(path, name), "needs dump_path, an existing directory")
    if params.get("enable_dump") is not True and params.get("enable_dump_debug") is not True:
        for name in ("dump_path", "dump_step", "dump_mode", "dump_data", "dump_layer"):
            if name in params:
                report.note(child_path(path, name), "has no effect without enable_dump or enable_dump_debug")


def _check_shapes(params, path, report):
    """The adapter's options for changing shapes contradict the length buckets."""
    given, missing = [], []
    for name in _TOGETHER:
        (given if name in params else missing).append(name)
    if given and missing:
        report.problem(child_path(path, given[0]), "needs %s as well" % " and ".join(missing))
    for name in _DYNAMIC:
        if params.get(name, False) is not False:
            report.problem(child_path(path, name), "cannot be used: the graphs of this trainer have static shapes, one for each "
                           "length of bucket_frames. Remove it and set the lengths with bucket_frames")


def _check_trainer(params, path, report):
    """Options that the training loop does not support."""
    if params.get("job") in ("ps", "default"):
        report.problem(child_path(path, "job"), "is %r, with which the adapter silently offloads nothing; to run on the host set "
                       "use_off_line to False" % params["job"])
    loops = params.get("iterations_per_loop")
    if isinstance(loops, int) and loops > 1:
        report.problem(child_path(path, "iterations_per_loop"), "is %d, but the host chooses and feeds the bucket of each step; "
                       "expected 1" % loops)


def _check_without_effect(params, path, report):
    for name in params:
        if name in OPTION_BY_NAME and OPTION_BY_NAME[name].deprecated is not None:
            report.note(child_path(path, name), "is deprecated by the adapter; replaced by %s" % OPTION_BY_NAME[name].deprecated)
        other, required = _ONLY_WITH.get(name, (None, None))
        if other is not None and (params.get(other) != required if required is not None else other not in params):
            report.note(child_path(path, name), "has no effect without %s" % other)
    if "session_device_id" in params:
        report.note(child_path(path, "session_device_id"), "does not choose the device: the engine opens that of "
                    "ASCEND_DEVICE_ID or DEVICE_ID (0 without them). Set one of them, or --device_id of the scripts")
    if "auto_tune_mode" in params:
        report.note(child_path(path, "auto_tune_mode"), "has no effect: the adapter gives the graph engine an empty text. Tune "
                    "with aoe_mode")


def _is_mixed(params):
    if "precision_mode_v2" in params:
        return params["precision_mode_v2"] in _MIXED["precision_mode_v2"]
    return params.get("precision_mode", DEFAULT_PRECISION_MODE) in _MIXED["precision_mode"]


def precision_of(params):
    """(key, value) of the precision option in force for checked ``npu_params``: the given one, or this project's default."""
    if "precision_mode_v2" in params:
        return "precision_mode_v2", params["precision_mode_v2"]
    default = _AFTER_ACCELERATION["precision_mode"][0] if ACCELERATION in params else DEFAULT_PRECISION_MODE
    return "precision_mode", params.get("precision_mode", default)


def computes_in_float16(params):
    """Whether the device computes in float16, in any part of the run, with these checked ``npu_params``.

    float16 needs loss scaling.
    """
    if params.get(ACCELERATION, "").startswith("fast|"):
        return True
    key, precision = precision_of(params)
    return precision not in _WITHOUT_FLOAT16[key]


def with_defaults(params, training):
    """The adapter's options of a run: the given ones, and this project's defaults for the others.

    Args:
      params: checked ``npu_params``.
      training: False for evaluation and inference.

    Returns:
      dict of the adapter's options, without this project's own keys.

    Raises:
      ConfigError: the options contradict a training.
    """
    options = {"use_off_line": True, "graph_run_mode": 1 if training else 0}
    key, precision = precision_of(params)
    options[key] = precision
    if params.get("ctc_on_host"):
        # otherwise only one connected part of the graph would be offloaded, the forward pass or the backward pass
        options["mix_compile_mode"] = True
    # without a training there is nothing to accelerate, and no step that the adapter could read
    options.update((name, value) for name, value in params.items()
                   if name not in OWN_DEFAULTS and (training or name != ACCELERATION))
    if training and options.get("variable_placement") == "Host":
        raise ConfigError('npu_params["variable_placement"] is "Host", but this run trains: an operation of the device cannot '
                          "update a variable of the host, which it takes by reference. Remove it; the variables of a training "
                          "have to be on the device")
    if training and options["graph_run_mode"] == 0:
        raise ConfigError('npu_params["graph_run_mode"] is 0 (inference), but this run trains; remove it, the mode of the run '
                          "sets it")
    return options


def require_existing_paths(options):
    """Checks the files and directories that options name.

    Raises:
      ConfigError: lists all paths that are missing or that the adapter cannot use.
    """
    problems = []
    for name, value in sorted(options.items()):
        kind = OPTION_BY_NAME[name].kind
        fault = kind.check_path(value) if isinstance(kind, PathOption) else None
        if fault is not None:
            problems.append('npu_params["%s"] is %r, expected %s on this machine: %s' % (name, value, kind.description, fault))
    if problems:
        raise ConfigError("\n".join(problems))


def checked_npu_params(params):
    """Checks ``npu_params`` that are not part of a checked config.

    Raises:
      ConfigError: lists all mistakes.
    """
    report = Report()
    checked = NpuParams().check(params, NamePath("npu_params"), report)
    if report.problems:
        raise ConfigError("\n".join(report.problems))
    return checked


def write_parameter_map(options, parameter_map):
    """Writes options into the ``parameter_map`` of a custom optimizer, each into the field that the adapter reads."""
    for name, value in options.items():
        field = OPTION_BY_NAME[name].field
        setattr(parameter_map[name], field, value.encode("utf-8") if field == "s" else value)
