"""Checks an experiment's params before any graph is built: every key of every part, and the rules that join keys.

Each part defines its own rules: a class or a learning-rate policy may have a static ``check_rules(params, path, report)``, which
is called with its checked params if each of them is valid by itself, and reports combinations of them that are invalid.

``width_multiplier`` and the other factors of network_scaling.py are applied here.
"""
import os

from open_seq2seq.config.parameters import Report, check_parameters
from open_seq2seq.encoders.input_transform import check_features
from open_seq2seq.encoders.variables import check_factories
from open_seq2seq.experiment.names import with_names_resolved
from open_seq2seq.experiment.network_scaling import scale_network
from open_seq2seq.losses import distillation
from open_seq2seq.models import task_params, tracking_params
from open_seq2seq.optimizers import catalogue, larc, loss_scaling, lr_policies, parallel_schedule

PARTS = ("data_layer", "encoder", "decoder", "loss")


def check_params(base_model, mode, params, path, report):
    """Checks the merged params of one mode.

    Args:
      base_model: the model class; its ``PARAMETERS`` are the top-level keys.
      mode: "train", "eval", "infer", or "describe" or "export", which need neither data nor an optimizer.
      params: the merged dict as the user wrote it; it is not changed.
      path: :class:`~open_seq2seq.config.provenance.KeyPath` of ``params``.
      report: receives every problem and note.

    Returns:
      The checked params, defaults filled in, those of the parts included.
    """
    parameters = getattr(base_model, "PARAMETERS", None)
    if parameters is None:
        report.note(path.child("base_model"), "declares no PARAMETERS: the params are not checked")
        return params
    # a separate report: if the network's params are invalid there may be no channels to multiply
    own = Report()
    checked = _check(parameters, _with_names_in_tasks(params, path, own), path, own)
    for part in PARTS:
        if checked.get(part) is not None:
            _check_nested(checked, part + "_params", checked[part], getattr(checked[part], "PARAMETERS", None), path, own,
                          require=not (mode in ("describe", "export") and part == "data_layer"))
    if checked.get("tasks") and not own.problems:
        _check_tasks(checked, path, own)
    if not own.problems:
        scale_network(checked, path, own)
    report.take(own)
    for key, parameters_of in (("optimizer", catalogue.parameters_of), ("lr_policy", lr_policies.parameters_of)):
        if callable(checked.get(key)):
            _check_nested(checked, key + "_params", checked[key], parameters_of(checked[key]), path, report)
    for key, owner in (("larc_params", larc), ("parallel_training", parallel_schedule)):
        if isinstance(checked.get(key), dict):
            _check_nested(checked, key, owner, owner.PARAMETERS, path, report)
    if checked.get("loss_scaling") in loss_scaling.ALGORITHMS:
        algorithm = checked["loss_scaling"]
        _check_nested(checked, "loss_scaling_params", loss_scaling.ALGORITHMS[algorithm], loss_scaling.parameters_of(algorithm),
                      path, report)
    check_factories(checked, path, report)
    _check_rules(checked, mode, path, report)
    rules = getattr(base_model, "check_rules", None)
    if rules is not None:
        rules(checked, mode, path, report)
    return checked


def _check(parameters, values, path, report, require=True):
    values, reported = with_names_resolved(parameters, values, path, report)
    parameters = [parameter for parameter in parameters if parameter.name not in reported]
    return check_parameters(parameters, values, path, report, require)


def _check_nested(checked, key, owner, parameters, path, report, require=True):
    """Replaces ``checked[key]`` by its checked form, if its ``owner`` declares parameters."""
    if not isinstance(checked.get(key), dict):
        return
    if parameters is None:
        report.note(path.child(key), "is not checked: the class or function that takes it declares no PARAMETERS")
        return
    # a separate report, because the common one does not list the same mistake again for a second mode
    own = Report()
    params = checked[key] = _check(parameters, checked[key], path.child(key), own, require)
    if not own.problems:
        check_factories(params, path.child(key), own)
        rules = getattr(owner, "check_rules", None)
        # --mode=describe needs no data set, and rules may read any key
        if rules is not None and all(parameter.name in params for parameter in parameters if parameter.required):
            rules(params, path.child(key), own)
    report.take(own)


def _with_names_in_tasks(params, path, report):
    """``params`` whose tasks have classes where the config has their names."""
    tasks = params.get("tasks")
    if not isinstance(tasks, dict):
        return params
    return dict(params, tasks={
        name: with_names_resolved(task_params.TASK_PARAMETERS, task, path.child("tasks").child(name), report)[0]
        if isinstance(task, dict) else task for name, task in tasks.items()})


def _check_tasks(checked, path, report):
    """Completes the tasks with the decoders and losses that they take from the top level, and checks the params of these."""
    checked["tasks"] = task_params.with_parts(checked)
    for name, task in checked["tasks"].items():
        for part in ("decoder", "loss"):
            if task[part] is not None:
                _check_nested(task, part + "_params", task[part], getattr(task[part], "PARAMETERS", None),
                              path.child("tasks").child(name), report)


def _check_sources(checked, path, report):
    """Reports contradictions between the keys that name directories and checkpoints of earlier trainings."""
    load, save, own = (checked.get(key) for key in ("load_checkpoint_dir", "save_checkpoint_dir", "checkpoint_dir"))
    if load and save and os.path.realpath(load) == os.path.realpath(save):
        report.problem(path.child("save_checkpoint_dir"), "is %r and load_checkpoint_dir is the same directory, which is only "
                                                          "read; --checkpoint_dir=%s resumes the run in it" % (save, load))
    if own and load and save:
        report.note(path.child("checkpoint_dir"), "has no effect: load_checkpoint_dir and save_checkpoint_dir are both given")
    if checked.get("load_model") and load:
        report.note(path.child("load_model"), "has no effect: training resumes from load_checkpoint_dir")
    if checked.get("drop_layers") and not checked.get("load_model") and not load:
        report.note(path.child("drop_layers"), "has no effect without load_model or load_checkpoint_dir")


def _check_rules(checked, mode, path, report):
    """The rules that join several keys. A value that is invalid by itself has been reported already and is skipped here."""
    def number(key):
        value = checked.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    if mode == "train":
        for key in ("optimizer", "lr_policy"):
            if key in checked and checked[key] is None:
                report.problem(path.child(key), "is missing; training needs it")
        if "num_epochs" in checked and number("num_epochs") and number("max_steps"):
            report.problem(path.child("max_steps"), "and %s are both given; keep one, or remove the other with "
                                                    "--num_epochs=None or --max_steps=None" % path.child("num_epochs"))
        elif "num_epochs" in checked and checked["num_epochs"] is None and checked.get("max_steps") is None:
            report.problem(path.child("num_epochs"), "is missing; training needs num_epochs or max_steps")
        if checked.get("larc_params") is not None and checked.get("max_grad_norm") is not None:
            report.problem(path.child("max_grad_norm"), "and %s are both given; LARC limits the gradients already, keep one"
                           % path.child("larc_params"))
        scale, batches = checked.get("backstitch_scale"), number("iter_size")
        if isinstance(scale, float) and scale > 0.0 and batches and batches > 1:
            report.problem(path.child("iter_size"), "is %d, and backstitch_scale is %g: both gradients of a backstitch are of "
                           "the same batch. Set iter_size to 1 and raise batch_size_per_gpu" % (batches, scale))
        if isinstance(checked.get("parallel_training"), dict) and checked.get("sync_batch_norm") is True:
            report.problem(path.child("sync_batch_norm"), "is True, and jobs of parallel_training do not communicate in a step; "
                           "their statistics of batch norm are combined with their models. Set sync_batch_norm to False")
        if isinstance(scale, float) and scale == 0.0 and (number("backstitch_interval") or 1) > 1:
            report.note(path.child("backstitch_interval"), "has no effect without backstitch_scale")
        if isinstance(checked.get("teacher_params"), dict):
            distillation.check_rules(checked, path.child("teacher_params"), report)
        tracking_params.check_rules(checked, path, report)
        _check_sources(checked, path, report)
        _check_schedule(checked, path, report)
        summaries = checked.get("summaries")
        if summaries and isinstance(summaries, list):
            if "save_summaries_steps" in checked and checked["save_summaries_steps"] is None:
                report.note(path.child("summaries"), "has no effect: nothing is written without save_summaries_steps")
            elif "larc_summaries" in summaries and checked.get("larc_params") is None:
                report.note(path.child("summaries"), 'has "larc_summaries", which has no effect without larc_params')
        if checked.get("early_stop") is True and checked.get("reduce_lr_on_plateau") is True:
            plateau, stop = number("plateau_epochs"), number("es_epochs")
            if plateau and stop and plateau >= stop:
                report.problem(path.child("plateau_epochs"), "is %d, expected less than es_epochs, which is %d: the training "
                                                             "would end before its learning rate is lowered" % (plateau, stop))
    encoder, data = checked.get("encoder_params"), checked.get("data_layer_params")
    if isinstance(encoder, dict) and isinstance(encoder.get("input_transform"), dict) and isinstance(data, dict):
        check_features(encoder["input_transform"], data, path.child("encoder_params").child("input_transform"), report)
    if mode in ("train", "eval") and "loss" in checked and checked["loss"] is None:
        report.problem(path.child("loss"), "is missing; --mode=%s needs it, e.g. CTCLoss" % mode)
    if mode != "describe" and "logdir" in checked and not checked["logdir"]:
        report.problem(path.child("logdir"), "is missing; expected the directory of the run")
    samples, losses = number("print_samples_steps"), number("print_loss_steps")
    if samples and losses and samples % losses:
        report.problem(path.child("print_samples_steps"), "is %d, expected a multiple of print_loss_steps, which is %d: "
                                                          "samples are printed below a loss" % (samples, losses))


def _check_schedule(checked, path, report):
    """Notes parts of the learning-rate schedule that lie beyond the end, as far as the config alone tells where that is."""
    policy, params = checked.get("lr_policy"), checked.get("lr_policy_params")
    if not callable(policy) or not isinstance(params, dict):
        return
    steps, epochs = checked.get("max_steps"), checked.get("num_epochs")
    for key, message in lr_policies.beyond_the_end(policy, params, steps if isinstance(steps, int) else None, None,
                                                   epochs if isinstance(epochs, int) else None):
        report.note(path.child("lr_policy_params").child(key), message)
