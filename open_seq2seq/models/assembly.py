"""Puts together what a mode needs from its checked config: the data layer with the model's demands on it."""


def build_data_layer(params, mode, rejected_file=None):
    """Builds the data layer of a mode.

    Args:
      params: the checked config of the mode.
      mode: "train", "eval" or "infer".
      rejected_file: where to list the rows that were refused.

    Raises:
      DataError: see ``Speech2TextDataLayer``.
    """
    batch_size = params["batch_size_per_gpu"]
    if mode != "train" and params["eval_batch_size_per_gpu"] is not None:
        batch_size = params["eval_batch_size_per_gpu"]
    encoder, encoder_params = params["encoder"], params["encoder_params"]
    return params["data_layer"](
        params["data_layer_params"], mode, batch_size, seed=params["random_seed"], rejected_file=rejected_file,
        output_frames=lambda frames: encoder.output_frames(encoder_params, frames))
