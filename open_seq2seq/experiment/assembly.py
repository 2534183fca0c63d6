"""Builds the data layer of a mode and the settings of its model, from the checked config, the device and the process group."""
from open_seq2seq.data.speech2text.buckets import StaticShapes
from open_seq2seq.data.tasks import TaskData
from open_seq2seq.encoders import Execution
from open_seq2seq.encoders.fast_convolutions import FastConvolutions
from open_seq2seq.host_memory import total_bytes
from open_seq2seq.models.task_params import main_task


def build_data_layer(params, mode, device, group, rejected_file=None):
    """Builds the data layer of a mode.

    Args:
      params: the checked config of the mode.
      mode: "train", "eval" or "infer".
      device: a ``Device``; one with static shapes receives batches of a few fixed lengths.
      group: a ``ProcessGroup``, whose ranks share the data.
      rejected_file: path of the list of rejected rows, which only the first rank writes; None: no list.

    Returns:
      An instance of ``params["data_layer"]``.

    Raises:
      DataError: see ``Speech2TextDataLayer``.
    """
    batch_size = params["batch_size_per_gpu"]
    if mode != "train" and params["eval_batch_size_per_gpu"] is not None:
        batch_size = params["eval_batch_size_per_gpu"]
    encoder, encoder_params = params["encoder"], params["encoder_params"]
    tasks = {"tasks": tasks_of_data(params)} if params.get("tasks") else {}
    return params["data_layer"](
        params["data_layer_params"], mode, batch_size, seed=params["random_seed"], num_workers=group.size, worker_id=group.rank,
        rejected_file=rejected_file, output_frames=lambda frames: encoder.output_frames(encoder_params, frames),
        static_shapes=StaticShapes(params["npu_params"]["bucket_frames"]) if device.static_shapes else None,
        # statistics over all ranks include padding, so all ranks pad to the longest utterance of the global batch
        same_frames_on_all_workers=params["sync_batch_norm"], **tasks)


def tasks_of_data(params):
    """List of the ``TaskData`` of checked params, in the order of their tasks."""
    def frames_up_to(layer):
        encoder, encoder_params = params["encoder"], params["encoder_params"]
        if layer is not None:
            encoder_params = encoder.params_up_to(encoder_params, layer)
        return lambda frames: encoder.output_frames(encoder_params, frames)

    return [TaskData(name, task["data"], name == main_task(params), frames_up_to(task["layer"]))
            for name, task in params["tasks"].items()]


def execution_of(params, mode, device, group, data_layer=None):
    """The :class:`~open_seq2seq.encoders.interface.Execution` of a mode's model.

    Args:
      params: the checked config of the mode.
      mode: "train", "eval" or "infer".
      device: a ``Device``.
      group: a ``ProcessGroup``.
      data_layer: in training the data layer, whose durations help to choose fast convolutions; None if there is none.
    """
    dtype = device.compute_dtype(params["dtype"])
    if mode != "train":
        # no gradients are needed, and TensorFlow fuses a convolution only with a batch norm that follows it directly
        return Execution(False, dtype, host_scope=device.host_scope)
    together = params["sync_batch_norm"] and group.size > 1
    memory = total_bytes()
    if memory is not None:
        memory //= group.local_size  # the processes of a machine share it
    return Execution(device.fast_gradients, dtype, group.sum_in_step if together else None, device.host_scope,
                     params["random_seed"] if device.stateless_dropout else None,
                     mean_over_ranks=group.average if group.size > 1 else None,
                     fast_convolutions=FastConvolutions(params["fast_convolutions"], _typical_frames(params, data_layer),
                                                        memory),
                     recompute=params["recompute"] == "blocks")


def _typical_frames(params, data_layer):
    """Mean feature frames of an utterance; None where the data layer does not know the duration of its data."""
    if not getattr(data_layer, "total_duration", None):
        return None
    seconds = data_layer.total_duration / len(data_layer.utterances)
    return max(1, int(seconds / params["data_layer_params"].get("window_stride", 0.01)))
