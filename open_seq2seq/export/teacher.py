"""A trained model inside the graph of another one's training: the teacher of ``teacher_params`` (docs/distillation.md)."""
import collections

import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Report
from open_seq2seq.data.fairseq_files.feature_shards import description_in_folder
from open_seq2seq.data.speech2text.stored_features import TEACHER, check_rules
from open_seq2seq.encoders.convnet_layers import convolved_frames
from open_seq2seq.encoders.input_transform import differing_features, features_of
from open_seq2seq.errors import UsageError
from open_seq2seq.export.description import FEATURES_INPUT, LOGITS_OUTPUT, MASK_INPUT, frames_after, read_description
from open_seq2seq.export.freeze.frozen_graph import ExportOptions, freeze
from open_seq2seq.export.freeze.model_from_run import with_model_of_run
from open_seq2seq.export.runtime.graph_file import read_graph, take_out_weights
from open_seq2seq.log_lines import log_line
from open_seq2seq.models.distillation import description_of_logits, taught_by
from open_seq2seq.models.task_params import config_of_task
from open_seq2seq.text.vocabulary import Vocabulary

SCOPE = "teacher"
_COMPARED_FRAMES = tuple(range(1, 65)) + (1000, 4096)


def with_teacher(experiment):
    """The experiment whose model is taught as ``teacher_params`` of "train" say; the same one without them.

    Raises:
      UsageError: the teacher has other frames, labels or features than the model, or cannot be part of its graph.
      CheckpointError: the teacher cannot be read.
    """
    params = experiment.params["train"]
    settings = params.get("teacher_params")
    if settings is None or settings["weight"] == 0.0:
        return experiment
    if getattr(experiment.base_model, "is_pretraining", False):
        raise UsageError("teacher_params is given, and %s is a pre-training, which has no outputs for labels; remove "
                         "teacher_params" % experiment.path)
    own = config_of_task(params, evaluation=False)
    if own.get("tasks"):
        raise UsageError("teacher_params is given, and the main task %s has no transcripts; a teacher has outputs for labels of "
                         "frames. Choose another main_task, or remove teacher_params" % next(iter(own["tasks"])))
    if settings["logits"] is not None:
        teacher = StoredTeacher.of(settings["logits"], own)
        data = dict(params["data_layer_params"], stored_features=teacher.stored_features)
        experiment = experiment._replace(params=dict(experiment.params, train=dict(params, data_layer_params=data)))
    else:
        teacher = Teacher.load(settings["model"], settings["best"])
        teacher.require_match(own)
    log_line("Teacher %s: %d labels and the blank, one frame of output for %d of features; weight %g, temperature %g" % (
        teacher.name, teacher.num_labels, teacher.stride, settings["weight"], settings["temperature"]))
    return experiment._replace(base_model=taught_by(experiment.base_model, teacher, settings["temperature"], settings["weight"]))


class Teacher(collections.namedtuple("Teacher", "name description graph_def weights")):
    """A frozen graph. A call adds it to the current graph.

    name: path, for messages. description: ``ExportDescription``. graph_def: ``tf.GraphDef`` whose large constants are missing.
    weights: dict from their names to arrays.
    """

    __slots__ = ()

    @classmethod
    def load(cls, path, best=False):
        """Reads a model.

        Args:
          path: a run's folder, one of its checkpoints, or NAME.pb with NAME.json.
          best: of a folder, take the best checkpoint.

        Raises:
          UsageError: the exported model takes audio or a fixed number of frames, or has another format.
          CheckpointError: the model cannot be read.
        """
        if path.endswith((".onnx", ".om", ".tflite")):
            raise UsageError('teacher_params["model"] is %s; expected a run\'s logdir, a checkpoint or NAME.pb' % path)
        if path.endswith(".pb"):
            description, graph_def = read_description(path), read_graph(path)
            if description.with_features or description.frames is not None or description.batch_size is not None:
                raise UsageError("the teacher %s was exported for %s; a teacher takes batches of features of any size. Export it "
                                 "again with --frames=dynamic and without --with_features and --batch_size, or give its run's "
                                 "logdir" % (path, "audio" if description.with_features else "%s frames in batches of %s" % (
                                     description.frames or "any number of", description.batch_size or "any size")))
        else:
            graph_def, description = with_model_of_run(path, _frozen, best)
        weights = take_out_weights(graph_def)
        nodes = [node for node in graph_def.node if node.name not in weights]
        del graph_def.node[:]
        graph_def.node.extend(nodes)
        return cls(path, description, graph_def, weights)

    @property
    def num_labels(self):
        """Labels without the blank."""
        return len(self.description.vocabulary)

    @property
    def stride(self):
        """Feature frames for one frame of output."""
        return self.description.subsampling

    @staticmethod
    def features_of_model(features):
        """See :func:`taught_by`: the model gets all features."""
        return features

    def require_match(self, params):
        """Raises UsageError if the teacher cannot teach a model.

        Args:
          params: checked params of mode "train" of a model with one task.
        """
        known, data = self.description, params["data_layer_params"]
        own = Vocabulary.from_file(data["vocab_file"]).characters
        if tuple(known.vocabulary) != tuple(own):
            raise UsageError("the teacher %s has other labels than the model: %s. A teacher needs the vocabulary of the model, "
                             "in the same order: train it with vocab_file %s, or this model with that of the teacher" % (
                                 self.name, _difference(known.vocabulary, own), data["vocab_file"]))
        encoder, encoder_params = params["encoder"], params["encoder_params"]
        for frames in _COMPARED_FRAMES:
            pair = frames_after(known.frame_changes, frames), int(encoder.output_frames(encoder_params, frames))
            if pair[0] != pair[1]:
                raise UsageError("the teacher %s has other frames than the model: of %d frames of features it makes %d (one of "
                                 "%d), the model %d. Use a teacher with the same strides and padding" % (
                                     self.name, frames, pair[0], known.subsampling, pair[1]))
        differing = ["%s is %r, that of the model %r" % found
                     for found in differing_features(features_of(known.feature_params), data)]
        if differing:
            raise UsageError("the teacher %s has other features than the model: %s. Both get the same features: set those of the "
                             "teacher in data_layer_params" % (self.name, "; ".join(differing)))

    def __call__(self, features, feature_lengths):
        """Adds the teacher to the current graph. Its weights are local variables: not trained, not saved, not exchanged.

        Args:
          features: float32 [B, T, F]. feature_lengths: int32 [B].

        Returns:
          float32 [B, T', V + 1], without a gradient.
        """
        # without stored features
        features = features[:, :, :self.description.num_audio_features]
        frames, lengths = tf.shape(features)[1], tf.cast(feature_lengths, tf.int32)
        if features.shape.as_list()[1] is not None:
            frames = features.shape.as_list()[1]
        for change in self.description.frame_changes[:self.description.mask_changes]:
            frames, lengths = convolved_frames(change, frames), convolved_frames(change, lengths)
        with tf.name_scope(None), tf.variable_scope(SCOPE, reuse=tf.AUTO_REUSE, use_resource=False):
            inputs = {name + ":0": self._variable(name, array) for name, array in self.weights.items()}
        inputs.update({FEATURES_INPUT + ":0": tf.expand_dims(features, 1),
                       MASK_INPUT + ":0": tf.sequence_mask(lengths, frames, dtype=tf.float32)})
        logits, = tf.import_graph_def(self.graph_def, inputs, [LOGITS_OUTPUT + ":0"], name=SCOPE)
        return tf.stop_gradient(logits)

    @staticmethod
    def _variable(name, array):
        def initial(shape, dtype, **others):
            # not a constant: a graph has at most 2 GiB
            value = tf.numpy_function(lambda: array, [], dtype)
            value.set_shape(shape)
            return value

        return tf.get_variable(name, array.shape, tf.as_dtype(array.dtype), initial, trainable=False,
                               collections=[tf.GraphKeys.LOCAL_VARIABLES])


class StoredTeacher(collections.namedtuple("StoredTeacher", "name num_labels stride num_features frame_rate")):
    """The outputs of a teacher that were computed before: the last values of a frame of the batches' features.

    name: folder, for messages. num_labels: without the blank. stride: feature frames for one frame of output. num_features: of
    the model. frame_rate: frames of output per second.
    """

    __slots__ = ()

    @classmethod
    def of(cls, folder, params):
        """The teacher whose outputs are in a folder.

        Args:
          folder: of ``--mode=features --layer=logits``.
          params: checked params of mode "train" of a model with one task.

        Raises:
          UsageError: the outputs have other frames or labels than the model's.
          ConfigError: the training changes the audio that the outputs were computed from.
          DataError: the folder has none.
        """
        data, encoder, encoder_params = params["data_layer_params"], params["encoder"], params["encoder_params"]
        characters = Vocabulary.from_file(data["vocab_file"]).characters
        description, expected = description_in_folder(folder), description_of_logits(characters)
        if description.features != expected:
            raise UsageError("%s has features of the %s, expected those of the %s: the outputs of a teacher with the model's "
                             "labels. Write them with --mode=features --layer=logits and the vocabulary of this model" % (
                                 folder, description.features, expected))
        feature_rate = 1.0 / data["window_stride"]
        stride = int(round(feature_rate / description.frame_rate))
        for frames in _COMPARED_FRAMES:
            made = int(encoder.output_frames(encoder_params, frames))
            if made != -(-frames // stride):
                raise UsageError("%s has %g frames per second, so %d of %d frames of features, and the model makes %d. Use a "
                                 "teacher with the same strides, and SAME padding in the convolutions of both" % (
                                     folder, description.frame_rate, -(-frames // stride), frames, made))
        teacher = cls(folder, len(characters), stride, data["num_audio_features"], description.frame_rate)
        report = Report()
        check_rules(dict(data, stored_features=teacher.stored_features), 'teacher_params["logits"] are given, and '
                    "data_layer_params", report)
        report.raise_problems()
        return teacher

    @property
    def stored_features(self):
        """The value of ``data_layer_params["stored_features"]`` that appends the outputs to the features in training."""
        return {"files": self.name, "use": TEACHER, "size": self.num_labels + 1, "frame_rate": self.frame_rate}

    def features_of_model(self, features):
        """See :func:`taught_by`: the features without the outputs."""
        return features[:, :, :self.num_features]

    def __call__(self, features, feature_lengths):
        """See :class:`Teacher`."""
        return tf.stop_gradient(features[:, ::self.stride, self.num_features:])


def _frozen(trained):
    """(``tf.GraphDef``, ``ExportDescription``) of a ``TrainedModel``, for batches of any size."""
    folded = trained.params["encoder_params"]["normalization"] in ("batch_norm", None)
    return freeze(trained, ExportOptions(batch_size=None, frames=None, folded=folded))


def _difference(theirs, ours):
    """What distinguishes two vocabularies, a clause."""
    if len(theirs) != len(ours):
        return "it has %d labels, the model %d" % (len(theirs), len(ours))
    place = next(place for place, pair in enumerate(zip(theirs, ours)) if pair[0] != pair[1])
    return "its label %d is %r, that of the model %r" % (place, theirs[place], ours[place])
