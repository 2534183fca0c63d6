"""The data layer: from the params of a config to batches of features and labels."""
import sys
import threading

import numpy as np

from open_seq2seq.config.parameters import Bool, Either, Float, Int, Kind, List, Parameter, String, Struct, child_path
from open_seq2seq.data.speech2text.audio import read_audio
from open_seq2seq.data.speech2text.augmentation import Augmentation
from open_seq2seq.data.speech2text.batch_order import TrainingOrder, evaluation_batches
from open_seq2seq.data.speech2text.dataset import FeaturePipeline, parallel_calls
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph, make_feature_function
from open_seq2seq.data.speech2text.features import check_rules as check_feature_rules
from open_seq2seq.data.speech2text.manifest import read_manifest
from open_seq2seq.data.speech2text.rejection import RejectedData, Rejections
from open_seq2seq.data.speech2text.selection import select_utterances
from open_seq2seq.data.speech2text.vocabulary import Vocabulary
from open_seq2seq.log_lines import log_line

MODES = ("train", "eval", "infer")


class Unsupported(Kind):
    """Something of OpenSeq2Seq that this data layer does not do: only the value that switches it off is accepted."""

    def __init__(self, off, reason):
        self.off, self.reason = off, reason
        self.description = "%r" % (off,)

    def check(self, value, path, report):
        if value != self.off:
            report.problem(path, "is %r, which is not supported (only %r is): %s" % (value, self.off, self.reason))
        return self.off


_LIMIT = Either(Float(), Int())
_NO_CACHE = "features are computed as they are needed, faster than they could be read"

PARAMETERS = (
    Parameter("dataset_files", Either(List(String(), minimum_length=1), String()),
              doc="manifest CSVs (wav_filename,wav_filesize,transcript), a list or one"),
    Parameter("vocab_file", String(), doc="one character a line; relative to the working directory, else to the repository"),
) + FeatureGraph.PARAMETERS + (
    Parameter("augmentation", Struct(Augmentation.PARAMETERS), default=None,
              doc="what is done to training audio; evaluation and inference leave it as it is"),
    Parameter("shuffle", Bool(), default=True, doc="a new order in every epoch of training; evaluation sorts by length"),
    Parameter("length_pool", Int(minimum=0), default=0,
              doc="batches of training that are sorted by length together, to save padding; 0: none"),
    Parameter("same_length_batches", Bool(), default=False,
              doc="evaluate only utterances of equal padded length together, for models that do not mask the padding"),
    Parameter("max_duration", _LIMIT, default=None, doc="longer utterances (s) are left out; None, 0 or -1: no limit"),
    Parameter("min_duration", _LIMIT, default=None, doc="shorter utterances (s) are left out; None, 0 or -1: no limit"),
    Parameter("max_feature_length", Int(), default=None, doc="utterances with more frames are left out; None or 0: no limit"),
    Parameter("max_label_length", Int(), default=None, doc="utterances with more labels are left out; None or 0: no limit"),
    Parameter("max_rejected_fraction", Float(minimum=0.0, maximum=1.0), default=0.01,
              doc="a run refuses to go on when more than this part of the rows is faulty; they are listed in rejected.csv"),
    Parameter("bpe", Unsupported(False, "labels are single characters"), default=False, doc="sub-word labels"),
    Parameter("autoregressive", Unsupported(False, "it is for attention decoders, here is only CTC"), default=False,
              doc="start and end symbols for attention decoders"),
    Parameter("interactive", Unsupported(False, "write a manifest and use --mode=infer"), default=False,
              doc="inference on audio handed over from Python"),
    Parameter("syn_enable", Unsupported(False, "list the synthetic files in a manifest of their own"), default=False,
              doc="replace audio by synthesised speech at random"),
    Parameter("noise_files", Unsupported(None, "noise from files is not mixed in; augmentation has noise_level_min and "
                                               "noise_level_max"), default=None, doc="CSV of noise recordings"),
    Parameter("syn_subdirs", List(String()), ignored="it belongs to syn_enable"),
    Parameter("cache_features", Bool(), ignored=_NO_CACHE),
    Parameter("cache_format", String(), ignored=_NO_CACHE),
    Parameter("cache_regenerate", Bool(), ignored=_NO_CACHE),
    Parameter("repeat", Bool(), ignored="training goes on without end, evaluation reads everything once"),
    Parameter("batch_size", Int(), ignored="batch_size_per_gpu decides"),
    Parameter("mode", String(), ignored="--mode decides"),
    Parameter("dtype", Kind(), ignored="features are float32; the model's dtype decides how it computes"),
)


class Speech2TextDataLayer:
    """Utterances of a set of manifests as batches of features and labels.

    Args:
      params: checked dict of ``PARAMETERS``.
      mode: "train", "eval" or "infer".
      batch_size: utterances in a batch of one worker.
      seed: decides the order and the augmentation of training, and the dither of evaluation.
      num_workers, worker_id: how many processes share the data, and which one this is.
      rejected_file: path of the CSV that lists the rows left out; written only when there are any. None: not written.
      output_frames: function int feature frames -> int encoder output frames, to refuse in training what CTC cannot
        align. None: not checked.

    Attributes:
      vocabulary: Vocabulary.
      utterances: the accepted rows, list of Utterance.
      rejections: Rejections, all rows left out.
      run_time_rejections: list of the Utterances whose files turned bad after the start; they are among the rejections.

    Raises:
      DataError: a vocabulary or manifest cannot be read, too many rows are faulty, or none is left.
      ConfigError: parameters that contradict each other.
      StorageError: ``rejected_file`` cannot be written.
    """

    PARAMETERS = PARAMETERS

    def __init__(self, params, mode, batch_size, seed=0, num_workers=1, worker_id=0, rejected_file=None, output_frames=None):
        if mode not in MODES:
            raise ValueError("mode is %r, expected one of %s" % (mode, ", ".join(MODES)))
        self._params, self.mode, self.batch_size, self._seed = params, mode, batch_size, seed
        self.num_workers, self.worker_id = num_workers, worker_id
        self.vocabulary = Vocabulary.from_file(params["vocab_file"])
        self._features = make_feature_function(params)
        self._augmentation = None
        if mode == "train" and params["augmentation"] is not None:
            self._augmentation = Augmentation(params["augmentation"], params["sample_freq"])
        self._same_length_batches, self._batches = params["same_length_batches"], None
        self._lock, self.run_time_rejections = threading.Lock(), []
        files = params["dataset_files"]
        files = [files] if isinstance(files, str) else files
        rows = [row for path in files for row in read_manifest(path, transcripts=mode != "infer")]
        # the workers find the same rows; the first one speaks for all
        self.rejections = Rejections(len(rows), params["max_rejected_fraction"], rejected_file if worker_id == 0 else None,
                                     manifests=files)
        self.utterances = select_utterances(rows, params, mode, self.vocabulary, self._features.num_frames, output_frames,
                                            self.rejections, show_progress=worker_id == 0)
        self.rejections.write()
        self.raise_if_too_many_rejected()
        self.rejections.raise_if_nothing_left(len(self.utterances))
        if worker_id == 0 and self.rejections.items:
            log_line("%s data: %s" % (mode, self.rejections.summary()))

    @staticmethod
    def check_rules(params, path, report):
        """Reports what checked params are wrong in together; ``path`` names them."""
        check_feature_rules(params, path, report)
        if params["augmentation"] is not None:
            Augmentation.check_rules(params["augmentation"], child_path(path, "augmentation"), report,
                                     params["num_audio_features"])

    @property
    def num_audio_features(self):
        return self._params["num_audio_features"]

    @property
    def total_duration(self):
        """Seconds of accepted audio, all workers'."""
        return sum(utterance.duration for utterance in self.utterances)

    @property
    def batches_per_epoch(self):
        """Batches of this worker: in training those that an epoch fills (at least 1), else those of an evaluation."""
        if self.mode == "train":
            return max(1, len(self.utterances) // self.batch_size // self.num_workers)
        return len(self._evaluation_batches())

    def raise_if_too_many_rejected(self):
        """Raises DataError when more rows than ``max_rejected_fraction`` allows have turned out faulty.

        A training pipeline that comes to this point fails with a ``tf.errors.OpError``; who runs the session then calls
        this for the error that says why. An evaluation comes to its end and calls this to know whether it counts.
        """
        self.rejections.raise_if_too_many()

    def training_dataset(self, first_batch=0):
        """An endless ``tf.data.Dataset`` of Batch with static B.

        Args:
          first_batch: number of the first batch; those before are skipped, not computed. What comes then is the same
            as after reading them (unless files turn bad on the way).
        """
        order = TrainingOrder([utterance.num_samples for utterance in self.utterances], self.batch_size,
                              self._params["shuffle"], self._seed, self.num_workers, self.worker_id,
                              self._params["length_pool"])
        return self._pipeline().training_dataset(order.batch, first_batch, self.batch_size)

    def evaluation_dataset(self, same_length_batches=None):
        """A finite ``tf.data.Dataset`` of Batch: every utterance of this worker's share once, the longest first.

        Args:
          same_length_batches: whether a batch holds only utterances of equal padded length, which makes the result of a
            model without masks independent of the batch size; None: as the parameter says. ``batches_per_epoch`` follows.
        """
        if same_length_batches is not None and same_length_batches != self._same_length_batches:
            self._same_length_batches, self._batches = same_length_batches, None
        return self._pipeline().evaluation_dataset(self._evaluation_batches(), self.batch_size)

    def _evaluation_batches(self):
        if self._batches is None:
            frames = [self._features.num_frames(utterance.num_samples) for utterance in self.utterances]
            self._batches = evaluation_batches(frames, self.batch_size, self._same_length_batches, self._params["pad_to"],
                                               self.num_workers, self.worker_id)
        return self._batches

    def _pipeline(self):
        return FeaturePipeline(self._load, self._features_of, self.num_audio_features, self._params["pad_to"], self._seed,
                               parallel_calls(self.num_workers))

    def _features_of(self, waveform, seed):
        if self._augmentation is None:
            return self._features(waveform, seed)
        features = self._features(self._augmentation.waveform(waveform, seed), seed)
        return self._augmentation.features(features, seed)

    def _load(self, index):
        """(float32 [samples], int32 [labels]) of an utterance; no samples when its file has turned bad. Thread-safe."""
        utterance = self.utterances[index]
        try:
            waveform = read_audio(utterance.audio_path, self._params["sample_freq"])
        except RejectedData as rejected:
            self._reject_at_run_time(utterance, rejected)
            waveform = np.zeros([0], np.float32)
        return waveform, np.asarray(utterance.labels, np.int32)

    def _reject_at_run_time(self, utterance, rejected):
        with self._lock:
            if utterance not in self.run_time_rejections:
                self.run_time_rejections.append(utterance)
                self.rejections.add(utterance, rejected.reason, str(rejected))
                sys.stderr.write("left out utterance %s: %s: %s\n" % (utterance.id, rejected.reason.name, rejected))
                self.rejections.write()
            if self.mode == "train":
                # an endless stream must end here, or it would look for a good utterance for ever
                self.raise_if_too_many_rejected()
                self.rejections.raise_if_nothing_left(len(self.utterances) - len(self.run_time_rejections))
