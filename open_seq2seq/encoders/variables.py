"""How a module's trainable variables begin and what keeps them small; encoders and decoders share these parameters."""
from open_seq2seq.config.parameters import Any, Callable, Dict, Parameter
from open_seq2seq.errors import ConfigError

VARIABLE_PARAMETERS = (
    Parameter("initializer", Callable(), default=None,
              doc="class or function that makes the initializer of the weights; None: the model's, or else Glorot uniform"),
    Parameter("initializer_params", Dict(), default={}, doc="keyword arguments of the initializer"),
    Parameter("regularizer", Callable(), default=None,
              doc="class or function that makes the regularizer of the weights; None: the model's, or else none"),
    Parameter("regularizer_params", Dict(), default={}, doc="keyword arguments of the regularizer"),
    Parameter("dtype", Any(), ignored="the model's dtype holds for all its parts"),
)


def make_initializer(params):
    """The initializer that ``params`` describes, or None. Raises ConfigError if its arguments do not fit."""
    return _make(params, "initializer")


def make_regularizer(params):
    """The regularizer that ``params`` describes, or None. Raises ConfigError if its arguments do not fit."""
    return _make(params, "regularizer")


def _make(params, key):
    if params[key] is None:
        return None
    try:
        return params[key](**params[key + "_params"])
    except (TypeError, ValueError) as error:
        raise ConfigError("%s %s does not take %s = %r: %s" % (
            key, getattr(params[key], "__name__", params[key]), key + "_params", params[key + "_params"], error))
