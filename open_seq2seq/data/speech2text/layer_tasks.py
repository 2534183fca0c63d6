"""The tasks of a data layer: the sizes of their outputs, and their targets in its batches."""
from open_seq2seq.data.speech2text.denoising import CleanFeatures, applied_augmentation, require_noise
from open_seq2seq.data.speech2text.task_targets import BatchTargets
from open_seq2seq.data.tasks import FEATURES
from open_seq2seq.errors import ConfigError


class LayerTasks:
    """The tasks of a data layer.

    Args:
      utterance_set: TaskUtterances.
      params: checked params of the data layer.
      mode: of the data layer.
      seed: of the data layer.
      features: function (waveform, seed) -> features, of the data layer.
      layout: RowLayout of the data layer.

    Attributes:
      outputs: dict from the names of the tasks to the sizes of their outputs: labels of the vocabulary without the blank,
        classes, or features of a frame.
      vocabularies: dict from the names to a Vocabulary, ClassNames, or None of kind "features".
      clean: CleanFeatures that the batches' features need, or None.

    Raises:
      ConfigError: parameters that do not fit tasks.
    """

    def __init__(self, utterance_set, params, mode, seed, features, layout):
        tasks = utterance_set.tasks
        if mode == "train" and layout.is_static and params["join_shorter_than"]:
            raise ConfigError('data_layer_params["join_shorter_than"] is %g, and packed utterances have no common targets of '
                              "tasks. Set it to 0" % params["join_shorter_than"])
        self._names = [task.name for task in tasks]
        self.vocabularies = dict(zip(self._names, utterance_set.vocabularies))
        self.outputs = {name: params["num_audio_features"] if vocabulary is None else vocabulary.size
                        for name, vocabulary in self.vocabularies.items()}
        self.clean, augmentation = None, applied_augmentation(params, mode, tasks)
        if FEATURES in [task.kind for task in tasks]:
            if mode == "train":
                require_noise(tasks, augmentation)
            self.clean = CleanFeatures(augmentation, params["sample_freq"], seed, features, mode == "train")
        self._targets, self._buckets = BatchTargets(utterance_set, layout, params["num_audio_features"]), layout.buckets

    def pipeline(self, pipeline):
        """A pipeline whose batches have targets.

        Args:
          pipeline: :class:`~open_seq2seq.data.speech2text.dataset.FeaturePipeline` or one with its interface.
        """
        return _CompletedPipeline(pipeline, self._targets, self._buckets)


class _CompletedPipeline:
    """Has the interface of FeaturePipeline; adds targets to the batches of another one."""

    def __init__(self, pipeline, targets, buckets):
        self._pipeline, self._targets, self._buckets = pipeline, targets, buckets

    def training_dataset(self, *arguments, **named_arguments):
        """See FeaturePipeline."""
        return self._targets.completed(self._pipeline.training_dataset(*arguments, **named_arguments))

    def static_dataset(self, request_of, numbers, batch_size, bucket):
        """See FeaturePipeline."""
        dataset = self._pipeline.static_dataset(request_of, numbers, batch_size, bucket)
        return self._targets.completed(dataset, self._buckets.index(bucket))

    def evaluation_dataset(self, batches, batch_size):
        """See FeaturePipeline."""
        return self._targets.completed(self._pipeline.evaluation_dataset(batches, batch_size))
