"""Functions and classes selected by name: ``--lr_policy=poly_decay``, ``--encoder_params/activation_fn=relu``.

A config may use the same names instead of imports.
"""
import difflib
import importlib

import tensorflow.compat.v1 as tf

from open_seq2seq.config.contrib import STAND_INS
from open_seq2seq.config.parameters import Report, shown
from open_seq2seq.optimizers import lr_policies
from open_seq2seq.optimizers.catalogue import OPTIMIZERS

ACTIVATIONS = ("relu", "relu6", "elu", "selu", "leaky_relu", "tanh", "sigmoid", "softplus", "swish")
TENSORFLOW_INITIALIZERS = ("glorot_uniform_initializer", "glorot_normal_initializer", "truncated_normal_initializer",
                           "random_normal_initializer", "random_uniform_initializer", "variance_scaling_initializer")
PACKAGES = {"encoder": "encoders", "decoder": "decoders", "loss": "losses", "data_layer": "data"}


def names_of(parameter):
    """The names that a parameter accepts: dict name -> object; empty if it accepts none.

    Args:
      parameter: name of the parameter, e.g. "activation_fn".
    """
    if parameter == "activation_fn":
        return {name: getattr(tf.nn, name) for name in ACTIVATIONS}
    if parameter == "dtype":
        return {"float32": tf.float32, "float16": tf.float16}
    if parameter == "initializer":
        found = {name: getattr(tf, name) for name in TENSORFLOW_INITIALIZERS}
        found.update({name: value for name, value in STAND_INS["layers"].items() if name.startswith("xavier_initializer")})
        return found
    if parameter == "regularizer":
        return {name: value for name, value in STAND_INS["layers"].items() if name.endswith("_regularizer")}
    if parameter == "lr_policy":
        return {name: value for name, value in vars(lr_policies).items() if hasattr(value, "PARAMETERS")}
    if parameter == "optimizer":
        return OPTIMIZERS
    if parameter in PACKAGES:
        package = importlib.import_module("open_seq2seq." + PACKAGES[parameter])
        return {name: value for name, value in vars(package).items() if hasattr(value, "PARAMETERS")}
    return {}


def with_names_resolved(parameters, values, path, report):
    """``values`` with names replaced by the objects that they stand for.

    Args:
      parameters: the declared parameters of ``values``; a value that its parameter accepts as a string stays a string.
      values: a params dict; it is not changed.
      path: how to name it in messages.
      report: receives a problem for a string that is neither accepted nor a known name.

    Returns:
      (the values, the set of keys that have been reported).
    """
    resolved, reported = dict(values), set()
    for parameter in parameters:
        value = values.get(parameter.name)
        if not isinstance(value, str) or parameter.ignored is not None:
            continue
        names = names_of(parameter.name)
        if _accepts(parameter, value) and (not names or parameter.name == "dtype"):
            continue
        if value in names:
            resolved[parameter.name] = names[value]
        elif names:
            close = difflib.get_close_matches(value[:100], names, 1)
            report.problem(path.child(parameter.name), "is %s, expected %s, or one of the names %s%s" % (
                shown(value), parameter.kind.description, ", ".join(sorted(names)),
                " (did you mean %r?)" % close[0] if close else ""))
            reported.add(parameter.name)
            del resolved[parameter.name]
    return resolved, reported


def _accepts(parameter, value):
    trial = Report()
    parameter.kind.check(value, "", trial)
    return not trial.problems
