#!/usr/bin/env bash
# MLflow 1.30: runs that a client names by the tag mlflow.runName are refused by servers, or get a random name without a message.
#
# Software:  mlflow 1.30.0 and 1.30.1 (the last two for CPython 3.7), clients also of 1.29.0
# Seen:      2026-11-30, CPython 3.7
# Behavior:  Up to 1.29.0 create_run(EXPERIMENT, tags={"mlflow.runName": "mine"}) is how a client names a run, and what start_run(run_name=)
#            sends. 1.30.0 has create_run(run_name=), and its stores add the tag with a random name. SQL: "UNIQUE constraint failed:
#            tags.key, tags.run_uuid", and there is no run. Files: the run is called "bustling-shrew-878" or so. 1.30.1 keeps it in a local
#            store, but its server refuses the tag in both kinds of store, from clients of all three versions: "Both 'run_name' argument
#            and 'mlflow.runName' tag are specified, but with different values (run_name='', ...)", though only one is given.
#            start_run(run_name=) of 1.29.0 meets the same at both servers, that of 1.30.1 the UNIQUE constraint at 1.30.0's.
# Hurt:      whoever names trainings by their run directory: the first training after an update of the server fails; with files, a
#            resumed training does not find its run by name and starts another one. Tools that copy runs with their tags.
# What to do: create_run without the tag, then set_tag(RUN, "mlflow.runName", "mine"): right with all versions. If client and server are
#            1.30.0 or later, create_run(EXPERIMENT, tags=OTHERS, run_name="mine") without the tag. Both are shown.
# Exit status 0 while the behavior is as described, 1 when it has changed. Needs Python 3.7 (PYTHON=PATH names it).
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
PYTHON="${PYTHON:-python3.7}"
install_packages mlflow==1.30.0 alembic==1.12.1 Flask==2.2.5 gunicorn==20.1.0 importlib-metadata==5.2.0 numpy==1.21.6 packaging==21.3 \
    pandas==1.3.5 protobuf==4.24.4 pytz==2022.7.1 requests==2.31.0 scipy==1.7.3 setuptools==68.0.0 SQLAlchemy==1.4.54 urllib3==2.0.7 \
    Werkzeug==2.2.3
for version in 1.29.0 1.30.0 1.30.1; do
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/$version" "mlflow==$version" \
        2> "$folder/pip.log" || { cat "$folder/pip.log" >&2; exit 1; }
done
unset MLFLOW_TRACKING_URI MLFLOW_EXPERIMENT_NAME MLFLOW_EXPERIMENT_ID MLFLOW_RUN_ID
export GIT_PYTHON_REFRESH=quiet PATH="$folder/environment/bin:$PATH" no_proxy=127.0.0.1
cat > names.py <<'PYTHON'
import sys

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
client.search_experiments()


def name_of(make):
    try:
        name = client.get_run(make().info.run_id).data.tags["mlflow.runName"]
    except MlflowException as error:
        for kind, message in (("UNIQUE", "UNIQUE constraint failed: tags.key, tags.run_uuid"), ("Both", "Both 'run_name' argument")):
            if message in str(error):
                return kind
        return str(error)
    except TypeError:
        return "unsupported"
    return name if name == "mine" else "random"


def fluent():
    run = mlflow.start_run(run_name="mine")
    mlflow.end_run()
    return run


def named_afterwards():
    run = client.create_run("0")
    client.set_tag(run.info.run_id, "mlflow.runName", "mine")
    return run


tag = {"mlflow.runName": "mine"}
print(name_of(lambda: client.create_run("0", tags=tag)), name_of(fluent), name_of(lambda: client.create_run("0", run_name="mine")),
      name_of(named_afterwards))
PYTHON
"$python" - <<'PYTHON'
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

# What becomes of the name "mine" by: create_run with the tag, start_run with run_name, create_run with run_name, create_run and set_tag.
# UNIQUE and Both are the errors of the header.
OLD, NEW = ["unsupported", "mine"], ["mine", "mine"]
EXPECTED = {
    ("local", "SQL"): {"1.29.0": ["mine", "mine"] + OLD, "1.30.0": ["UNIQUE", "mine"] + NEW, "1.30.1": ["mine", "mine"] + NEW},
    ("local", "files"): {"1.29.0": ["mine", "mine"] + OLD, "1.30.0": ["random", "mine"] + NEW, "1.30.1": ["mine", "mine"] + NEW},
    ("server 1.30.0", "SQL"): {"1.29.0": ["UNIQUE", "UNIQUE"] + OLD, "1.30.0": ["UNIQUE", "mine"] + NEW,
                               "1.30.1": ["UNIQUE", "UNIQUE"] + NEW},
    ("server 1.30.0", "files"): {"1.29.0": ["random", "random"] + OLD, "1.30.0": ["random", "mine"] + NEW,
                                 "1.30.1": ["random", "mine"] + NEW},
    ("server 1.30.1", "SQL"): {"1.29.0": ["Both", "Both"] + OLD, "1.30.0": ["Both", "mine"] + NEW, "1.30.1": ["Both", "mine"] + NEW},
    ("server 1.30.1", "files"): {"1.29.0": ["Both", "Both"] + OLD, "1.30.0": ["Both", "mine"] + NEW, "1.30.1": ["Both", "mine"] + NEW},
}


def environment(version):
    return dict(os.environ, PYTHONPATH=os.path.abspath(version))


def start(version, store):
    """A new server and its address, when it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open("server.log", "w") as log:
        server = subprocess.Popen(["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri",
                                   store, "--default-artifact-root", "./artifacts"], stdout=log, stderr=log,
                                  env=environment(version), start_new_session=True)
    for _ in range(600):
        try:
            urllib.request.urlopen("http://127.0.0.1:%d/health" % port)
            return server, "http://127.0.0.1:%d" % port
        except OSError:
            time.sleep(0.2)
    stop(server)
    sys.exit("the server does not answer: " + open("server.log").read())


def stop(server):
    os.killpg(server.pid, signal.SIGTERM)
    server.wait()


as_described = True
print("place         store client | create_run(tags=)  start_run(run_name=)  create_run(run_name=)  create_run, set_tag")
for number, ((place, kind), clients) in enumerate(EXPECTED.items()):
    server = None
    if place != "local":
        store = "sqlite:///%d.db" % number if kind == "SQL" else "./store%d" % number
        server, address = start(place.split()[1], store)
    try:
        for version, expected in clients.items():
            if place == "local":
                address = "sqlite:///%d-%s.db" % (number, version) if kind == "SQL" else "./store%d-%s" % (number, version)
            done = subprocess.run([sys.executable, "names.py", address], env=environment(version), check=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
            seen = done.stdout.decode().split()
            print("%-13s %-5s %-6s | %-18s %-21s %-22s %s" % ((place, kind, version) + tuple(seen[:3]) + (" ".join(seen[3:]),)), flush=True)
            as_described &= seen == expected
    finally:
        if server:
            stop(server)
sys.exit(0 if as_described else "CHANGED")
PYTHON
