"""Whether a command gives the ``width_multiplier`` that a checkpoint was trained with."""
from open_seq2seq.errors import UsageError
from open_seq2seq.training.checkpoints.description import resolved_config_of


def require_trained_width(params, checkpoint):
    """Refuses a network that is wider or narrower than the checkpoint's because of another ``width_multiplier``.

    Args:
      params: the checked config of a mode.
      checkpoint: path without extension. One that does not say how it was trained is left to the check of shapes.

    Raises:
      UsageError: the multiplier is another, and so are the channels.
    """
    try:
        trained = next(iter(resolved_config_of(checkpoint)[0]["params"].values()))
        multiplier, before = trained["width_multiplier"], _channels(trained)
        now = _channels(params)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, StopIteration):
        return
    if multiplier != params["width_multiplier"] and before != now:
        raise UsageError("checkpoint %s was trained with width_multiplier %g, and this command has %g: the layers have %s "
                         "channels there and %s here. Give --width_multiplier=%g" % (
                             checkpoint, multiplier, params["width_multiplier"], _listed(before), _listed(now), multiplier))


def _channels(params):
    return [layer["num_channels"] for layer in params["encoder_params"]["convnet_layers"]]


def _listed(channels):
    return ", ".join(map(str, channels))
