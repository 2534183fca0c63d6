"""The flags of run.py: their types, defaults and documentation, and the modes that they belong to."""
import argparse
import collections

from open_seq2seq.cli import closest, file_path, positive_number
from open_seq2seq.config.report import shown
from open_seq2seq.log_lines import LOG_FORMATS

MODES = ("train", "eval", "train_eval", "infer", "describe", "npu_check", "export", "combine", "replay", "report",
         "robustness", "tune_lm", "search", "align", "validate_data", "build_cache", "features", "kmeans", "labels",
         "label_quality", "input_transform", "train_worker")
DEVICES = ("auto", "cpu", "gpu", "npu")
EXPORT_FORMATS = ("pb", "saved_model", "onnx")
INFER_FORMATS = ("csv", "json", "ctm", "trn", "srt", "vtt")
REFERENCES = ("characters", "words", "transcript")
FEATURE_FORMATS = ("npy", "npz", "ark")
ALIGN_FORMATS = ("ctm", "csv", "json", "textgrid")
FORMATS_OF_MODE = dict({mode: EXPORT_FORMATS for mode in ("export", "train", "train_eval", "npu_check")},
                       infer=INFER_FORMATS, align=ALIGN_FORMATS, features=FEATURE_FORMATS)


def boolean(text):
    """An argparse type: True or False."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    raise argparse.ArgumentTypeError("is %r, expected True or False" % text)


def _whole(minimum, maximum=2 ** 31 - 1):
    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= maximum:
            raise argparse.ArgumentTypeError("is %s, expected an integer at least %d%s" % (
                shown(text), minimum, " and at most %d" % maximum if value is not None and value > maximum else ""))
        return value
    return parse


def _range(text):
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = float("nan")
    if not -1000.0 <= low < high <= 1000.0:
        raise argparse.ArgumentTypeError("is %r, expected two numbers, the lower one first, e.g. 0,3" % text)
    return low, high


def _frames(text):
    return None if text == "dynamic" else _whole(1, 10 ** 7)(text)


def _formats(text):
    # which ones a mode has is checked when the mode is known
    return tuple(name.strip() for name in text.split(","))


def _paths(text):
    paths = [path.strip() for path in text.split(",")]
    if not all(paths):
        raise argparse.ArgumentTypeError("is %r, expected paths of checkpoints separated by commas" % text)
    return [file_path(path) for path in paths]


def _columns(text):
    names = tuple(name.strip() for name in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise argparse.ArgumentTypeError("is %r, expected different names of columns separated by commas" % text)
    return names


def _context(text):
    parts = text.split(",")
    frames = [int(part) if part.strip().isdigit() else -1 for part in parts * (3 - len(parts))] if len(parts) < 3 else [-1]
    if not all(0 <= number <= 1000 for number in frames):
        raise argparse.ArgumentTypeError("is %r, expected frames on both sides, e.g. 2, or on the left and on the right, e.g. 3,1"
                                         % text)
    return tuple(frames)


def _not_negative(text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError("is %r, expected a finite number at least 0" % text)
    return value


def _files(text):
    paths = [path.strip() for path in text.split(",")]
    if not all(paths) or len(set(paths)) < len(paths):
        raise argparse.ArgumentTypeError("is %r, expected different files separated by commas" % text)
    return [file_path(path) for path in paths]


def _numbers(text):
    parse = _whole(0)
    return [parse(number.strip()) for number in text.split(",")]


def _share(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value != -1 and not 0.0 < value <= 1.0:
        raise argparse.ArgumentTypeError("is %r, expected a share above 0 and at most 1, or -1 for all" % text)
    return value


def _preparations(text):
    # takes a third of a second, and most command lines do not need it
    from open_seq2seq.data.effects.preparations import NAMES
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in NAMES:
            close = closest(name, NAMES)
            raise argparse.ArgumentTypeError("has %s, which is unknown%s; expected some of %s, separated by commas" % (
                shown(name), "" if close is None else " (did you mean %s?)" % close, ", ".join(NAMES)))
    if len(set(names)) < len(names):
        raise argparse.ArgumentTypeError("is %r, expected each name once" % text)
    return names


FLAGS = (
    ("config_file", file_path, None, "the config, a Python file; it runs with your rights"),
    ("mode", MODES, "train", "what to do"),
    ("continue_learning", boolean, False, "resume from the latest checkpoint in logdir"),
    ("no_dir_check", boolean, False, "write into a logdir that is not empty"),
    ("enable_logs", boolean, False, "copy the output, the config and the state of the code into logdir; checkpoints are in "
                                     "logdir/logs"),
    ("infer_output_file", file_path, "infer-out.txt", "file that --mode=infer writes its transcripts to: CSV, or the format of "
                                                          "--format or of the extension .json, .ctm, .trn, .srt or .vtt"),
    ("log_format", LOG_FORMATS, LOG_FORMATS[0], "whose lines a run prints for steps and evaluations; modelzoo: those that the "
                                                "scripts of the ModelZoo port parse"),
    ("benchmark", boolean, False, "train bench_steps steps, print the time per step, save nothing"),
    ("bench_steps", _whole(1), 20, "steps of a benchmark"),
    ("bench_start", _whole(0), 10, "first step that a benchmark measures"),
    ("debug_port", _whole(1, 65535), None, "run under TensorFlow's debugger, which TensorBoard shows on this port"),
    ("use_xla_jit", boolean, False, "compile the graph with XLA"),
    ("device", DEVICES, "auto", "auto selects an NPU, else a GPU, else the CPU"),
    ("json", boolean, False, "--mode=describe, --mode=npu_check and --mode=replay print one JSON object"),
    ("batch", file_path, None, "--mode=replay: file of a non-finite batch (default: the last one that the run kept)"),
    ("npu_memory", positive_number, 32.0, "memory in GB of the NPU that --mode=npu_check assumes"),
    ("export_dir", file_path, None, "--mode=export: the folder to write to; in training: the folder for the export of "
                                     "the best model at the end"),
    ("batch_size", _whole(1, 10 ** 6), None, "--mode=export: utterances in a batch of the model (default: any number; 1 with "
                                             "--with_features or --no_fold, unless --frames=dynamic)"),
    ("frames", _frames, "2336", "--mode=export: feature frames of an utterance, or dynamic for any number, for CPUs"),
    ("format", _formats, None, "--mode=export: pb (default), saved_model, onnx, or several separated by commas; --mode=align: "
                               "ctm (default), csv, json, textgrid; --mode=infer: one of csv, json, ctm, trn, srt, vtt; "
                               "--mode=features: npy (default, as fairseq), npz, ark (Kaldi)"),
    ("with_features", boolean, False, "--mode=export: the model takes audio and computes the features itself"),
    ("fp16", boolean, False, "--mode=export: weights and products in float16"),
    ("no_fold", boolean, False, "--mode=export: do not fold batch norm and residual branches into the convolutions"),
    ("convolutions", ("plain", "fast"), None, "--mode=export: fast has fewer multiplications and more weights, for CPUs "
                                              "(default: plain; fast with --frames=dynamic)"),
    ("last", _whole(2), None, "--mode=combine: combine the newest N checkpoints"),
    ("best", _whole(2), None, "--mode=combine: combine the N checkpoints with the lowest word error rates in evaluations"),
    ("checkpoints", _paths, None, "--mode=combine: combine these, separated by commas"),
    ("combine_weights", ("equal", "optimize"), "equal", "--mode=combine: the mean, or the weights with the best result on "
                                                        "evaluation data"),
    ("combine_utterances", _whole(1), 256, "--mode=combine: utterances of the evaluation data to measure on"),
    ("bn_batches", _whole(1), None, "--mode=combine: batches of training data to measure batch norm's statistics on (default: "
                                    "the statistics are combined, too)"),
    ("output", file_path, None, "--mode=combine, --mode=align, --mode=validate_data: the folder to write to (default: combined/ "
                                "or alignment/ next to the checkpoints; validation/ in the working directory); "
                                "--mode=label_quality: the JSON file (default: label_quality.json next to the labels); "
                                "--mode=input_transform: the file (default: input_transform.npz next to the manifest)"),
    ("headers", boolean, False, "--mode=validate_data: read only the headers of audio files, which is much faster"),
    ("task", str, None, "--mode=eval, infer, export, describe, align, tune_lm, robustness: the task of a config with tasks "
                        "(default: main_task)"),
    ("group_by", _columns, None, "--mode=eval: also show the error rates for each value of these columns of the manifests, "
                                 "separated by commas (default: speaker, noise level, and columns with few values)"),
    ("compare", file_path, None, "--mode=eval: another evaluation that the report compares with: its run's folder or eval.json"),
    ("report_recordings", _whole(0, 10 ** 5), 200, "--mode=eval: recordings in the report, those of the worst utterances and of "
                                                    "some others; 0: none"),
    ("report_megabytes", positive_number, 20.0, "--mode=eval: most space in MB for them"),
    ("preparations", _preparations, None, "--mode=robustness: only these, separated by commas (default: all; docs/robustness.md "
                                          "lists them)"),
    ("trials", _whole(1, 10 ** 5), 60, "--mode=tune_lm: pairs of alpha and beta to measure, those of an interrupted search "
                                          "included; --mode=search: trainings, in the same way"),
    ("jobs", _whole(1, 1000), 1, "--mode=search: trainings at the same time, each with a device or its share of the cores"),
    ("alpha_range", _range, "0,3", "--mode=tune_lm: lowest and highest alpha"),
    ("beta_range", _range, "-2,8", "--mode=tune_lm: lowest and highest beta"),
    ("manifest", _files, None, "--mode=features, --mode=label_quality, --mode=input_transform: CSV or TSV lists of utterances, "
                               "separated by commas (default: dataset_files of the config)"),
    ("features", file_path, "features", "--mode=features, --mode=kmeans, --mode=labels: the folder of the features"),
    ("layer", str, None, "--mode=features: outputs of this layer of the encoder, e.g. conv53, or logits (default: MFCC)"),
    ("nshard", _whole(1, 10 ** 5), 1, "--mode=features: number of files that the features of a manifest are divided into"),
    ("shard", _numbers, None, "--mode=features: compute only these shards, separated by commas, the first is 0"),
    ("sample_rate", _whole(2000, 192000), None, "--mode=features: Hz at which MFCC are computed (default: sample_freq of the "
                                                "config, 16000 without one)"),
    ("split", str, None, "--mode=kmeans: the name of the manifest to train on (default: train); --mode=labels: those to label, "
                         "separated by commas (default: all)"),
    ("clusters", _whole(2, 10 ** 6), 100, "--mode=kmeans: number of clusters"),
    ("percent", _share, -1.0, "--mode=kmeans: share of the utterances to train on, above 0 to 1, as in fairseq; -1: all"),
    ("seed", _whole(0), 0, "--mode=kmeans: seed of the choice of utterances and of the first centroids"),
    ("clusters_file", file_path, None, "--mode=kmeans, --mode=labels: file of the clusters, also one of fairseq (default: "
                                       "clusters.npz in the folder of the features)"),
    ("labels", file_path, None, "--mode=labels, --mode=label_quality: folder of the labels (default: that of the features; that "
                                "of the manifest)"),
    ("label_name", str, "km", "--mode=labels, --mode=label_quality: extension of the labels' files"),
    ("label_rate", positive_number, None, "--mode=labels, --mode=label_quality: labels per second, for files of fairseq, "
                                          "which do not contain it"),
    ("reference", REFERENCES, REFERENCES[0], "--mode=label_quality: compare with characters aligned by the config's model, with "
                                             "the words, or with the whole transcript (for recordings of one word)"),
    ("alignment", file_path, None, "--mode=label_quality: characters.csv or words.csv of --mode=align, instead of aligning"),
    ("context", _context, "2", "--mode=input_transform: frames on both sides that are spliced with a frame, or those on the left "
                               "and on the right separated by a comma"),
    ("transform_dim", _whole(1, 10 ** 6), None, "--mode=input_transform: values of a transformed frame (default: as many as the "
                                                "spliced frames have)"),
    ("within_class_factor", _not_negative, 0.001, "--mode=input_transform: variance of directions that do not separate the "
                                                  "classes; 1: LDA"),
    ("max_singular_value", _not_negative, 5.0, "--mode=input_transform: limit of the transform's singular values; 0: none"),
    ("use_trt", boolean, False, "accepted for old scripts; has no effect"),
    ("precision", str, "fp32", "accepted for old scripts; has no effect"),
    ("version", boolean, False, "print the version and exit"),
    ("help", boolean, False, "print this and, with --config_file, the meaning of its keys, and exit"),
    ("help_params", boolean, False, "print the meaning of the keys of a config, and exit"),
)
"""Name, type or choices, default and documentation of each flag; one of type ``boolean`` needs no value."""

EXPORT_FLAGS = ("export_dir", "batch_size", "frames", "format", "with_features", "fp16", "no_fold", "convolutions")

FLAGS_OF_MODE = collections.OrderedDict((
    ("eval", ("task", "group_by", "compare", "report_recordings", "report_megabytes")),
    ("infer", ("task",)),
    ("export", ("task",)),
    ("describe", ("task",)),
    ("align", ("task",)),
    ("robustness", ("task", "preparations",)),
    ("tune_lm", ("task", "trials", "alpha_range", "beta_range")),
    ("search", ("trials", "jobs")),
    ("validate_data", ("headers",)),
    ("features", ("manifest", "features", "layer", "nshard", "shard", "sample_rate")),
    ("kmeans", ("features", "split", "clusters", "percent", "seed", "clusters_file")),
    ("labels", ("features", "split", "clusters_file", "labels", "label_name", "label_rate")),
    ("label_quality", ("manifest", "labels", "label_name", "label_rate", "reference", "alignment")),
    ("input_transform", ("manifest", "labels", "label_name", "label_rate", "alignment", "context", "transform_dim",
                         "within_class_factor", "max_singular_value")),
))

COMBINE_FLAGS = ("last", "best", "checkpoints", "combine_weights", "combine_utterances", "bn_batches", "output")

Arguments = collections.namedtuple("Arguments", [flag[0] for flag in FLAGS])
Arguments.__doc__ = "The flags of run.py, one field each."


def add_flags(parser, names):
    """Adds the flags of run.py that ``names`` lists to an ``argparse`` parser."""
    for name, kind, default, doc in FLAGS:
        if name not in names:
            continue
        if default not in (None, False):
            doc += " (default: %s)" % default
        if kind is boolean:
            parser.add_argument("--" + name, nargs="?", const=True, default=default, type=kind, metavar="True", help=doc)
        elif isinstance(kind, tuple):
            parser.add_argument("--" + name, choices=kind, default=default, help=doc)
        else:
            text = "NAME" if kind in (str, file_path, _formats, _paths, _columns, _preparations, _files) else "N"
            parser.add_argument("--" + name, type=kind, default=default, help=doc,
                                metavar="FILE" if name.endswith("file") else text)
