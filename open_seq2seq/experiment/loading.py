"""From a config file and a command line to an :class:`Experiment` whose params are checked.

A config is a Python module: it runs with the rights of whoever starts it. Its path and hash are printed before it
runs, and nothing here ever looks for one by itself.
"""
import collections
import contextlib
import difflib
import hashlib
import importlib
import os
import sys
import traceback
import types
import warnings

import open_seq2seq
from open_seq2seq.config.overrides import SECTIONS, apply_override, prefer_typed_length, section_of, typed
from open_seq2seq.config.parameters import Report
from open_seq2seq.config.provenance import KeyPath, Sources, copied, nested_update
from open_seq2seq.errors import ConfigError
from open_seq2seq.experiment.playbook import evaluate_each_epoch, note_contradictions, spread

Experiment = collections.namedtuple("Experiment", "path sha256 base_model params notes source overrides")
Experiment.__doc__ = """A config, loaded and checked.

path: the config file as given. sha256: of its bytes, hexadecimal. base_model: the model class. params: dict from
"train", "eval", "test", "infer", "describe" or "export" to the checked params of that mode. notes: list of remarks for the
user, none of which stops a run. source: the file's bytes. overrides: what the command line set.
"""

PARAMS_OF_MODE = {"train": ("train",), "eval": ("eval",), "infer": ("infer",), "train_eval": ("train", "eval"),
                  "describe": ("describe",), "npu_check": ("train", "eval"), "export": ("export",), "combine": ("eval", "train"),
                  "replay": ("train",)}
SUPPORTED = "this project has convolutional CTC speech models: base_model Speech2Text, encoder TDNNEncoder, decoder " \
            "FullyConnectedCTCDecoder, loss CTCLoss, data_layer Speech2TextDataLayer"


def load_experiment(config_file, mode, overrides=(), exports=False):
    """Runs a config file, merges its dicts for ``mode``, applies the command line and checks everything.

    Args:
      config_file: path of a Python file that defines ``base_model`` and ``base_params``, and may define
        ``train_params``, ``eval_params`` and ``infer_params``.
      mode: "train", "eval", "infer", "train_eval", "describe", "export", "replay", or "npu_check" and "combine", which take of
        train and eval what the config has.
      overrides: list of :class:`~open_seq2seq.config.overrides.Override`.
      exports: whether the model is exported when training ends.

    Returns:
      An :class:`Experiment`. A training that is to test its model at the end, because the config or an override has
      ``test_params``, has params of "test", too; one that exports it, of "export".

    Raises:
      ConfigError: the file is missing, is not Python, raises an exception, lacks a dict, or has mistakes in its
        params; all mistakes are in the one message.
    """
    source = _read(config_file)
    sha256 = hashlib.sha256(source).hexdigest()
    print("Config %s, sha256 %s" % (config_file, sha256), file=sys.stderr)
    config = _execute(config_file, source)
    base_model = config.get("base_model")
    if not callable(base_model):
        raise ConfigError("%s: base_model is %s; expected the model's class: base_model = Speech2Text"
                          % (config_file, "missing" if base_model is None else repr(base_model)))
    for section in SECTIONS:
        if not isinstance(config.get(section, {}), dict) or (section == "base_params" and section not in config):
            raise ConfigError("%s: %s is %s; expected a dict" % (
                config_file, section, repr(config[section]) if section in config else "missing"))
    # needs TensorFlow, which the rest of this module does not before a file has been found to load
    from open_seq2seq.experiment.checking import check_params
    report = Report()
    _note_misspelled_sections(config, config_file, report)
    names = _params_of_mode(mode, config, overrides, exports)
    applied = _without_misspelled_sections(base_model, mode, names, overrides, report)
    note_contradictions(applied, report)
    params = {}
    for name in names:
        merged, path = _merge(config, config_file, name, applied, report)
        params[name] = check_params(base_model, "eval" if name == "test" else name, merged, path, report)
        if mode == name == "train":
            _check_without_evaluation(params[name], path, report)
    if mode == "train_eval" and "eval_params" not in config and not any(
            section_of(override)[0] == "eval_params" for override in overrides):
        report.problem("%s: eval_params" % config_file, "is missing; --mode=train_eval needs it, --mode=train does not")
    if report.problems:
        raise ConfigError("\n".join(report.problems))
    return Experiment(config_file, sha256, base_model, params, report.notes, source, list(overrides))


def _params_of_mode(mode, config, overrides, exports):
    names = PARAMS_OF_MODE[mode]
    if mode in ("train", "train_eval"):
        tests = "test_params" in config or any(section_of(override)[0] == "test_params" for override in overrides)
        return names + ("test",) * tests + ("export",) * exports
    if mode in ("npu_check", "combine"):
        return [name for name in names if "%s_params" % name in config] or names[:1]
    return names


def _merge(config, config_file, name, overrides, report):
    """The params of one mode as the user wrote them, and the :class:`KeyPath` that knows where."""
    path = KeyPath(Sources(config_file))
    merged = copied(config["base_params"])
    sections = ["%s_params" % name]
    if name == "describe":
        # older configs keep the data layer, and with it the number of features, out of base_params
        others = ("eval_params", "train_params", "infer_params")
        sections = [] if "data_layer" in merged else [section for section in others if section in config][:1]
    elif name == "export":
        # the features and the vocabulary that evaluation has
        sections = [section for section in ("eval_params", "infer_params", "train_params") if section in config][:1]
    elif name == "test":
        sections = ["eval_params", "test_params"]
    for section in sections:
        nested_update(merged, config.get(section, {}), section, path, report)
    for override in overrides:
        section, keys = section_of(override)
        if section in (None, "base_params") or section in sections:
            for one in spread(override, merged):
                apply_override(merged, section_of(one)[1], one, path, report)
    prefer_typed_length(merged, overrides, path, report)
    if name == "train":
        evaluate_each_epoch(merged, overrides, path, report)
    return merged, path


def _without_misspelled_sections(base_model, mode, names, overrides, report):
    """The overrides but for ``--trian_params/...``. ``--train_params/...`` stays and says nothing to ``--mode=eval``."""
    declared = [parameter.name for parameter in getattr(base_model, "PARAMETERS", ())]
    used = ["base_params"] + ["%s_params" % name for name in names]
    if "test" in names:
        used.append("eval_params")
    kept = []
    for override in overrides:
        section, keys = section_of(override)
        close = difflib.get_close_matches(str(keys[0]), SECTIONS, 1, cutoff=0.8)
        if section is None and close and keys[0] not in declared:
            report.problem("command line: --%s" % keys[0], 'is unknown (did you mean "%s"?)' % close[0])
            continue
        if section is not None and section not in used and mode not in ("describe", "export"):
            report.note("command line: %s" % typed(override), "has no effect in --mode=%s" % mode)
        kept.append(override)
    return kept


def _check_without_evaluation(params, path, report):
    for key in ("early_stop", "reduce_lr_on_plateau"):
        if params.get(key) is True:
            report.problem(path.child(key), "is True and goes by evaluations, and --mode=train makes none; give "
                                            "--mode=train_eval, or --dev_files, which implies it")


def _note_misspelled_sections(config, config_file, report):
    for name in config:
        close = difflib.get_close_matches(name, SECTIONS, 1, cutoff=0.8)
        if close and name not in SECTIONS and close[0] not in config and isinstance(config[name], dict):
            report.note("%s: %s" % (config_file, name), "is not used (did you mean %s?)" % close[0])


def _read(config_file):
    try:
        with open(config_file, "rb") as file:
            return file.read()
    except OSError as error:
        folder = os.path.dirname(config_file) or "."
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        close = difflib.get_close_matches(os.path.basename(config_file), [name for name in names if name.endswith(".py")], 1)
        raise ConfigError("config file %s cannot be read: %s%s" % (
            config_file, error.strerror,
            " (did you mean %s?)" % os.path.join(os.path.dirname(config_file), close[0]) if close else ""))


def _execute(config_file, source):
    """The names that the config defines. Its prints go to stderr: stdout may be for one JSON object."""
    try:
        code = _compiled(config_file, source)
        with contextlib.redirect_stdout(sys.stderr), _importing_from(os.path.dirname(os.path.abspath(config_file))):
            return _run(code, config_file)
    except SyntaxError as error:
        raise ConfigError("%s:%s: syntax error: %s%s" % (
            error.filename or config_file, error.lineno or "?", error.msg,
            "\n    %s" % error.text.strip() if error.text else ""))
    except (Exception, SystemExit) as error:
        raise _located(error, config_file)


def _compiled(config_file, source):
    try:
        return compile(source, config_file, "exec")
    except ValueError as error:
        raise SyntaxError(str(error), (config_file, None, None, None))


def _run(code, config_file):
    with warnings.catch_warnings():
        # TensorFlow 1.15 on a current NumPy fills a page with these
        warnings.simplefilter("ignore", FutureWarning)
        tensorflow = importlib.import_module("tensorflow")
    from open_seq2seq.config.contrib import ConfigTensorFlow
    stand_in = ConfigTensorFlow(tensorflow)
    module = types.ModuleType("experiment_config")
    module.__file__ = config_file
    # configs of the oldest kind use tf without importing it
    module.tf = stand_in
    with stand_in.installed():
        exec(code, module.__dict__)
    return {name: value for name, value in vars(module).items() if not name.startswith("__")}


@contextlib.contextmanager
def _importing_from(folder):
    """While active, modules beside the config can be imported; afterwards they are forgotten, for the next config's sake."""
    known = set(sys.modules)
    path = list(sys.path)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None)
            top = name.split(".")[0]
            if file and top != "open_seq2seq" and os.path.abspath(file) in (
                    os.path.join(folder, top + ".py"), os.path.join(folder, *name.split(".")) + ".py",
                    os.path.join(folder, *(name.split(".") + ["__init__.py"]))):
                del sys.modules[name]


def _located(error, config_file):
    """The ConfigError for an exception that a config raised; an exception of our own code comes back as it is."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = os.path.dirname(os.path.abspath(open_seq2seq.__file__)) + os.sep
    folder = os.path.dirname(os.path.abspath(config_file)) + os.sep
    in_config = [frame for frame in frames if os.path.abspath(frame.filename).startswith(folder)
                 and not os.path.abspath(frame.filename).startswith(ours)]
    place = "%s:%d" % (in_config[-1].filename, in_config[-1].lineno) if in_config else config_file
    if isinstance(error, ConfigError):
        return ConfigError("%s: %s" % (place, error))
    if isinstance(error, ImportError):
        return ConfigError("%s: %s. %s" % (place, error, _about_import(error)))
    if frames and os.path.abspath(frames[-1].filename).startswith(ours):
        return error
    return ConfigError("%s: %s: %s%s" % (place, type(error).__name__, error,
                                         "\n    %s" % in_config[-1].line if in_config and in_config[-1].line else ""))


def _about_import(error):
    if not (error.name or "").startswith("open_seq2seq"):
        return "Install it, or put the module beside the config"
    return SUPPORTED[0].upper() + SUPPORTED[1:]
