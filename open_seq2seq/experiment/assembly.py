"""Puts together what a mode needs from its checked config, with what the device and the other processes ask for."""
from open_seq2seq.data.speech2text.buckets import StaticShapes
from open_seq2seq.encoders import Execution


def build_data_layer(params, mode, device, group, rejected_file=None):
    """Builds the data layer of a mode.

    Args:
      params: the checked config of the mode.
      mode: "train", "eval" or "infer".
      device: a ``Device``; one of static shapes gets batches of few lengths.
      group: a ``ProcessGroup``, whose ranks share the data.
      rejected_file: where to list the rows that were refused; only the first rank writes it.

    Raises:
      DataError: see ``Speech2TextDataLayer``.
    """
    batch_size = params["batch_size_per_gpu"]
    if mode != "train" and params["eval_batch_size_per_gpu"] is not None:
        batch_size = params["eval_batch_size_per_gpu"]
    encoder, encoder_params = params["encoder"], params["encoder_params"]
    return params["data_layer"](
        params["data_layer_params"], mode, batch_size, seed=params["random_seed"], num_workers=group.size, worker_id=group.rank,
        rejected_file=rejected_file, output_frames=lambda frames: encoder.output_frames(encoder_params, frames),
        static_shapes=StaticShapes(params["npu_params"]["bucket_frames"]) if device.static_shapes else None,
        # statistics over all ranks count padding, which has to be that of the whole batch
        same_frames_on_all_workers=params["sync_batch_norm"])


def execution_of(params, mode, device, group):
    """The :class:`~open_seq2seq.encoders.interface.Execution` of a mode's model.

    Args: as :func:`build_data_layer`.
    """
    dtype = device.compute_dtype(params["dtype"])
    if mode != "train":
        # nobody asks for gradients, and nothing may stand between a convolution and the batch norm that TensorFlow fuses it with
        return Execution(False, dtype, host_scope=device.host_scope)
    together = params["sync_batch_norm"] and group.size > 1
    return Execution(device.fast_gradients, dtype, group.sum if together else None, device.host_scope,
                     params["random_seed"] if device.stateless_dropout else None)
