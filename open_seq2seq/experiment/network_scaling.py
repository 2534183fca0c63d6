"""Another depth, width, kernel width and dropout of a config's network, by one number each.

A config keeps the blocks that its author wrote. What is built, described and written into the resolved config are the blocks
after ``block_copies``, ``width_multiplier``, ``kernel_multiplier`` and ``dropout_multiplier``.
"""
from open_seq2seq.config.parameters import child_path

MULTIPLE = 8  # channels are rounded to a multiple of it, half upwards, and are at least 8: the width of vector units
LARGEST_DROPOUT = 0.9
FACTORS = ("block_copies", "width_multiplier", "kernel_multiplier", "dropout_multiplier")


def scaled_channels(num_channels, multiplier):
    """Channels of a block times a multiplier, an int; a multiplier of 1 leaves them unchanged."""
    if multiplier == 1.0:
        return num_channels
    return max(MULTIPLE, int(num_channels * multiplier / MULTIPLE + 0.5) * MULTIPLE)


def scaled_kernel(width, multiplier):
    """The width of a kernel times a multiplier, an int: odd, and at least 3 unless the width is smaller."""
    if multiplier == 1.0 or width < 3:
        return width
    return max(3, 2 * int((width * multiplier - 1.0) / 2.0 + 0.5) + 1)


def scaled_keep_prob(keep, multiplier):
    """The probability of keeping a value if that of dropping it is multiplied; at most 0.9 are dropped."""
    return keep if multiplier == 1.0 else 1.0 - min((1.0 - keep) * multiplier, LARGEST_DROPOUT)


def copied_blocks(layers, copies):
    """The blocks with every residual block ``copies`` times in succession.

    Without residual blocks, it is every block that has a kernel wider than 1 and changes neither the number of frames nor that of
    the channels. A list of dicts; a block that is not copied is the same dict.
    """
    if copies == 1:
        return list(layers)
    residual = any(layer["residual"] for layer in layers)
    result, channels = [], None
    for layer in layers:
        plain = layer["kernel_size"][0] > 1 and layer["stride"][0] == 1 and layer["num_channels"] == channels
        result += [dict(layer) for _ in range(copies)] if (layer["residual"] if residual else plain) else [layer]
        channels = layer["num_channels"]
    return result


def scale_network(checked, path, report):
    """Changes the blocks of checked params in place.

    Args:
      checked: valid params of a mode, including those of the encoder.
      path: names the params.
      report: receives a problem if the encoder has no convnet_layers, or none that could be copied.
    """
    factors = {key: checked.get(key, 1) for key in FACTORS}
    given = [key for key, factor in factors.items() if factor != 1]
    if not given:
        return
    encoder = checked["encoder_params"]
    layers = encoder.get("convnet_layers")
    if not isinstance(layers, list):
        report.problem(child_path(path, given[0]), 'is %g, and the encoder has no "convnet_layers" that it could change; remove '
                       "it" % factors[given[0]])
        return
    # the params of a custom encoder may be unchecked
    checked_layers = all(isinstance(layer, dict) and "residual" in layer and "dropout_keep_prob" in layer for layer in layers)
    if factors["block_copies"] != 1 and checked_layers:
        copied = copied_blocks(layers, factors["block_copies"])
        if len(copied) == len(layers):
            report.problem(child_path(path, "block_copies"), "is %d, and the encoder has no block that could be copied: neither "
                           "a residual one nor one with the frames and channels of the block before it" % factors["block_copies"])
        encoder["convnet_layers"] = layers = copied
    for layer in (layer for layer in layers if isinstance(layer, dict) and isinstance(layer.get("num_channels"), int)):
        layer["num_channels"] = scaled_channels(layer["num_channels"], factors["width_multiplier"])
    if not checked_layers:
        return
    for layer in layers:
        layer["kernel_size"] = [scaled_kernel(width, factors["kernel_multiplier"]) for width in layer["kernel_size"]]
    for part in layers + [encoder]:
        if part.get("dropout_keep_prob") is not None:
            part["dropout_keep_prob"] = scaled_keep_prob(part["dropout_keep_prob"], factors["dropout_multiplier"])
