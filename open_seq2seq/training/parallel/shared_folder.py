"""The directory that the processes of a parallel training share: models of iterations, claims of jobs, results of jobs.

    training.json                        the training: what a worker has to agree with; rewritten for every iteration
    iteration-000012-3f5a.../model.npz   the model from which the jobs of iteration 12 begin
                            /job-1/      run_owner.json while a process does the job, result.npz when it is done

Files appear atomically. A job belongs to the process that has claimed its directory (``checkpoints/ownership.py``); if that
process is killed, another one finds the claim without an owner and does the job again. The name of an iteration contains a
checksum of its model and of the config, so a training that resumes from the same model takes the results that exist; from another
model, or with another learning rate, it takes none.
"""
import contextlib
import hashlib
import json
import os
import shutil
import zipfile
import zlib

import numpy as np

from open_seq2seq.checkpoints.ownership import DirectoryInUse, owned_directories
from open_seq2seq.errors import DataError, JasperError, StorageError
from open_seq2seq.files import parsed_json, replaced_file
from open_seq2seq.log_lines import log_line
from open_seq2seq.optimizers.parallel_schedule import Iteration
from open_seq2seq.training.parallel.combination import JobResult

TRAINING, MODEL, RESULT = "training.json", "model.npz", "result.npz"
RUNNING, ENDED = "running", "ended"
_DAMAGES = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


class JobInUse(Exception):
    """Another process does the job."""


class SharedFolder:
    """The shared directory of one training.

    Args:
      path: the directory; :meth:`publish` makes it.
    """

    def __init__(self, path):
        self.path = path

    def publish(self, iteration, values, facts, learning_rate_factor=1.0):
        """Makes an iteration the current one; called by the process that owns the training.

        Args:
          iteration: the ``Iteration``.
          values: dict of variables' names -> arrays, its model.
          facts: dict for JSON, what the configs of all processes have to agree on.
          learning_rate_factor: of ``reduce_lr_on_plateau``.

        Returns:
          The directory of the iteration.

        Raises:
          StorageError: the directory cannot be written.
        """
        name = "iteration-%06d-%s" % (iteration.number, _checksum(values, (iteration, facts, float(learning_rate_factor))))
        folder = os.path.join(self.path, name)
        try:
            for job in range(iteration.jobs):
                os.makedirs(os.path.join(folder, "job-%d" % job), exist_ok=True)
        except OSError as error:
            raise StorageError("cannot make %s: %s. Choose another directory with parallel_training/folder"
                               % (error.filename or folder, error.strerror))
        if not os.path.isfile(os.path.join(folder, MODEL)):
            _write(os.path.join(folder, MODEL), values, {})
        self._write_training({"state": RUNNING, "directory": name, "iteration": iteration._asdict(), "facts": facts,
                              "learning_rate_factor": float(learning_rate_factor)})
        self._remove_others(name)
        return folder

    def end(self):
        """Tells the workers that the training has ended, and removes the models."""
        if os.path.isdir(self.path):
            self._write_training({"state": ENDED})
            self._remove_others("")

    def _write_training(self, content):
        with replaced_file(os.path.join(self.path, TRAINING)) as file:
            json.dump(content, file, indent=1, sort_keys=True)

    def _remove_others(self, name):
        for other in os.listdir(self.path):
            if other.startswith("iteration-") and other != name:
                # a worker may be writing a late result there
                shutil.rmtree(os.path.join(self.path, other), ignore_errors=True)

    def current(self):
        """What ``training.json`` has: dict of state, directory, iteration (an ``Iteration``), facts, learning_rate_factor; None
        if it is missing.

        Raises:
          DataError: the file is damaged.
        """
        path = os.path.join(self.path, TRAINING)
        try:
            with open(path, encoding="utf-8") as file:
                content = parsed_json(file.read())
            if content["state"] == RUNNING:
                content["iteration"] = Iteration(**content["iteration"])
                content["directory"] = os.path.join(self.path, os.path.basename(content["directory"]))
                content["facts"] = dict(content["facts"])
                content["learning_rate_factor"] = float(content["learning_rate_factor"])
            return content
        except FileNotFoundError:
            return None
        except _DAMAGES as error:
            raise DataError("%s is damaged (%s); expected the description of a parallel training. Start the training again with "
                            "--continue_learning, which writes it" % (path, error))

    @staticmethod
    def model(directory):
        """The model of an iteration: dict of variables' names -> arrays.

        Raises:
          DataError: it is damaged, or has been removed, because the iteration is over.
        """
        return _read(os.path.join(directory, MODEL))[0]

    @staticmethod
    def has_result(directory, job):
        """Whether a job of an iteration is done."""
        return os.path.isfile(os.path.join(directory, "job-%d" % job, RESULT))

    @staticmethod
    @contextlib.contextmanager
    def claimed(directory, job):
        """Context in which this process does a job of an iteration, and no other process.

        Raises:
          JobInUse: another process does it or has done it, or the iteration is over.
        """
        folder = os.path.join(directory, "job-%d" % job)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(owned_directories({folder: "job"}))
            except DirectoryInUse:
                raise JobInUse()
            except JasperError:
                if os.path.isdir(folder):
                    raise
                raise JobInUse()
            if SharedFolder.has_result(directory, job):
                raise JobInUse()
            yield

    @staticmethod
    def write_result(directory, result):
        """Writes the :class:`JobResult` of a job; nothing where the iteration is over."""
        facts = result._replace(values=None)._asdict()
        path = os.path.join(directory, "job-%d" % result.job, RESULT)
        try:
            _write(path, result.values, facts)
        except StorageError:
            if os.path.isdir(os.path.dirname(path)):
                raise

    @staticmethod
    def result(directory, job, with_values=True):
        """The :class:`JobResult` of a job that is done; None if it is damaged, and then removed: the job is done again."""
        path = os.path.join(directory, "job-%d" % job, RESULT)
        try:
            values, facts = _read(path, with_values)
            result = JobResult(**dict(facts, values=values))
            if result.job != job:
                raise DataError("%s is the result of job %s" % (path, result.job))
            return result
        except (DataError, TypeError) as error:
            log_line("Note: %s. The job is done again" % error)
            with contextlib.suppress(OSError):
                os.remove(path)
            return None


def _checksum(values, settings):
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode("utf-8"))
    for name in sorted(values):
        value = np.ascontiguousarray(values[name])
        digest.update(("%s %s %s\n" % (name, value.dtype, value.shape)).encode("utf-8"))
        digest.update(value.data if value.ndim else value.tobytes())
    return digest.hexdigest()[:16]


def _write(path, values, facts):
    """Writes arrays and a dict for JSON to one file."""
    names = sorted(values)
    text = json.dumps({"names": names, "facts": facts})
    with replaced_file(path, "wb") as file:
        np.savez(file, _=np.frombuffer(text.encode("utf-8"), np.uint8), **{"v%d" % place: values[name]
                                                                         for place, name in enumerate(names)})


def _read(path, with_values=True):
    """(dict of names -> arrays, or None; dict) of a file.

    Raises:
      DataError: it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            header = json.loads(file["_"].tobytes().decode("utf-8"))
            values = {name: file["v%d" % place] for place, name in enumerate(header["names"])} if with_values else None
            return values, header["facts"]
    except _DAMAGES as error:
        raise DataError("%s cannot be read: %s" % (path, error))
