"""The options of the Ascend adapter: the keys of ``parameter_map`` of the optimizer ``NpuOptimizer``, and their values.

The adapter reads each option from one field of ``AttrValue`` and ignores values in other fields. It ignores unknown names without
a message and aborts the process for many wrong values. Therefore every single value is checked first, by the kinds of
``npu_option_kinds.py``; ``npu_option_checks.py`` checks combinations of options and rejects options that this trainer cannot use.

Source: the adapter's public source code of December 2023.
"""
import collections

from open_seq2seq.config.parameters import Bool, Choice, Int
from open_seq2seq.devices.npu_option_kinds import (
    AccelerationMode,
    Digits,
    DumpSteps,
    ExistingFile,
    ExistingFolder,
    Folder,
    InOutPairs,
    JsonText,
    MemorySize,
    Pattern,
    Text,
    Word,
)

Option = collections.namedtuple("Option", "name field kind default doc deprecated")
Option.__new__.__defaults__ = (None,)
Option.__doc__ = """One option of the adapter.

name: its key. field: of ``AttrValue``: "b" bool, "i" int, "s" bytes. kind: a config ``Kind``. default: the adapter's default,
None where it has none or the graph engine decides. doc: one line. deprecated: the option that replaces it, a phrase, or None.
"""

_SWITCH = Choice(0, 1)
_LARGEST = 2 ** 31 - 1  # the graph engine reads them as C++ int
_COUNT = Int(minimum=0, maximum=_LARGEST)
_MILLISECONDS = Int(minimum=-1, maximum=_LARGEST)
_TEXT = Text()

_PRECISION = (
    Option("precision_mode", "s", Word(
        "force_fp32", "allow_fp32_to_fp16", "force_fp16", "must_keep_origin_dtype", "allow_mix_precision",
        "cube_fp16in_fp32out", "allow_mix_precision_fp16", "allow_mix_precision_bf16", "allow_fp32_to_bf16"), None,
        "data type in which the graph engine computes; default here allow_mix_precision"),
    Option("precision_mode_v2", "s", Word("fp16", "origin", "cube_fp16in_fp32out", "mixed_float16", "mixed_bfloat16"), None,
           "newer form of precision_mode; give only one of them"),
    Option("modify_mixlist", "s", ExistingFile(json=True), None, "JSON file: exceptions for operators in mixed precision"),
    Option("customize_dtypes", "s", ExistingFile(), None, "file with the data types of single operators"),
    Option("op_precision_mode", "s", ExistingFile(), None, "ini file: precise or fast version of single operators"),
    Option("op_select_implmode", "s", Word("high_precision", "high_performance", "high_precision_for_all",
                                           "high_performance_for_all"), None,
           "precise or fast versions of operators", deprecated="op_precision_mode"),
    Option("optypelist_for_implmode", "s", _TEXT, None, "operator types that op_select_implmode is for",
           deprecated="op_precision_mode"),
    Option("deterministic", "i", _SWITCH, 0, "1: reproducible sums, in the same order in every run"),
)

_EXECUTION = (
    Option("use_off_line", "b", Bool(), True, "False: everything runs on the host"),
    Option("graph_run_mode", "i", _SWITCH, 1, "1 training, 0 inference; default here by the mode of the run"),
    Option("mix_compile_mode", "b", Bool(), False, "True: operators marked gray, e.g. CTCLoss, stay on the host"),
    Option("iterations_per_loop", "i", Int(minimum=1, maximum=_LARGEST), 1, "steps that the device runs without the host"),
    Option("enable_data_pre_proc", "b", Bool(), False, "True: the iterator becomes part of the offloaded graph",
           deprecated="nothing: the adapter feeds the device from the host"),
    Option("jit_compile", "s", Word("true", "false", "auto"), "auto", "whether every new shape is compiled separately"),
    Option("lower_functional_ops", "b", Bool(), False, "True: functional While and If are converted to data flow"),
    Option("is_tailing_optimization", "b", Bool(), False, "True: the last all-reduce overlaps with the next step"),
    Option("frozen_variable", "b", Bool(), False, "True: variables are compiled in as constants"),
    Option("variable_placement", "s", Word("Host", "Device"), "Device", "where variables live"),
    Option("variable_format_optimize", "b", Bool(), None, "variables in the format of the first operator that uses them",
           deprecated="nothing: the graph engine decides"),
    Option("external_weight", "b", Bool(), False, "True: weights in separate files"),
    Option("const_input", "s", _TEXT, None, "inputs that are constants"),
    Option("in_out_pair", "s", InOutPairs(), None, "input and output tensors of the offloaded part, [[['in'],['out']]]"),
    Option("in_out_pair_flag", "b", Bool(), True, "True: the part of in_out_pair is offloaded; False: everything else"),
    Option("job", "s", _TEXT, "localhost", "name of the job; ps and default disable the adapter"),
    Option("task_index", "i", _COUNT, 0, "number of the task in its job"),
    Option("session_device_id", "i", _COUNT, None,
           "logical device of the session only; the engine opens that of ASCEND_DEVICE_ID or DEVICE_ID"),
    Option("device_type", "s", _TEXT, "default_device_type", "kind of device"),
    Option("soc_config", "s", _TEXT, None, "version of the chip to compile for"),
    Option("experimental_accelerate_train_mode", "s", AccelerationMode(), None,
           "lower precision at the beginning of a training, up to a share of its steps, or down to a multiple of TARGET_LOSS"),
)

_SHAPES = (
    Option("dynamic_input", "b", Bool(), False, "True: input shapes change between steps", deprecated="jit_compile"),
    Option("dynamic_graph_execute_mode", "s", Word("lazy_recompile", "dynamic_execute"), "dynamic_execute",
           "how changing shapes are executed; with dynamic_input"),
    Option("dynamic_inputs_shape_range", "s", _TEXT, None, "range of changing shapes, getnext:[...]; with dynamic_input"),
    Option("input_shape", "s", Pattern(r"\w+:-?\d+(,-?\d+)*(;\w+:-?\d+(,-?\d+)*)*", "name:-1,20;name2:-1,5"), None,
           "input shapes, -1 where dynamic_dims gives the size"),
    Option("dynamic_dims", "s", Pattern(r"\d+(,\d+)*(;\d+(,\d+)*)*", "10,20;30,40"), None, "sizes that replace each -1"),
    Option("dynamic_node_type", "i", _SWITCH, None, "input_shape is of 0: IteratorGetNext, 1: placeholders"),
)

_COLLECTIVES = (
    Option("hcom_parallel", "b", Bool(), True, "True: the all-reduce overlaps with the backward pass"),
    Option("hcom_multi_mode", "b", Bool(), False, "True: several communication groups at the same time"),
    Option("HCCL_algorithm", "s", _TEXT, None, "algorithm of the all-reduce for each level"),
    Option("hccl_timeout", "i", _COUNT, None, "seconds that a collective operation waits for the other ranks"),
    Option("local_rank_id", "i", Int(minimum=0, maximum=7), None, "number of this process on its machine"),
    Option("local_device_list", "s", Pattern(r"\d+(,\d+)*", "1,2,3"), None, "devices of this machine that are used"),
    Option("enable_graph_parallel", "b", Bool(), False, "True: the graph is split over devices"),
    Option("graph_parallel_option_path", "s", ExistingFile(), None, "file that defines how the graph is split"),
    Option("es_cluster_config", "s", ExistingFile(), None, "file that describes a cluster for embedding tables"),
    Option("experimental_logical_device_cluster_deploy_mode", "s", _TEXT, "LB", "LB or SINGLE"),
    Option("experimental_logical_device_id", "s", _TEXT, None, "logical device to deploy on"),
    Option("experimental_model_deploy_mode", "s", _TEXT, None, "how a model is deployed"),
    Option("experimental_model_deploy_devicelist", "s", _TEXT, None, "where a model is deployed"),
)

_MEMORY = (
    Option("graph_memory_max_size", "s", MemorySize(), None, "bytes for activations, e.g. 26 * 1024 * 1024 * 1024"),
    Option("variable_memory_max_size", "s", MemorySize(), None, "bytes for variables"),
    Option("static_memory_policy", "i", _COUNT, 0, "whether memory is allocated as needed"),
    Option("memory_optimization_policy", "s", _TEXT, None, "e.g. MemoryPriority"),
    Option("atomic_clean_policy", "i", _SWITCH, 0, "1: memory of atomic operators is cleared separately"),
    Option("resource_config_path", "s", ExistingFile(), None, "file with the resources of the device"),
    Option("stream_max_parallel_num", "s", Pattern(r"\w+:\d+(,\w+:\d+)*", "DNN_VM_AICPU:10,AIcoreEngine:1"), None,
           "streams of each engine"),
    Option("ac_parallel_enable", "s", Digits("0", "1"), None, "1: AI CPU and AI core operators run in parallel"),
    Option("topo_sorting_mode", "i", _SWITCH, None, "0 breadth first, 1 depth first"),
)

_COMPILATION = (
    Option("buffer_optimize", "s", Word("l2_optimize", "off_optimize"), "l2_optimize", "keep tensors in the L2 buffer"),
    Option("enable_small_channel", "i", _SWITCH, 0, "1: convolutions of few channels are optimized; always in inference"),
    Option("fusion_switch_file", "s", ExistingFile(), None, "file that enables and disables fusions"),
    Option("enable_scope_fusion_passes", "s", _TEXT, None, "scope fusions to apply, separated by commas"),
    Option("enable_compress_weight", "b", Bool(), False, "True: weights are compressed"),
    Option("compress_weight_conf", "s", ExistingFile(), None, "file that lists the weights to compress"),
    Option("insert_op_file", "s", ExistingFile(), None, "file of preprocessing operators to insert"),
    Option("op_compiler_cache_mode", "s", Word("enable", "disable", "force"), None, "cache of compiled operators"),
    Option("op_compiler_cache_dir", "s", Folder(), None, "directory for compiled operators"),
    Option("graph_compiler_cache_dir", "s", Folder(), None, "directory for compiled graphs"),
    Option("graph_slice", "s", Word("auto", "manual"), None, "slicing of the graph"),
    Option("auto_tune_mode", "s", _TEXT, None, "tuning of operators, e.g. RL,GA; no effect with this adapter"),
    Option("aoe_mode", "s", Digits("1", "2", "4", "mdat"), None, "tuning: 1 graph, 2 operators, 4 gradient segmentation"),
    Option("aoe_config_file", "s", ExistingFile(), None, "file with the tuning settings; with aoe_mode"),
    Option("distribute_config", "s", _TEXT, None, "distributed tuning; with aoe_mode"),
    Option("work_path", "s", ExistingFolder(), "./", "working directory of the tuning; with aoe_mode"),
)

_DIAGNOSIS = (
    Option("enable_dump", "b", Bool(), False, "True: tensors are written to dump_path"),
    Option("enable_dump_debug", "b", Bool(), False, "True: tensors that overflow are written to dump_path"),
    Option("dump_path", "s", ExistingFolder(), None, "directory for dumps"),
    Option("dump_step", "s", DumpSteps(), None, "steps to dump, e.g. 0|5|10-20"),
    Option("dump_mode", "s", Word("input", "output", "all"), "output", "which tensors of an operator are dumped"),
    Option("dump_debug_mode", "s", Word("aicore_overflow", "atomic_overflow", "all"), "all", "which overflows are dumped"),
    Option("dump_data", "s", Word("tensor", "stats"), "tensor", "complete tensors or their statistics"),
    Option("dump_layer", "s", _TEXT, None, "operators to dump"),
    Option("enable_exception_dump", "i", Choice(0, 1, 2), 2, "dump of an operator that failed"),
    Option("profiling_mode", "b", Bool(), False, "True: profile the device"),
    Option("profiling_options", "s", JsonText(), None, "JSON text or dict: what to profile and where to write it"),
    Option("debug_dir", "s", Folder(), None, "directory for the files of operator compilation"),
    Option("op_debug_config", "s", ExistingFile(), None, "file: memory checks of operators"),
    Option("op_debug_level", "i", Int(minimum=0, maximum=4), None, "which files operator compilation keeps",
           deprecated="op_debug_config"),
    Option("op_wait_timeout", "i", _COUNT, None, "maximum seconds that an operator waits"),
    Option("op_execute_timeout", "i", _COUNT, None, "maximum seconds that an operator runs"),
    Option("graph_exec_timeout", "i", _MILLISECONDS, 600000, "maximum milliseconds that a graph runs; -1: no limit"),
    Option("stream_sync_timeout", "i", _MILLISECONDS, -1, "milliseconds to wait for a stream; -1: no limit"),
    Option("event_sync_timeout", "i", _MILLISECONDS, -1, "milliseconds to wait for an event; -1: no limit"),
)

OPTIONS = _PRECISION + _EXECUTION + _SHAPES + _COLLECTIVES + _MEMORY + _COMPILATION + _DIAGNOSIS
OPTION_BY_NAME = {option.name: option for option in OPTIONS}
