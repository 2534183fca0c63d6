"""The search space: which keys of a config take which values, from a YAML file or a dict, or the default for small corpora."""
import collections
import numbers

from open_seq2seq.cli import closest
from open_seq2seq.config.report import shown
from open_seq2seq.errors import ConfigError

FIELDS = ("low", "high", "step", "log", "values")
EXPECTED = "expected {low: NUMBER, high: NUMBER}, perhaps with step: NUMBER or log: true, or {values: [A, B, ...]}"
RUN_LENGTHS = ("max_steps", "num_epochs")


class Dimension(collections.namedtuple("Dimension", "key low high step log values")):
    """The values of one key.

    Attributes:
      key: path in the config, e.g. ``lr_policy_params/learning_rate``.
      low, high: int or float, the smallest and the largest value; None with ``values``. Integers give integers.
      step: distance of two values; None: any value, or 1 for integers.
      log: whether the logarithm is searched uniformly.
      values: tuple of the values instead of a range; None with a range.
    """

    @property
    def is_whole(self):
        return isinstance(self.low, int) and isinstance(self.high, int) and isinstance(self.step or 1, int)

    def suggest(self, trial):
        """The value of an ``optuna`` trial, a new one if it has none yet."""
        if self.values is not None:
            # a choice is known by what a command line would have, because Optuna stores only scalars
            texts = [literal(value) for value in self.values]
            return self.values[texts.index(trial.suggest_categorical(self.key, texts))]
        if self.is_whole:
            return trial.suggest_int(self.key, self.low, self.high, step=self.step or 1, log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log)

    def stored(self, value):
        """A value as Optuna stores it."""
        return literal(value) if self.values is not None else value

    def nearest(self, value):
        """The value of this dimension nearest to a number."""
        if self.values is not None:
            numbers_of = [item for item in self.values if isinstance(item, numbers.Real)]
            return value if value in self.values else min(numbers_of, key=lambda item: abs(item - value), default=self.values[0])
        value = min(max(value, self.low), self.high)
        step = self.step or (1 if self.is_whole else None)
        if step is not None:
            value = self.low + round((value - self.low) / step) * step
            value = value if value <= self.high else value - step
        return int(value) if self.is_whole else round(float(value), 10)

    @property
    def ends(self):
        """The values that a check of the config tries."""
        return self.values if self.values is not None else (self.low, self.high)

    def plain(self):
        """The dimension as in a YAML file."""
        return {field: list(value) if field == "values" else value for field, value in self._asdict().items()
                if field != "key" and value not in (None, False)}


def literal(value):
    """A value as ``--key=value`` has it."""
    return value if isinstance(value, str) else "%.6g" % value if isinstance(value, float) else repr(value)


def read_space(given, params):
    """The dimensions of a search.

    Args:
      given: ``search_space`` of the config: a dict, the path of a YAML file, or None for the default space.
      params: the checked params of training, from which the default space is derived.

    Returns:
      List of :class:`Dimension`.

    Raises:
      ConfigError: it cannot be read, or a range is invalid.
    """
    if given is None:
        return default_space(params)
    name = "search_space"
    if isinstance(given, str):
        name, given = given, _from_yaml(given)
    if not isinstance(given, dict) or not given:
        raise ConfigError("%s: is %s, expected keys of the config and their ranges, e.g. max_steps: {low: 1000, high: 4000}" % (
            name, shown(given)))
    return [_dimension(name, key, value) for key, value in given.items()]


def _from_yaml(path):
    try:
        import yaml
    except ImportError:
        raise ConfigError("%s: reading a YAML file needs the package PyYAML. Install it with: bash scripts/setup.sh --decoding, "
                          "or write search_space as a dict in the config" % path)
    try:
        with open(path, encoding="utf-8") as file:
            return yaml.safe_load(file)
    except OSError as error:
        raise ConfigError("search_space: cannot read %s: %s" % (path, error.strerror))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError("search_space: %s is not a YAML file: %s" % (path, str(error).replace("\n", " ")))


def _dimension(name, key, value):
    where = "%s: %s" % (name, key)
    if not isinstance(key, str) or not isinstance(value, dict):
        raise ConfigError("%s is %s; %s" % (where, shown(value), EXPECTED))
    for field in value:
        if field not in FIELDS:
            close = closest(str(field), FIELDS)
            raise ConfigError("%s has %r, which is unknown%s; %s" % (
                where, field, "" if close is None else " (did you mean %s?)" % close, EXPECTED))
    if "values" in value:
        values = value["values"]
        if len(value) > 1 or not isinstance(values, list) or len({literal(item) for item in values}) < 2:
            raise ConfigError("%s: values is %s, expected a list of at least two different values, without low and high" % (
                where, shown(values)))
        return Dimension(key, None, None, None, False, tuple(values))
    numbers_of = [value.get(field) for field in ("low", "high", "step") if field in value]
    if not {"low", "high"} <= set(value) or not all(
            isinstance(number, numbers.Real) and not isinstance(number, bool) for number in numbers_of):
        raise ConfigError("%s is %s; %s%s" % (where, shown(value), EXPECTED, _about_exponents(numbers_of)))
    low, high, step, log = value["low"], value["high"], value.get("step"), value.get("log", False)
    if not low < high or not abs(low) < float("inf") > abs(high):
        raise ConfigError("%s: low is %s and high is %s, expected finite numbers, low below high" % (where, low, high))
    if step is not None and not 0 < step <= high - low:
        raise ConfigError("%s: step is %s, expected a number above 0 and at most %s, the width of the range" % (
            where, step, high - low))
    if not isinstance(log, bool) or log and (low <= 0 or step is not None):
        raise ConfigError("%s: log is %s; expected true or false, and with true a low above 0 and no step" % (where, shown(log)))
    if step is not None:
        # Optuna would change the range with a warning
        high = low + int((high - low) / step + 1e-9) * step
        high = int(high) if isinstance(low, int) and isinstance(step, int) else high
    return Dimension(key, low, high, step, log, None)


def _about_exponents(values):
    if any(isinstance(value, str) for value in values):
        return ". YAML reads 1e-3 as text: write 0.001 or 1.0e-3"
    return ""


def default_space(params):
    """The space for small corpora, around the config's values: depth, width, kernels, dropout, learning rate, length."""
    width = params["width_multiplier"]
    space = [Dimension("block_copies", 1, 3, None, False, None),
             Dimension("width_multiplier", round(0.5 * width, 6), round(1.25 * width, 6), round(0.125 * width, 6), False, None),
             Dimension("kernel_multiplier", 0.6, 1.4, 0.2, False, None),
             Dimension("dropout_multiplier", 0.0, 2.0, 0.25, False, None)]
    rate = params["lr_policy_params"].get("learning_rate")
    if rate:
        space.append(Dimension("lr_policy_params/learning_rate", float("%.3g" % (rate / 4.0)), float("%.3g" % (rate * 2.0)), None,
                               True, None))
    for key in RUN_LENGTHS:
        length = params.get(key)
        if length is not None and length >= 2:
            step = max(1, length // 4)
            low = max(1, length // 2)
            space.append(Dimension(key, low, low + (2 * length - low) // step * step, step, False, None))
    return space


def first_trials(space, params):
    """The values of the trials before Optuna's: the config's own, deeper and narrower networks, then wider ones.

    Returns:
      List of dicts of key -> value.
    """
    own = {dimension.key: dimension.nearest(value) for dimension, value in (
        (dimension, value_at(params, dimension.key)) for dimension in space) if value is not None}
    trials = [own] if len(own) == len(space) else []
    keys = {dimension.key: dimension for dimension in space}
    if trials and {"block_copies", "width_multiplier"} <= set(keys):
        width = own["width_multiplier"]
        for copies, factor in ((2, 0.75), (3, 0.5), (2, 1.0), (1, 1.25)):
            trials.append(dict(own, block_copies=keys["block_copies"].nearest(copies),
                               width_multiplier=keys["width_multiplier"].nearest(factor * width)))
    return [trial for place, trial in enumerate(trials) if trial not in trials[:place]]


def value_at(params, key):
    """The value of a path in params, None where there is none."""
    for part in key.split("/"):
        if isinstance(params, list) and part.isdigit() and int(part) < len(params):
            params = params[int(part)]
        elif isinstance(params, dict) and part in params:
            params = params[part]
        else:
            return None
    return params if not isinstance(params, (dict, list)) else None
