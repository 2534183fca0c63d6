"""The directories of a run: whether a training may use them, who owns them, where checkpoints and logs are.

Names are OpenSeq2Seq's: without ``--enable_logs`` checkpoints are in ``logdir/``; with it in ``logdir/logs/``, and
``logdir/{stdout_,stderr_}DATE.log`` hold what was printed. ``checkpoint_dir``, ``load_checkpoint_dir`` and
``save_checkpoint_dir`` are Coqui STT's: checkpoints are read and written there instead.
"""
import contextlib
import os
import re
import tempfile
import time

from open_seq2seq.checkpoints.files import BEST_MODELS, checkpoints_in, is_leftover, is_vanishing, latest_checkpoint
from open_seq2seq.checkpoints.manifest import READING_ERRORS, file_signature
from open_seq2seq.checkpoints.ownership import OWNER_FILE, owned_directories
from open_seq2seq.errors import CheckpointError, JasperError, StorageError, UsageError
from open_seq2seq.log_lines import log_line

DATE_FORMAT = "%Y-%m-%d_%H-%M-%S"
# what a run leaves that ended before its first checkpoint, e.g. because its data had mistakes
_TRACES = re.compile(r"(config|resolved_config|cmd-args|git-info|stdout|stderr)_[-_0-9]+\.(py|json|log)$"
                     r"|rejected\.csv$|(evaluations|metrics)\.jsonl$|index\.html$"
                     r"|events\.out\.tfevents\."
                     # in mlflow/
                     r"|queue-\d+\.jsonl$|(position|settings|run)\.json(\.\d+-[0-9a-f]+\.tmp)?$|lock$|sender\.log$"
                     # in bad_batches/, of a run that diverged at once
                     r"|step-\d+-batch-\d+(-rank-\d+)?\.npz$|step-\d+\.weights\."
                     # of a training that was killed
                     r"|%s(\..+)?$"
                     # of the first iteration of a parallel training
                     r"|worker_\d+\.log$|training\.json$|(model|result)\.npz$"
                     # an incomplete checkpoint: its index comes last
                     r"|.+\.data-\d{5}-of-\d{5}(\.tempstate\d+)?$|.+\.index\.tempstate\d+$" % re.escape(OWNER_FILE))
# a reader is slower than the fastest training saves; each attempt reads another checkpoint
_READ_ATTEMPTS = 100


class RunDirectory:
    """Paths of a run.

    Args:
      logdir: the config's ``logdir``.
      enable_logs: checkpoints in ``logs/`` and a copy of the output.
      load_checkpoint_dir: where checkpoints are read; None: in ``logdir``.
      save_checkpoint_dir: where checkpoints are written; None: in ``logdir``.
      best_source: a training starts from the best checkpoint of ``load_checkpoint_dir`` instead of the newest.

    Attributes:
      path: the ``logdir``. checkpoints: directory that checkpoints are written to. source: directory of another training whose
        checkpoint this one starts from, or None. best_models: where OpenSeq2Seq keeps its best models.
    """

    def __init__(self, logdir, enable_logs=False, load_checkpoint_dir=None, save_checkpoint_dir=None, best_source=False):
        self.path, self.enable_logs, self._best_source = logdir, enable_logs, best_source
        self._confirm, self._made = None, []
        self._own, self._load = save_checkpoint_dir, load_checkpoint_dir
        self.checkpoints = save_checkpoint_dir or (os.path.join(logdir, "logs") if enable_logs else logdir)
        self.best_models = os.path.join(self.checkpoints, BEST_MODELS)
        self.source = None
        if load_checkpoint_dir is not None and os.path.realpath(load_checkpoint_dir) != os.path.realpath(self.checkpoints):
            self.source = load_checkpoint_dir
        self.date = time.strftime(DATE_FORMAT)

    @classmethod
    def of(cls, params, enable_logs=False):
        """The directories that a checked config names; ``logdir`` is where the checkpoints go if it names none."""
        load, save = (params[key] or params["checkpoint_dir"] for key in ("load_checkpoint_dir", "save_checkpoint_dir"))
        return cls(params["logdir"] or save, enable_logs, load, save, bool(params.get("restore_best_checkpoint")))

    def dated(self, prefix, extension="log"):
        """Path of a file of this run, e.g. ``logdir/stdout_2026-01-31_12-00-00.log``."""
        return os.path.join(self.path, "%s_%s.%s" % (prefix, self.date, extension))

    @property
    def rejected_file(self):
        """The list of rejected data rows."""
        return os.path.join(self.path, "rejected.csv")

    @contextlib.contextmanager
    def owned(self):
        """Context in which this process owns the directories that the run writes to: no other training can.

        The directories are made. If the run ends before its first step, its logs, whose one message was printed, and the empty
        directories that it made are removed.

        Raises:
          DirectoryInUse: another training owns one of them and is running.
          UsageError: one of them is a file.
          StorageError: one of them cannot be written.
        """
        self._refuse_files()
        key = "save_checkpoint_dir" if self.source is not None or self._load is None else "checkpoint_dir"
        with contextlib.ExitStack() as stack:
            stack.callback(self._remove_unused_directories)
            self.make_writable()
            self._confirm = stack.enter_context(owned_directories({
                self.path: "logdir" if self.path != self._own else key,
                self.checkpoints: "logdir" if self._own is None else key}))
            stack.callback(self._remove_unused_logs)
            yield

    def confirm_ownership(self):
        """Raises DirectoryInUse if another training has taken over the directories, see ``ownership``; before every write."""
        if self._confirm is not None:
            self._confirm()

    @property
    def _has_started(self):
        # training writes it just before the first step
        return os.path.isfile(self.dated("resolved_config", "json"))

    def _remove_unused_logs(self):
        if not self._has_started:
            for path in (self.dated("stdout"), self.dated("stderr")):
                if os.path.isfile(path):  # a regular file, not a device that somebody linked there
                    os.remove(path)

    def _remove_unused_directories(self):
        self._confirm = None
        # those that are not empty stay
        with contextlib.suppress(OSError):
            for path in [] if self._has_started else reversed(self._made):
                os.rmdir(path)

    def _refuse_files(self):
        for key, path in (("logdir", self.path), ("save_checkpoint_dir", self.checkpoints)):
            if os.path.exists(path) and not os.path.isdir(path):
                raise UsageError('%s "%s" is a file; expected a directory, or a path that does not exist. Choose another with '
                                 "--%s=" % (key, path, key))

    def prepare_training(self, continue_learning, no_dir_check=False):
        """Checks that the directory may be trained into, and makes it.

        Returns:
          The checkpoint to resume from, or None for a fresh start. It is one of this run, or of ``source`` if this run has
          not saved any.

        Raises:
          UsageError: it is not empty and ``--continue_learning`` was not given, or the other way round; or it is a file.
          CheckpointError: ``load_checkpoint_dir`` is missing or holds no checkpoint.
          StorageError: it cannot be written.
        """
        self._refuse_files()
        if continue_learning:
            checkpoint = self._checkpoint_to_continue(no_dir_check)
        else:
            checkpoint = self._checkpoint_without_flag(no_dir_check)
        if checkpoint is None and self.source is not None:
            checkpoint = self._source_checkpoint()
        self.make_writable()
        return checkpoint

    def _checkpoint_to_continue(self, no_dir_check):
        occupied = self._is_occupied()
        checkpoint = self._find(self._own_places()) if occupied or self._own is not None else None
        if checkpoint is None and self.source is None and not no_dir_check:
            where = 'logdir "%s"' % self.path if self._own is None else 'checkpoint_dir "%s"' % self._own
            raise UsageError("--continue_learning: %s %s; there is nothing to resume from. Leave the flag out to "
                             "start from scratch, or correct --%s" % (
                                 where, "contains no valid checkpoint" if occupied else "is empty or does not exist",
                                 where.split()[0]))
        return checkpoint

    def _checkpoint_without_flag(self, no_dir_check):
        """A ``checkpoint_dir`` with checkpoints is resumed from, as in Coqui STT; other directories have to be empty."""
        if self._own is not None and self._load is not None and self.source is None:
            holds_some = any(checkpoints_in(directory) for directory in self._own_places())
            checkpoint = self._find(self._own_places())
            if checkpoint is not None:
                return checkpoint
            if holds_some:
                raise CheckpointError('checkpoint_dir "%s" contains no valid checkpoint, only damaged ones; choose another'
                                      % self._own)
        elif self._own is not None and not no_dir_check:
            found = [name for directory in self._own_places() for name in checkpoints_in(directory)]
            if found:
                raise UsageError('save_checkpoint_dir "%s" already contains checkpoints, the newest is %s. Use '
                                 "--continue_learning to resume that run, or another --save_checkpoint_dir" % (
                                     self._own, os.path.basename(found[0])))
        if self._own is None and self._is_occupied() and not no_dir_check:
            raise UsageError('logdir "%s" is not empty (%s). Use --continue_learning to resume that run, another --logdir '
                             "for a new one, or --no_dir_check to write into it anyway"
                             % (self.path, _some_names(self.path)))
        return None

    def _source_checkpoint(self, best=None):
        best = self._best_source if best is None else best
        if not os.path.isdir(self.source):
            raise CheckpointError('load_checkpoint_dir "%s" %s; expected a directory with checkpoints of an earlier training' % (
                self.source, "is a file" if os.path.exists(self.source) else "does not exist"))
        checkpoint = self._find(self._places(self.source), best, may_move=False)
        if checkpoint is None:
            raise CheckpointError('load_checkpoint_dir "%s" contains no valid checkpoint; expected model.ckpt-N.index and .data '
                                  "files of an earlier training there or in its logs/" % self.source)
        return checkpoint

    def is_source(self, checkpoint):
        """Whether a checkpoint is one of ``source``."""
        directory = os.path.realpath(os.path.dirname(checkpoint))
        return self.source is not None and directory in [
            os.path.realpath(place) for place in self._with_best_models(self._places(self.source))]

    def _is_occupied(self):
        """Whether the directory contains more than a run leaves that saved nothing."""
        names = [name for folder, _, files in os.walk(self.path) if not is_leftover(os.path.basename(folder)) for name in files]
        return any(not _TRACES.match(name) and not is_leftover(name) for name in names)

    def make_writable(self):
        """Makes the directories and proves that a file can be written there.

        Raises:
          StorageError: it cannot.
        """
        try:
            for path in (self.path, self.checkpoints):
                self._made += [missing for missing in _missing_parts(path) if missing not in self._made]
                os.makedirs(path, exist_ok=True)
                with tempfile.TemporaryFile(dir=path):
                    pass
        except OSError as error:
            key = "save_checkpoint_dir" if self._own is not None and path == self.checkpoints else "logdir"
            raise StorageError('%s "%s" cannot be written: %s. Choose another with --%s=, or fix its '
                               "permissions" % (key, self.path if key == "logdir" else path, error.strerror, key))

    def find_checkpoint(self, best=False):
        """The latest (or best) valid checkpoint's path without extension, or None.

        What this run has saved comes before what is in ``load_checkpoint_dir``. Damaged ones are skipped, with a line in the log;
        if this process owns the directories, it moves them into ``damaged`` next to them.
        """
        checkpoint = None
        if self._own is not None or self._load is None:
            checkpoint = self._find(self._own_places(), best)
        if checkpoint is None and self._load is not None:
            checkpoint = self._find(self._places(self._load), best, may_move=self._may_move and self.source is None)
        return checkpoint

    def _own_places(self):
        """Where this run's checkpoints may be.

        A run may have been trained with ``--enable_logs`` and be evaluated without it, or vice versa: both places are searched,
        the one that this command's flags name first.
        """
        if self._own is not None:
            return self._places(self._own)
        return [self.checkpoints] + [place for place in (os.path.join(self.path, "logs"), self.path) if place != self.checkpoints]

    @staticmethod
    def _places(directory):
        return [directory, os.path.join(directory, "logs")]

    @staticmethod
    def _with_best_models(places):
        return places + [os.path.join(place, BEST_MODELS) for place in places]

    def _find(self, places, best=False, may_move=None):
        """The first valid checkpoint; a run that ended before its first ordinary one may have a best one."""
        may_move = self._may_move if may_move is None else may_move
        searches = [] if best else [(place, False) for place in places]
        searches += [(place, True) for place in places]
        searches += [(os.path.join(place, BEST_MODELS), False) for place in places]
        for place, best_here in searches:
            checkpoint = latest_checkpoint(place, best_here, may_move)
            if checkpoint is not None:
                return checkpoint
        return None

    @property
    def _may_move(self):
        return self._confirm is not None

    def read_checkpoint(self, read, best=False):
        """What ``read`` returns for the latest (or best) checkpoint.

        If a training deletes or replaces the checkpoint while it is read, ``read`` is called again with the one that is the
        latest then.

        Args:
          read: function of a checkpoint's path without extension.
          best: see :meth:`find_checkpoint`.

        Raises:
          CheckpointError: there is no checkpoint, or the training deletes them faster than they can be read; and what ``read``
            raises for a checkpoint that was not deleted.
        """
        return self._read_newest(read, lambda: self.require_checkpoint(best))

    def read_source_checkpoint(self, read, checkpoint):
        """Like :meth:`read_checkpoint`, for a checkpoint of ``source`` that was found earlier.

        Args:
          read: function of a checkpoint's path without extension.
          checkpoint: what :meth:`prepare_training` returned; if the owner of ``source`` deletes it, the newest one there is read.
        """
        return self._read_newest(read, self._source_checkpoint, checkpoint)

    @staticmethod
    def _read_newest(read, find, checkpoint=None):
        """What ``read`` returns for ``checkpoint``, or for what ``find()`` returns if that is None or is deleted meanwhile."""
        for attempt in range(1, _READ_ATTEMPTS + 1):
            checkpoint = checkpoint or find()
            before = file_signature(checkpoint)
            try:
                return read(checkpoint)
            except (JasperError, OSError) + READING_ERRORS:
                if not is_vanishing(checkpoint) and file_signature(checkpoint) == before:
                    raise
            if attempt < _READ_ATTEMPTS:
                log_line("Checkpoint %s was deleted by the training that owns the directory; reading the newest one" % checkpoint)
                checkpoint = None
        raise CheckpointError("the training in %s deletes its checkpoints faster than they can be read: %d of them, the last %s, "
                              "were deleted during the attempt. Keep more with a larger num_checkpoints, or save less often"
                              % (os.path.dirname(checkpoint), _READ_ATTEMPTS, os.path.basename(checkpoint)))

    def require_checkpoint(self, best=False):
        """Like :meth:`find_checkpoint`; raises CheckpointError if there is none."""
        checkpoint = self.find_checkpoint(best)
        if checkpoint is None:
            kind = "best checkpoint (restore_best_checkpoint is True; best ones are saved by --mode=train_eval)" if best \
                else "checkpoint"
            where = ['%s "%s"' % (key, path) for key, path in (
                ("save_checkpoint_dir", self._own), ("load_checkpoint_dir", self.source)) if path is not None]
            if self._own is not None and self._load is not None and self.source is None:
                where = ['checkpoint_dir "%s"' % self._own]
            raise CheckpointError("there is no %s in %s nor in its logs/. Expected model.ckpt-N.index and .data files, as "
                                  "--mode=train writes them with save_checkpoint_steps set; give their directory with --%s="
                                  % (kind, " nor in ".join(where) or 'logdir "%s"' % self.path,
                                     where[-1].split()[0] if where else "logdir"))
        return checkpoint


def _missing_parts(path):
    """The directories that have to be made for ``path``, the outermost first."""
    missing = []
    while path and not os.path.exists(path):
        missing.insert(0, path)
        path = os.path.dirname(path)
    return missing


def _some_names(directory):
    names = sorted(name for name in os.listdir(directory) if not name.startswith(OWNER_FILE))
    return ", ".join(names[:3]) + (", ... %d entries" % len(names) if len(names) > 3 else "")
