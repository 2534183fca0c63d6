"""The flags of Coqui STT's playbook, as keys of a config: ``--train_files a.csv b.csv --epochs 30 --dropout_rate 0.3``.

Each flag becomes one or more overrides that remember how they were typed, so that messages can say it. Its flags that have no
counterpart are refused with what to use here.
"""
import ast
import collections
import re

from open_seq2seq.config.overrides import Override, parse_overrides, parse_value, section_of, typed
from open_seq2seq.errors import UsageError

PlaybookFlag = collections.namedtuple("PlaybookFlag", "name keys value doc")
PlaybookFlag.__doc__ = """One flag.

keys: what it sets, a tuple of strings; None for a key of the config with the flag's own name, or a flag of run.py. value:
"files", "number", or None for what any key takes. doc: one line for ``--help`` and docs/playbook.md.
"""

_DATA = ("data_layer_params", "dataset_files")
FLAGS = (
    PlaybookFlag("train_files", ("train_params",) + _DATA, "files", "manifest CSVs to train on: train_params/%s/%s" % _DATA),
    PlaybookFlag("dev_files", ("eval_params",) + _DATA, "files",
                 "to evaluate on once an epoch: eval_params/%s/%s; without --mode it is --mode=train_eval" % _DATA),
    PlaybookFlag("test_files", ("test_params",) + _DATA, "files",
                 "to test the best model on when training ends: test_params/%s/%s; with --mode=eval what is evaluated, with "
                 "--mode=infer what is transcribed" % _DATA),
    PlaybookFlag("checkpoint_dir", None, None, "where checkpoints are written, and gone on with if there are some"),
    PlaybookFlag("load_checkpoint_dir", None, None, "where the checkpoint to go on from is read; nothing is written there"),
    PlaybookFlag("save_checkpoint_dir", None, None, "where checkpoints are written"),
    PlaybookFlag("checkpoint_secs", ("save_checkpoint_secs",), "number",
                 "seconds between checkpoints: save_checkpoint_secs; 0: none"),
    PlaybookFlag("max_to_keep", ("num_checkpoints",), "number", "how many checkpoints to keep: num_checkpoints"),
    PlaybookFlag("export_dir", None, None,
                 "where the best model is exported to when training ends; flags of --mode=export apply"),
    PlaybookFlag("epochs", ("num_epochs",), "number", "passes through the training data: num_epochs, in place of max_steps"),
    PlaybookFlag("train_batch_size", ("batch_size_per_gpu",), "number", "utterances a batch and device: batch_size_per_gpu"),
    PlaybookFlag("dev_batch_size", ("eval_params", "eval_batch_size_per_gpu"), "number",
                 "the same in evaluations: eval_params/eval_batch_size_per_gpu"),
    PlaybookFlag("test_batch_size", ("test_params", "eval_batch_size_per_gpu"), "number",
                 "the same in the test: test_params/eval_batch_size_per_gpu"),
    PlaybookFlag("learning_rate", ("lr_policy_params", "learning_rate"), "number",
                 "what the policy starts from: lr_policy_params/learning_rate"),
    PlaybookFlag("dropout_rate", ("encoder_params", "dropout_keep_prob"), "number",
                 "share of values dropped in training: dropout_keep_prob = 1 - rate of the encoder and of the layers with one of "
                 "their own"),
    PlaybookFlag("early_stop", None, None, "true: end when evaluations do not improve any more"),
    PlaybookFlag("es_epochs", None, None, "epochs without improvement after which a training ends"),
    PlaybookFlag("es_min_delta", None, None, "how much lower the loss has to be to count as an improvement"),
    PlaybookFlag("reduce_lr_on_plateau", None, None, "true: lower the learning rate when evaluations do not improve"),
    PlaybookFlag("plateau_epochs", None, None, "epochs without improvement after which it is lowered"),
    PlaybookFlag("plateau_reduction", None, None, "factor by which it is lowered, below 1"),
    PlaybookFlag("width_multiplier", None, None, "factor of every layer's channels, the counterpart of n_hidden"),
)
_BY_NAME = {flag.name: flag for flag in FLAGS}

_NO_EFFECT = "it has no counterpart here; leave it out"
_NO_SCORER = "it is for a language model in the decoder, which there is none of here; leave it out"
_FEATURES = "--data_layer_params/%s, in seconds"
INSTEAD = {
    "n_hidden": "it is the width of Coqui STT's layers; use --width_multiplier=0.5 or another factor of the config's channels",
    "alphabet_config_path": "use --data_layer_params/vocab_file=FILE, a text file with one character a line",
    "bytes_output_mode": "use --data_layer_params/vocab_file=FILE with the characters of the transcripts",
    "scorer": _NO_SCORER, "scorer_path": _NO_SCORER, "lm_alpha": _NO_SCORER, "lm_beta": _NO_SCORER, "beam_width": _NO_SCORER,
    "cutoff_prob": _NO_SCORER, "cutoff_top_n": _NO_SCORER, "export_beam_width": _NO_SCORER,
    "augment": "use the keys of --train_params/data_layer_params/augmentation/..., e.g. speed_perturbation_ratio=0.1; run.py "
               "--help_params lists them",
    "train_cudnn": "it is for recurrent layers on a GPU; leave it out",
    "load_cudnn": "it is for recurrent layers on a GPU; leave it out",
    "automatic_mixed_precision": "use --dtype=mixed on a GPU; an NPU computes in mixed precision by itself",
    "drop_source_layers": "use --drop_layers=N with --load_checkpoint_dir or --load_model",
    "load_train": "use --load_checkpoint_dir=DIR for what to go on from, with --restore_best_checkpoint=True for its best model",
    "load_evaluate": "use --restore_best_checkpoint=True for the best model, False for the newest",
    "metrics_files": "give the files to --dev_files, or evaluate them with --mode=eval --test_files",
    "feature_cache": "features are computed as they are needed, faster than they could be read; leave it out",
    "cache_for_epochs": "features are computed as they are needed, faster than they could be read; leave it out",
    "feature_win_len": "use " + _FEATURES % "window_size", "feature_win_step": "use " + _FEATURES % "window_stride",
    "audio_sample_rate": "use --data_layer_params/sample_freq=RATE",
    "normalize_sample_rate": "audio of any rate is read; leave it out",
    "beta1": "use --optimizer_params/beta1=VALUE", "beta2": "use --optimizer_params/beta2=VALUE",
    "epsilon": "use --optimizer_params/epsilon=VALUE",
    "relu_clip": "use --encoder_params/activation_fn=relu6, or none",
    "layer_norm": "use --encoder_params/normalization=layer_norm",
    "summary_dir": "summaries lie beside the checkpoints; use --logdir=DIR and --save_summaries_steps=N",
    "test_output_file": "use --mode=infer --test_files=... --infer_output_file=FILE",
    "one_shot_infer": "use python -m open_seq2seq.transcribe FILE --model EXPORT_DIR",
    "force_initialize_learning_rate": "use --reduce_lr_on_plateau=False once, which takes reductions back",
    "export_batch_size": "use --batch_size=N with --export_dir", "export_tflite": "use --format=onnx, pb or saved_model",
    "n_steps": "use --frames=N or --frames=dynamic with --export_dir",
    "log_level": _NO_EFFECT, "show_progressbar": "the bar is shown on a terminal only; leave it out",
    "report_count": "use --print_samples_steps=N", "use_allow_growth": "memory of a GPU is taken as needed; leave it out",
    "inter_op_parallelism_threads": _NO_EFFECT, "intra_op_parallelism_threads": _NO_EFFECT, "log_placement": _NO_EFFECT,
    "read_buffer": _NO_EFFECT, "export_zip": _NO_EFFECT, "remove_export": "an older export is replaced; leave it out",
    "export_file_name": "the file is named after its precision; leave it out",
    "limit_train": "give a shorter manifest to --train_files", "limit_dev": "give a shorter manifest to --dev_files",
    "limit_test": "give a shorter manifest to --test_files",
    "reverse_train": "use --train_params/data_layer_params/shuffle=False for the order of the manifest",
    "reverse_dev": _NO_EFFECT, "reverse_test": _NO_EFFECT, "skip_batch_test": "use --try_worst_batch=False",
}
"""What to say to flags of Coqui STT that are none here."""
INSTEAD.update(("dropout_rate%d" % layer, "use --encoder_params/convnet_layers/%d/dropout_keep_prob=%s" % (layer - 1, "1-RATE"))
               for layer in range(2, 7))
_MODE_OF_TEST = {"eval": "eval_params", "infer": "infer_params"}


def playbook_names():
    """Names of the flags that this module reads itself, without those that are run.py's."""
    return [flag.name for flag in FLAGS if flag.name != "export_dir"]


def names_of_files(words):
    """The names of flags with files among a command line's words."""
    names = {word[2:].partition("=")[0] for word in words if word.startswith("--")}
    return [flag.name for flag in FLAGS if flag.value == "files" and flag.name in names]


def refuse_foreign(words):
    """Raises UsageError at the first of Coqui STT's flags that is none here, with what to use instead."""
    for name in (word[2:].partition("=")[0] for word in words if word.startswith("--")):
        if name in INSTEAD:
            raise UsageError("--%s is a flag of Coqui STT that is none here: %s" % (name, INSTEAD[name]))
        if name.startswith("no") and name[2:] in _BY_NAME:
            raise UsageError("--%s: write --%s=false" % (name, name[2:]))
        if name.startswith("no") and name[2:] in INSTEAD:
            raise UsageError("--%s is a flag of Coqui STT that is none here; leave it out" % name)


def overrides_of(words, mode):
    """The overrides among the command line's words, the playbook's flags among them.

    Args:
      words: list of words, as of ``parse_overrides``; flags with files may have several behind them.
      mode: what ``--mode`` says.

    Returns:
      List of :class:`~open_seq2seq.config.overrides.Override` in the order typed.

    Raises:
      UsageError: a word that belongs to no key, or a flag without its value or with a wrong one.
    """
    overrides, others, position = [], [], 0
    while position < len(words):
        word = words[position]
        name, equals, text = word[2:].partition("=")
        flag = _BY_NAME.get(name) if word.startswith("--") else None
        position += 1
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
    return overrides + parse_overrides(others)


def _override(flag, values, mode):
    keys = flag.keys
    if keys[0] == "test_params":
        keys = (_MODE_OF_TEST.get(mode, keys[0]),) + keys[1:]
    if flag.value == "files":
        files = [file for value in values for file in _files(value, flag.name)]
        return Override(keys, files, ",".join(files), "--" + flag.name)
    value = parse_value(values[0])
    if flag.name == "checkpoint_secs" and value == 0:
        value = None
    elif flag.name == "epochs" and isinstance(value, int) and value < 1:
        raise UsageError("--epochs is %d, expected how many passes through the training data there are to be in all, at least "
                         "1; a resumed training counts those before" % value)
    elif flag.name == "dropout_rate":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value < 1.0:
            raise UsageError("--dropout_rate is %s, expected the share of values to drop, at least 0 and below 1" % values[0])
        # 0.7, not 0.7000000000000001
        value = round(1.0 - value, 12)
    return Override(keys, value, values[0], "--" + flag.name)


def _files(text, name):
    """Paths in a word: with commas between them, or a Python list for those that have commas in them."""
    if text.startswith("["):
        try:
            files = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            files = None
        if not isinstance(files, list) or not files or not all(isinstance(file, str) for file in files):
            raise UsageError("--%s is %s, which is no list of strings; write --%s=a.csv,b.csv or --%s a.csv b.csv" % (
                name, text, name, name))
        return files
    files = [file.strip() for file in re.split(",", text)]
    if not all(files):
        raise UsageError("--%s is %r, expected files with commas between them" % (name, text))
    return files


def spread(override, params):
    """What an override sets in ``params``: itself; of ``--dropout_rate`` also the layers with a keep probability of their own.

    Args:
      override: an ``Override``.
      params: the merged dict of a mode, as far as it is.

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
    """``--dev_files`` evaluates once an epoch, as Coqui STT does, in place of every ``eval_steps`` of the config.

    Args:
      params: the merged dict of training; changed in place.
      overrides: list of ``Override``.
      path: ``KeyPath`` of ``params``.
      report: receives a note where the config says otherwise.
    """
    flag = next((override for override in overrides if override.flag == "--dev_files"), None)
    if flag is not None and params.get("eval_steps") is not None and not any(
            section_of(override)[1] == ("eval_steps",) for override in overrides):
        report.note(path.child("eval_steps"), "has no effect: with --dev_files the model is evaluated once an epoch, unless "
                                              "--eval_steps is typed, too")
        params["eval_steps"] = None


def note_contradictions(overrides, report):
    """Notes where a playbook's flag and another way to say the same say different things; the last word wins."""
    for place, last in enumerate(overrides):
        section, keys = section_of(last)
        for earlier in overrides[:place]:
            other, same = section_of(earlier)
            if (keys == same and (section == other or None in (section, other)) and earlier.value != last.value
                    and last.flag != earlier.flag):
                report.note("command line: %s and %s" % (typed(earlier), typed(last)), "set the same key; the last word counts")


def help_text():
    """The flags and what they are here, for ``--help``."""
    width = max(len(flag.name) for flag in FLAGS) + 4
    lines = ["flags of Coqui STT's playbook, as --name value or --name=value; files with spaces or commas between them:"]
    return "\n".join(lines + ["  %-*s %s" % (width, "--" + flag.name, flag.doc) for flag in FLAGS])
