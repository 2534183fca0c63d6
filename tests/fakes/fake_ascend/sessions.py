"""Wraps every session: one whose config names ``NpuOptimizer`` behaves as with the adapter; others are unchanged.

The real adapter works in TensorFlow's graph passes; here ``BaseSession``'s ``run``, ``_do_run``, ``make_callable`` and
``close`` are wrapped. ``tf.Session.__init__`` is unchanged here: ``npu_bridge.npu_init`` replaces it, as in the adapter.
"""
import atexit
import collections
import weakref

import tensorflow.compat.v1 as tf
from tensorflow.python.client import session as session_module

from fake_ascend import checks, collectives, engine, fatal, operator_list, process, reports, settings, standins, status_register
from fake_ascend.operator_list import STATUS_OPERATORS
from fake_ascend.options import HOST, npu_optimizer, read_options
from fake_ascend.partition import divide

_STATE = "_fake_ascend_state"
_originals = {}
_open_states = weakref.WeakSet()
_graph_numbers = [0]

Graph = collections.namedtuple("Graph", "partition entering unresolved number shapes builds")
Graph.__doc__ = """One set of fetches, compiled.

partition: a ``Partition``.
entering: tensors that enter the offloaded part.
unresolved: the tensors among them whose shapes are known only in a run.
number: of the graph, as in the log.
shapes: list of the distinct tuples of shapes that it was compiled for.
builds: list of one int, how many graphs the engine had to build for it: each GeOp is one.
"""


class State:
    """State of one session.

    Attributes:
      options: an ``Options``, or None for a session without the NPU.
      operators: the operator list; empty where nothing can be offloaded.
      graphs: {names of fetches and targets: Graph}.
      on_host_only: names of variables whose value is not on the device.
      last: Graph of the last run.
      engine: an ``Engine``.
    """

    def __init__(self, config):
        entry = npu_optimizer(config)
        self.options, self.operators = None, {}
        self.graphs, self.on_host_only, self.last = {}, set(), None
        self.engine = engine.Engine(config)
        if entry is None:
            return
        device = entry.parameter_map["session_device_id"].i if "session_device_id" in entry.parameter_map else None
        self.options = read_options(entry)
        process.initialize(device)
        if self.options.offload:
            self.operators = operator_list.read_operators()
            _open_states.add(self)

    @property
    def offloads(self):
        return self.options is not None and self.options.offload


def state_of(session):
    """The ``State`` of a session, read from its config at its first run."""
    state = getattr(session, _STATE, None)
    if state is None:
        state = State(session._config)
        setattr(session, _STATE, state)
    return state


def graphs(session):
    """List of every ``Graph`` that the session compiled for the device; graphs that are entirely on the host do not count."""
    return [graph for graph in state_of(session).graphs.values() if graph.builds[0]]


def compiled_shapes(session):
    """Number of distinct input shapes for which graphs were compiled, over all sets of fetches."""
    return sum(len(graph.shapes) for graph in graphs(session))


def _compile(state, fetches, targets, fed):
    """The ``Graph`` of a set of fetches, after the checks that do not depend on values."""
    # the runtime finds a prepared graph whatever the order
    key = (tuple(sorted({tensor.name for tensor in fetches})), tuple(sorted({operation.name for operation in targets})),
           tuple(sorted(tensor.name for tensor in fed)))
    if key in state.graphs:
        return state.graphs[key]
    partition = divide(fetches, targets, fed, state.operators, state.options or HOST)
    checks.check_kernels(partition)
    if partition.offloaded:
        checks.check_references(partition)
        unknown = checks.unknown_shape(partition, fed)
        if unknown is not None and settings.unknown_shapes_refused():
            raise tf.errors.InvalidArgumentError(
                None, unknown.op, "fake adapter: %s (%s) has the unknown shape %s in the offloaded part; a real device would "
                "compile this graph again for every shape (FAKE_ASCEND_UNKNOWN_SHAPES=allow permits it)"
                % (unknown.name, unknown.op.type, unknown.shape))
        _graph_numbers[0] += 1
    entering = checks.entering_tensors(partition, fed)
    fed_names = {tensor.name for tensor in fed}
    unresolved = [tensor for tensor in entering if tensor.dtype.base_dtype not in checks.WITHOUT_SHAPE
                  and tensor.name not in fed_names and not tensor.shape.is_fully_defined()
                  and tensor.op._control_flow_context is None]
    graph = Graph(partition, entering, unresolved, _graph_numbers[0], [], [0])
    state.graphs[key] = graph
    return graph


def _check_initialized(state, partition):
    """Raises an error if the device reads a variable that was assigned on the host."""
    assigned = checks.assigned_variables(partition)
    for name in checks.read_variables(partition):
        if name in state.on_host_only and name not in assigned:
            raise tf.errors.FailedPreconditionError(
                None, None, "Attempting to use uninitialized value %s (it was initialized on the host only: its initializer "
                "shared a run with an iterator's)" % name)


def _note_assigned(state, partition):
    for name, on_device in checks.assigned_variables(partition).items():
        (state.on_host_only.discard if on_device else state.on_host_only.add)(name)


def _note_shapes(state, graph, feed, values):
    """Counts compilations according to ``jit_compile``; too many shapes are an error."""
    known = {tensor.name: tuple(getattr(value, "shape", ())) for tensor, value in feed.items()}
    known.update((tensor.name, tuple(value.shape)) for tensor, value in zip(graph.unresolved, values))
    shape = tuple(known.get(tensor.name, str(tensor.shape)) for tensor in graph.entering)
    if graph.shapes and graph.shapes[-1] == shape:
        return
    changed = bool(graph.shapes)
    if shape in graph.shapes:
        graph.shapes.remove(shape)
    graph.shapes.append(shape)
    # with jit_compile "auto" and "false" the second build already has dynamic dimensions
    if not changed or state.options.jit_compile == "true" or graph.builds[0] < 2 * graph.partition.geops:
        graph.builds[0] += graph.partition.geops
    fatal.log("I", "kernels/geop_npu.cc:1303",
              "The model has been compiled on the Ascend AI processor, current graph id is: %d" % graph.number)
    if len(graph.shapes) > settings.most_shapes():
        raise tf.errors.ResourceExhaustedError(
            None, None, "fake adapter: %d distinct shapes of one graph, more than %d (FAKE_ASCEND_MOST_SHAPES): %s" % (
                len(graph.shapes), settings.most_shapes(), graph.shapes))


def _system_operations(partition):
    """Performs initialize_system and shutdown_system."""
    for operation in partition.operations:
        operator_type = standins.type_of(operation)
        if operator_type == "NPUInit":
            collectives.start()
        elif operator_type == "NPUShutdown":
            collectives.stop()


def _do_run(session, handle, target_list, fetch_list, feed_dict, options, run_metadata):
    state = state_of(session)
    if handle is not None or not (state.offloads or standins.has_standins(session.graph)):
        return _originals["_do_run"](session, handle, target_list, fetch_list, feed_dict, options, run_metadata)
    feed = {tensor.deref() if hasattr(tensor, "deref") else tensor: value for tensor, value in feed_dict.items()}
    graph = _compile(state, fetch_list, target_list, list(feed))
    state.last = graph
    partition = graph.partition
    for operation in partition.operations:
        if standins.type_of(operation).startswith("Hcom"):
            collectives.check_ready(standins.type_of(operation))
    _check_initialized(state, partition)
    if partition.offloaded:
        state.engine.before_run(graph, [fetch.name for fetch in list(fetch_list) + list(target_list)])
    _system_operations(partition)
    values = _originals["_do_run"](session, handle, target_list, list(fetch_list) + graph.unresolved, feed_dict, options,
                                   run_metadata)
    _note_assigned(state, partition)
    if partition.offloaded:
        if settings.overflow_outside_steps() and not any(
                standins.type_of(operation) in STATUS_OPERATORS for operation in partition.operations):
            status_register.set_overflow()
        _note_shapes(state, graph, feed, values[len(fetch_list):])
    return values[:len(fetch_list)]


def _run(session, fetches, feed_dict=None, options=None, run_metadata=None):
    values = _originals["run"](session, fetches, feed_dict, options, run_metadata)
    state = getattr(session, _STATE, None)
    if run_metadata is not None and state is not None and state.offloads and state.last is not None:
        reports.show_geops(run_metadata, state.last, state.operators, state.options)
    return values


def _make_callable(session, fetches, feed_list=None, accept_options=False):
    if not state_of(session).offloads:
        return _originals["make_callable"](session, fetches, feed_list, accept_options)

    def call(*values, **options):
        return session.run(fetches, dict(zip(feed_list or (), values)), **options)
    return call


def _finish(state):
    if state in _open_states:
        _open_states.discard(state)
        reports.write_check_result(state)
        reports.write_record(state)


def _close(session):
    _originals["close"](session)
    state = getattr(session, _STATE, None)
    if state is not None:
        _finish(state)


def install():
    """Wraps the sessions of this process; called by the import of npu_bridge. :func:`uninstall` undoes it."""
    if _originals:
        return
    base = session_module.BaseSession
    for name, wrapper in (("run", _run), ("_do_run", _do_run), ("make_callable", _make_callable), ("close", _close)):
        _originals[name] = getattr(base, name)
        setattr(base, name, wrapper)
    atexit.register(finish_all)


def finish_all():
    """Closes the remaining sessions at the end of the process."""
    for state in list(_open_states):
        _finish(state)


def uninstall():
    for name, original in _originals.items():
        setattr(session_module.BaseSession, name, original)
    _originals.clear()
    _open_states.clear()
