"""What a function accepts: as it declares, or, for somebody else's, as far as its signature tells."""
import inspect

from open_seq2seq.config.parameters import REQUIRED, Any, Parameter


def declares(*parameters):
    """Decorator that gives a function its ``PARAMETERS``."""
    def decorate(function):
        function.PARAMETERS = parameters
        return function
    return decorate


def parameters_from_signature(function, supplied):
    """Declares the keyword arguments of ``function`` as parameters of any kind.

    Args:
      function: a function or a class.
      supplied: names of the arguments that the trainer passes itself.

    Returns:
      A tuple of Parameter, or None if ``function`` takes ``**kwargs`` or cannot be inspected.
    """
    try:
        arguments = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(argument.kind is argument.VAR_KEYWORD for argument in arguments):
        return None
    return tuple(
        Parameter(argument.name, Any(), default=REQUIRED if argument.default is argument.empty else argument.default,
                  doc="argument of %s" % getattr(function, "__name__", function))
        for argument in arguments
        if argument.name not in supplied and argument.kind is not argument.VAR_POSITIONAL)
