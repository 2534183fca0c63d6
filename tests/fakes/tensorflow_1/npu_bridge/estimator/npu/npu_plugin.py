"""The device as a resource of the process."""
from fake_ascend import collectives, process


def npu_resource_init(graph_run_mode=1, op_debug_level=0, enable_profiling=False, profiling_options=None, auto_tune_mode=None,
                      precision_mode=None, enable_scope_fusion_passes=None, enable_exception_dump=0, mstune_mode=None,
                      work_path=None, op_compiler_cache_mode=None, op_compiler_cache_dir=None, debug_dir=None,
                      hcom_multi_mode=False):
    if graph_run_mode not in (0, 1):
        raise ValueError('"graph_run_mode" value must be 0 or 1')
    if enable_profiling and profiling_options is None:
        raise ValueError("profiling_options must be set when use profiling")
    process.initialize()


def npu_resource_shutdown():
    collectives.stop()


def npu_close():
    """Called by the adapter at the end of the process."""
    collectives.stop()


def set_device_sat_mode(mode):
    if mode not in (0, 1, 2):
        raise ValueError("mode %r: 0 saturates, 1 gives inf and nan, 2 does not change it" % (mode,))
    if mode == 1:
        raise NotImplementedError("the fake's status register knows saturation only, as an Ascend 910 does")
