"""Features that another model computed, as input of a training: alone, or appended to the features of the audio.

``data_layer_params["stored_features"]`` names what ``--mode=features`` wrote, or archives of Kaldi (docs/distillation.md). Where
they have fewer frames per second than the features of the audio, each frame is repeated, so that an utterance has the same number
of frames in both: 50 frames per second become 100 by repeating each once, frame t taking stored frame floor(t / 2).
"""
import os

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.config.parameters import Choice, Either, FilePath, Float, Int, List, Parameter, child_path
from open_seq2seq.data.fairseq_files.feature_shards import FeatureShards, has_shards, read_feature_description
from open_seq2seq.data.keyed_features import KaldiFeatures, NpzFeatures, key_of
from open_seq2seq.data.speech2text.augmentation import Augmentation, waveform_changes
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.errors import ConfigError, DataError

APPEND, ALONE = "append", "alone"
TEACHER = "teacher"     # logits of a teacher: appended in training only, and not masked; no value of a config
TOLERANCE = 2   # stored frames that an utterance may have more or fewer than its audio

PARAMETERS = (
    Parameter("files", Either(List(FilePath(), minimum_length=1), FilePath()),
              doc="a folder that --mode=features wrote, with features of each manifest of dataset_files; or files .scp (Kaldi) "
                  "or .npz, whose keys are the manifests' wav_filename"),
    Parameter("use", Choice(APPEND, ALONE), default=APPEND,
              doc='"append": after the features of the audio; "alone": instead of them'),
    Parameter("size", Int(minimum=1, maximum=1 << 16), doc="values of a stored frame"),
    Parameter("frame_rate", Float(above=0.0, maximum=10000.0), default=None,
              doc="stored frames per second; None: as the description that --mode=features wrote says"),
)


def input_width(data_params, with_teacher=False):
    """Values of a frame of features: int, or None where the data layer's params do not say.

    Args:
      data_params: params of a data layer; keys may be missing.
      with_teacher: count the logits of a teacher too, which are in the batches of training, but which the model does not get.
    """
    width, stored = data_params.get("num_audio_features"), data_params.get("stored_features")
    if not isinstance(stored, dict) or stored["use"] == TEACHER and not with_teacher:
        return width
    return stored["size"] if stored["use"] == ALONE else width + stored["size"]


def check_rules(params, path, report):
    """Reports what contradicts the stored features of checked params of a data layer."""
    if params["stored_features"] is None:
        return
    if params["join_shorter_than"]:
        report.problem(child_path(path, "join_shorter_than"), "packs utterances, and stored features are of single ones; set it "
                                                              "to 0")
    changes = waveform_changes(params["augmentation"]) if params["augmentation"] is not None else ()
    if changes:
        report.problem(child_path(path, "augmentation"), "has %s, which the audio of the stored features did not have; masks can "
                                                         "be used" % ", ".join(changes))


class StoredFeatures:
    """The stored features of a data layer's utterances, checked.

    Args:
      settings: checked dict of :data:`PARAMETERS`.
      manifests: list of paths.
      utterances: list of Utterance.
      num_frames: function int samples -> int frames of the features of the audio.
      frame_rate: of these, per second.
      masks: function (features [B, T, F], lengths [B], positions [B]) -> features, or None.

    Attributes:
      width: values of a stored frame.

    Raises:
      ConfigError: the rate of the stored features is not known, or does not divide that of the audio's features.
      DataError: a file cannot be read, an utterance is missing, or has another size or number of frames than expected.
    """

    def __init__(self, settings, manifests, utterances, num_frames, frame_rate, masks=None):
        files, self.masks = settings["files"], masks
        self._settings, self._utterances, self._num_frames = settings, utterances, num_frames
        self._source = _Source.of([files] if isinstance(files, str) else files, manifests)
        self.width = settings["size"]
        rate = settings["frame_rate"] or self._source.frame_rate
        if rate is None:
            raise ConfigError('data_layer_params["stored_features"]["frame_rate"] is missing, and %s has no description; '
                              "expected the number of stored frames per second" % self._source.name)
        self._repeats = int(round(frame_rate / rate))
        if self._repeats < 1 or abs(self._repeats * rate - frame_rate) > 1e-3 * frame_rate:
            raise ConfigError("%s has %g frames per second, and the features of the audio have %g; expected the same, or a half, "
                              "a third, a quarter... of it" % (self._source.name, rate, frame_rate))
        self._check()

    @classmethod
    def of(cls, params, mode, seed, utterance_set, num_frames, preparation):
        """The stored features of a data layer, or None; for arguments and errors see ``Speech2TextDataLayer``.

        Args:
          num_frames: see the class.
        """
        settings = params.get("stored_features")
        if settings is None or settings["use"] == TEACHER and mode != "train":
            return None
        if preparation is not None:
            raise ConfigError('the audio cannot be changed: data_layer_params["stored_features"] are those of the unchanged '
                              "audio")
        masks, augmentation = None, params["augmentation"] if mode == "train" else None
        if augmentation is not None and settings["use"] != TEACHER:
            # the same spans of time as in the features of the audio, but no bands
            own = Augmentation(dict(augmentation, width_freq_mask=0), params["sample_freq"], seed)

            def masks(features, lengths, positions):
                seeds = tf.stack([tf.fill(tf.shape(positions), tf.constant(seed, tf.int64)), positions], 1)
                return own.batch_features(features, lengths, seeds)

        return cls(settings, utterance_set.manifests, utterance_set.utterances, num_frames, 1.0 / params["window_stride"], masks)

    @property
    def replaces_audio(self):
        """Whether the stored features are the only ones."""
        return self._settings["use"] == ALONE

    def width_with(self, width):
        """Values of a frame of a batch, for those of the features of the audio."""
        return self.width + (0 if self.replaces_audio else width)

    def _check(self):
        missing = [utterance for utterance in self._utterances if not self._source.has(utterance)]
        if missing:
            raise DataError("%s has no features of %s (%s); missing: %d of %d utterances. Compute them with --mode=features of "
                            "this manifest" % (self._source.name, missing[0].wav_filename, missing[0].id, len(missing),
                                          len(self._utterances)))
        wrong = []
        for utterance in self._utterances:
            frames, size = self._source.shape(utterance)
            if size != self.width:
                raise DataError("%s has %d values a frame for %s (%s), and stored_features size is %d" % (
                    self._source.name, size, utterance.wav_filename, utterance.id, self.width))
            expected = -(-self._num_frames(utterance.num_samples) // self._repeats)
            if abs(frames - expected) > TOLERANCE or not frames:
                wrong.append((utterance, frames, expected))
        if wrong:
            utterance, frames, expected = wrong[0]
            raise DataError("%s has %d frames of %s (%s), whose audio has %d at that rate; %d of %d utterances differ by more "
                            "than %d. Check frame_rate, and whether the features are of this audio" % (
                                self._source.name, frames, utterance.wav_filename, utterance.id, expected, len(wrong),
                                len(self._utterances), TOLERANCE))

    def of_rows(self, indices, lengths, frames):
        """float32 [B, frames, width]: the stored features of the rows of a batch, 0 after their lengths.

        Args:
          indices: int [B] of utterances; -1 for a padding row.
          lengths: int [B], frames of each row.
          frames: int.
        """
        found = np.zeros([len(indices), frames, self.width], np.float32)
        for row, (index, length) in enumerate(zip(indices, lengths)):
            if index >= 0 and length:
                stored = self._source.read(self._utterances[index])
                if not np.isfinite(stored).all():
                    raise DataError("%s: features of %s are NaN or infinite" % (
                        self._source.name, self._utterances[index].wav_filename))
                # the last frame stands for those that the stored features may lack
                found[row, :length] = stored[np.minimum(np.arange(length) // self._repeats, len(stored) - 1)]
        return found

    def pipeline(self, pipeline):
        """A pipeline like a FeaturePipeline, whose batches have the stored features."""
        return _StoredPipeline(pipeline, self)


class _StoredPipeline:
    """Has the interface of ``FeaturePipeline``; the features of its batches have the stored ones."""

    def __init__(self, pipeline, stored):
        self._pipeline, self._stored = pipeline, stored

    def training_dataset(self, *arguments, **options):
        return self._with_stored(self._pipeline.training_dataset(*arguments, **options))

    def static_dataset(self, *arguments, **options):
        return self._with_stored(self._pipeline.static_dataset(*arguments, **options))

    def evaluation_dataset(self, *arguments, **options):
        return self._with_stored(self._pipeline.evaluation_dataset(*arguments, **options))

    def _with_stored(self, dataset):
        batch_type = type(tf.data.get_output_types(dataset))

        def joined(*fields):
            # tf.data passes the fields of a namedtuple one by one
            batch = fields[0] if hasattr(fields[0], "features") else batch_type(*fields)
            rows, frames = batch.features.shape.as_list()[:2]
            stored = tf.numpy_function(self._stored.of_rows, [
                batch.utterance_indices, batch.feature_lengths, tf.shape(batch.features)[1]], tf.float32)
            stored.set_shape([rows, frames, self._stored.width])
            if self._stored.masks is not None:
                stored = self._stored.masks(stored, batch.feature_lengths, batch.positions)
            if not self._stored.replaces_audio:
                stored = tf.concat([batch.features, stored], 2)
            return batch._replace(features=stored)

        return dataset.map(tf.autograph.experimental.do_not_convert(joined), num_parallel_calls=2).prefetch(2)


class _Source:
    """Where the features of utterances are: keyed files, or shards in the order of manifests."""

    @staticmethod
    def of(files, manifests):
        if len(files) > 1 or not os.path.isdir(files[0]):
            return _Keyed(files)
        folder = files[0]
        splits = [os.path.splitext(os.path.basename(manifest))[0] for manifest in manifests]
        if all(has_shards(folder, split) for split in splits):
            return _Shards(folder, splits, manifests)
        found = []
        for split in splits:
            names = [name for extension in (".scp", ".npz") for name in sorted(os.listdir(folder))
                     if name.endswith(extension) and name.rsplit("_", 2)[0] == split]
            if not names:
                raise DataError("%s has no features of %s; expected files such as %s_0_1.npy, .npz or .scp, which "
                                "--mode=features writes" % (folder, split, split))
            kind = os.path.splitext(names[0])[1]
            found += [os.path.join(folder, name) for name in names if name.endswith(kind)]
        return _Keyed(found)


class _Keyed:
    """Files ``.npz`` and ``.scp``."""

    def __init__(self, paths):
        kinds = {os.path.splitext(path)[1] for path in paths}
        if kinds not in ({".npz"}, {".scp"}):
            raise ConfigError('data_layer_params["stored_features"]["files"] is %s; expected a folder of --mode=features, files '
                              ".scp, or files .npz" % ", ".join(paths))
        self.name = ", ".join(paths[:2]) + (", ..." if len(paths) > 2 else "")
        self._features = (NpzFeatures if kinds == {".npz"} else KaldiFeatures)(paths)
        description = read_feature_description(paths[0])
        self.frame_rate = description.frame_rate if description is not None else None

    def has(self, utterance):
        return key_of(utterance.wav_filename) in self._features

    def shape(self, utterance):
        return self._features.shape(key_of(utterance.wav_filename))

    def read(self, utterance):
        return self._features.read(key_of(utterance.wav_filename))


class _Shards:
    """Shards in fairseq's layout, whose utterances are the rows of manifests in their order."""

    def __init__(self, folder, splits, manifests):
        self.name, self.frame_rate, self._places, self._shards = folder, None, {}, []
        for split, manifest in zip(splits, manifests):
            shards, rows = FeatureShards(folder, split), read_manifest(manifest, transcripts=False)
            lengths = np.concatenate(shards.lengths)
            if len(lengths) != len(rows):
                raise DataError("the features of %s in %s are of %d utterances, and %s has %d; compute them again with "
                                "--mode=features" % (split, folder, len(lengths), manifest, len(rows)))
            if shards.description is not None:
                self.frame_rate = shards.description.frame_rate
            places = [(shard, begin, int(length)) for shard, own in enumerate(shards.lengths)
                      for begin, length in zip(np.cumsum(own) - own, own)]
            self._shards.append(shards)
            self._places.update(((row.manifest, row.row), (shards, place)) for row, place in zip(rows, places))

    def has(self, utterance):
        return (utterance.manifest, utterance.row) in self._places

    def shape(self, utterance):
        shards, (_, _, length) = self._places[utterance.manifest, utterance.row]
        return length, shards.size

    def read(self, utterance):
        shards, (shard, begin, length) = self._places[utterance.manifest, utterance.row]
        return shards.block(shard, begin, begin + length)
