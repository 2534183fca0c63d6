"""Importers: corpora of any usual form become manifests. ``python -m open_seq2seq.data.importers`` lists them."""
import collections
import importlib

SUMMARIES = collections.OrderedDict((
    ("folder", "a folder of audio files, each with a .txt file of the same name"),
    ("librispeech", "LibriSpeech, extracted or as tar files"),
    ("common_voice", "Common Voice, any language"),
    ("kaldi", "a data directory of Kaldi: wav.scp, text, segments, utt2spk"),
    ("nemo", "manifests of NeMo: a JSON object on each line"),
    ("lhotse", "cuts of lhotse: cuts.jsonl or cuts.jsonl.gz"),
    ("fairseq", "manifests of fairseq: .tsv with .ltr, .wrd or .txt"),
    ("huggingface", "data sets of Hugging Face on the disk: Parquet, Arrow, or audio files with metadata.csv"),
    ("webdataset", "tar files of WebDataset"),
    ("fsdd", "the Free Spoken Digit Dataset, concatenated to digit strings"),
    ("synthetic_digits", "spoken digit strings by espeak-ng"),
    ("synthetic_speech", "sentences in any language, spoken by espeak-ng"),
    ("synthetic_sentences", "random Kyrgyz, Kazakh or Turkish sentences, spoken by espeak-ng"),
))
"""What each importer reads; the names are those of the modules."""

CONVERTERS = collections.OrderedDict((
    ("frame_csv", "a CSV of a label and n feature values a row (frame classification); it becomes TFRecord shards"),
))
"""Commands for data that are not utterances; the names are those of the modules, which have no Importer."""


def load(name):
    """The Importer of a module of this package that has one."""
    return importlib.import_module("%s.%s" % (__name__, name)).IMPORTER
