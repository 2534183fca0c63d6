#!/usr/bin/env bash
# MlflowClient(ADDRESS) stores and reads files at the global tracking address: a second server's checkpoints go to the first one.
#
# Software:  mlflow 1.30.0 (the same with 1.30.1 and 2.22.5; a client of 3.17.2 uses its own address)
# Seen:      2026-11-30, CPython 3.7
# Behavior:  Two servers run with --serve-artifacts. create_run, log_metric and get_run of a client go to the address that it was made
#            with; log_artifact, log_text, list_artifacts and download_artifacts go to mlflow.get_tracking_uri(). If that is not set, they
#            raise "The configured tracking uri scheme: 'file' is invalid". If it is the other server, the checkpoint is stored there
#            without an error, under the id of a run that this server does not have. list_artifacts of the same process shows it, because
#            it asks the wrong server too, and continues to do so after mlflow.set_tracking_uri: the address is kept for each run.
#            Another process finds a run without files.
# Hurt:      whoever follows trainings on more than one server, or copies runs from one to another, in one process; whoever passes a
#            server's address in a config while MLFLOW_TRACKING_URI names another. Checkpoints are missing where the metrics are, and
#            what should stay on one server is on the other.
# What to do: a process for each server, with MLFLOW_TRACKING_URI set to its address. Or start the servers with
#            --default-artifact-root ADDRESS/api/2.0/mlflow-artifacts/artifacts: runs of experiments that are made from then on (also of
#            the experiment 0 of a new server) name their server. Both are shown.
# Exit status 0 while the behavior is as described, 1 when it has changed. Needs Python 3.7 (PYTHON=PATH names it).
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
PYTHON="${PYTHON:-python3.7}"
install_packages mlflow==1.30.0 alembic==1.12.1 Flask==2.2.5 gunicorn==20.1.0 importlib-metadata==5.2.0 numpy==1.21.6 packaging==21.3 \
    pandas==1.3.5 protobuf==4.24.4 pytz==2022.7.1 requests==2.31.0 scipy==1.7.3 setuptools==68.0.0 SQLAlchemy==1.4.54 urllib3==2.0.7 \
    Werkzeug==2.2.3
unset MLFLOW_TRACKING_URI MLFLOW_EXPERIMENT_NAME MLFLOW_EXPERIMENT_ID MLFLOW_RUN_ID
export GIT_PYTHON_REFRESH=quiet PATH="$folder/environment/bin:$PATH" no_proxy=127.0.0.1
echo "weights of epoch 7" > model.ckpt
cat > other_process.py <<'PYTHON'
import sys

import mlflow

print([file.path for file in mlflow.tracking.MlflowClient().list_artifacts(sys.argv[1])])
PYTHON
"$python" - <<'PYTHON'
import glob
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

servers = []


def start(name, default_root=None):
    """Address of a new server, when it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = "http://127.0.0.1:%d" % port
    command = ["mlflow", "server", "--serve-artifacts", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
               "--backend-store-uri", "sqlite:///%s.db" % name, "--artifacts-destination", "./" + name]
    command += ["--default-artifact-root", address + default_root] if default_root else []
    with open(name + ".log", "w") as log:
        servers.append(subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True))
    for _ in range(600):
        try:
            urllib.request.urlopen(address + "/health")
            return address
        except OSError:
            time.sleep(0.2)
    sys.exit("the server does not answer: " + open(name + ".log").read())


def stored(run):
    """Servers that have a checkpoint of the run."""
    return sorted(path.split(os.sep)[0] for path in glob.glob("*/**/%s/artifacts/model.ckpt" % run, recursive=True))


def listed(client, run):
    return [file.path for file in client.list_artifacts(run)]


def in_other_process(address, run):
    done = subprocess.run([sys.executable, "other_process.py", run], stdout=subprocess.PIPE, check=True,
                          env=dict(os.environ, MLFLOW_TRACKING_URI=address))
    return done.stdout.decode().strip()


def errors(client, run):
    """What the calls for files say."""
    found = set()
    for call, arguments in ((client.log_artifact, ["model.ckpt"]), (client.log_text, ["text", "report.txt"]), (client.list_artifacts, []),
                            (client.download_artifacts, ["model.ckpt"])):
        try:
            call(run, *arguments)
            found.add("no error")
        except MlflowException as error:
            found.add(str(error).split(" for use")[0])
    return found


try:
    first, second = start("first"), start("second")
    third = start("third", "/api/2.0/mlflow-artifacts/artifacts")
    client = MlflowClient(second)
    run = client.create_run("0").info.run_id
    client.log_metric(run, "wer", 0.1)
    no_address = errors(client, run)
    print("client of the second server, no global address:", *no_address)

    mlflow.set_tracking_uri(first)
    client.log_artifact(run, "model.ckpt")
    client.download_artifacts(run, "model.ckpt")
    where, same_process, other_process = stored(run), listed(client, run), in_other_process(second, run)
    runs = [[one.info.run_id for one in MlflowClient(address).search_runs(["0"])] for address in (first, second)]
    print("client of the second server, global address of the first: stored in", where)
    print("    runs of the first server: %s, of the second: %s" % tuple("this one" if run in ids else ids for ids in runs))
    print("    files of the run, same process:", same_process)
    print("    files of the run, another process of the second server:", other_process)
    mlflow.set_tracking_uri(second)
    kept = listed(MlflowClient(second), run)
    print("    files of the run, new client after set_tracking_uri(second server):", kept)
    as_described = (no_address == {"The configured tracking uri scheme: 'file' is invalid"} and where == ["first"] and runs == [[], [run]]
                    and same_process == kept == ["model.ckpt"] and other_process == "[]")

    alone = client.create_run("0").info.run_id
    subprocess.run(["mlflow", "artifacts", "log-artifact", "--run-id", alone, "--local-file", "model.ckpt"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, MLFLOW_TRACKING_URI=second))
    print("process with MLFLOW_TRACKING_URI of the second server: stored in", stored(alone))
    mlflow.set_tracking_uri(first)
    named = MlflowClient(third).create_run("0").info.run_id
    MlflowClient(third).log_artifact(named, "model.ckpt")
    print("third server has --default-artifact-root, global address of the first: stored in", stored(named))
    as_described &= stored(alone) == ["second"] and stored(named) == ["third"]
finally:
    for server in servers:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
sys.exit(0 if as_described else "CHANGED")
PYTHON
