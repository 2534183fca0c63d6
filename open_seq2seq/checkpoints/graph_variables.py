"""Reads and sets the variables of a graph, always with the same fetches.

A device that compiles graphs compiles one for every set of fetches. So all variables are read by one set of fetches and set by
another one, whichever of them a caller needs.
"""
import numpy as np
import tensorflow.compat.v1 as tf

_COLLECTION = "graph_variables"


def graph_variables(graph=None):
    """The :class:`GraphVariables` of a graph, None for the default graph; the same object at each call."""
    graph = graph or tf.get_default_graph()
    known = graph.get_collection_ref(_COLLECTION)
    # a graph may still grow, e.g. by a second model
    if not known or not known[-1].is_complete():
        with graph.as_default():
            known[:] = [GraphVariables()]
    return known[-1]


class GraphVariables:
    """All global variables of the current graph."""

    def __init__(self):
        self._graph = tf.get_default_graph()
        self._variables = tf.global_variables()
        self.names = [variable.op.name for variable in self._variables]
        self._assignments = None

    def is_complete(self):
        """Whether these are all global variables of their graph."""
        return len(self._variables) == len(self._graph.get_collection_ref(tf.GraphKeys.GLOBAL_VARIABLES))

    def read(self, session, names=None, compiled=True):
        """Dict of variables' names -> copies of their values.

        Args:
          session: a session in which all variables are initialized.
          names: which to read; None for all.
          compiled: whether the device compiles a graph for every set of fetches; all variables are fetched then.
        """
        chosen = set(self.names if names is None else names)
        fetched = [(name, variable) for name, variable in zip(self.names, self._variables) if compiled or name in chosen]
        values = session.run([variable for _, variable in fetched])
        # a session on a CPU may return the memory of the variable itself, which the next step changes
        return {name: np.array(value) for (name, _), value in zip(fetched, values) if name in chosen}

    def assignments(self, values):
        """What a session runs to set variables.

        Args:
          values: dict of variables' names -> arrays.

        Returns:
          (list of operations, dict to feed). Where ``values`` has all variables, the operations are always the same.
        """
        if self._assignments is None:
            self._assignments = self._build_assignments()
        chosen = [(self._assignments[name], value) for name, value in values.items() if name in self._assignments]
        return [operation for (operation, _), _ in chosen], {placeholder: value for (_, placeholder), value in chosen}

    def _build_assignments(self):
        """Dict of names -> (operation, tensor to feed); the initializers are used again where they do not share a value."""
        assignments, used = {}, set()
        with self._graph.as_default(), tf.name_scope("set_variables"), tf.control_dependencies(None):
            for name, variable in zip(self.names, self._variables):
                initializer = variable.initializer
                value = initializer.inputs[1]
                if value in used:
                    value = tf.placeholder(variable.dtype.base_dtype, variable.shape)
                    initializer = tf.assign(variable, value).op
                used.add(value)
                assignments[name] = initializer, value
        return assignments

    def write(self, session, values):
        """Sets variables; those that ``values`` lacks keep theirs.

        Args:
          session: a session; if ``values`` lacks some variables, all of them have to be initialized.
          values: dict of variables' names -> arrays.
        """
        if not values:
            return
        if any(name not in values for name in self.names):
            values = dict(self.read(session), **values)
        operations, feed = self.assignments(values)
        session.run(operations, feed)
