#!/usr/bin/env bash
# After "import horovod.tensorflow", Python's sqlite3 misreads its transactions: every rollback fails.
#
# Software:  Horovod 0.28.1 with TensorFlow 2.6.5
# Seen:      2026-11-30, CPython 3.7
# Behavior:  TensorFlow's library exports one function of the SQLite that it contains, sqlite3_get_autocommit. It is harmless until Horovod
#            opens its own library with RTLD_GLOBAL, and with it TensorFlow's. If sqlite3 is imported after that, Python calls
#            this function on databases of the system's SQLite, whose structures differ: a fresh connection says in_transaction, and
#            rollback() raises "cannot rollback - no transaction is active".
# Hurt:      ranks of a training that keep results in SQLite: Optuna's storage cannot be opened ("cannot rollback"), and code that asks
#            in_transaction before a BEGIN or COMMIT does the opposite of what it should.
# What to do: import sqlite3 before horovod.tensorflow.
# Exit status 0 while the behavior is as described, 1 when it has changed. Needs Python 3.7 (PYTHON=PATH names it) and a C++ compiler, and
# compiles for several minutes.
set -euo pipefail
PYTHON="${PYTHON:-python3.7}"
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages tensorflow==2.6.5 numpy==1.19.5 protobuf==3.19.6 keras==2.6.0 tensorflow-estimator==2.6.0 tensorboard==2.6.0 \
    typing-extensions==3.10.0.2 cmake==3.27.9 wheel==0.42.0 setuptools==68.0.0
PATH="$folder/environment/bin:$PATH" HOROVOD_WITH_TENSORFLOW=1 HOROVOD_WITHOUT_PYTORCH=1 HOROVOD_WITHOUT_MXNET=1 HOROVOD_WITHOUT_MPI=1 \
    HOROVOD_WITH_GLOO=1 "$python" -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-cache-dir horovod==0.28.1 \
    > "$folder/build.log" 2>&1 || { tail -20 "$folder/build.log" >&2; exit 1; }
cat > transactions.py <<'PYTHON'
import importlib
import sys

for name in sys.argv[1:]:
    importlib.import_module(name)
import sqlite3

connection = sqlite3.connect(":memory:")
answer = ["in_transaction %s" % connection.in_transaction]
try:
    connection.rollback()
    answer.append("rollback works")
except sqlite3.OperationalError as error:
    answer.append(str(error))
print(", ".join(answer))
PYTHON
tensorflow_only="$("$python" transactions.py tensorflow 2> errors.log)"
horovod="$("$python" transactions.py horovod.tensorflow 2> errors.log)"
sqlite_first="$("$python" transactions.py sqlite3 horovod.tensorflow 2> errors.log)"
echo "after TensorFlow:             $tensorflow_only"
echo "after Horovod:                $horovod"
echo "sqlite3 before Horovod:       $sqlite_first"
works="in_transaction False, rollback works"
[ "$tensorflow_only" = "$works" ] && [ "$sqlite_first" = "$works" ] &&
    [ "$horovod" = "in_transaction True, cannot rollback - no transaction is active" ]
