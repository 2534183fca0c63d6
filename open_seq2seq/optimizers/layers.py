"""The layer of a variable, derived from the variable's name."""
import collections
import re


def layer_of(name):
    """The layer of a variable: a convolution with its normalization is one layer, every residual branch another.

    Args:
      name: the variable's name without ":0", e.g. ForwardPass/w2l_encoder/conv22/res_bn_0/gamma.

    Returns:
      Its scope without those of the model and the encoder or decoder: conv11, conv22/res_0, fully_connected. A variable outside
      any scope is a layer by itself.
    """
    steps = name.split("/")
    scopes = steps[:-1] or steps
    # the scope of batch norm is inside, or next to, that of its convolution
    if scopes[-1] == "bn" and len(scopes) > 1:
        scopes = scopes[:-1]
    scopes = [re.sub("^res_bn", "res", scope) for scope in scopes]
    return "/".join(scopes[2:] or scopes[-1:])


def by_layer(variables):
    """Groups variables by layer.

    Args:
      variables: list of variables.

    Returns:
      OrderedDict from the names of layers, in the order of their first variables, to lists of positions in ``variables``.
    """
    layers = collections.OrderedDict()
    for position, variable in enumerate(variables):
        layers.setdefault(layer_of(variable.op.name), []).append(position)
    return layers
