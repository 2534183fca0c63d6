"""``--mode=report``, and the report at the end of a training: ``report/index.html`` beside the measurements."""
import os

from open_seq2seq.errors import DataError, JasperError, StorageError, UsageError
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.files import expanded_path, replaced_file
from open_seq2seq.log_lines import log_line
from open_seq2seq.training.metrics import FILE_NAME, read_metrics
from open_seq2seq.training.report.curves import panels, steps_per_epoch
from open_seq2seq.training.report.page import page
from open_seq2seq.training.report.pictures import draw
from open_seq2seq.training.report.summary import last_layers, summary

FOLDER, PAGE = "report", "index.html"
DIRECTORIES = ("save_checkpoint_dir", "checkpoint_dir", "logdir")


def run_report(config_file, overrides):
    """``--mode=report``: draws the report of a run and says where it is. The config is needed only where it names the run.

    Args:
      config_file: the config, or None.
      overrides: list of ``Override`` of the command line.

    Raises:
      UsageError: no run is named.
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
    # a run that went on with other flags may have left one in each; the newer one is the run's
    log_line("Report: %s" % write_report(max(found, key=lambda place: os.path.getmtime(os.path.join(place, FILE_NAME)))))


def _directories(config_file, overrides):
    """Where the command line, or else the config, says that the run's checkpoints are."""
    named = {override.keys[0]: override.value for override in overrides if len(override.keys) == 1}
    if config_file is not None:
        named = load_experiment(config_file, "describe", overrides).params["describe"]
    else:
        others = [override for override in overrides if override.keys not in [(key,) for key in DIRECTORIES]]
        if others:
            raise UsageError("--%s is a key of a config, which --mode=report knows only with --config_file=FILE" % "/".join(
                map(str, others[0].keys)))
    try:
        directories = [expanded_path(str(named[key])) for key in DIRECTORIES if named.get(key)]
    except ValueError as error:
        raise UsageError("the directory of the run %s" % error)
    if not directories:
        raise UsageError("--mode=report needs the directory of a run: --logdir=DIRECTORY, or --config_file=FILE that names it")
    return directories


def write_report(directory):
    """Draws the report of the measurements in a directory.

    Args:
      directory: where ``metrics.jsonl`` is; the report goes to ``report/`` there.

    Returns:
      Path of the page; it appears whole.

    Raises:
      DataError: there are no measurements, or none that can be read.
      StorageError: the report cannot be written.
    """
    path = os.path.join(directory, FILE_NAME)
    entries = read_metrics(path)
    if not entries:
        raise DataError("%s holds no measurement that can be read: it is empty or damaged. A training writes the first one when "
                        "it starts" % path)
    try:
        pictures = [(panel, draw(panel, steps_per_epoch(entries))) for panel in panels(entries)]
    except ImportError:
        log_line("The report has no pictures: matplotlib is not installed. pip install -r requirements.txt installs it; "
                 "--mode=report draws them then")
        pictures = None
    folder = os.path.join(directory, FOLDER)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise StorageError("cannot make %s: %s. Free some space or mend the permissions" % (folder, error.strerror))
    name = os.path.basename(os.path.dirname(os.path.abspath(path))) or directory
    with replaced_file(os.path.join(folder, PAGE)) as file:
        file.write(page(name, summary(entries), pictures, last_layers(entries)))
    return os.path.join(folder, PAGE)


def report_after_training(directory):
    """Draws the report when a training ends, if it has measured enough for a curve; what fails is said and stops nothing."""
    try:
        if sum(entry["kind"] in ("step", "skipped") for entry in read_metrics(os.path.join(directory, FILE_NAME))) > 1:
            log_line("Report: %s" % write_report(directory))
    except JasperError as error:
        log_line("The report could not be drawn: %s" % error)
