"""Initializers and regularizers of a module's trainable variables; encoders and decoders share these parameters."""
import math

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Any, Callable, Dict, NamePath, Parameter, child_path, require_rules, shown

VARIABLE_PARAMETERS = (
    Parameter("initializer", Callable(), default=None,
              doc="class or function that creates the initializer of the weights; None: the model's, or else Glorot uniform"),
    Parameter("initializer_params", Dict(), default={}, doc="keyword arguments of the initializer"),
    Parameter("regularizer", Callable(), default=None,
              doc="class or function that creates the regularizer of the weights; None: the model's, or else none"),
    Parameter("regularizer_params", Dict(), default={}, doc="keyword arguments of the regularizer"),
    Parameter("dtype", Any(), ignored="the model's dtype applies to all its parts"),
)
_TRIAL_SHAPE = [2, 3]


def check_factories(params, path, report):
    """Reports an initializer or regularizer that does not take its params.

    Args:
      params: checked dict; keys of VARIABLE_PARAMETERS that it lacks are not checked.
      path: how to name it in messages.
      report: receives the problems, and a note on params without an initializer or regularizer.
    """
    for key in ("initializer", "regularizer"):
        arguments = params.get(key + "_params")
        if not isinstance(arguments, dict):
            continue
        where = child_path(path, key + "_params")
        if params.get(key) is None:
            if arguments:
                report.note(where, 'has no effect without "%s"' % key)
            continue
        invalid = [name for name, value in arguments.items() if isinstance(value, float) and not math.isfinite(value)]
        for name in invalid:
            report.problem(child_path(where, name), "is %s, expected a finite number" % arguments[name])
        if callable(params[key]) and not invalid:
            try:
                _try_factory(key, params[key], arguments)
            except (TypeError, ValueError, OverflowError) as error:
                report.problem(where, "is %s, which %s does not take: %s" % (
                    shown(arguments), getattr(params[key], "__name__", params[key]), str(error)[:300]))


def _try_factory(key, factory, arguments):
    """Creates an initializer or regularizer and applies those of TensorFlow and of this project, which check arguments late.

    A custom one is not applied, because it may accept only certain shapes.
    """
    # a temporary graph, because a custom function may create tensors
    with tf.Graph().as_default():
        created = factory(**arguments)
        if (getattr(factory, "__module__", None) or "").split(".")[0] in ("tensorflow", "tensorflow_core", "open_seq2seq"):
            created(_TRIAL_SHAPE if key == "initializer" else tf.zeros(_TRIAL_SHAPE))


def make_initializer(params):
    """The initializer that ``params`` describes, or None.

    Args:
      params: checked dict with ``initializer`` and ``initializer_params``.

    Raises:
      ConfigError: the initializer does not take its params.
    """
    return _make(params, "initializer")


def make_regularizer(params):
    """The regularizer that ``params`` describes, or None.

    Args:
      params: checked dict with ``regularizer`` and ``regularizer_params``.

    Raises:
      ConfigError: the regularizer does not take its params.
    """
    return _make(params, "regularizer")


def _make(params, key):
    if params[key] is None:
        return None
    own = {name: params[name] for name in (key, key + "_params")}
    require_rules(check_factories, own, NamePath(key))
    return own[key](**own[key + "_params"])
