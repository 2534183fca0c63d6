"""Where each value of an experiment was written, so that a message can name the dict in which the user wrote it.

An experiment's params are ``base_params`` updated by, for example, ``train_params`` and by the command line. A value keeps
its origin through the merge; :class:`KeyPath` renders as
``configs/x.py: base_params["encoder_params"]["convnet_layers"][3]["num_chanels"]`` or as
``command line: --encoder_params/convnet_layers/3/num_chanels``.
"""
from open_seq2seq.config.report import child_path, key_text, shown

COMMAND_LINE = "command line"
DEEPEST = 50           # dicts and lists inside each other; public configs have at most 5
MOST_VALUES = 1000000  # in one dict of a config, with everything inside it


class Sources:
    """Maps the keys that lead to a value to the name of the dict in which the value was written.

    Args:
      config_file: the config's path as the user gave it.
    """

    def __init__(self, config_file):
        self.config_file = config_file
        self._written = {(): "base_params"}

    def record(self, keys, source):
        """Records that ``source`` wrote the value at ``keys``; earlier records of values inside it are dropped.

        Args:
          keys: the keys that lead to the value.
          source: name of a config's dict; for the command line "--" or, e.g., "--train_params/", which the keys complete, or the
            name of a flag.
        """
        keys = tuple(keys)
        for inner in [known for known in self._written if len(known) > len(keys) and known[:len(keys)] == keys]:
            del self._written[inner]
        self._written[keys] = source

    def source(self, keys):
        """Name of the dict that holds the value at ``keys``, or of the enclosing dict for a value that was not written."""
        keys = tuple(keys)
        while keys not in self._written:
            keys = keys[:-1]
        return self._written[keys]

    def __call__(self, keys):
        """How error messages name the value at ``keys``."""
        source = self.source(keys)
        if source.startswith("--") and not source.endswith(("--", "/")):
            return "%s: %s" % (COMMAND_LINE, source)
        if source.startswith("--"):
            return "%s: %s%s" % (COMMAND_LINE, source, "/".join(str(key) for key in keys))
        return "%s: %s%s" % (self.config_file, source, "".join(key_text(key) for key in keys))


class KeyPath:
    """The keys that lead to one value of a params dict; ``check_parameters`` extends it and messages show it."""

    def __init__(self, sources, keys=()):
        self.sources, self.keys = sources, tuple(keys)

    def child(self, key):
        """The path of a value inside this one."""
        return KeyPath(self.sources, self.keys + (key,))

    def __str__(self):
        return self.sources(self.keys)


def check_nesting(value, path, report):
    """Reports what cannot be copied, checked and saved: a dict or list that contains itself, deep nesting, too many values.

    Args:
      value: a dict as a config defines it.
      path: names it, e.g. "config.py: base_params".
      report: receives at most one problem.
    """
    stack, count = [(value, path, (id(value),))], 0
    while stack:
        container, where, around = stack.pop()
        for key, item in container.items() if isinstance(container, dict) else enumerate(container):
            count += 1
            if not isinstance(item, (dict, list, tuple)):
                continue
            inner = child_path(where, key)
            if id(item) in around:
                report.problem(inner, "is a %s that contains itself; expected a value that ends" % type(item).__name__)
                return
            if len(around) >= DEEPEST:
                report.problem(inner[:200] + "...", "is nested more than %d levels deep" % DEEPEST)
                return
            stack.append((item, inner, around + (id(item),)))
        if count > MOST_VALUES:
            report.problem(path, "has more than %d values; put long lists into a file, such as a manifest" % MOST_VALUES)
            return


def copied(value):
    """A copy of nested dicts and lists that shares the objects in them: functions, classes, TensorFlow objects."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    return value


def nested_update(params, update, source, path, report):
    """Merges ``update`` into ``params`` in place: dicts key by key, everything else replaced, as in OpenSeq2Seq.

    Args:
      params: the dict to change.
      update: dict whose values take precedence; it is not changed.
      source: name of the dict that ``update`` was written in, recorded in the path's :class:`Sources`.
      path: :class:`KeyPath` of ``params``.
      report: receives a problem where one side has a dict and the other has not.
    """
    for key, value in update.items():
        here = path.child(key)
        if isinstance(value, dict) and key in params:
            if isinstance(params[key], dict):
                nested_update(params[key], value, source, here, report)
                continue
            if params[key] is not None:
                report.problem(here, "is %s, but %s has a dict there; make both a dict or neither" % (
                    shown(params[key]), source))
                continue
        params[key] = copied(value)
        here.sources.record(here.keys, source)
