"""The keys ``tracking`` and ``mlflow_params``: where a training is recorded besides ``metrics.jsonl``."""
import re

from open_seq2seq.cli import closest
from open_seq2seq.config.parameters import Bool, Choice, DictOf, FilePath, Float, Int, List, Parameter, String, Struct
from open_seq2seq.config.report import shown
from open_seq2seq.files import expanded_home

TENSORBOARD, MLFLOW = "tensorboard", "mlflow"
# https://user:password@host
CREDENTIALS = re.compile(r"[a-zA-Z][a-zA-Z0-9+.\-]*://[^/?#]*@")

# mlflow's; extensions of MLflow have others
_SCHEMES = ("http", "https", "file", "sqlite", "mysql", "postgresql", "mssql", "databricks")
_HOST_AND_PORT = re.compile(r"[a-zA-Z0-9][\w.\-]*:\d{1,5}/?$")


def misspelled(address):
    """What is wrong with an address that MLflow would take for a folder or for another scheme: the end of a sentence, or ""."""
    scheme, separator, _ = address.partition("://")
    scheme = scheme.lower()
    close = closest(scheme, _SCHEMES) if separator and scheme.partition("+")[0] not in _SCHEMES else None
    if close is not None:
        return ", whose scheme is unknown (did you mean %s://?)" % close
    if _HOST_AND_PORT.match(address):
        return ", which lacks http:// or https:// (a folder of this name is ./%s)" % address
    return ""


class Address(String):
    """A folder, or the address of a tracking server."""

    description = "a folder or an address, e.g. mlruns or http://localhost:5000"

    def check(self, value, path, report):
        value = super().check(value, path, report)
        if not isinstance(value, str):
            return value
        if not value.strip():
            report.problem(path, "is empty; expected %s" % self.description)
        elif CREDENTIALS.match(value):
            # a config is copied into the run directory and into MLflow
            report.problem(path, "contains a user name or a password. Configs are recorded, so set the environment variables "
                                 "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead and remove what precedes the @")
        elif misspelled(value):
            report.problem(path, "is %s%s" % (shown(value), misspelled(value)))
        elif "://" not in value:
            try:
                return expanded_home(value)
            except ValueError as error:
                report.problem(path, "is %s, which %s" % (shown(value), error))
        return value


PARAMETERS = (
    Parameter("uri", Address(), default=None,
              doc="folder or address of the MLflow server, e.g. http://localhost:5000; None: the environment variable "
                  "MLFLOW_TRACKING_URI, or else the folder mlruns in the working directory"),
    Parameter("experiment", String(), default=None,
              doc='experiment of the run; None: the environment variable MLFLOW_EXPERIMENT_NAME, or else "jasper"'),
    Parameter("run_name", String(), default=None, doc="name of the run; None: that of the logdir"),
    Parameter("tags", DictOf(String()), default={}, doc='further tags of the run, e.g. {"corpus": "digits"}'),
    Parameter("best_model", Bool(), default=True, doc="send the best checkpoint at the end of the training"),
    Parameter("python", FilePath(), default=None,
              doc="Python interpreter with the package mlflow; None: this one, or that of scripts/setup.sh --tracking"),
    Parameter("queue_megabytes", Int(minimum=1, maximum=10 ** 6), default=64,
              doc="largest size of what waits on the disk for a server that does not answer; beyond it measurements of steps are "
                  "left out"),
    Parameter("wait_seconds", Float(minimum=0.0, maximum=3600.0), default=30.0,
              doc="longest time without an answer that the end of a training waits for a server that has answered until then"),
)

TRACKING = (
    Parameter("tracking", List(Choice(TENSORBOARD, MLFLOW)), default=[TENSORBOARD],
              doc='what records the training in addition to metrics.jsonl: "tensorboard" (with save_summaries_steps), "mlflow" '
                  "(docs/tracking.md)"),
    Parameter("mlflow_params", Struct(PARAMETERS), default={}, doc="where and how MLflow records the training"),
)


def mlflow_settings(params):
    """The checked ``mlflow_params`` of a config with the defaults of absent keys: dict."""
    return dict({parameter.name: parameter.default for parameter in PARAMETERS}, **params["mlflow_params"])


def without_tracking(params):
    """``params`` without the keys of this module, which do not change what is trained."""
    own = {parameter.name for parameter in TRACKING}
    return {name: value for name, value in params.items() if name not in own}


def check_rules(checked, path, report):
    """Notes keys that have no effect; without TensorBoard no summary is computed."""
    tracking = checked.get("tracking")
    if not isinstance(tracking, list):
        return
    if TENSORBOARD not in tracking and checked.get("save_summaries_steps") is not None:
        report.note(path.child("save_summaries_steps"), 'has no effect: tracking does not contain "tensorboard"')
        checked["save_summaries_steps"] = None
    params = checked.get("mlflow_params")
    if MLFLOW not in tracking and params:
        report.note(path.child("mlflow_params"), 'has no effect: tracking does not contain "mlflow"')
