"""Where each value of an experiment was written, so that a message can name the dict that its reader typed it in.

An experiment's params are ``base_params`` updated by, say, ``train_params`` and by the command line. A value keeps
its origin through the merge; :class:`KeyPath` renders as
``configs/x.py: base_params["encoder_params"]["convnet_layers"][3]["num_chanels"]`` or as
``command line: --encoder_params/convnet_layers/3/num_chanels``.
"""
COMMAND_LINE = "command line"


class Sources:
    """Maps the keys that lead to a value to the name of the dict in which the value was written.

    Args:
      config_file: the config's path as the user gave it.
    """

    def __init__(self, config_file):
        self.config_file = config_file
        self._written = {(): "base_params"}

    def record(self, keys, source):
        """``source`` wrote the whole value at ``keys``: what others wrote inside the old value is gone.

        Args:
          keys: the way to the value.
          source: name of a config's dict; for the command line "--" or, e.g., "--train_params/", to be followed by the keys, or
            a flag's name.
        """
        keys = tuple(keys)
        for inner in [known for known in self._written if len(known) > len(keys) and known[:len(keys)] == keys]:
            del self._written[inner]
        self._written[keys] = source

    def source(self, keys):
        """Name of the dict that holds the value at ``keys``, or, for one that nobody wrote, the dict around it."""
        keys = tuple(keys)
        while keys not in self._written:
            keys = keys[:-1]
        return self._written[keys]

    def __call__(self, keys):
        """What the error messages call the value at ``keys``."""
        source = self.source(keys)
        if source.startswith("--") and not source.endswith(("--", "/")):
            return "%s: %s" % (COMMAND_LINE, source)
        if source.startswith("--"):
            return "%s: %s%s" % (COMMAND_LINE, source, "/".join(str(key) for key in keys))
        steps = "".join("[%d]" % key if isinstance(key, int) else '["%s"]' % key for key in keys)
        return "%s: %s%s" % (self.config_file, source, steps)


class KeyPath:
    """The way to one value of a params dict, as ``check_parameters`` extends it and messages show it."""

    def __init__(self, sources, keys=()):
        self.sources, self.keys = sources, tuple(keys)

    def child(self, key):
        return KeyPath(self.sources, self.keys + (key,))

    def __str__(self):
        return self.sources(self.keys)


def copied(value):
    """A copy of nested dicts and lists that shares what they hold: functions, classes, TensorFlow objects."""
    if isinstance(value, dict):
        return {key: copied(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copied(item) for item in value)
    return value


def nested_update(params, update, source, path, report):
    """Merges ``update`` into ``params`` in place: dicts key by key, everything else replaced, as OpenSeq2Seq does.

    Args:
      params: the dict to change.
      update: dict whose values win; it is not changed.
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
                report.problem(here, "is %r, but %s has a dict there; make both a dict or neither" % (params[key], source))
                continue
        params[key] = copied(value)
        here.sources.record(here.keys, source)
