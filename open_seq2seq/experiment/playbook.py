"""The flags of Coqui STT's playbook, as keys of a config: ``--train_files a.csv b.csv --epochs 30 --dropout_rate 0.3``.

Each flag becomes one or more overrides that keep the flag's name for messages. A flag of Coqui STT without a counterpart is
refused with a message that names the alternative.
"""
import collections
import functools
import re

from open_seq2seq.config.overrides import Override, parse_overrides, parse_value, section_of, typed
from open_seq2seq.config.report import shown
from open_seq2seq.decoding import options as decoding_options
from open_seq2seq.errors import UsageError

PlaybookFlag = collections.namedtuple("PlaybookFlag", "name keys value doc")
PlaybookFlag.__doc__ = """One flag.

keys: the keys that it sets, a tuple of strings; None for a key of the config with the flag's own name, or a flag of run.py.
value: "files", "number", or None for any value. doc: one line for ``--help`` and docs/playbook.md.
"""

_DATA = ("data_layer_params", "dataset_files")
FLAGS = (
    PlaybookFlag("train_files", ("train_params",) + _DATA, "files", "manifest CSVs to train on: train_params/%s/%s" % _DATA),
    PlaybookFlag("dev_files", ("eval_params",) + _DATA, "files",
                 "to evaluate on once an epoch: eval_params/%s/%s; without --mode it is --mode=train_eval" % _DATA),
    PlaybookFlag("test_files", ("test_params",) + _DATA, "files",
                 "to test the best model on when training ends: test_params/%s/%s; with --mode=eval the data to evaluate, with "
                 "--mode=infer the data to transcribe, with --mode=align the data to align" % _DATA),
    PlaybookFlag("checkpoint_dir", None, None, "directory of checkpoints; training resumes from them if there are any"),
    PlaybookFlag("load_checkpoint_dir", None, None, "directory of the checkpoint to resume from; nothing is written there"),
    PlaybookFlag("save_checkpoint_dir", None, None, "directory that checkpoints are written to"),
    PlaybookFlag("checkpoint_secs", ("save_checkpoint_secs",), "number",
                 "seconds between checkpoints: save_checkpoint_secs; 0: none by time"),
    PlaybookFlag("max_to_keep", ("num_checkpoints",), "number", "how many checkpoints to keep: num_checkpoints"),
    PlaybookFlag("export_dir", None, None,
                 "folder that the best model is exported to when training ends; flags of --mode=export apply"),
    PlaybookFlag("epochs", ("num_epochs",), "number", "passes through the training data: num_epochs, replaces max_steps"),
    PlaybookFlag("train_batch_size", ("batch_size_per_gpu",), "number", "utterances in a batch of a device: batch_size_per_gpu"),
    PlaybookFlag("dev_batch_size", ("eval_params", "eval_batch_size_per_gpu"), "number",
                 "the same in evaluations: eval_params/eval_batch_size_per_gpu"),
    PlaybookFlag("test_batch_size", ("test_params", "eval_batch_size_per_gpu"), "number",
                 "the same in the test: test_params/eval_batch_size_per_gpu"),
    PlaybookFlag("learning_rate", ("lr_policy_params", "learning_rate"), "number",
                 "initial learning rate: lr_policy_params/learning_rate"),
    PlaybookFlag("dropout_rate", ("encoder_params", "dropout_keep_prob"), "number",
                 "share of values dropped in training: dropout_keep_prob = 1 - rate of the encoder and of layers that have "
                 "their own"),
    PlaybookFlag("early_stop", None, None, "true: stop when evaluations no longer improve"),
    PlaybookFlag("es_epochs", None, None, "epochs without improvement after which training stops"),
    PlaybookFlag("es_min_delta", None, None, "least decrease of the loss that counts as an improvement"),
    PlaybookFlag("reduce_lr_on_plateau", None, None, "true: reduce the learning rate when evaluations do not improve"),
    PlaybookFlag("plateau_epochs", None, None, "epochs without improvement after which it is reduced"),
    PlaybookFlag("plateau_reduction", None, None, "factor of the reduction, below 1"),
    PlaybookFlag("width_multiplier", None, None, "factor of every layer's channels; replaces n_hidden"),
)
DECODING_FLAGS = tuple(PlaybookFlag(flag.name, ("decoder_params", flag.key), None, flag.doc) for flag in decoding_options.FLAGS)
"""Short forms of ``--decoder_params/KEY=VALUE``, which are flags of Coqui STT or like them."""
_BY_NAME = {flag.name: flag for flag in FLAGS + DECODING_FLAGS}

_NO_EFFECT = "it has no counterpart; remove it"
_SCORER = "use --lm_path=FILE, the ARPA file or KenLM binary of which the scorer was made"
_FEATURES = "--data_layer_params/%s, in seconds"
INSTEAD = {
    "n_hidden": "it is the width of Coqui STT's layers; use --width_multiplier=0.5 or another factor of the config's channels",
    "alphabet_config_path": "use --data_layer_params/vocab_file=FILE, a text file with one character a line",
    "bytes_output_mode": "use --data_layer_params/vocab_file=FILE with the characters of the transcripts",
    "scorer": _SCORER, "scorer_path": _SCORER, "lm_alpha": "use --alpha=VALUE", "lm_beta": "use --beta=VALUE",
    "export_beam_width": "an export has no beam width; use --beam_width=N where it is run",
    "augment": "use the keys of --train_params/data_layer_params/augmentation/..., e.g. speed_perturbation_ratio=0.1; run.py "
               "--help_params lists them",
    "train_cudnn": "it is for recurrent layers on a GPU; remove it",
    "load_cudnn": "it is for recurrent layers on a GPU; remove it",
    "automatic_mixed_precision": "use --dtype=mixed on a GPU; an NPU uses mixed precision by default",
    "drop_source_layers": "use --drop_layers=N with --load_checkpoint_dir or --load_model",
    "load_train": "use --load_checkpoint_dir=DIR to resume from DIR, with --restore_best_checkpoint=True from its best model",
    "load_evaluate": "use --restore_best_checkpoint=True for the best model, False for the newest",
    "metrics_files": "give the files to --dev_files, or evaluate them with --mode=eval --test_files",
    "feature_cache": "use --data_layer_params/cache_features=True",
    "cache_for_epochs": "a cache is used in all epochs: --data_layer_params/cache_features=True",
    "feature_win_len": "use " + _FEATURES % "window_size", "feature_win_step": "use " + _FEATURES % "window_stride",
    "audio_sample_rate": "use --data_layer_params/sample_freq=RATE",
    "normalize_sample_rate": "audio of any rate is read; remove it",
    "beta1": "use --optimizer_params/beta1=VALUE", "beta2": "use --optimizer_params/beta2=VALUE",
    "epsilon": "use --optimizer_params/epsilon=VALUE",
    "relu_clip": "use --encoder_params/activation_fn=relu6, or none",
    "layer_norm": "use --encoder_params/normalization=layer_norm",
    "summary_dir": "summaries are written next to the checkpoints; use --logdir=DIR and --save_summaries_steps=N",
    "test_output_file": "use --mode=infer --test_files=... --infer_output_file=FILE",
    "one_shot_infer": "use python -m open_seq2seq.transcribe FILE --model EXPORT_DIR",
    "force_initialize_learning_rate": "use --reduce_lr_on_plateau=False once, which undoes reductions",
    "export_batch_size": "use --batch_size=N with --export_dir", "export_tflite": "use --format=onnx, pb or saved_model",
    "n_steps": "use --frames=N or --frames=dynamic with --export_dir",
    "log_level": _NO_EFFECT, "show_progressbar": "the bar is shown on a terminal only; remove it",
    "report_count": "use --print_samples_steps=N", "use_allow_growth": "memory of a GPU is allocated as needed; remove it",
    "inter_op_parallelism_threads": _NO_EFFECT, "intra_op_parallelism_threads": _NO_EFFECT, "log_placement": _NO_EFFECT,
    "read_buffer": _NO_EFFECT, "export_zip": _NO_EFFECT, "remove_export": "an older export is replaced; remove it",
    "export_file_name": "the file is named after its precision; remove it",
    "limit_train": "give a shorter manifest to --train_files", "limit_dev": "give a shorter manifest to --dev_files",
    "limit_test": "give a shorter manifest to --test_files",
    "reverse_train": "use --train_params/data_layer_params/shuffle=False for the order of the manifest",
    "reverse_dev": _NO_EFFECT, "reverse_test": _NO_EFFECT, "skip_batch_test": "use --try_worst_batch=False",
}
"""Flags of Coqui STT that run.py does not have, with the alternative."""
INSTEAD.update(("dropout_rate%d" % layer, "use --encoder_params/convnet_layers/%d/dropout_keep_prob=%s" % (layer - 1, "1-RATE"))
               for layer in range(2, 7))
_MODE_OF_TEST = {"eval": "eval_params", "infer": "infer_params", "align": "eval_params"}


def playbook_names():
    """Names of the flags that this module parses, without those that run.py parses."""
    return [flag.name for flag in FLAGS + DECODING_FLAGS if flag.name != "export_dir"]


def names_of_files(words):
    """The names of the flags with files that a list of arguments contains."""
    names = {word[2:].partition("=")[0] for word in words if word.startswith("--")}
    return [flag.name for flag in FLAGS if flag.value == "files" and flag.name in names]


def refuse_foreign(words):
    """Raises UsageError for the first flag of Coqui STT that run.py does not have; the message names the alternative."""
    for name in (word[2:].partition("=")[0] for word in words if word.startswith("--")):
        if name in INSTEAD:
            raise UsageError("--%s is a flag of Coqui STT that run.py does not have: %s" % (name, INSTEAD[name]))
        if name.startswith("no") and name[2:] in _BY_NAME:
            raise UsageError("--%s is unknown; write --%s=false" % (name, name[2:]))
        if name.startswith("no") and name[2:] in INSTEAD:
            raise UsageError("--%s is a flag of Coqui STT that run.py does not have; remove it" % name)


def overrides_of(words, mode):
    """The overrides in a list of arguments, including those of the playbook's flags.

    Args:
      words: list of arguments, see ``parse_overrides``; flags with files may be followed by several.
      mode: value of ``--mode``.

    Returns:
      List of :class:`~open_seq2seq.config.overrides.Override` in the order typed.

    Raises:
      UsageError: an argument that belongs to no key, or a flag without a value or with an invalid one.
    """
    overrides, others, position = [], [], 0
    while position < len(words):
        word = words[position]
        name, equals, text = word[2:].partition("=")
        flag = _BY_NAME.get(name) if word.startswith("--") else None
        position += 1
        if name == "decoder" and _names_class(text if equals else "".join(words[position:position + 1])):
            flag = None  # base_params["decoder"]
        if flag is None or flag.keys is None:
            others.append(word)
            continue
        overrides += parse_overrides(others)
        others, values = [], [text] if equals else []
        while not equals and position < len(words) and not words[position].startswith("--") and (
                flag.value == "files" or not values):
            values.append(words[position])
            position += 1
        if not any(values):
            raise UsageError("--%s is given without a value; %s. See run.py --help" % (name, flag.doc))
        overrides.append(_override(flag, values, mode))
    overrides += parse_overrides(others)
    given = {override.flag[2:]: override.value for override in overrides if override.flag}
    if given.get("decoder") == decoding_options.GREEDY:
        useless = decoding_options.flags_without_effect(given)
        if useless:
            raise UsageError("\n".join(useless))
    implied_by = decoding_options.implied_decoding(given)
    if implied_by is not None:
        beam = decoding_options.BEAM
        overrides.append(Override(("decoder_params", "decoding"), beam, beam, "--" + implied_by))
    return overrides


def _names_class(text):
    """Whether the value of ``--decoder`` is meant for the config's key of that name: a class, not a way of decoding."""
    return "." in text or text[:1].isupper()


def _override(flag, values, mode):
    keys = flag.keys
    if keys[0] == "test_params":
        keys = (_MODE_OF_TEST.get(mode, keys[0]),) + keys[1:]
    if flag.value == "files":
        files = [file for value in values for file in _files(value, flag.name)]
        return Override(keys, files, ",".join(files), "--" + flag.name)
    parse = functools.partial(decoding_options.value_of_flag, flag.name) if flag in DECODING_FLAGS else parse_value
    value = parse(values[0])
    if flag.name == "checkpoint_secs" and value == 0:
        value = None
    elif flag.name == "epochs" and isinstance(value, int) and value < 1:
        raise UsageError("--epochs is %s, expected the total number of passes through the training data, at least 1; it includes "
                         "the epochs before a resume" % shown(value))
    elif flag.name == "dropout_rate":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < 1.0:
            raise UsageError("--dropout_rate is %s, expected the share of values to drop, at least 0 and below 1"
                             % shown(values[0]).strip("'"))
        # 0.7, not 0.7000000000000001
        value = round(1.0 - value, 12)
    return Override(keys, value, values[0], "--" + flag.name)


def _files(text, name):
    """The paths in one argument: separated by commas, or, for paths that contain commas, a Python list."""
    if text.startswith("["):
        files = parse_value(text)
        if not isinstance(files, list) or not files or not all(isinstance(file, str) for file in files):
            raise UsageError("--%s is %s, which is not a list of strings; write --%s=a.csv,b.csv or --%s a.csv b.csv" % (
                name, shown(text).strip("'"), name, name))
        return files
    files = [file.strip() for file in re.split(",", text)]
    if not all(files):
        raise UsageError("--%s is %r, expected files separated by commas" % (name, text))
    return files


def spread(override, params):
    """All overrides of one argument: for ``--dropout_rate`` also those of layers that have their own keep probability.

    Args:
      override: an ``Override``.
      params: the merged dict of a mode, before the override is applied.

    Returns:
      List of ``Override``.
    """
    if override.flag != "--dropout_rate":
        return [override]
    encoder_params = params.get("encoder_params")
    layers = encoder_params.get("convnet_layers") if isinstance(encoder_params, dict) else None
    own = [place for place, layer in enumerate(layers if isinstance(layers, (list, tuple)) else ())
           if isinstance(layer, dict) and layer.get("dropout_keep_prob") is not None]
    return [override] + [override._replace(keys=("encoder_params", "convnet_layers", place, "dropout_keep_prob"))
                         for place in own]


def evaluate_each_epoch(params, overrides, path, report):
    """``--dev_files`` evaluates once an epoch, as Coqui STT does; this replaces the config's ``eval_steps``.

    Args:
      params: the merged dict of training; changed in place.
      overrides: list of ``Override``.
      path: ``KeyPath`` of ``params``.
      report: receives a note if the config has ``eval_steps``.
    """
    flag = next((override for override in overrides if override.flag == "--dev_files"), None)
    if flag is not None and params.get("eval_steps") is not None and not any(
            section_of(override)[1] == ("eval_steps",) for override in overrides):
        report.note(path.child("eval_steps"), "has no effect: with --dev_files the model is evaluated once an epoch, unless "
                                              "--eval_steps is given, too")
        params["eval_steps"] = None


def note_contradictions(overrides, report):
    """Notes flags of the playbook whose key another argument sets to another value; the last one takes precedence."""
    for place, last in enumerate(overrides):
        section, keys = section_of(last)
        for earlier in overrides[:place]:
            other, same = section_of(earlier)
            if (keys == same and (section == other or None in (section, other)) and earlier.value != last.value
                    and last.flag != earlier.flag):
                report.note("command line: %s and %s" % (typed(earlier), typed(last)),
                            "set the same key; the last one takes precedence")


def help_text():
    """The text about the flags for ``--help``."""
    width = max(len(flag.name) for flag in FLAGS) + 4
    lines = ["flags of Coqui STT's playbook, as --name value or --name=value; files separated by spaces or commas:"]
    lines += ["  %-*s %s" % (width, "--" + flag.name, flag.doc) for flag in FLAGS]
    lines += ["", "flags of decoding, short for --decoder_params/KEY=VALUE (docs/decoding.md):"]
    return "\n".join(lines + ["  %-*s %s" % (width, "--" + flag.name, flag.doc) for flag in DECODING_FLAGS])
