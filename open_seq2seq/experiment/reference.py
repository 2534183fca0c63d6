"""The reference of all parameters, from their declarations: ``--help_params``, and docs/parameters.md.

    python -m open_seq2seq.experiment.reference        writes docs/parameters.md
"""
import os

from open_seq2seq.config.parameters import REQUIRED, Either, List, Struct
from open_seq2seq.files import replaced_file

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs", "parameters.md")

_INTRODUCTION = """# Parameters

Every key that a config may have. Written by `python -m open_seq2seq.experiment.reference` from the declarations in the
code; do not edit. [configuration.md](configuration.md) tells how configs are loaded, merged and overridden.
"""


def sections(base_model=None, params=None):
    """What takes parameters: list of (title, declared parameters).

    Args:
      base_model: model class of a config, None for the standard one.
      params: the config's params, whose own classes are listed instead of the standard ones, or None.
    """
    from open_seq2seq.data import Speech2TextDataLayer
    from open_seq2seq.decoders import FullyConnectedCTCDecoder
    from open_seq2seq.encoders import TDNNEncoder
    from open_seq2seq.losses import CTCLoss
    from open_seq2seq.models import Speech2Text
    from open_seq2seq.optimizers import catalogue, larc, loss_scaling, lr_policies
    params = params or {}

    def declared(key, standard):
        owner = params.get(key) or standard
        return "`%s_params` of %s" % (key, owner.__name__), getattr(owner, "PARAMETERS", ())

    found = [("`base_params`", getattr(base_model or Speech2Text, "PARAMETERS", ())),
             declared("data_layer", Speech2TextDataLayer), declared("encoder", TDNNEncoder),
             declared("decoder", FullyConnectedCTCDecoder), declared("loss", CTCLoss)]
    optimizers = catalogue.OPTIMIZERS
    if params.get("optimizer") is not None:
        optimizers = {params["optimizer"].__name__: params["optimizer"]}
    found += [("`optimizer_params` of %s" % name, catalogue.parameters_of(optimizers[name]) or ())
              for name in sorted(optimizers)]
    policies = {name: value for name, value in vars(lr_policies).items() if hasattr(value, "PARAMETERS")}
    if params.get("lr_policy") is not None:
        policies = {params["lr_policy"].__name__: params["lr_policy"]}
    found += [("`lr_policy_params` of %s" % name, lr_policies.parameters_of(policies[name]) or ()) for name in sorted(policies)]
    found.append(("`larc_params`", larc.PARAMETERS))
    found += [("`loss_scaling_params` of %s" % name, algorithm.PARAMETERS)
              for name, algorithm in sorted(loss_scaling.ALGORITHMS.items())]
    return found


def _with_nested(title, parameters):
    """The section, then one for each dict with declared keys inside it."""
    yield title, parameters
    for parameter in parameters:
        nested = _nested_parameters(parameter.kind)
        if nested is not None and parameter.ignored is None:
            yield from _with_nested("`%s` in %s" % (parameter.name, title), nested)


def _nested_parameters(kind):
    for inner in (kind.kinds if isinstance(kind, Either) else (kind,)):
        while isinstance(inner, List):
            inner = inner.item
        if isinstance(inner, Struct):
            return inner.parameters
    return None


def _default(parameter):
    if parameter.default is REQUIRED:
        return "required"
    # a data type's repr differs between versions of TensorFlow
    return getattr(parameter.default, "name", None) or repr(parameter.default)


def _effect(parameter):
    if parameter.replaced_by is not None:
        return "older spelling of %s" % parameter.replaced_by
    return parameter.doc


def as_markdown():
    """The text of docs/parameters.md."""
    lines = [_INTRODUCTION]
    for title, parameters in _all(sections()):
        lines += ["## %s" % title, ""]
        effective = [parameter for parameter in parameters if parameter.ignored is None]
        if effective:
            lines += ["| key | value | default | |", "|---|---|---|---|"]
        for parameter in effective:
            lines.append("| `%s` | %s | `%s` | %s |" % tuple(
                text.replace("|", "\\|") for text in (
                    parameter.name, parameter.kind.description, _default(parameter), _effect(parameter))))
        by_reason = {}
        for parameter in parameters:
            if parameter.ignored is not None:
                by_reason.setdefault(parameter.ignored, []).append("`%s`" % parameter.name)
        for reason, names in by_reason.items():
            lines += ["", "Accepted without effect: %s (%s)." % (", ".join(names), reason)]
        if not parameters:
            lines.append("No parameters.")
        lines.append("")
    return "\n".join(lines)


def as_text(found):
    """``found`` sections for a terminal."""
    lines = []
    for title, parameters in _all(found):
        lines += ["", title.replace("`", "")]
        for parameter in parameters:
            if parameter.ignored is not None:
                lines.append("  %s: accepted without effect: %s" % (parameter.name, parameter.ignored))
            else:
                lines.append("  %s: %s, default %s. %s" % (
                    parameter.name, parameter.kind.description, _default(parameter), _effect(parameter)))
    return "\n".join(lines)


def _all(found):
    return [nested for title, parameters in found for nested in _with_nested(title, parameters)]


def reference_of_config(config_file=None):
    """What the keys of a config mean, as text.

    Args:
      config_file: the config, whose own classes are listed; None lists all that come with the project.

    Raises:
      ConfigError: the config cannot be loaded.
    """
    if config_file is None:
        return as_text(sections())
    from open_seq2seq.experiment.loading import load_experiment
    experiment = load_experiment(config_file, "describe")
    return as_text(sections(experiment.base_model, experiment.params["describe"]))


if __name__ == "__main__":
    with replaced_file(PAGE) as page:
        page.write(as_markdown())
    print("Wrote %s" % PAGE)
