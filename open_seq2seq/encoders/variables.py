"""How a module's trainable variables begin and what keeps them small; encoders and decoders share these parameters."""
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Any, Callable, Dict, NamePath, Parameter, child_path, require_rules

VARIABLE_PARAMETERS = (
    Parameter("initializer", Callable(), default=None,
              doc="class or function that makes the initializer of the weights; None: the model's, or else Glorot uniform"),
    Parameter("initializer_params", Dict(), default={}, doc="keyword arguments of the initializer"),
    Parameter("regularizer", Callable(), default=None,
              doc="class or function that makes the regularizer of the weights; None: the model's, or else none"),
    Parameter("regularizer_params", Dict(), default={}, doc="keyword arguments of the regularizer"),
    Parameter("dtype", Any(), ignored="the model's dtype holds for all its parts"),
)


def check_factories(params, path, report):
    """Reports an initializer or regularizer that does not take its params.

    Args:
      params: checked dict; keys of VARIABLE_PARAMETERS that it lacks are not checked.
      path: how to name it in messages.
      report: receives the problems, and a note on params that belong to nothing.
    """
    for key in ("initializer", "regularizer"):
        arguments = params.get(key + "_params")
        if not isinstance(arguments, dict):
            continue
        where = child_path(path, key + "_params")
        if params.get(key) is None:
            if arguments:
                report.note(where, 'has no effect without "%s" beside it' % key)
        elif callable(params[key]):
            try:
                # a graph to throw away: a function of one's own may make tensors
                with tf.Graph().as_default():
                    params[key](**arguments)
            except (TypeError, ValueError) as error:
                report.problem(where, "is %r, which %s does not take: %s" % (
                    arguments, getattr(params[key], "__name__", params[key]), error))


def make_initializer(params):
    """The initializer that ``params`` describes, or None. Raises ConfigError if its arguments do not fit."""
    return _make(params, "initializer")


def make_regularizer(params):
    """The regularizer that ``params`` describes, or None. Raises ConfigError if its arguments do not fit."""
    return _make(params, "regularizer")


def _make(params, key):
    if params[key] is None:
        return None
    own = {name: params[name] for name in (key, key + "_params")}
    require_rules(check_factories, own, NamePath(key))
    return own[key](**own[key + "_params"])
