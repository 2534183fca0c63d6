"""The command line of run.py: its flags (experiment/flags.py), and any key of the config as ``--key=value``."""
import argparse
import difflib
import os

import open_seq2seq
from open_seq2seq.cli import Parser, closest, command_name
from open_seq2seq.config.overrides import Override
from open_seq2seq.errors import UsageError
from open_seq2seq.experiment.flags import (
    COMBINE_FLAGS,
    EXPORT_FLAGS,
    FLAGS,
    FLAGS_OF_MODE,
    FORMATS_OF_MODE,
    Arguments,
    add_flags,
    boolean,
)
from open_seq2seq.experiment.playbook import help_text, names_of_files, overrides_of, playbook_names, refuse_foreign

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
  python run.py --config_file=FILE --mode=search --trials=40 --jobs=2  the depth, width, dropout etc. with the best dev result
  python run.py --config_file=FILE --mode=validate_data  what is wrong with its manifests and their audio; a repaired copy
  python run.py --config_file=FILE --mode=build_cache  features or audio of its data sets as shards for fast reading
  python run.py --config_file=FILE --mode=align      when each word of the transcripts is said, and which transcripts are wrong
  python run.py --mode=features --manifest=train.tsv,valid.tsv  features to pre-train on without transcripts; then --mode=kmeans
                                                     and --mode=labels (docs/pretraining.md)
  python run.py --config_file=FILE --mode=input_transform --labels=FOLDER  a fixed first layer from cluster labels, like LDA
  python run.py --mode=report --logdir=runs/mine     writes runs/mine/report/index.html of a finished or running training
  python run.py --config_file=FILE --help            what each key of that config means

  python run.py --config_file=FILE --train_files train.csv --dev_files dev.csv --test_files test.csv --epochs 30

exit status: 0 success, 2 invalid command line or config, 3 data or files, 4 device, 1 an error in the program; 143 or 130 stopped
by SIGTERM or SIGINT (a training saves a checkpoint first and prints how to resume; SIGUSR1 saves one and training continues:
docs/resuming.md)"""

FLAG_NAMES = [flag[0] for flag in FLAGS] + playbook_names()
"""All flags; every other ``--key`` is a key of the config."""
_KEYS_LIKE_FLAGS = ("tasks",)  # keys of the config that are not misspelled flags


def _parser():
    examples = _EXAMPLES.replace("python run.py", command_name("python run.py")).replace("%s", help_text())
    parser = Parser(prog="run.py", usage="%(prog)s --config_file=FILE [--mode=MODE] [--flags] [--key=value ...]",
                     description="Trains, evaluates and runs Jasper speech recognition.",
                     epilog=examples, add_help=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(parser, Arguments._fields)
    return parser


def _defaults():
    return _parser().parse_args([])


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
    if arguments.mode == "input_transform":
        # the config may name the file that is about to be written
        overrides.append(Override(("encoder_params", "input_transform"), None, "None"))
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
        raise _usage_error("%s is not a flag, and there is no --config_file whose keys could be set" % others[0])


def _split(words):
    """(the arguments that belong to run.py's flags, as ``--flag=value``; the others)."""
    kinds = {flag[0]: flag[1] for flag in FLAGS}
    flags, others, position = [], [], 0
    while position < len(words):
        word = words[position]
        position += 1
        name, equals, _ = word[2:].partition("=")
        if word == "-h":
            flags.append("--help")
        elif not word.startswith("--") or name not in kinds:
            others.append(word)
        elif equals or kinds[name] is boolean or position == len(words) or words[position].startswith("--"):
            flags.append(word)
        else:
            flags.append("%s=%s" % (word, words[position]))
            position += 1
    return flags, others


def _suggest(others):
    """Raises UsageError for an argument that is very similar to a flag.

    Less similar ones are reported when the config has been loaded and its keys are known.
    """
    names, of_playbook = [flag[0] for flag in FLAGS], playbook_names()
    for word in others:
        name = word.partition("=")[0].lstrip("-")
        same = [known for known in names if known.replace("_", "") == name.lower().replace("-", "").replace("_", "")]
        if name.split("/")[0] in _KEYS_LIKE_FLAGS:
            continue
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
    defaults = _defaults()
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
    known = FORMATS_OF_MODE.get(mode)
    if known is None:
        return names
    if names and (not set(names) <= set(known) or len(set(names)) < len(names)
                  or mode in ("infer", "features") and len(names) > 1):
        number = "one" if mode in ("infer", "features") else "one or more, separated by commas,"
        raise _usage_error("--format is %r; --mode=%s expects %s of %s" % (",".join(names), mode, number, ", ".join(known)))
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
    defaults = _defaults()
    defaults.format = checked_formats(arguments.mode, None)
    for name in EXPORT_FLAGS:
        if name == "format" and arguments.mode in ("infer", "align", "features"):
            continue
        if getattr(arguments, name) != getattr(defaults, name):
            raise _usage_error("--%s belongs to --mode=export, and this is --mode=%s%s" % (
                name, arguments.mode, " (did you mean --batch_size_per_gpu?)" if name == "batch_size" else ""))


def _check_combine(arguments):
    defaults = _defaults()
    for name in COMBINE_FLAGS:
        if arguments.mode != "combine" and getattr(arguments, name) != getattr(defaults, name):
            if name == "output" and arguments.mode in ("align", "validate_data", "label_quality", "input_transform"):
                continue
            modes = "combine, align, validate_data, label_quality or input_transform" if name == "output" else "combine"
            raise _usage_error("--%s belongs to --mode=%s, and this is --mode=%s" % (name, modes, arguments.mode))


def _benchmark_overrides(arguments):
    values = {"num_epochs": None, "max_steps": arguments.bench_steps, "bench_start": arguments.bench_start,
              "print_loss_steps": 1, "print_samples_steps": None, "save_summaries_steps": None, "save_checkpoint_steps": None,
              "early_stop": False, "reduce_lr_on_plateau": False, "max_hours": None, "diagnostics_utterances": 0,
              "parallel_training": None, "try_worst_batch": False}
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
