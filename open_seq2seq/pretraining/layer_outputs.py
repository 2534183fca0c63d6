"""The outputs of a layer of a trained encoder, for ``--mode=features --layer=NAME``.

Only the encoder is built, so checkpoints of transcription and of pre-training are read in the same way.
"""
import contextlib
import hashlib
import tempfile

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.checkpoints.description import note_on_features
from open_seq2seq.checkpoints.graph_variables import graph_variables
from open_seq2seq.checkpoints.restore import describe_restore, read_values
from open_seq2seq.data.fairseq_files.feature_shards import FeatureDescription
from open_seq2seq.data.rejection import Rejections
from open_seq2seq.data.speech2text.buckets import StaticShapes
from open_seq2seq.data.speech2text.dataset import Batch
from open_seq2seq.data.speech2text.feature_graph import make_feature_function
from open_seq2seq.data.speech2text.selection import select_utterances
from open_seq2seq.data.speech2text.speech2text import Speech2TextDataLayer
from open_seq2seq.data.speech2text.stored_features import input_width
from open_seq2seq.data.speech2text.utterance_set import UtteranceSet
from open_seq2seq.devices.session import open_session
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.experiment.assembly import execution_of
from open_seq2seq.files import checksum_of
from open_seq2seq.log_lines import log_line
from open_seq2seq.models.distillation import LOGITS, description_of_logits
from open_seq2seq.models.speech2text import SCOPE, Speech2Text
from open_seq2seq.models.task_params import config_of_task
from open_seq2seq.pretraining.features import digest_of, splits_of, write_splits
from open_seq2seq.text.vocabulary import Vocabulary

_WRITTEN_UTTERANCES = 64
_PROBED_FRAMES = 1 << 16  # to measure a layer's stride
_NO_LIMITS = dict.fromkeys(("max_duration", "min_duration", "max_feature_length", "max_label_length"))


def dump_layer(params, manifests, run_directory, arguments, device, group):
    """Writes the outputs of a layer for all utterances of manifests.

    Args:
      params: the checked config of a mode.
      manifests: list of CSV or TSV files.
      run_directory: a ``RunDirectory`` with the checkpoint.
      arguments: ``layer`` is the name of the layer; others: see :func:`~open_seq2seq.pretraining.features.dump_mfcc`.
      device, group: a ``Device`` and a ``ProcessGroup``.

    Raises:
      CheckpointError: there is no checkpoint, or it is of another architecture.
      DataError, StorageError: see :func:`~open_seq2seq.pretraining.features.dump_mfcc`.
      UsageError: the encoder has no such layer, the folder has other features, or there are several ranks.
    """
    if group.size > 1:
        raise UsageError("--mode=features runs as one process; it was started as one of %d. Start it without the launcher, and "
                         "give each machine its own shards with --shard" % group.size)
    params = config_of_task(params, evaluation=False) if arguments.layer == LOGITS else params
    layer = _LayerOutputs(params, arguments.layer, device, group)
    checkpoint, (report, values) = run_directory.read_checkpoint(layer.read, params["restore_best_checkpoint"])
    log_line(describe_restore(report))
    note_on_features(params, checkpoint)
    data_params = params["data_layer_params"]
    digest = _digest_of(values, data_params)

    def description_of(split):
        return FeatureDescription(layer.description, layer.frame_rate, layer.size,
                                  digest_of(split, data_params["sample_freq"]), digest)

    def batches(split, first, end):
        return layer.outputs(split, first, end, values, arguments.debug_port)

    write_splits(splits_of(manifests), description_of, batches, arguments)


def _digest_of(values, data_params):
    """SHA-256 of the weights and of what determines the features."""
    digest = hashlib.sha256()
    for name in sorted(values):
        digest.update(("%s %s\n" % (name, values[name].shape)).encode())
        digest.update(np.ascontiguousarray(values[name]).tobytes())
    names = sorted(parameter.name for parameter in make_feature_function(data_params).PARAMETERS)
    digest.update(checksum_of([[name, repr(data_params.get(name))] for name in names]).encode())
    return digest.hexdigest()


class _Observer:
    """An ``Execution.observer`` that keeps the outputs of each layer: name -> (outputs [B, T, C], lengths [B])."""

    def __init__(self):
        self.outputs = {}

    def normalization(self, scope, inputs, mask, moving_mean, moving_variance):
        """Not used here."""

    def activation(self, scope, outputs, lengths):
        self.outputs[scope.rsplit("/", 1)[-1]] = outputs, lengths


class _LayerOutputs:
    """The encoder of a config up to one layer.

    Args:
      params: the checked config of a mode.
      layer: name of the layer, e.g. "conv53".
      device, group: a ``Device`` and a ``ProcessGroup``.

    Attributes:
      size: values of a frame. frame_rate: frames per second. description: str, what the outputs are.

    Raises:
      UsageError: the encoder has no such layer; the message lists its layers.
    """

    def __init__(self, params, layer, device, group):
        self._params, self._layer, self._device, self._group = params, layer, device, group
        data, self.description = params["data_layer_params"], "layer " + layer
        if layer == LOGITS:
            vocabulary = Vocabulary.from_file(data["vocab_file"])
            self._vocabulary_size, self.description = vocabulary.size, description_of_logits(vocabulary.characters)
        with tf.Graph().as_default():
            lengths = tf.placeholder(tf.int32, [None])
            outputs, output_lengths = self._build(
                tf.placeholder(tf.float32, [None, None, input_width(data)]), lengths)
            self.size = outputs.shape.as_list()[2]
            self._variables = tf.global_variables()
            with tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
                stride = round(_PROBED_FRAMES / float(session.run(output_lengths, {lengths: [_PROBED_FRAMES]})[0]))
        self.frame_rate = 1.0 / (data["window_stride"] * stride)

    def _build(self, features, lengths):
        """(outputs [B, T, C], lengths [B]) of the layer, in the current graph."""
        if self._layer == LOGITS:
            execution = execution_of(self._params, "infer", self._device, self._group)
            output = Speech2Text(self._params, "infer", self._vocabulary_size, execution=execution)(
                Batch(features, lengths, None, None, None))
            return output.logits, output.logit_lengths
        observer = _Observer()
        execution = execution_of(self._params, "infer", self._device, self._group)._replace(observer=observer)
        with tf.variable_scope(SCOPE, reuse=tf.AUTO_REUSE, use_resource=False):
            self._params["encoder"](self._params["encoder_params"], "infer", execution=execution)(features, lengths)
        if self._layer not in observer.outputs:
            layers = ", ".join(observer.outputs) or "not known, because it has no activation function"
            raise UsageError("--layer is %s, which the encoder does not have; its layers are %s. %s gives the outputs of the "
                             "model" % (self._layer, layers, LOGITS))
        return observer.outputs[self._layer]

    def read(self, checkpoint):
        """(path, what :func:`read_values` returns) of the encoder's variables in a checkpoint."""
        return checkpoint, read_values(checkpoint, self._variables, averaged=self._params["evaluate_ema"])

    def outputs(self, split, first, end, values, debug_port=None):
        """Yields (float32 [frames, C], frames of each utterance), in the order of the utterances."""
        with tempfile.TemporaryFile() as file:
            places, lengths = self._compute(self._data_layer(split, first, end), values, debug_port, file)
            for start in range(0, end - first, _WRITTEN_UTTERANCES):
                numbers = range(start, min(start + _WRITTEN_UTTERANCES, end - first))
                parts = []
                for number in numbers:
                    file.seek(places[number])
                    part = np.frombuffer(file.read(4 * lengths[number] * self.size), np.float32)
                    parts.append(part.reshape(lengths[number], self.size))
                yield np.concatenate(parts), [lengths[number] for number in numbers]

    def _data_layer(self, split, first, end):
        params, rows = dict(self._params["data_layer_params"], **_NO_LIMITS), split.rows[first:end]
        rejections = Rejections(len(rows), 1.0, manifests=[split.manifest])
        utterances = select_utterances(rows, params, "infer", None, make_feature_function(params).num_frames, None, rejections,
                                       show_progress=False)
        if len(rejections):
            item = rejections.items[0]
            raise DataError("%s:%d: %s: %s: %s (%d of %d utterances cannot be used). Repair the file, or remove it from the "
                            "manifest" % (item.manifest, item.row, item.wav_filename, item.reason.name, item.detail,
                                          len(rejections), len(rows)))
        batch_size = self._params["eval_batch_size_per_gpu"] or self._params["batch_size_per_gpu"]
        static = StaticShapes(self._params["npu_params"]["bucket_frames"]) if self._device.static_shapes else None
        return Speech2TextDataLayer(params, "infer", batch_size, seed=self._params["random_seed"], static_shapes=static,
                                    utterance_set=UtteranceSet([split.manifest], None, utterances, rejections))

    def _compute(self, data_layer, values, debug_port, file):
        """Writes the outputs of each utterance to ``file``; returns (place in the file, frames) of each."""
        count = len(data_layer.utterances)
        places, lengths = [None] * count, [0] * count
        with tf.Graph().as_default():
            runs = [self._run(dataset) for dataset in self._datasets(data_layer)]
            operations, feed = graph_variables().assignments(values)
            with contextlib.closing(open_session(self._device, self._params["use_xla_jit"], debug_port)) as session:
                self._group.start(session)
                self._device.check_steps(tf.get_default_graph(), [("layer", list(fetches)) for _, fetches in runs])
                self._device.start_session(session, tf.get_default_graph(), operations, feed)
                for initializer, fetches in runs:
                    session.run(initializer)
                    while True:
                        try:
                            indices, outputs, found = session.run(fetches)
                        except tf.errors.OutOfRangeError:
                            break
                        for index, output, length in zip(indices, outputs, found):
                            if index >= 0:
                                places[index], lengths[index] = file.tell(), int(length)
                                file.write(np.ascontiguousarray(output[:length], np.float32).tobytes())
                self._group.finish(session)
        lost = [data_layer.utterances[index] for index, place in enumerate(places) if place is None]
        if lost:
            raise DataError("%s: %s became unusable while its features were computed (%d of %d utterances)" % (
                lost[0].id, lost[0].wav_filename, len(lost), count))
        return places, lengths

    def _datasets(self, data_layer):
        if data_layer.buckets is not None:
            return [data_layer.evaluation_dataset(bucket=number) for number in range(len(data_layer.buckets))]
        params = self._params
        apart = params["encoder"].depends_on_padding(params["encoder_params"], params["data_layer_params"]["pad_to"])
        return [data_layer.evaluation_dataset(same_length_batches=apart)]

    def _run(self, dataset):
        """(initializer, [indices, outputs, lengths]) of a data set."""
        iterator = tf.data.make_initializable_iterator(dataset)
        batch = Batch(*iterator.get_next())
        outputs, lengths = self._build(batch.features, batch.feature_lengths)
        return iterator.initializer, [batch.utterance_indices, tf.cast(outputs, tf.float32), lengths]
