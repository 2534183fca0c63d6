"""What the models give to their parts: encoder, decoder and loss."""
import inspect


def with_defaults_of(params, part_params):
    """The params of a part, with the model's initializer and regularizer where the part has none."""
    merged = dict(part_params)
    for key in ("initializer", "regularizer"):
        if merged[key] is None:
            merged[key], merged[key + "_params"] = params[key], params[key + "_params"]
    return merged


def accepted(function, **arguments):
    """The keyword arguments that a function or class accepts."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind == parameter.VAR_KEYWORD for parameter in parameters.values()):
        return arguments
    return {name: value for name, value in arguments.items() if name in parameters}
