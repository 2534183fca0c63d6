"""The trackers that a config asks for."""
import contextlib
import glob
import os
import re

from open_seq2seq.checkpoints.files import latest_checkpoint
from open_seq2seq.experiment.saving import flattened, plain
from open_seq2seq.models.tracking_params import MLFLOW, TENSORBOARD, mlflow_settings, without_tracking
from open_seq2seq.training.report.mode import FOLDER as REPORT
from open_seq2seq.training.tracking.tracker import FAILED, STOPPED, Trackers


def require_trackers(params):
    """Raises UsageError where a tracker of a checked config is not installed."""
    if MLFLOW in params["tracking"]:
        from open_seq2seq.training.tracking.mlflow_tracker import find_python
        find_python(params)


@contextlib.contextmanager
def opened_trackers(params, run_directory, writes):
    """Context of the run's trackers, which an error in it ends as failed.

    Args:
      params: the checked config of mode "train".
      run_directory: the ``RunDirectory``.
      writes: whether this process writes files; otherwise nothing is tracked.

    Yields:
      ``Trackers``.

    Raises:
      UsageError: a tracker is not installed.
    """
    trackers = []
    if writes and TENSORBOARD in params["tracking"] and params["save_summaries_steps"]:
        from open_seq2seq.training.tracking.tensorboard_tracker import TensorBoardTracker
        trackers.append(TensorBoardTracker(run_directory.checkpoints))
    if writes and MLFLOW in params["tracking"]:
        from open_seq2seq.training.tracking.mlflow_tracker import MlflowTracker
        trackers.append(MlflowTracker(params, run_directory))
    trackers = Trackers(trackers)
    try:
        yield trackers
    except Exception:
        trackers.finish(FAILED)
        raise
    finally:
        # a second Ctrl-C; nothing happens where the training has finished them
        trackers.finish(STOPPED)


def track_config(trackers, params, path):
    """Records the config of a run that has begun.

    Args:
      trackers: the ``Trackers``.
      params: the checked config of mode "train".
      path: of its ``resolved_config_DATE.json``, next to the other files that describe the run.
    """
    trackers.parameters(dict(flattened(plain(without_tracking(params)))))
    date = re.match(r"resolved_config_(.*)\.json$", os.path.basename(path)).group(1)
    for file in sorted(glob.glob(os.path.join(glob.escape(os.path.dirname(path)), "*_%s.*" % date))):
        if not os.path.basename(file).startswith(("stdout_", "stderr_")):  # still being written
            trackers.artifact(file, "config")


def track_results(trackers, directory, params=None):
    """Records the report of a training that has ended and its best model, or the last one if it had no evaluations.

    Args:
      trackers: the ``Trackers``.
      directory: of the checkpoints.
      params: the checked config; None: no model is recorded.
    """
    if os.path.isdir(os.path.join(directory, REPORT)):
        trackers.artifact(os.path.join(directory, REPORT), "report")
    if params is not None and mlflow_settings(params)["best_model"]:
        checkpoint = latest_checkpoint(directory, best=True) or latest_checkpoint(directory)
        for path in sorted(glob.glob(glob.escape(checkpoint) + ".*")) if checkpoint else []:
            trackers.artifact(path, "best_model")
