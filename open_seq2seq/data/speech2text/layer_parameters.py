"""The parameters of the data layer, including those of OpenSeq2Seq that have no effect here or are not supported."""
from open_seq2seq.config.parameters import Bool, Choice, Dict, Either, FilePath, Float, Int, Kind, List, Parameter, String, Struct
from open_seq2seq.data.audio.structure import MAX_MISSING_FRACTION
from open_seq2seq.data.speech2text import stored_features
from open_seq2seq.data.speech2text.augmentation import Augmentation
from open_seq2seq.data.speech2text.feature_graph import FeatureGraph
from open_seq2seq.text import steps


class Unsupported(Kind):
    """A feature of OpenSeq2Seq that this data layer does not support: only the value that disables it is accepted."""

    def __init__(self, off, reason):
        self.off, self.reason = off, reason
        self.description = "%r" % (off,)

    def check(self, value, path, report):
        if value != self.off:
            report.problem(path, "is %r, which is not supported (only %r is): %s" % (value, self.off, self.reason))
        return self.off


_LIMIT = Either(Float(), Int())
_LARGEST_POOL = 10 ** 5  # batches; the utterances of all of them are sorted in memory
_MOST_BUCKETS = 64

PARAMETERS = (
    Parameter("dataset_files", Either(List(FilePath(), minimum_length=1), FilePath()),
              doc="manifest CSVs (wav_filename,wav_filesize,transcript), a list or one"),
    Parameter("vocab_file", FilePath(),
              doc="one character per line, or a SentencePiece model *.model (scripts/make_vocab.py); relative to the working "
                  "directory, else to the repository"),
    Parameter("transcript_column", String(), default="transcript", doc="column of the manifests with the transcripts"),
    Parameter("language_tags", Either(String(), Dict()), default=None,
              doc="a tag <language> as first label of each transcript, which is not part of the text (docs/multi_task.md): the "
                  "column with the language, or a dict from manifests to languages; None: no tags"),
    Parameter("sampling_temperature", Either(Float(minimum=1.0, maximum=100.0), Int(minimum=1, maximum=100)), default=None,
              doc="share of each of several data sets in training: its size to the power 1 / temperature (docs/multi_task.md); "
                  "1: its size; None: 1 if tasks have different data sets, else the manifests are one data set"),
    Parameter("mix", Choice("row", "batch"), default="row",
              doc='of several data sets: "row": every training batch has its share of each; "batch": each batch is from one'),
) + FeatureGraph.PARAMETERS + steps.parameters() + (
    Parameter("augmentation", Struct(Augmentation.PARAMETERS), default=None,
              doc="random changes of training audio; evaluation and inference do not change it"),
    Parameter("stored_features", Struct(stored_features.PARAMETERS), default=None,
              doc="features that another model computed, e.g. of a bottleneck layer (docs/distillation.md); None: none"),
    Parameter("shuffle", Bool(), default=True, doc="a new random order in every epoch of training; evaluation sorts by length"),
    Parameter("shuffle_buffer", Int(minimum=0, maximum=10 ** 9), default=0,
              doc="shuffle only within a buffer of this many utterances, in the order of the manifests, so that a disk or "
                  "network reads neighbors together (docs/kaldi_training.md); 0: the whole epoch"),
    Parameter("frame_shifts", Int(minimum=1, maximum=64), default=1,
              doc="alignments of the encoder's sub-sampling that training sees: in epoch e the features begin with frame e "
                  "modulo this (docs/kaldi_training.md), e.g. the product of the strides; 1: always with the first"),
    Parameter("length_pool", Int(minimum=0, maximum=_LARGEST_POOL), default=0,
              doc="number of training batches that are sorted by length together, to reduce padding; 0: none. No effect on "
                  "devices with static shapes"),
    Parameter("num_buckets", Int(minimum=0, maximum=_MOST_BUCKETS), default=0,
              doc="number of length buckets; a training batch comes from one of them, which reduces padding. Their lengths are "
                  "computed from the manifests. 0: no buckets, or as many as a device with static shapes allows (4)"),
    Parameter("batch_frames", Int(minimum=0), default=0,
              doc="the most frames in a training batch of one device, padding included: batches of longer buckets have fewer "
                  "utterances, at most batch_size_per_gpu. 0: every batch has batch_size_per_gpu utterances"),
    Parameter("sortagrad", Bool(), default=False,
              doc="the first epoch goes from short to long utterances, the following ones are shuffled"),
    Parameter("join_shorter_than", Either(Float(minimum=0.0), Int(minimum=0)), default=0,
              doc="s; on devices with static shapes, shorter training utterances are packed end to end into rows as long as "
                  "the longest utterance, to reduce padding; 0: no packing"),
    Parameter("same_length_batches", Bool(), default=False,
              doc="an evaluation's batches have only utterances of equal padded length, for models that do not mask padding"),
    Parameter("max_duration", _LIMIT, default=None, doc="longer utterances (s) are skipped; None, 0 or -1: no limit"),
    Parameter("min_duration", _LIMIT, default=None, doc="shorter utterances (s) are skipped; None, 0 or -1: no limit"),
    Parameter("max_feature_length", Int(), default=None, doc="utterances with more frames are skipped; None or 0: no limit"),
    Parameter("max_label_length", Int(), default=None, doc="utterances with more labels are skipped; None or 0: no limit"),
    Parameter("max_rejected_fraction", Float(minimum=0.0, maximum=1.0), default=0.01,
              doc="a run ends with an error when more than this fraction of the rows is faulty; they are listed in rejected.csv"),
    Parameter("max_missing_fraction", Float(minimum=0.0, maximum=1.0), default=MAX_MISSING_FRACTION,
              doc="audio files of which at most this part is missing (cut off, damaged) are used with a warning"),
    Parameter("cache_features", Bool(), default=False,
              doc="read features or audio from shards, and add to them what they lack (docs/shards.md); --mode=build_cache "
                  "builds them in advance"),
    Parameter("cache_content", Choice("features", "audio"), default="features",
              doc="what is cached: features, which excludes dither and changes of the waveform, or 16-bit audio at sample_freq, "
                  "which can be used with all augmentation"),
    Parameter("cache_dtype", Choice("float32", "float16"), default="float32",
              doc="type of cached features: float32 gives the same batches as without a cache, float16 needs half the space"),
    Parameter("cache_dir", FilePath(), default=None,
              doc="directory of the caches, one subdirectory for each data set; None: cache/ next to the first manifest"),
    Parameter("cache_regenerate", Bool(), default=False,
              doc="build a cache again that was built with other parameters, instead of an error"),
    Parameter("bpe", Bool(), default=False,
              doc="True: vocab_file must be a SentencePiece model. A file *.model is one in any case"),
    Parameter("autoregressive", Unsupported(False, "only CTC decoders are supported, not attention decoders"), default=False,
              doc="start and end symbols for attention decoders"),
    Parameter("interactive", Unsupported(False, "write a manifest and use --mode=infer"), default=False,
              doc="inference on audio passed from Python"),
    Parameter("syn_enable", Unsupported(False, "list the synthetic files in a separate manifest"), default=False,
              doc="replace audio by synthesized speech at random"),
    Parameter("noise_files", Unsupported(None, "noise from files is an effect of the augmentation: "
                                               "'augmentation': {'noise': {'kinds': ['files'], 'folder': FOLDER}}"),
              default=None, doc="CSV of noise recordings"),
    Parameter("syn_subdirs", List(String()), ignored="it belongs to syn_enable"),
    Parameter("cache_format", String(), ignored="a cache consists of TFRecord shards (docs/shards.md)"),
    Parameter("repeat", Bool(), ignored="training repeats the data endlessly, evaluation reads it once"),
    Parameter("batch_size", Int(), ignored="batch_size_per_gpu decides"),
    Parameter("mode", String(), ignored="--mode decides"),
    Parameter("dtype", Kind(), ignored="features are float32; the model's dtype decides how it computes"),
)
