"""Writes a config for other data from the resolved config of a trained model: the same network, features and optimizer.

    python -m open_seq2seq.experiment.derived_config --from runs/turkish --data corpus/kyrgyz --vocabulary vocab.txt \
        --output kyrgyz.py

The config is a Python file to read and change. It starts with the weights of the model (``load_model``) and needs nothing else of
the earlier run: neither its config file nor its data. Values that equal the defaults are left out. scripts/transfer.sh calls
this; docs/fine_tuning.md explains it.
"""
import collections
import importlib
import os
import sys

from open_seq2seq.cli import exit_status_of, file_path, make_parser, whole_number
from open_seq2seq.errors import CheckpointError, DataError, UsageError
from open_seq2seq.files import replaced_file
from open_seq2seq.log_lines import log_line

SETS = (("train", "train.csv"), ("eval", "dev.csv"), ("test", "test.csv"))  # test.csv is optional

# of one run, of its data, or of its language
_NOT_DERIVED = ("logdir", "load_model", "checkpoint_dir", "load_checkpoint_dir", "save_checkpoint_dir", "drop_layers",
                "restore_best_checkpoint", "width_multiplier", "block_copies", "kernel_multiplier", "dropout_multiplier",
                "search_space", "tasks", "main_task", "mix", "teacher_params", "unfreeze_at",
                "lr_scale_of_layers", "lr_decay_per_layer", "freeze_encoder_steps", "encoder_lr_scale", "copy_letters")
_NOT_DERIVED_OF_PARTS = {
    "data_layer_params": ("dataset_files", "vocab_file", "cache_dir", "cache_regenerate", "label_dir", "noise_files", "tasks",
                          "transcript_column", "language_tags", "sampling_temperature", "mix"),
    "decoder_params": ("decoding", "use_language_model", "lm_path", "hot_words", "alpha", "beta")}
_METRICS = ("best_metric", "stopping_metric")
_OF_TRAINING = ("augmentation", "shuffle", "length_pool")  # keys of a data layer, where only the training's params are known


def derived_config(source, data, vocabulary, logdir, freeze_steps):
    """The text of the config.

    Args:
      source: a run's directory, or a checkpoint without extension.
      data: the folder of train.csv, dev.csv and perhaps test.csv.
      vocabulary: path of the vocabulary file, which need not exist yet.
      logdir: directory of the new run.
      freeze_steps: steps in which only the output layer is trained.

    Raises:
      CheckpointError: there is no checkpoint, or it is not known how it was trained.
      UsageError: the model cannot be transferred in this way.
      DataError: train.csv or dev.csv is missing.
    """
    from open_seq2seq.checkpoints.description import resolved_config_of
    files = _data_files(data)
    checkpoint, found, best = _read(source, lambda path: (path, resolved_config_of(path)))
    if found is None:
        raise CheckpointError("it is not known how checkpoint %s was trained: its manifest %s.json and resolved_config_*.json of "
                              "its run are missing. Give a config of its network: --config FILE" % (checkpoint, checkpoint))
    resolved, path = found
    base_model = _imported(resolved["base_model"], path)
    if getattr(base_model, "is_pretraining", False):
        raise UsageError("%s is a pre-training without transcripts, which has no output layer for text. Give a config with "
                         "base_model Speech2Text: --config FILE (docs/pretraining.md)" % source)
    writer = _Writer(path)
    sections = _sections(base_model, resolved["params"], writer)
    for section, dataset in files.items():
        layer = sections[section + "_params"].setdefault("data_layer_params", collections.OrderedDict())
        layer["dataset_files"] = [dataset]
    transfer = collections.OrderedDict((
        ("logdir", logdir), ("load_model", os.path.abspath(source)), ("restore_best_checkpoint", best),
        ("freeze_encoder_steps", freeze_steps)))
    sections["base_params"] = collections.OrderedDict(list(transfer.items()) + list(sections["base_params"].items()))
    layer = sections["base_params"]["data_layer_params"]
    layer["vocab_file"] = vocabulary
    if layer.get("normalization"):
        log_line("Note: the transcripts are normalized as for the model: %s. For another language, change it in the config, or "
                 "with --data_layer_params/normalization=" % _one_line(layer["normalization"]))
    return "\n".join(_lines(resolved["base_model"], path, sections, writer)) + "\n"


def _read(source, read):
    """(the two results of ``read`` for a run's best checkpoint, else for the newest or the given one; whether it is the best)."""
    from open_seq2seq.checkpoints.transfer import read_valid_checkpoint
    if os.path.isdir(source):
        try:
            return read_valid_checkpoint(source, read, best=True) + (True,)
        except CheckpointError:
            pass  # only --mode=train_eval saves the best one
    return read_valid_checkpoint(source, read) + (False,)


def _data_files(data):
    """OrderedDict of section -> path of its manifest."""
    files = collections.OrderedDict((section, os.path.join(os.path.abspath(data), name)) for section, name in SETS)
    missing = [path for section, path in files.items() if section != "test" and not os.path.isfile(path)]
    if missing:
        raise DataError("--data %s: %s missing; expected a folder with the manifests train.csv, dev.csv and perhaps test.csv, as "
                        "python -m open_seq2seq.data.importers writes it" % (
                            data, " and ".join(map(os.path.basename, missing)) + (" are" if len(missing) > 1 else " is")))
    return collections.OrderedDict(item for item in files.items() if os.path.isfile(item[1]))


def _sections(base_model, params, writer):
    """OrderedDict of base_params, train_params, eval_params and test_params, in the form that :class:`_Writer` writes."""
    train = params.get("train") or next(iter(params.values()))
    evaluation = params.get("eval")
    train = writer.params_of(base_model, train)
    if evaluation is None:
        base, own, evaluated = train, {}, {"data_layer_params": {}}
        layer = base["data_layer_params"]
        own["data_layer_params"] = {key: layer.pop(key) for key in _OF_TRAINING if key in layer}
    else:
        base, own, evaluated = _shared(train, writer.params_of(base_model, evaluation))
    return collections.OrderedDict([
        ("base_params", base), ("train_params", own), ("eval_params", evaluated), ("test_params", {})])


def _shared(first, second):
    """(what two dicts have in common, what only the first has or has with another value, the same of the second).

    Of a key that one of them has at its default, which is left out, the other's value is in its own section.
    """
    common, ours, theirs = collections.OrderedDict(), collections.OrderedDict(), collections.OrderedDict()
    for key in list(first) + [key for key in second if key not in first]:
        one, other = first.get(key), second.get(key)
        if key in first and key in second and one == other:
            common[key] = one
        elif isinstance(one, dict) and isinstance(other, dict) and key.endswith("_params"):
            for part, value in zip((common, ours, theirs), _shared(one, other)):
                if value:
                    part[key] = value
        else:
            ours.update({key: one} if key in first else {})
            theirs.update({key: other} if key in second else {})
    return common, ours, theirs


class _Symbol(str):
    """An expression of the config, e.g. the name of an imported class."""

    def __repr__(self):
        return str(self)


class _Writer:
    """Brings resolved params into the form of a config, without defaults; collects what it has to import.

    Args:
      path: file of the resolved config, for messages.

    Attributes:
      imports: dict of class or function -> its module.
    """

    def __init__(self, path):
        self._path, self.imports = path, {}

    def params_of(self, base_model, params):
        """The params of a mode, with those of the parts."""
        from open_seq2seq.experiment.checking import PARTS
        from open_seq2seq.optimizers import catalogue, lr_policies
        result = self._without_defaults(base_model.PARAMETERS, params, _NOT_DERIVED)
        owners = {part + "_params": _imported(params[part], self._path) for part in PARTS if params.get(part)}
        for key, owner in owners.items():
            parameters = getattr(owner, "PARAMETERS", None)
            if isinstance(params.get(key), dict) and parameters is not None:
                result[key] = self._without_defaults(parameters, params[key], _NOT_DERIVED_OF_PARTS.get(key, ()))
        for key, parameters_of in (("optimizer", catalogue.parameters_of), ("lr_policy", lr_policies.parameters_of)):
            if isinstance(result.get(key + "_params"), dict):
                result[key + "_params"] = self._without_defaults(
                    parameters_of(_imported(params[key], self._path)), params[key + "_params"], ())
        for key in [key for key, value in result.items() if value == {} and key.endswith("_params")]:
            del result[key]
        for key in _METRICS:
            # of a task, which the config does not have
            if "." in str(result.get(key)):
                del result[key]
        result.setdefault("data_layer_params", collections.OrderedDict())
        return result

    def _without_defaults(self, parameters, params, excluded):
        from open_seq2seq.experiment.saving import plain
        declared = {parameter.name: parameter for parameter in parameters if parameter.ignored is None}
        result = collections.OrderedDict()
        for key, value in params.items():
            parameter = declared.get(key)
            if key in excluded or parameter is None or not parameter.required and value == plain(parameter.default):
                continue
            own = _parameters_of(parameter.kind)
            if isinstance(value, list):
                result[key] = [self._without_defaults(own, item, ()) if own and isinstance(item, dict) else item
                               for item in value]
            elif isinstance(value, dict) and own:
                result[key] = self._without_defaults(own, value, ())
            else:
                result[key] = self._named(key, value)
        return result

    def _named(self, key, value):
        """A value of the resolved config, where functions and classes are dotted names, as the config has it."""
        from open_seq2seq.experiment.names import names_of
        from open_seq2seq.experiment.saving import plain
        names = names_of(key) if isinstance(value, str) else {}
        if not names or value in names:
            return value
        ending = value.rpartition(".")[2]
        same = [name for name, item in names.items() if plain(item) == value]
        # TensorFlow's modules differ between its versions
        if "tensorflow" in value and not same:
            same = [name for name, item in names.items() if plain(item).rpartition(".")[2] == ending]
        if same:
            return ending if ending in same else same[0]
        _imported(value, self._path)
        return self.symbol(value)

    def symbol(self, dotted):
        module, _, name = dotted.rpartition(".")
        self.imports[name] = module
        return _Symbol(name)


def _parameters_of(kind):
    """The parameters that a kind declares for a dict, or for the dicts in a list; empty if it declares none."""
    for one in getattr(kind, "kinds", (kind,)):
        found = getattr(one, "parameters", None) or getattr(getattr(one, "item", None), "parameters", None)
        if found:
            return found
    return ()


def _imported(dotted, path):
    """The class or function of a dotted name in a resolved config."""
    module, _, name = str(dotted).rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        raise UsageError("%s names %s, which cannot be imported here. Install it, or give a config of the same network: "
                         "--config FILE" % (path, dotted))


def _lines(base_model, path, sections, writer):
    """The lines of the config."""
    yield '"""%s"""' % _docstring(path)
    model = writer.symbol(base_model)
    for name, module in sorted(writer.imports.items(), key=lambda item: (item[1], item[0])):
        yield "from %s import %s" % (module, name)
    yield ""
    yield "base_model = %s" % model
    for section, values in sections.items():
        if values:
            yield ""
            yield "%s = %s" % (section, "\n".join(formatted(values, 0)))


def _docstring(path):
    return "Transfer to other data (docs/fine_tuning.md), derived from %s." % os.path.abspath(path).replace("\\", "/")


def formatted(value, indent, width=120, filled=False):
    """Lines of a Python literal.

    Args:
      value: numbers, strings, :class:`_Symbol`, dicts and lists.
      indent: int, columns before the first line, which are not part of it.
      width: int, columns of a line.
      filled: whether a line of a dict has as many items as fit, instead of one: the blocks of an encoder.
    """
    text = _one_line(value)
    if len(text) + indent <= width or not isinstance(value, (dict, list)) or not value:
        return [text]
    if filled and isinstance(value, dict):
        lines, line = [], "{"
        for key, item in value.items():
            word = "%r: %s" % (key, _one_line(item))
            if indent + len(line) + len(word) + 3 > width:
                lines, line = lines + [line.rstrip()], " "
            line += word + ", "
        return lines + [line[:-2] + "}"]
    pairs = [("%r: " % key, item) for key, item in value.items()] if isinstance(value, dict) else [("", item) for item in value]
    lines = ["{" if isinstance(value, dict) else "["]
    for prefix, item in pairs:
        inner = formatted(item, indent + 4, width - len(prefix), isinstance(value, list))
        lines += [" " * 4 + prefix + inner[0]] + [" " * 4 + line for line in inner[1:]]
        lines[-1] += ","
    return lines + ["}" if isinstance(value, dict) else "]"]


def _one_line(value):
    if isinstance(value, dict):
        return "{%s}" % ", ".join("%r: %s" % (key, _one_line(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join(map(_one_line, value))
    return repr(value)


def main(words):
    """Writes the config."""
    parser = make_parser("open_seq2seq.experiment.derived_config",
                         "Writes a config for other data from the resolved config of a trained model.")
    parser.add_argument("--from", dest="source", type=file_path, required=True, metavar="RUN",
                        help="a run's directory, whose best checkpoint is used, or a checkpoint without extension")
    parser.add_argument("--data", type=file_path, required=True, metavar="DIR", help="folder with train.csv and dev.csv")
    parser.add_argument("--vocabulary", type=file_path, required=True, metavar="FILE", help="the vocabulary file of the new data")
    parser.add_argument("--logdir", type=file_path, required=True, metavar="DIR", help="directory of the new run")
    parser.add_argument("--freeze_steps", type=whole_number(0), default=0, metavar="N",
                        help="steps in which only the output layer is trained")
    parser.add_argument("--output", type=file_path, required=True, metavar="FILE", help="the config to write")
    arguments = parser.parse_args(words)
    text = derived_config(arguments.source, arguments.data, arguments.vocabulary, arguments.logdir, arguments.freeze_steps)
    with replaced_file(arguments.output) as file:
        file.write(text)
    log_line("Wrote %s" % arguments.output)


if __name__ == "__main__":
    sys.exit(exit_status_of(main, sys.argv[1:]))
