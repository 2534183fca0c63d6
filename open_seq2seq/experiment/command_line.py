"""The command line of run.py: its own flags, and any key of the config as ``--key=value``."""
import argparse
import collections
import difflib
import os

import open_seq2seq
from open_seq2seq.cli import Parser, command_name, file_path
from open_seq2seq.config.overrides import Override
from open_seq2seq.config.report import closest, shown
from open_seq2seq.errors import UsageError
from open_seq2seq.experiment.playbook import help_text, names_of_files, overrides_of, playbook_names, refuse_foreign
from open_seq2seq.log_lines import LOG_FORMATS

MODES = ("train", "eval", "train_eval", "infer", "describe", "npu_check", "export", "combine", "replay", "report", "robustness",
         "tune_lm", "align", "validate_data", "build_cache", "features", "kmeans", "labels", "label_quality")
DEVICES = ("auto", "cpu", "gpu", "npu")
EXPORT_FORMATS = ("pb", "saved_model", "onnx")
INFER_FORMATS = ("csv", "json", "ctm", "trn", "srt", "vtt")
REFERENCES = ("characters", "words", "transcript")
ALIGN_FORMATS = ("ctm", "csv", "json", "textgrid")
_FORMATS_OF_MODE = dict({mode: EXPORT_FORMATS for mode in ("export", "train", "train_eval", "npu_check")},
                        infer=INFER_FORMATS, align=ALIGN_FORMATS)

_EXAMPLES = """any key of the config can be set, at any depth; the last value of a key takes precedence:
  --batch_size_per_gpu=16 --optimizer_params/beta1=0.9
  --encoder_params/convnet_layers/3/num_channels=256
  --data_layer_params/dataset_files="['a.csv', 'b.csv']"
  --train_params/data_layer_params/max_duration=10   only for training

%s

examples:
  python run.py --config_file=configs/speech2text/jasper_mini_digits.py --mode=train_eval
  python run.py --config_file=FILE --mode=infer --infer_output_file=transcripts.csv
  python run.py --config_file=FILE --mode=describe
  python run.py --config_file=FILE --mode=npu_check  checks whether it would run on an Ascend NPU, without one
  python run.py --config_file=FILE --mode=export --export_dir=model  the trained model as one file, for inference
  python run.py --config_file=FILE --mode=combine --last=5 --combine_weights=optimize  one model of five checkpoints
  python run.py --config_file=FILE --mode=replay     recomputes the last batch with a non-finite loss or gradient, layer by layer
  python run.py --config_file=FILE --mode=robustness  WER on the evaluation data in other recordings: noise, codecs, levels, rooms
  python run.py --config_file=FILE --mode=tune_lm --lm_path=lm.arpa  the weights of the language model with the lowest WER
  python run.py --config_file=FILE --mode=validate_data  what is wrong with its manifests and their audio; a repaired copy
  python run.py --config_file=FILE --mode=build_cache  features or audio of its data sets as shards for fast reading
  python run.py --config_file=FILE --mode=align      when each word of the transcripts is said, and which transcripts are wrong
  python run.py --mode=features --manifest=train.tsv,valid.tsv  features to pre-train on without transcripts; then --mode=kmeans
                                                     and --mode=labels (docs/pretraining.md)
  python run.py --mode=report --logdir=runs/mine     writes runs/mine/report/index.html of a finished or running training
  python run.py --config_file=FILE --help            what each key of that config means

  python run.py --config_file=FILE --train_files train.csv --dev_files dev.csv --test_files test.csv --epochs 30

exit status: 0 success, 2 invalid command line or config, 3 data or files, 4 device, 1 an error in the program; 143 or 130 stopped
by SIGTERM or SIGINT (a training saves a checkpoint first and prints how to resume; SIGUSR1 saves one and training continues:
docs/resuming.md)"""


def _boolean(text):
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


def _positive(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    # not "value <= 0", which is false for NaN
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError("is %r, expected a finite number above 0" % text)
    return value


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


# name, type or choices, default, documentation; a flag of type _boolean needs no value
_FLAGS = (
    ("config_file", file_path, None, "the config, a Python file; it runs with your rights"),
    ("mode", MODES, "train", "what to do"),
    ("continue_learning", _boolean, False, "resume from the latest checkpoint in logdir"),
    ("no_dir_check", _boolean, False, "write into a logdir that is not empty"),
    ("enable_logs", _boolean, False, "copy the output, the config and the state of the code into logdir; checkpoints are in "
                                     "logdir/logs"),
    ("infer_output_file", file_path, "infer-out.txt", "file that --mode=infer writes its transcripts to: CSV, or the format of "
                                                          "--format or of the extension .json, .ctm, .trn, .srt or .vtt"),
    ("log_format", LOG_FORMATS, LOG_FORMATS[0], "whose lines a run prints for steps and evaluations; modelzoo: those that the "
                                                "scripts of the ModelZoo port parse"),
    ("benchmark", _boolean, False, "train bench_steps steps, print the time per step, save nothing"),
    ("bench_steps", _whole(1), 20, "steps of a benchmark"),
    ("bench_start", _whole(0), 10, "first step that a benchmark measures"),
    ("debug_port", _whole(1, 65535), None, "run under TensorFlow's debugger, which TensorBoard shows on this port"),
    ("use_xla_jit", _boolean, False, "compile the graph with XLA"),
    ("device", DEVICES, "auto", "auto selects an NPU, else a GPU, else the CPU"),
    ("json", _boolean, False, "--mode=describe, --mode=npu_check and --mode=replay print one JSON object"),
    ("batch", file_path, None, "--mode=replay: file of a non-finite batch (default: the last one that the run kept)"),
    ("npu_memory", _positive, 32.0, "memory in GB of the NPU that --mode=npu_check assumes"),
    ("export_dir", file_path, None, "--mode=export: the folder to write to; in training: the folder for the export of "
                                     "the best model at the end"),
    ("batch_size", _whole(1, 10 ** 6), None, "--mode=export: utterances in a batch of the model (default: any number; 1 with "
                                             "--with_features or --no_fold, unless --frames=dynamic)"),
    ("frames", _frames, "2336", "--mode=export: feature frames of an utterance, or dynamic for any number, for CPUs"),
    ("format", _formats, None, "--mode=export: pb (default), saved_model, onnx, or several separated by commas; --mode=align: "
                               "ctm (default), csv, json, textgrid; --mode=infer: one of csv, json, ctm, trn, srt, vtt"),
    ("with_features", _boolean, False, "--mode=export: the model takes audio and computes the features itself"),
    ("fp16", _boolean, False, "--mode=export: weights and products in float16"),
    ("no_fold", _boolean, False, "--mode=export: do not fold batch norm and residual branches into the convolutions"),
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
                                "--mode=label_quality: the JSON file (default: label_quality.json next to the labels)"),
    ("headers", _boolean, False, "--mode=validate_data: read only the headers of audio files, which is much faster"),
    ("group_by", _columns, None, "--mode=eval: also show the error rates for each value of these columns of the manifests, "
                                 "separated by commas (default: speaker, noise level, and columns with few values)"),
    ("compare", file_path, None, "--mode=eval: another evaluation that the report compares with: its run's folder or eval.json"),
    ("report_recordings", _whole(0, 10 ** 5), 200, "--mode=eval: recordings in the report, those of the worst utterances and of "
                                                    "some others; 0: none"),
    ("report_megabytes", _positive, 20.0, "--mode=eval: most space in MB for them"),
    ("preparations", _preparations, None, "--mode=robustness: only these, separated by commas (default: all; docs/robustness.md "
                                          "lists them)"),
    ("trials", _whole(1, 10 ** 5), 60, "--mode=tune_lm: pairs of alpha and beta to measure, those of an interrupted search "
                                          "included"),
    ("alpha_range", _range, "0,3", "--mode=tune_lm: lowest and highest alpha"),
    ("beta_range", _range, "-2,8", "--mode=tune_lm: lowest and highest beta"),
    ("manifest", _files, None, "--mode=features, --mode=label_quality: CSV or TSV lists of utterances, separated by commas "
                               "(default: dataset_files of the config)"),
    ("features", file_path, "features", "--mode=features, --mode=kmeans, --mode=labels: the folder of the features"),
    ("layer", str, None, "--mode=features: outputs of this layer of the encoder, e.g. conv53 (default: MFCC)"),
    ("nshard", _whole(1, 10 ** 5), 1, "--mode=features: files that the features of a manifest are divided into"),
    ("shard", _numbers, None, "--mode=features: compute only these shards, separated by commas, the first is 0"),
    ("sample_rate", _whole(2000, 192000), None, "--mode=features: Hz at which MFCC are computed (default: sample_freq of the "
                                                "config, 16000 without one)"),
    ("split", str, None, "--mode=kmeans: the name of the manifest to learn from (default: train); --mode=labels: those to label, "
                         "separated by commas (default: all)"),
    ("clusters", _whole(2, 10 ** 6), 100, "--mode=kmeans: number of clusters"),
    ("percent", _share, -1.0, "--mode=kmeans: share of the utterances to learn from, above 0 to 1, as in fairseq; -1: all"),
    ("seed", _whole(0), 0, "--mode=kmeans: decides the utterances and the first centroids"),
    ("clusters_file", file_path, None, "--mode=kmeans, --mode=labels: file of the clusters, also one of fairseq (default: "
                                       "clusters.npz in the folder of the features)"),
    ("labels", file_path, None, "--mode=labels, --mode=label_quality: folder of the labels (default: that of the features; that "
                                "of the manifest)"),
    ("label_name", str, "km", "--mode=labels, --mode=label_quality: extension of the labels' files"),
    ("label_rate", _positive, None, "--mode=labels, --mode=label_quality: labels per second, for files of fairseq, which do not "
                                    "say it"),
    ("reference", REFERENCES, REFERENCES[0], "--mode=label_quality: compare with characters aligned by the config's model, with "
                                             "the words, or with the whole transcript (single words)"),
    ("alignment", file_path, None, "--mode=label_quality: characters.csv or words.csv of --mode=align, instead of aligning"),
    ("use_trt", _boolean, False, "accepted for old scripts; has no effect"),
    ("precision", str, "fp32", "accepted for old scripts; has no effect"),
    ("version", _boolean, False, "print the version and exit"),
    ("help", _boolean, False, "print this and, with --config_file, the meaning of its keys, and exit"),
    ("help_params", _boolean, False, "print the meaning of the keys of a config, and exit"),
)

EXPORT_FLAGS = ("export_dir", "batch_size", "frames", "format", "with_features", "fp16", "no_fold", "convolutions")

FLAGS_OF_MODE = collections.OrderedDict((
    ("eval", ("group_by", "compare", "report_recordings", "report_megabytes")),
    ("robustness", ("preparations",)),
    ("tune_lm", ("trials", "alpha_range", "beta_range")),
    ("validate_data", ("headers",)),
    ("features", ("manifest", "features", "layer", "nshard", "shard", "sample_rate")),
    ("kmeans", ("features", "split", "clusters", "percent", "seed", "clusters_file")),
    ("labels", ("features", "split", "clusters_file", "labels", "label_name", "label_rate")),
    ("label_quality", ("manifest", "labels", "label_name", "label_rate", "reference", "alignment")),
))

COMBINE_FLAGS = ("last", "best", "checkpoints", "combine_weights", "combine_utterances", "bn_batches", "output")

Arguments = collections.namedtuple("Arguments", [flag[0] for flag in _FLAGS])
Arguments.__doc__ = "The flags of run.py, one field each."

FLAG_NAMES = [flag[0] for flag in _FLAGS] + playbook_names()
"""All flags; every other ``--key`` is a key of the config."""


def _parser():
    examples = _EXAMPLES.replace("python run.py", command_name("python run.py")).replace("%s", help_text())
    parser = Parser(prog="run.py", usage="%(prog)s --config_file=FILE [--mode=MODE] [--flags] [--key=value ...]",
                     description="Trains, evaluates and runs Jasper speech recognition.",
                     epilog=examples, add_help=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(parser, Arguments._fields)
    return parser


def add_flags(parser, names):
    """Adds the flags of run.py that ``names`` lists to an ``argparse`` parser."""
    for name, kind, default, doc in _FLAGS:
        if name not in names:
            continue
        if default not in (None, False):
            doc += " (default: %s)" % default
        if kind is _boolean:
            parser.add_argument("--" + name, nargs="?", const=True, default=default, type=kind, metavar="True", help=doc)
        elif isinstance(kind, tuple):
            parser.add_argument("--" + name, choices=kind, default=default, help=doc)
        else:
            text = "NAME" if kind in (str, file_path, _formats, _paths, _columns, _preparations, _files) else "N"
            parser.add_argument("--" + name, type=kind, default=default, help=doc,
                                metavar="FILE" if name.endswith("file") else text)


def parse_command_line(words):
    """Splits a command line into run.py's flags and overrides of the config.

    Args:
      words: list of arguments, without the program's name.

    Returns:
      (:class:`Arguments`, list of :class:`~open_seq2seq.config.overrides.Override`). ``--benchmark`` adds the overrides of a
      benchmark; ``--use_xla_jit`` is also a key of the config, which it sets.

    Raises:
      UsageError: a flag with an invalid value, a misspelled flag, no ``--config_file``, or an argument that is not an override.
      SystemExit: after ``--help``, ``--help_params`` or ``--version``, with status 0.
    """
    flags, others = _split(words)
    arguments = Arguments(**vars(_parser().parse_args(flags)))
    if arguments.help or arguments.help_params or arguments.version:
        _inform(arguments)
        raise SystemExit(0)
    refuse_foreign(others)
    _suggest(others)
    if arguments.config_file is None and _needs_config(arguments):
        raise _usage_error("%s--config_file is missing; expected e.g. --config_file=configs/speech2text/jasper_mini_digits.py"
                           % _misspelled_config_file(others))
    if "dev_files" in names_of_files(others) and not any(flag.partition("=")[0] == "--mode" for flag in flags):
        arguments = arguments._replace(mode="train_eval")
    formats = checked_formats(arguments.mode, arguments.format, arguments.infer_output_file)
    arguments = arguments._replace(format=formats)
    _check_export(arguments)
    _check_combine(arguments)
    _check_replay(arguments)
    _check_flags_of_modes(arguments)
    if arguments.config_file is None and arguments.mode != "report":
        _refuse_overrides(others)
    overrides = overrides_of(others, arguments.mode)
    if arguments.mode == "tune_lm":
        overrides.insert(0, Override(("decoder_params", "decoding"), "beam", "beam"))
    if arguments.use_xla_jit:
        overrides.append(Override(("use_xla_jit",), True, "True"))
    if arguments.benchmark:
        arguments = arguments._replace(mode="train", no_dir_check=True)
        overrides += _benchmark_overrides(arguments)
    return arguments, overrides


def _needs_config(arguments):
    """Whether the mode reads a config."""
    if arguments.mode == "features":
        return arguments.layer is not None or arguments.manifest is None
    if arguments.mode == "label_quality":
        return arguments.manifest is None or arguments.alignment is None and arguments.reference != "transcript"
    return arguments.mode not in ("report", "kmeans", "labels")


def _refuse_overrides(others):
    """UsageError for arguments that only a config has a use for."""
    if others:
        raise _usage_error("%s is not a flag, and without --config_file there is no key of a config to set" % others[0])


def _split(words):
    """(the arguments that belong to run.py's flags, as ``--flag=value``; the others)."""
    kinds = {flag[0]: flag[1] for flag in _FLAGS}
    flags, others, position = [], [], 0
    while position < len(words):
        word = words[position]
        position += 1
        name, equals, _ = word[2:].partition("=")
        if word == "-h":
            flags.append("--help")
        elif not word.startswith("--") or name not in kinds:
            others.append(word)
        elif equals or kinds[name] is _boolean or position == len(words) or words[position].startswith("--"):
            flags.append(word)
        else:
            flags.append("%s=%s" % (word, words[position]))
            position += 1
    return flags, others


def _suggest(others):
    """Raises UsageError for an argument that is very similar to a flag.

    Less similar ones are reported when the config has been loaded and its keys are known.
    """
    names, of_playbook = [flag[0] for flag in _FLAGS], playbook_names()
    for word in others:
        name = word.partition("=")[0].lstrip("-")
        same = [known for known in names if known.replace("_", "") == name.lower().replace("-", "").replace("_", "")]
        # some keys of a config have names similar to flags of the playbook
        close = (same or difflib.get_close_matches(name, names, 1, cutoff=0.87)
                 or name not in of_playbook and difflib.get_close_matches(name.replace("-", "_"), of_playbook, 1, cutoff=0.93))
        if word.startswith("-") and close:
            raise _usage_error("%s is unknown (did you mean --%s?)" % (word.partition("=")[0], close[0]))


def _usage_error(message):
    return UsageError("%s. See %s --help" % (message, command_name("run.py")))


def _misspelled_config_file(others):
    """What to say before "--config_file is missing", e.g. to ``--config=FILE`` or ``config_file=FILE``."""
    for word in others:
        name = word.partition("=")[0].lstrip("-")
        if closest(name, ["config_file"], cutoff=0.6) is not None:
            return "%s is unknown (did you mean --config_file?): " % word.partition("=")[0]
    return ""


def _check_replay(arguments):
    if arguments.batch is not None and arguments.mode != "replay":
        raise _usage_error("--batch belongs to --mode=replay, and this is --mode=%s (did you mean --batch_size_per_gpu?)"
                           % arguments.mode)


def _check_flags_of_modes(arguments):
    defaults = _parser().parse_args([])
    for name in sorted(set().union(*FLAGS_OF_MODE.values())):
        modes = [mode for mode, names in FLAGS_OF_MODE.items() if name in names]
        if arguments.mode not in modes and getattr(arguments, name) != getattr(defaults, name):
            raise _usage_error("--%s belongs to --mode=%s, and this is --mode=%s" % (name, " or ".join(modes), arguments.mode))
    if arguments.shard is not None and (max(arguments.shard) >= arguments.nshard
                                        or len(set(arguments.shard)) < len(arguments.shard)):
        raise _usage_error("--shard is %s, expected different numbers from 0 to %d, which is --nshard less 1" % (
            ",".join(map(str, arguments.shard)), arguments.nshard - 1))
    if arguments.alpha_range[0] < 0:
        raise _usage_error("--alpha_range begins at %g, expected at least 0" % arguments.alpha_range[0])


def checked_formats(mode, names, output_file=""):
    """The formats that a mode writes.

    Args:
      mode: of run.py.
      names: tuple of what ``--format`` gives, or None for the mode's default.
      output_file: of --mode=infer, whose default is the format of its extension.

    Returns:
      Tuple of names, the first one of the mode by default; for infer a name; in other modes ``names``.

    Raises:
      UsageError: the mode does not write such files.
    """
    known = _FORMATS_OF_MODE.get(mode)
    if known is None:
        return names
    if names and (not set(names) <= set(known) or len(set(names)) < len(names) or mode == "infer" and len(names) > 1):
        raise _usage_error("--format is %r; --mode=%s expects %s of %s" % (
            ",".join(names), mode, "one" if mode == "infer" else "one or more, separated by commas,", ", ".join(known)))
    if mode != "infer":
        return names or known[:1]
    extension = os.path.splitext(output_file)[1][1:].lower()
    return names[0] if names else extension if extension in known else known[0]


def _check_export(arguments):
    if arguments.mode == "export":
        if arguments.export_dir is None:
            raise _usage_error("--export_dir is missing; --mode=export needs the folder to write the model to")
        return
    if arguments.mode in ("train", "train_eval", "npu_check") and arguments.export_dir is not None and not arguments.benchmark:
        # --mode=npu_check takes a training's command line, and exports nothing
        return
    defaults = _parser().parse_args([])
    defaults.format = checked_formats(arguments.mode, None)
    for name in EXPORT_FLAGS:
        if name == "format" and arguments.mode in ("infer", "align"):
            continue
        if getattr(arguments, name) != getattr(defaults, name):
            raise _usage_error("--%s belongs to --mode=export, and this is --mode=%s%s" % (
                name, arguments.mode, " (did you mean --batch_size_per_gpu?)" if name == "batch_size" else ""))


def _check_combine(arguments):
    defaults = _parser().parse_args([])
    for name in COMBINE_FLAGS:
        if arguments.mode != "combine" and getattr(arguments, name) != getattr(defaults, name):
            if name == "output" and arguments.mode in ("align", "validate_data", "label_quality"):
                continue
            raise _usage_error("--%s belongs to --mode=%s, and this is --mode=%s" % (
                name, "combine, align, validate_data or label_quality" if name == "output" else "combine", arguments.mode))


def _benchmark_overrides(arguments):
    values = {"num_epochs": None, "max_steps": arguments.bench_steps, "bench_start": arguments.bench_start,
              "print_loss_steps": 1, "print_samples_steps": None, "save_summaries_steps": None, "save_checkpoint_steps": None,
              "early_stop": False, "reduce_lr_on_plateau": False, "max_hours": None, "diagnostics_utterances": 0,
              "try_worst_batch": False}
    return [Override((key,), value, str(value)) for key, value in values.items()]


def _inform(arguments):
    if arguments.version:
        print("open_seq2seq %s" % open_seq2seq.__version__)
        return
    if arguments.help:
        print(_parser().format_help())
    if arguments.help_params or arguments.config_file is not None:
        # imports TensorFlow, which takes seconds and which plain --help does not need
        from open_seq2seq.experiment.reference import reference_of_config
        print(reference_of_config(arguments.config_file))
