"""``--mode=report``, and the report at the end of a training: ``report/index.html`` next to ``metrics.jsonl``."""
import os

from open_seq2seq.errors import DataError, JasperError, StorageError, UsageError
from open_seq2seq.evaluation.robustness_results import FILE_NAME as ROBUSTNESS_FILE
from open_seq2seq.evaluation.robustness_results import alternative_text, draw_rates, read_robustness
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.files import expanded_path, printable, replaced_file
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.metrics import FILE_NAME, read_metrics
from open_seq2seq.training.report.curves import panels, steps_per_epoch
from open_seq2seq.training.report.page import page
from open_seq2seq.training.report.pictures import draw
from open_seq2seq.training.report.summary import label_accuracies, last_layers, summary
from open_seq2seq.training.report.symptoms import PAGE as SYMPTOMS_PAGE
from open_seq2seq.training.report.symptoms import lines, symptoms

FOLDER, PAGE = "report", "index.html"
DIRECTORIES = ("save_checkpoint_dir", "checkpoint_dir", "logdir")


def run_report(config_file, overrides):
    """``--mode=report``: draws the report of a run and prints its path. A config is needed only where it names the run.

    Args:
      config_file: the config, or None.
      overrides: list of ``Override`` of the command line.

    Raises:
      UsageError: the command line does not name a run.
      DataError: there are no measurements.
      StorageError: the report cannot be written.
    """
    places = []
    for directory in _directories(config_file, overrides):
        places += [place for place in (directory, os.path.join(directory, "logs")) if place not in places]
    found = [place for place in places if os.path.isfile(os.path.join(place, FILE_NAME))]
    if not found:
        raise DataError("no %s in %s. Expected the directory of a training run, which writes its measurements there; name it "
                        "with --logdir=" % (FILE_NAME, " nor in ".join(places)))
    # a run that was resumed with other flags may have left a file in each; the newer one belongs to the run
    directory = max(found, key=lambda place: os.path.getmtime(os.path.join(place, FILE_NAME)))
    entries = _readable_entries(directory)
    _print_symptoms(entries, "The measurements show nothing that %s describes" % SYMPTOMS_PAGE)
    log_line("Report: %s" % _write_page(directory, entries))


def _directories(config_file, overrides):
    """Directories of the run's checkpoints, from the command line, or else from the config."""
    named = {override.keys[0]: override.value for override in overrides if len(override.keys) == 1}
    if config_file is not None:
        named = load_experiment(config_file, "describe", overrides).params["describe"]
    else:
        others = [override for override in overrides if override.keys not in [(key,) for key in DIRECTORIES]]
        if others:
            raise UsageError("--%s is a key of a config; with --mode=report it needs --config_file=FILE" % "/".join(
                map(str, others[0].keys)))
    directories = []
    for key in [key for key in DIRECTORIES if named.get(key)]:
        try:
            directories.append(expanded_path(str(named[key])))
        except ValueError as error:
            raise UsageError("%s: %r %s" % (key, str(named[key]), error))
    if not directories:
        raise UsageError("--mode=report needs the directory of a run: --logdir=DIRECTORY, or --config_file=FILE that names it")
    return directories


def write_report(directory):
    """Draws the report of the measurements in a directory.

    Args:
      directory: where ``metrics.jsonl`` is; the report goes to ``report/`` there.

    Returns:
      Path of the page, which is written atomically.

    Raises:
      DataError: there are no measurements, or none that can be read.
      StorageError: the report cannot be written.
    """
    return _write_page(directory, _readable_entries(directory))


def _readable_entries(directory):
    entries = read_metrics(os.path.join(directory, FILE_NAME))
    if not entries:
        raise DataError("%s has no readable measurement: it is empty or damaged. A training writes the first one when it starts"
                        % os.path.join(directory, FILE_NAME))
    return entries


def _print_symptoms(entries, otherwise=None):
    found = symptoms(entries)
    if found:
        log_line("What the measurements show:")
    for line in lines(found) or [otherwise]:
        if line is not None:
            log_line(line)


def _write_page(directory, entries):
    try:
        pictures = [(panel, draw(panel, steps_per_epoch(entries))) for panel in panels(entries)]
    except ImportError:
        log_line("The report has no figures: matplotlib is not installed. Install it with pip install -r requirements.txt, then "
                 "draw the report with --mode=report")
        pictures = None
    folder = os.path.join(directory, FOLDER)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot create %s: %s. Free some space or fix the permissions" % (folder, error.strerror))
    with replaced_file(os.path.join(folder, PAGE)) as file:
        file.write(page(printable(_run_name(directory, entries)), summary(entries), pictures, last_layers(entries),
                        _robustness(directory), label_accuracies(entries), symptoms(entries)))
    return os.path.join(folder, PAGE)


def _robustness(directory):
    """(bytes of an SVG, alternative text) of what ``--mode=robustness`` has measured; None if it has not, or is damaged."""
    try:
        measured = read_robustness(os.path.join(directory, ROBUSTNESS_FILE))
    except DataError as error:
        log_line("The report does not show the robustness: %s" % error)
        return None
    drawn = None if measured is None else draw_rates(measured, "svg")
    return None if drawn is None else (drawn, alternative_text(measured))


def _run_name(directory, entries):
    """The name of the run: that of its logdir."""
    recorded = [entry["run"] for entry in entries if entry["kind"] == "start" and entry.get("run")]
    if recorded:
        return recorded[-1]
    # a run of version 0.1 did not record it; with --enable_logs the measurements are in logs/ in its logdir
    parent, name = os.path.split(os.path.abspath(directory))
    return (os.path.basename(parent) if name == "logs" else name) or directory


def redraw_report(directory):
    """Draws the report of a run again that has one. An error is only printed."""
    if os.path.isfile(os.path.join(directory, FOLDER, PAGE)):
        report_after_training(directory)


def report_after_training(directory):
    """Draws the report when a training ends, if there are enough measurements for a curve. An error is only printed."""
    try:
        entries = read_metrics(os.path.join(directory, FILE_NAME))
        if sum(entry["kind"] in ("step", "skipped") for entry in entries) > 1:
            _print_symptoms(entries)
            log_line("Report: %s" % _write_page(directory, entries))
    except JasperError as error:
        log_line("The report could not be drawn: %s" % error)
