"""Calls of MLflow's client for one run, and what their errors mean for what is to be sent."""
import contextlib
import fcntl
import inspect
import json
import os
import re
import signal
import uuid

from open_seq2seq.files import replaced_file
from open_seq2seq.training.tracking.mlflow_queue import read_json
from open_seq2seq.training.tracking.mlflow_records import LONGEST_TAG, NON_FINITE, short_text, valid_name

RUN = "run.json"
KEY_TAG = "jasper.run"
_REJECTED = frozenset(["INVALID_PARAMETER_VALUE", "BAD_REQUEST", "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS",
                       "INVALID_STATE", "MALFORMED_REQUEST", "REQUEST_LIMIT_EXCEEDED"])
_UNREADABLE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
SLOWEST_UPLOAD = 2e5   # bytes a second


class Unavailable(Exception):
    """The server does not answer, or not as a tracking server; the same call may succeed later."""


class Rejected(Exception):
    """The server answers that what it was sent is invalid; it would not accept it later, either."""


class RunIsGone(Exception):
    """The run, or its experiment, was deleted."""


@contextlib.contextmanager
def time_limit(seconds):
    """Raises TimeoutError in the block after so many seconds: a server that sends one byte a second never times out."""
    def stop(number, frame):
        raise TimeoutError("no answer for %.0f s" % seconds)
    earlier = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, earlier)


class MlflowStore:
    """One run of MLflow, whose id is kept in the folder of the queue.

    Args:
      folder: of the queue.
      settings: dict with uri, experiment, run_name, tags and request_seconds, as the training writes it.

    Raises:
      ImportError: MLflow is not installed.
    """

    def __init__(self, folder, settings):
        self._path, self._settings = os.path.join(folder, RUN), settings
        # retries are the sender's, which looks at its other tasks between them; artifacts that a server keeps are sent to the
        # address in the environment, not to the client's
        os.environ.update(MLFLOW_HTTP_REQUEST_MAX_RETRIES="0", MLFLOW_HTTP_REQUEST_TIMEOUT=str(settings["request_seconds"]),
                          GIT_PYTHON_REFRESH="quiet", MLFLOW_TRACKING_URI=settings["uri"])
        from mlflow import entities
        from mlflow.tracking import MlflowClient
        self._entities, self._client_class, self._client = entities, MlflowClient, None
        stored = read_json(self._path, {})
        is_same = stored.get("uri") == settings["uri"] and stored.get("experiment") == settings["experiment"]
        self._run = stored if is_same else self._no_run()

    def _no_run(self, key=None):
        return {"uri": self._settings["uri"], "experiment": self._settings["experiment"], "key": key or uuid.uuid4().hex,
                "id": None, "asked": False, "parameters": {}, "non_finite": {}}

    @property
    def run_id(self):
        """MLflow's id of the run; None before it exists."""
        return self._run["id"]

    def _write(self):
        with replaced_file(self._path) as file:
            json.dump(self._run, file, indent=1)

    @contextlib.contextmanager
    def _errors(self, seconds=None):
        """Context of calls of the client: its exceptions become those of this module."""
        from mlflow.exceptions import MlflowException
        try:
            with time_limit(seconds or 2.0 * self._settings["request_seconds"]):
                yield
        except MlflowException as error:
            text = short_text(str(error), 300)
            if getattr(error, "error_code", None) not in _REJECTED:
                raise Unavailable(text)
            if self._run["id"] is not None and self._is_gone():
                raise RunIsGone(text)
            raise Rejected(text)
        except _UNREADABLE as error:
            raise Rejected("%s: %s" % (error.filename, error.strerror))
        except OSError as error:
            raise Unavailable(short_text(str(error) or type(error).__name__, 300))
        except (Rejected, RunIsGone, Unavailable):
            raise
        except Exception as error:
            # a server that is not MLflow's, or a damaged file of a local store, makes the client raise almost anything
            raise Unavailable("%s: %s" % (type(error).__name__, short_text(str(error), 300)))

    def _is_gone(self):
        """Whether the run does not exist any more; Unavailable if the server does not answer that."""
        from mlflow.exceptions import MlflowException
        try:
            with time_limit(2.0 * self._settings["request_seconds"]):
                return self._client.get_run(self._run["id"]).info.lifecycle_stage != "active"
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return True
            raise Unavailable(short_text(str(error), 300))
        except OSError as error:
            raise Unavailable(short_text(str(error), 300))

    def begin(self, key):
        """What follows belongs to the run of this key, which is a new one if the present run has another key."""
        if key != self._run["key"]:
            self._run = self._no_run(key)

    def replace_deleted(self):
        """Makes a new run with the parameters of the deleted one. For the errors see :meth:`open`."""
        parameters = self._run["parameters"]
        self._run = self._no_run()
        self.open()
        self.parameters(parameters, 0)

    def open(self):
        """Makes the run if it does not exist. Returns whether it is new.

        Raises:
          Unavailable: it cannot be made. Also where the server rejects it: nothing can be sent without a run.
        """
        try:
            return self._open()
        except Rejected as error:
            raise Unavailable(str(error))

    def _open(self):
        if self._client is None:
            with self._errors():
                self._client = self._client_class(self._settings["uri"])
        if self._run["id"] is not None:
            return False
        with self._errors(), self._locked():
            experiment = self._experiment()
            if self._run["asked"]:
                # a server that was asked, and whose answer did not arrive, may have made the run
                found = self._client.search_runs([experiment], "tags.`%s` = '%s'" % (KEY_TAG, self._run["key"]), max_results=1)
                self._run["id"] = found[0].info.run_id if found else None
            if self._run["id"] is None:
                self._run["asked"] = True
                self._write()
                tags = dict(self._settings["tags"], **{KEY_TAG: self._run["key"], "mlflow.runName": self._settings["run_name"],
                                                       "mlflow.source.name": "open_seq2seq"})
                self._run["id"] = self._create_run(experiment, {
                    valid_name([name]): short_text(text, LONGEST_TAG) for name, text in tags.items()})
            self._run["experiment_id"] = experiment
            self._write()
        return True

    def _create_run(self, experiment, tags):
        create = self._client.create_run
        if "run_name" in inspect.signature(create).parameters:
            # 1.30 stores the name as a tag of its own: with the tag as well a SQL store rejects the run
            others = {key: value for key, value in tags.items() if key != "mlflow.runName"}
            return create(experiment, tags=others, run_name=tags["mlflow.runName"]).info.run_id
        return create(experiment, tags=tags).info.run_id

    @contextlib.contextmanager
    def _locked(self):
        """For a local folder: two trainings that begin together would both make the experiment, with one name."""
        folder = local_folder(self._settings["uri"])
        if folder is None:
            yield
            return
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, ".jasper.lock"), "a") as file:
            with contextlib.suppress(OSError):  # not every file system has locks
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _experiment(self):
        """Id of the experiment, which is made if it does not exist."""
        from mlflow.exceptions import MlflowException
        name = self._settings["experiment"]
        experiment = self._client.get_experiment_by_name(name)
        if experiment is None:
            try:
                return self._client.create_experiment(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                experiment = self._client.get_experiment_by_name(name)
        if experiment.lifecycle_stage != "active":
            raise Unavailable("the experiment %s is deleted. Restore it with: mlflow experiments restore --experiment-id %s; or "
                              "choose another one: --mlflow_params/experiment=NAME" % (name, experiment.experiment_id))
        return experiment.experiment_id

    def _log(self, metrics=(), parameters=(), tags=()):
        entities = self._entities
        with self._errors():
            self._client.log_batch(
                self._run["id"], [entities.Metric(*metric) for metric in metrics],
                [entities.Param(*parameter) for parameter in parameters], [entities.RunTag(*tag) for tag in tags])

    def parameters(self, values, step):
        """Sends parameters. Those with other values than in an earlier part of the run, which MLflow cannot change, become tags.

        Args:
          values: dict of valid name -> str.
          step: updates made before this part of the run.

        Returns:
          List of what was rejected.
        """
        known, rejected = self._run["parameters"], []
        new = [(name, value) for name, value in values.items() if name not in known]
        changed = [("changed_at_%d/%s" % (step, name), value) for name, value in values.items()
                   if name in known and known[name] != value]
        for start in range(0, len(new), 100):
            rejected += self._each("parameters", new[start:start + 100])
        rejected += self.tags([(valid_name(name.split("/")), value) for name, value in changed])
        self._run["parameters"] = dict(known, **values)
        self._write()
        return rejected

    def tags(self, pairs):
        """Sends tags, a list of (valid name, str). Returns a list of what was rejected."""
        return [text for start in range(0, len(pairs), 100) for text in self._each("tags", pairs[start:start + 100])]

    def metrics(self, values):
        """Sends finite measurements: list of (valid name, float, milliseconds since 1970, step). Returns what was rejected."""
        return [text for start in range(0, len(values), 1000) for text in self._each("metrics", values[start:start + 1000])]

    def _each(self, kind, items):
        """Sends items together, and one by one where the server rejects something among them."""
        if not items:
            return []
        try:
            self._log(**{kind: items})
            return []
        except Rejected as error:
            if len(items) == 1:
                return ["%s: %s" % (items[0][0], error)]
        return [text for item in items for text in self._each(kind, [item])]

    def non_finite(self, found):
        """Sends values that are not finite: their number so far as a metric, the last one as a tag.

        MLflow's stores keep NaN as 0 and infinity as the largest number, or as texts, and compare them as such.

        Args:
          found: list of (name, "nan", "inf" or "-inf", milliseconds since 1970, step).

        Returns:
          List of what was rejected.
        """
        counts, metrics, tags = dict(self._run["non_finite"]), [], {}
        for name, text, milliseconds, step in found:
            counts[name] = counts.get(name, 0) + 1
            metrics.append((valid_name([NON_FINITE] + name.split("/")), float(counts[name]), milliseconds, step))
            tags[valid_name([NON_FINITE] + name.split("/"))] = "%s at step %d" % (text, step)
        rejected = self.metrics(metrics) + self.tags(sorted(tags.items()))
        self._run["non_finite"] = counts
        self._write()
        return rejected

    def artifact(self, path, folder):
        """Sends a file, or the files in a folder.

        Raises:
          Rejected: it cannot be read, or the server has no place for it that this machine can write.
        """
        place = self._artifact_place()
        if place is not None:
            raise Rejected(place)
        files = [path] if os.path.isfile(path) else [
            os.path.join(directory, name) for directory, _, names in os.walk(path) for name in names]
        if not files:
            raise Rejected("%s does not exist any more" % path)
        for file in sorted(files):
            inside = os.path.dirname(os.path.relpath(file, path)) if file != path else ""
            with self._errors(2.0 * self._settings["request_seconds"] + os.path.getsize(file) / SLOWEST_UPLOAD):
                self._client.log_artifact(self._run["id"], file, os.path.join(folder, inside) if inside else folder)

    def _artifact_place(self):
        """Why artifacts cannot be sent; None if they can."""
        if local_folder(self._settings["uri"]) is not None:
            return None
        with self._errors():
            uri = self._client.get_run(self._run["id"]).info.artifact_uri
        folder = local_folder(uri)
        # the client writes these itself: into its own file system, not the server's
        if folder is None or self._settings["uri"].startswith("sqlite:"):
            return None
        above = folder
        while os.path.isabs(above) and not os.path.isdir(above) and above != "/":
            above = os.path.dirname(above)
        if not os.path.isabs(folder) or above == "/" or not os.access(above, os.W_OK):
            return ("the server keeps artifacts in %s, a folder that this machine has not or cannot write. Start it with "
                    "--serve-artifacts" % uri)
        return None

    def status(self, status):
        """Sets the run's status: "RUNNING", "FINISHED", "FAILED" or "KILLED"."""
        with self._errors():
            if status == "RUNNING" and hasattr(self._client, "update_run"):
                self._client.update_run(self._run["id"], status)  # without a time of its end
            else:
                self._client.set_terminated(self._run["id"], status)


def local_folder(uri):
    """Path of the folder that an address names, or None if it names something else."""
    if uri.startswith("file:"):
        path = uri[len("file:"):]
        return path[2:] if path.startswith("//") else path
    # mlflow-artifacts:/1/... has one slash
    return uri if not re.match(r"[a-zA-Z][a-zA-Z0-9+.\-]*:/|databricks$", uri) else None
