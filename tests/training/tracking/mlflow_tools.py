"""What the tests of MLflow share: a Python that has it, a server, and what is stored."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from open_seq2seq.errors import UsageError
from open_seq2seq.training.tracking.mlflow_tracker import find_python

# prints every run of a store as JSON, read by MLflow itself
_READ = '''
import json, sys
from mlflow.tracking import MlflowClient
client, found = MlflowClient(sys.argv[1]), []
experiments = (client.search_experiments if hasattr(client, "search_experiments") else client.list_experiments)()
def files(run, path=None):
    for entry in client.list_artifacts(run, path):
        yield from files(run, entry.path) if entry.is_dir else [(entry.path, entry.file_size)]
for experiment in experiments:
    for run in client.search_runs([experiment.experiment_id]):
        history = {name: [[m.value, m.timestamp, m.step] for m in client.get_metric_history(run.info.run_id, name)]
                   for name in run.data.metrics}
        found.append({"id": run.info.run_id, "experiment": experiment.name, "status": run.info.status, "tags": run.data.tags,
                      "parameters": run.data.params, "metrics": history, "artifacts": dict(files(run.info.run_id))})
print(json.dumps(found))
'''


def mlflow_python():
    """A Python that has MLflow; the test is skipped where there is none."""
    try:
        return find_python({"mlflow_params": {}})
    except UsageError:
        pytest.skip("bash scripts/setup.sh --tracking installs MLflow")


def stored_runs(uri):
    """The runs of a store: list of dicts; the metrics are lists of [value, milliseconds, step]."""
    python = mlflow_python()
    done = subprocess.run([python, "-c", _READ, uri], capture_output=True, env=dict(os.environ, MLFLOW_TRACKING_URI=uri))
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout.decode())


@contextlib.contextmanager
def silent_server():
    """Context of the address of a server that accepts connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        yield "http://127.0.0.1:%d" % listening.getsockname()[1]


def free_port():
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def mlflow_server(folder, port):
    """Context of a real tracking server with a SQL store and artifacts in a folder."""
    programs = os.path.dirname(mlflow_python())
    command = [os.path.join(programs, "mlflow"), "server", "--port", str(port), "--workers", "1", "--serve-artifacts",
               "--backend-store-uri", "sqlite:///%s" % os.path.join(folder, "runs.db"),
               "--artifacts-destination", os.path.join(folder, "artifacts")]
    with open(os.path.join(folder, "server.log"), "wb") as log:
        # MLflow looks for gunicorn in the PATH
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True,
                                   env=dict(os.environ, PATH=programs + os.pathsep + os.environ["PATH"]))
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                    break
                assert process.poll() is None, open(log.name).read()
                time.sleep(0.1)
            yield "http://127.0.0.1:%d" % port
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # with gunicorn's processes
            process.wait(30)


