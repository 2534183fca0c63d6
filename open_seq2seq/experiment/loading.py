"""Loads a config file and a command line into an :class:`Experiment` with checked params.

A config is a Python module: it runs with the rights of the user who starts it. Its path and hash are printed before it
runs, and this module never searches for one by itself.
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
from open_seq2seq.cli import closest
from open_seq2seq.config.overrides import SECTIONS, apply_override, prefer_typed_length, section_of, typed
from open_seq2seq.config.provenance import KeyPath, Sources, check_nesting, copied, nested_update
from open_seq2seq.config.repeated_keys import repeated_keys
from open_seq2seq.config.report import Report, key_text, shown
from open_seq2seq.errors import ConfigError
from open_seq2seq.experiment.command_line import FLAG_NAMES
from open_seq2seq.experiment.playbook import evaluate_each_epoch, note_contradictions, spread
from open_seq2seq.text import steps

Experiment = collections.namedtuple("Experiment", "path sha256 base_model params notes source overrides")
Experiment.__doc__ = """A config, loaded and checked.

path: the config file as given. sha256: of its bytes, hexadecimal. base_model: the model class. params: dict from
"train", "eval", "test", "infer", "describe" or "export" to the checked params of that mode. notes: list of str for the user.
source: the file's bytes. overrides: list of ``Override``, from the command line.
"""

PARAMS_OF_MODE = {"train": ("train",), "eval": ("eval",), "infer": ("infer",), "train_eval": ("train", "eval"),
                  "search": ("train", "eval"),
                  "describe": ("describe",), "npu_check": ("train", "eval"), "export": ("export",), "combine": ("eval", "train"),
                  "replay": ("train",), "robustness": ("eval",), "tune_lm": ("eval",), "align": ("eval",),
                  "validate_data": ("train", "eval", "infer"), "build_cache": ("train", "eval", "infer"),
                  "features": ("train", "eval"), "input_transform": ("train", "eval"), "label_quality": ("eval",),
                  "train_worker": ("train",)}
_FILES = ("data_layer_params", "dataset_files")
_MODES_OF_ALL_TASKS = ("train", "train_eval", "npu_check", "combine", "replay", "validate_data", "build_cache", "features",
                       "input_transform", "train_worker", "search")
SUPPORTED = "this project has convolutional CTC speech models: base_model Speech2Text, encoder TDNNEncoder, decoder " \
            "FullyConnectedCTCDecoder, loss CTCLoss or LFMMILoss, data_layer Speech2TextDataLayer"


def load_experiment(config_file, mode, overrides=(), exports=False, task=None):
    """Runs a config file, merges its dicts for ``mode``, applies the command line and checks everything.

    Args:
      config_file: path of a Python file that defines ``base_model`` and ``base_params``, and may define
        ``train_params``, ``eval_params`` and ``infer_params``.
      mode: one of experiment/flags.py that reads a config; npu_check, combine, validate_data, build_cache, features and
        input_transform load those sections of train, eval and infer that the config defines.
      overrides: list of :class:`~open_seq2seq.config.overrides.Override`.
      exports: whether the model is exported when training ends.
      task: name of the task that a mode of a trained model uses; None: the main task, if the config has tasks.

    Returns:
      An :class:`Experiment`. A training whose config or overrides have ``test_params``, to test the model at the end, also has
      params of "test"; a training that exports the model has params of "export".

    Raises:
      ConfigError: the file is missing, is not Python, raises an exception, lacks a dict, or has mistakes in its
        params; one message lists all mistakes.
      UsageError: there is no such task.
    """
    source = _read(config_file)
    sha256 = hashlib.sha256(source).hexdigest()
    print("Config %s, sha256 %s" % (config_file, sha256), file=sys.stderr)
    report = Report()
    config = _execute(config_file, source, report)
    base_model = config.get("base_model")
    if not callable(base_model):
        raise ConfigError("%s: base_model is %s; expected the model's class: base_model = Speech2Text"
                          % (config_file, "missing" if base_model is None else shown(base_model)))
    for section in SECTIONS:
        if not isinstance(config.get(section, {}), dict) or (section == "base_params" and section not in config):
            raise ConfigError("%s: %s is %s; expected a dict" % (
                config_file, section, shown(config[section]) if section in config else "missing"))
        check_nesting(config.get(section, {}), "%s: %s" % (config_file, section), report)
    _report_repeated_keys(source, config_file, report)
    report.raise_problems()
    # imports TensorFlow, which takes seconds, after the file has loaded
    from open_seq2seq.experiment.checking import check_params
    _note_misspelled_sections(config, config_file, report)
    names = _params_of_mode(mode, config, overrides, exports)
    applied = _without_misspelled(base_model, mode, names, overrides, report)
    note_contradictions(applied, report)
    params = {}
    for name in names:
        merged, path = _merge(config, config_file, name, applied, report)
        if name in ("eval", "test"):
            _add_noise_of_training(merged, config, config_file, applied)
        params[name] = check_params(base_model, "eval" if name == "test" else name, merged, path, report)
        if mode == name == "train":
            _check_without_evaluation(params[name], path, report)
    if mode in ("train_eval", "search") and "eval_params" not in config and not any(
            section_of(override)[0] == "eval_params" for override in overrides):
        report.problem("%s: eval_params" % config_file, "is missing; --mode=%s needs it, --mode=train does not" % mode)
    report.raise_problems()
    _note_unequal_transcripts(params, report)
    _name_files_of_task(params, task, applied)
    _select_task(params, mode, task)
    return Experiment(config_file, sha256, base_model, params, report.notes, source, list(overrides))


def _name_files_of_task(params, task, overrides):
    """Where test_params, infer_params or the command line name data, the selected task is not evaluated on its ``eval_files``."""
    from open_seq2seq.models.task_params import main_task
    for name, of_mode in params.items():
        tasks, files = of_mode.get("tasks"), (of_mode.get("data_layer_params") or {}).get("dataset_files")
        selected = (task or main_task(of_mode)) if tasks else None
        typed_files = any(section_of(override)[0] == name + "_params" and tuple(section_of(override)[1]) == _FILES
                          for override in overrides)
        if files and selected in (tasks or ()) and (typed_files or name in ("test", "infer") and selected == main_task(of_mode)):
            data = dict(tasks[selected]["data"], eval_files=files)
            params[name] = dict(of_mode, tasks=dict(tasks, **{selected: dict(tasks[selected], data=data)}))


def _report_repeated_keys(source, config_file, report):
    for repeated in repeated_keys(source):
        where = "%s:%d: %s" % (config_file, repeated.line, key_text(repeated.key))
        if repeated.owner == "tasks":
            report.problem(where, "is the name of two tasks, the other one in line %d; Python keeps the last one only. Rename one"
                           % repeated.earlier_line)
        else:
            report.note(where, "is written twice in a dict, first in line %d; the last one counts" % repeated.earlier_line)


def _select_task(params, mode, task):
    """Reduces checked params to one task where a mode uses one output of a model, or reports that there are no tasks."""
    from open_seq2seq.models.task_params import config_of_task
    if mode not in _MODES_OF_ALL_TASKS and not (mode == "eval" and task is None):
        params.update({name: config_of_task(of_mode, task) for name, of_mode in params.items()})
    if mode in ("train", "train_eval", "combine"):
        # the model is exported, tested at the end and combined by its main task
        for name in [name for name in ("export", "test") + ("eval",) * (mode == "combine") if name in params]:
            params[name] = config_of_task(params[name])


def _params_of_mode(mode, config, overrides, exports):
    names = PARAMS_OF_MODE[mode]
    tests = ("test",) * ("test_params" in config or any(section_of(override)[0] == "test_params" for override in overrides))
    if mode in ("train", "train_eval"):
        return names + tests + ("export",) * exports
    if mode in ("npu_check", "combine", "validate_data", "build_cache", "features", "input_transform"):
        names = tuple(name for name in names if "%s_params" % name in config) or names[:1]
        return names + tests if mode in ("validate_data", "build_cache") or mode == "npu_check" and "train" in names else names
    return names


def _merge(config, config_file, name, overrides, report):
    """The params of one mode as the user wrote them, and the :class:`KeyPath` that names where."""
    path = KeyPath(Sources(config_file))
    merged = copied(config["base_params"])
    sections = ["%s_params" % name]
    if name == "describe":
        # older configs define the data layer, and with it the number of features, outside base_params
        others = ("eval_params", "train_params", "infer_params")
        sections = [] if "data_layer" in merged else [section for section in others if section in config][:1]
    elif name == "export":
        # the features and the vocabulary of evaluation
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


def _add_noise_of_training(merged, config, config_file, overrides):
    """The evaluation of a denoising task gets the augmentation of the training, whose noise it adds to the input."""
    data, tasks = merged.get("data_layer_params"), merged.get("tasks")
    denoising = any(isinstance(task, dict) and isinstance(task.get("data"), dict) and task["data"].get("kind") == "features"
                    for task in (tasks.values() if isinstance(tasks, dict) else ()))
    if not denoising or not isinstance(data, dict) or data.get("augmentation") is not None:
        return
    of_training, _ = _merge(config, config_file, "train", overrides, Report())
    if isinstance(of_training.get("data_layer_params"), dict):
        data["augmentation"] = of_training["data_layer_params"].get("augmentation")


def _without_misspelled(base_model, mode, names, overrides, report):
    """The overrides except those whose first key is a misspelled section or flag, which are reported.

    ``--train_params/...`` is kept in ``--mode=eval``, where it has no effect, with a note.
    """
    declared = [parameter.name for parameter in getattr(base_model, "PARAMETERS", ())]
    used = ["base_params"] + ["%s_params" % name for name in names]
    if "test" in names:
        used.append("eval_params")
    kept = []
    for override in overrides:
        section, keys = section_of(override)
        if section is None and keys[0] not in declared:
            close = closest(keys[0], SECTIONS, cutoff=0.8)
            if close is None and declared:
                close = closest(keys[0], declared + (FLAG_NAMES if len(keys) == 1 else []))
                # the check of the keys suggests those of the config
                close = "--" + close if close in FLAG_NAMES else None
            if close is not None:
                report.problem("command line: --%s" % shown(keys[0]).strip("'"), 'is unknown (did you mean "%s"?)' % close)
                continue
        if section is not None and section not in used and mode not in ("describe", "export"):
            report.note("command line: %s" % typed(override), "has no effect in --mode=%s" % mode)
        kept.append(override)
    return kept


def _check_without_evaluation(params, path, report):
    for key in ("early_stop", "reduce_lr_on_plateau"):
        if params.get(key) is True:
            report.problem(path.child(key), "is True and needs evaluations, which --mode=train does not make; use "
                                            "--mode=train_eval, or --dev_files, which implies it")


def _note_unequal_transcripts(params, report):
    """Notes an evaluation whose references are not normalized like the transcripts of training."""
    normalizations = {
        name: steps.chosen(params[name].get("data_layer_params") or {}) for name in ("train", "eval") if name in params}
    if len(normalizations) == 2 and normalizations["train"] != normalizations["eval"]:
        report.note('eval_params["data_layer_params"]', "has other transcripts than training: %s, there %s; set normalization "
                    "and unknown_characters in base_params" % tuple(
                        steps.described(normalizations[name]) for name in ("eval", "train")))


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


def _execute(config_file, source, report):
    """The names that the config defines. Its output goes to stderr, because stdout may be reserved for one JSON object."""
    try:
        code = _compiled(config_file, source)
        with contextlib.redirect_stdout(sys.stderr), _importing_from(os.path.dirname(os.path.abspath(config_file))):
            return _run(code, config_file, report)
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
    except (MemoryError, RecursionError, OverflowError):
        raise SyntaxError("an expression is nested too deeply for Python", (config_file, None, None, None))


def _run(code, config_file, report):
    with warnings.catch_warnings():
        # TensorFlow 1.15 on a current NumPy prints a page of these
        warnings.simplefilter("ignore", FutureWarning)
        tensorflow = importlib.import_module("tensorflow")
    from open_seq2seq.config.adapter_imports import AdapterImports
    from open_seq2seq.config.contrib import ConfigTensorFlow
    stand_in = ConfigTensorFlow(tensorflow)
    adapter_imports = AdapterImports(stand_in.real_modules)
    module = types.ModuleType("experiment_config")
    module.__file__ = config_file
    # configs of the oldest kind use tf without importing it
    module.tf = stand_in
    with stand_in.installed(), adapter_imports.installed():
        try:
            exec(code, module.__dict__)
        except NameError as error:
            adapter_imports.explain(error)
            raise
    report.notes.extend(adapter_imports.notes)
    return {name: value for name, value in vars(module).items() if not name.startswith("__")}


@contextlib.contextmanager
def _importing_from(folder):
    """While active, modules next to the config can be imported; afterwards they are removed, so that the next config's load."""
    known = set(sys.modules)
    path = list(sys.path)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - known:
            # not getattr: it would import TensorFlow's lazily loaded contrib, which takes half a second
            file = getattr(sys.modules[name], "__dict__", {}).get("__file__")
            top = name.split(".")[0]
            if file and top != "open_seq2seq" and os.path.abspath(file) in (
                    os.path.join(folder, top + ".py"), os.path.join(folder, *name.split(".")) + ".py",
                    os.path.join(folder, *(name.split(".") + ["__init__.py"]))):
                del sys.modules[name]


def _located(error, config_file):
    """The ConfigError for an exception that a config raised; an exception of our own code is returned unchanged."""
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
    last = os.path.abspath(frames[-1].filename) if frames else ""
    # the functions that stand in for tf.contrib raise ValueError and TypeError for the config's arguments
    if last.startswith(ours) and os.path.basename(last) != "contrib.py":
        return error
    return ConfigError("%s: %s: %s%s" % (place, type(error).__name__, error,
                                         "\n    %s" % in_config[-1].line if in_config and in_config[-1].line else ""))


def _about_import(error):
    if not (error.name or "").startswith("open_seq2seq"):
        return "Install it, or put the module next to the config"
    return SUPPORTED[0].upper() + SUPPORTED[1:]
