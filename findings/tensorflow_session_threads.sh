#!/usr/bin/env bash
# use_per_session_threads does not give a TensorFlow session threads of its own: the first session of the process decides for all.
#
# Software:  TensorFlow 2.21.0 (the same with 1.15.0)
# Seen:      2026-11-30, CPython 3.11
# Behavior:  config.proto says that with use_per_session_threads a session has a new set of threads instead of the global pool. With it
#            set, a session that asks for 6 threads (intra_op_parallelism_threads) after one that asked for 1 still computes a matrix
#            product with 1; alone in a process it has 6. In the other order the session that asks for 1 uses 6. No warning. (The option
#            only concerns the threads that start operations, not those that divide one.)
# Hurt:      whoever reads data, computes features or exports with a small session before training in the same process: the training
#            runs on one core. And whoever limits a second model of a server to fewer threads.
# What to do: open the session with the most threads first, or give the small job a process of its own.
# Exit status 0 while the behavior is as described, 1 when it has changed.
set -euo pipefail
# shellcheck source=findings/environment.sh
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
install_packages tensorflow-cpu==2.21.0
cat > threads.py <<'PYTHON'
import os
import sys

import tensorflow.compat.v1 as tf

tf.disable_eager_execution()
matrix = tf.random.uniform([1500, 1500])
product = tf.matmul(matrix, matrix)


def ticks():
    """Processor time of each thread."""
    found = {}
    for thread in os.listdir("/proc/self/task"):
        with open("/proc/self/task/%s/stat" % thread) as file:
            found[thread] = int(file.read().rsplit(")", 1)[1].split()[11])
    return found


counts = []
for number in map(int, sys.argv[1:]):
    session = tf.Session(config=tf.ConfigProto(intra_op_parallelism_threads=number, inter_op_parallelism_threads=1,
                                               use_per_session_threads=True))
    session.run(product.op)
    before = ticks()
    for _ in range(60):
        session.run(product.op)
    counts.append(sum(used - before.get(thread, 0) > 2 for thread, used in ticks().items()))
print(*counts)
PYTHON
export TF_CPP_MIN_LOG_LEVEL=3
alone="$("$python" threads.py 6 2> errors.log)" small_first="$("$python" threads.py 1 6 2> errors.log)"
large_first="$("$python" threads.py 6 1 2> errors.log)"
echo "threads that compute, 6 asked for: $alone"
echo "1, then 6 asked for: $small_first"
echo "6, then 1 asked for: $large_first"
[ "$alone" -ge 4 ] && [ "$small_first" = "1 1" ] && [ "${large_first#* }" -ge 4 ]
