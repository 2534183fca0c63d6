"""The directory of a run: may it be used, where in it do checkpoints and logs go.

Names are OpenSeq2Seq's: without ``--enable_logs`` checkpoints lie in ``logdir/``; with it in ``logdir/logs/``, and
``logdir/{stdout_,stderr_}DATE.log`` hold what was printed.
"""
import os
import re
import tempfile
import time

from open_seq2seq.errors import CheckpointError, StorageError, UsageError
from open_seq2seq.training.checkpoints import latest_checkpoint

DATE_FORMAT = "%Y-%m-%d_%H-%M-%S"
# what a run leaves that ended before its first checkpoint, e.g. because the data were refused
_TRACES = re.compile(r"(config|resolved_config|cmd-args|git-info|stdout|stderr)_[-_0-9]+\.(py|json|log)$"
                     r"|rejected\.csv$|(evaluations|metrics)\.jsonl$"
                     r"|events\.out\.tfevents\."
                     # a checkpoint cut short: its index comes last
                     r"|.+\.data-\d{5}-of-\d{5}(\.tempstate\d+)?$|.+\.index\.tempstate\d+$")


class RunDirectory:
    """Paths inside a run's directory.

    Args:
      logdir: the config's ``logdir``.
      enable_logs: checkpoints in ``logs/`` and a copy of the output.
    """

    def __init__(self, logdir, enable_logs=False):
        self.path = logdir
        self.enable_logs = enable_logs
        self.checkpoints = os.path.join(logdir, "logs") if enable_logs else logdir
        self.best_models = os.path.join(self.checkpoints, "best_models")
        self.date = time.strftime(DATE_FORMAT)

    def dated(self, prefix, extension="log"):
        """Path of a file of this run, e.g. ``logdir/stdout_2026-01-31_12-00-00.log``."""
        return os.path.join(self.path, "%s_%s.%s" % (prefix, self.date, extension))

    @property
    def rejected_file(self):
        """The list of data rows that were refused."""
        return os.path.join(self.path, "rejected.csv")

    def prepare_training(self, continue_learning, no_dir_check=False):
        """Checks that the directory may be trained into, and makes it.

        Returns:
          The checkpoint to go on from, or None for a fresh start.

        Raises:
          UsageError: it is not empty and ``--continue_learning`` was not given, or the other way round; or it is a file.
          StorageError: it cannot be written.
        """
        if os.path.exists(self.path) and not os.path.isdir(self.path):
            raise UsageError('logdir "%s" is a file; expected a directory or nothing. Choose another with --logdir='
                             % self.path)
        occupied = self._is_occupied()
        checkpoint = None
        if continue_learning:
            checkpoint = self.find_checkpoint() if occupied else None
            if checkpoint is None and not no_dir_check:
                raise UsageError('--continue_learning: logdir "%s" %s; there is nothing to continue. Leave the flag out to '
                                 "start afresh, or correct --logdir" % (
                                     self.path, "holds no checkpoint" if occupied else "is empty or does not exist"))
        elif occupied and not no_dir_check:
            raise UsageError('logdir "%s" is not empty (%s). Use --continue_learning to go on with that run, another '
                             "--logdir for a new one, or --no_dir_check to write into it all the same"
                             % (self.path, _some_names(self.path)))
        self.make_writable()
        return checkpoint

    def _is_occupied(self):
        """Whether the directory holds more than the traces of a run that saved nothing."""
        names = [name for _, _, files in os.walk(self.path) for name in files]
        return any(not _TRACES.match(name) for name in names)

    def remove_unused(self):
        """Removes what a run that never started made: its logs (their one message was printed), its empty directories."""
        for path in (self.dated("stdout"), self.dated("stderr")):
            if os.path.isfile(path):  # a regular file, not a device that somebody linked there
                os.remove(path)
        for path in (self.checkpoints, self.path):
            if os.path.isdir(path) and not os.listdir(path):
                os.rmdir(path)

    def make_writable(self):
        """Makes the directory and proves that a file can be written there.

        Raises:
          StorageError: it cannot.
        """
        try:
            os.makedirs(self.checkpoints, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.checkpoints):
                pass
        except OSError as error:
            raise StorageError('logdir "%s" cannot be written: %s. Choose another with --logdir=, or mend its '
                               "permissions" % (self.path, error.strerror))

    def find_checkpoint(self, best=False):
        """The latest (or best) checkpoint's path without extension, or None.

        A run may have been trained with ``--enable_logs`` and be evaluated without it, or the other way round: both
        places are looked at, the one that this run's flags name first. A run that ended before its first checkpoint may have
        evaluated: then the latest is the best one, which is as whole as any other.
        """
        directories = [self.checkpoints, os.path.join(self.path, "logs"), self.path]
        directories_of_best = [os.path.join(directory, "best_models") for directory in directories]
        for directory in directories_of_best if best else directories + directories_of_best:
            checkpoint = latest_checkpoint(directory)
            if checkpoint is not None:
                return checkpoint
        return None

    def require_checkpoint(self, best=False):
        """As ``find_checkpoint``; a missing one is a CheckpointError."""
        checkpoint = self.find_checkpoint(best)
        if checkpoint is None:
            kind = "best checkpoint (restore_best_checkpoint is True; best ones are saved by --mode=train_eval)" if best \
                else "checkpoint"
            raise CheckpointError('no %s in logdir "%s" nor in its logs/. Expected model.ckpt-N.index and .data files, as '
                                  "--mode=train writes them with save_checkpoint_steps set; give their directory with --logdir="
                                  % (kind, self.path))
        return checkpoint


def _some_names(directory):
    names = sorted(os.listdir(directory))
    return ", ".join(names[:3]) + (", ... %d entries" % len(names) if len(names) > 3 else "")
