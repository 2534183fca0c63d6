"""Writes the shards of a cache: which parameters determine them, and what is computed for an audio file."""
import threading

import numpy as np
import tensorflow.compat.v1 as tf

from open_seq2seq.data.rejection import RejectedData
from open_seq2seq.data.shards.shard_file import Content, Item, names_in, write_shard
from open_seq2seq.data.shards.shard_folder import source_of
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph, engine_of, make_feature_function
from open_seq2seq.errors import DataError

FEATURES, AUDIO = "features", "audio"
# to be increased when equal parameters and audio no longer give equal features or samples
VERSION = 1
INT16_SCALE = 32768.0
_NOT_IN_FEATURES = ("dither", "pad_to", "precompute_mel_basis")


class Stopped(Exception):
    """Building was asked to stop before a shard was finished."""


def content_of(params):
    """The Content of the shards for checked params."""
    if params["cache_content"] == AUDIO:
        return Content(AUDIO, "int16", 1)
    return Content(FEATURES, params["cache_dtype"], params["num_audio_features"])


def determining_parameters(params):
    """A dict of everything but the audio files that determines what is cached."""
    chosen = {"version": VERSION, "max_missing_fraction": params["max_missing_fraction"], "sample_freq": params["sample_freq"]}
    if params["cache_content"] == FEATURES:
        chosen.update((parameter.name, params[parameter.name]) for parameter in FeatureGraph.PARAMETERS
                      if parameter.name not in _NOT_IN_FEATURES)
        # the engines' features differ by rounding; "auto" means the graph, as in caches older than the generated code
        if engine_of(params) == "compiled":
            chosen["feature_engine"] = "compiled"
        # psf's features are computed from a padded waveform
        chosen["pad_to"] = max(params["pad_to"], 0) if params["backend"] == "psf" else None
    return chosen


class FeatureCalculator:
    """Features of waveforms outside the input pipeline, bit-equal to those within. Thread-safe.

    Args:
      params: checked params of the data layer.
    """

    def __init__(self, params):
        features, graph = make_feature_function(params), tf.Graph()
        if hasattr(features, "of_waveform"):
            self._run = features.of_waveform
            return
        with graph.as_default():
            self._waveform = tf.placeholder(tf.float32, [None])
            self._features = features(self._waveform)
        # the caller's threads compute; optimizations that the input pipeline does not have could change the last bit
        config = tf.ConfigProto(device_count={"GPU": 0}, intra_op_parallelism_threads=1, inter_op_parallelism_threads=1,
                                use_per_session_threads=True)
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        self._session = tf.Session(graph=graph, config=config)
        self._run = self._session.make_callable(self._features, [self._waveform])

    def __call__(self, waveform):
        return self._run(waveform)


class ShardBuilder:
    """Computes and writes shards. Thread-safe.

    Args:
      params: checked params of the data layer.

    Attributes:
      content: Content.
      parameters: see :func:`determining_parameters`.
    """

    def __init__(self, params):
        self._params, self.content, self.parameters = params, content_of(params), determining_parameters(params)
        self._calculator, self._lock = None, threading.Lock()

    def computed(self, path):
        """(array of an audio file as a shard has it, number of samples).

        Raises:
          RejectedData: the file cannot be used.
          DataError: a feature is beyond the range of float16.
        """
        waveform = read_audio(path, self._params["sample_freq"], self._params["max_missing_fraction"])
        if self.content.kind == AUDIO:
            scaled = np.rint(waveform.astype(np.float64) * INT16_SCALE)
            return np.clip(scaled, -INT16_SCALE, INT16_SCALE - 1).astype(np.int16), len(waveform)
        with self._lock:
            if self._calculator is None:
                self._calculator = FeatureCalculator(self._params)
        features = self._calculator(waveform)
        with np.errstate(over="ignore"):
            stored = features.astype(self.content.dtype)
        if not np.isfinite(stored).all() and np.isfinite(features).all():
            raise DataError("%s has features up to %g, beyond the range of float16; set data_layer_params[\"cache_dtype\"] to "
                            "\"float32\"" % (path, np.abs(features).max()))
        return stored, len(waveform)

    def build(self, folder, shard, sources, is_stopped=None, on_utterance=None):
        """Writes a shard. Arrays that it already has and that are not damaged are kept, also those of other audio files of the
        same data set as long as these exist unchanged.

        Args:
          folder: ShardFolder that has read the shard's index.
          shard: its number.
          sources: list of Source that it is to contain.
          is_stopped: function without arguments: whether to stop.
          on_utterance: function without arguments that is called after each utterance.

        Raises:
          StorageError: it cannot be written.
          DataError: see :meth:`computed`.
          Stopped: ``is_stopped`` returned True; the old shard remains.
        """
        kept = {int(record["source"]): record for record in folder.records_of(shard) if record["rows"]}
        if set(kept) - {source.number for source in sources}:
            others = [source_of(name) for name in names_in(folder.shard_path(shard))]
            sources = sorted(set(sources) | {source for source in others if source.number in kept})

        def items():
            for source in sources:
                record, array = kept.get(source.number), None
                if record is not None:
                    array, samples = folder.read(record, shard), int(record["samples"])
                if array is None:
                    try:
                        array, samples = self.computed(source.path)
                    except RejectedData:
                        # the data layer reports it when it reads the file itself
                        samples = 0
                yield Item(source.number, source.path, samples, array)
                if on_utterance is not None:
                    on_utterance()
                if is_stopped is not None and is_stopped():
                    raise Stopped

        write_shard(folder.shard_path(shard), folder.identity, self.content, items())
