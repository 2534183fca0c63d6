"""The parameters of the data layer, those of OpenSeq2Seq included that have no effect here or are not supported."""
from open_seq2seq.config.parameters import Bool, Either, FilePath, Float, Int, Kind, List, Parameter, String, Struct
from open_seq2seq.data.audio.structure import MAX_MISSING_FRACTION
from open_seq2seq.data.speech2text.augmentation import Augmentation
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph


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
    Parameter("dataset_files", Either(List(FilePath(), minimum_length=1), FilePath()),
              doc="manifest CSVs (wav_filename,wav_filesize,transcript), a list or one"),
    Parameter("vocab_file", FilePath(), doc="one character a line; relative to the working directory, else to the repository"),
) + FeatureGraph.PARAMETERS + (
    Parameter("augmentation", Struct(Augmentation.PARAMETERS), default=None,
              doc="what is done to training audio; evaluation and inference leave it as it is"),
    Parameter("shuffle", Bool(), default=True, doc="a new order in every epoch of training; evaluation sorts by length"),
    Parameter("length_pool", Int(minimum=0), default=0,
              doc="batches of training that are sorted by length together, to save padding; 0: none. Without effect "
                  "where the device has length buckets"),
    Parameter("join_shorter_than", Either(Float(minimum=0.0), Int(minimum=0)), default=0,
              doc="s; where the device has length buckets, shorter utterances of training are joined end to end to rows as long "
                  "as the longest utterance, to save padding; 0: none"),
    Parameter("same_length_batches", Bool(), default=False,
              doc="evaluate only utterances of equal padded length together, for models that do not mask the padding"),
    Parameter("max_duration", _LIMIT, default=None, doc="longer utterances (s) are left out; None, 0 or -1: no limit"),
    Parameter("min_duration", _LIMIT, default=None, doc="shorter utterances (s) are left out; None, 0 or -1: no limit"),
    Parameter("max_feature_length", Int(), default=None, doc="utterances with more frames are left out; None or 0: no limit"),
    Parameter("max_label_length", Int(), default=None, doc="utterances with more labels are left out; None or 0: no limit"),
    Parameter("max_rejected_fraction", Float(minimum=0.0, maximum=1.0), default=0.01,
              doc="a run refuses to go on when more than this part of the rows is faulty; they are listed in rejected.csv"),
    Parameter("max_missing_fraction", Float(minimum=0.0, maximum=1.0), default=MAX_MISSING_FRACTION,
              doc="audio files of which at most this part is missing (cut off, damaged) are used with a warning"),
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
