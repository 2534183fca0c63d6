"""The machine's limit, measured in turns with the code that is compared with it.

The limit is the speed of ``tf.matmul`` on large square float32 matrices, in the same process with the same threads. The speed of
a shared machine changes from second to second with its load. So everything is measured in turns, and each turn is compared with
the products just before and after it; the median of these ratios is the figure.
"""
import collections
import json
import time

import numpy as np
import tensorflow.compat.v1 as tf

MATMUL_SIZE = 2048  # 17 GFLOP; larger squares are not faster
PRODUCTS_A_TURN = 3
MINIMUM_TURNS = 3

Candidate = collections.namedtuple("Candidate", "name run flops units")
Candidate.__doc__ = """Code to measure. run: function without arguments; flops, units (dict name -> amount): of one call."""

Measurement = collections.namedtuple("Measurement", "candidate seconds ratios limits")
Measurement.__doc__ = """A candidate's turns. seconds: of each; limits: FLOP/s of tf.matmul around it; ratios: to these."""


def matmul_candidate(session_config):
    """The limit: one product of two square matrices, in its own session."""
    with tf.Graph().as_default():
        left, right = (tf.get_variable(name, [MATMUL_SIZE, MATMUL_SIZE], use_resource=False) for name in ("left", "right"))
        # the operation, not its output, which would be copied into NumPy
        product = tf.matmul(left, right).op
        session = tf.Session(config=session_config)
        session.run(tf.global_variables_initializer())
    return Candidate("tf.matmul %d" % MATMUL_SIZE, lambda: session.run(product), 2 * MATMUL_SIZE ** 3, {})


def _seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measure(candidates, session_config, seconds):
    """Measures candidates in turns.

    Args:
      candidates: list of :class:`Candidate`.
      session_config: ``tf.ConfigProto`` of the limit's session.
      seconds: duration of the measurement; every candidate gets at least ``MINIMUM_TURNS`` turns.

    Returns:
      A list of :class:`Measurement` in the order of ``candidates``.
    """
    limit = matmul_candidate(session_config)
    for candidate in [limit] + candidates:
        candidate.run()  # the first call plans the graph and allocates memory

    def limit_speed():
        return limit.flops / min(_seconds(limit.run) for _ in range(PRODUCTS_A_TURN))

    measurements = [Measurement(candidate, [], [], []) for candidate in candidates]
    start = time.perf_counter()
    before = limit_speed()
    while len(measurements[0].seconds) < MINIMUM_TURNS or time.perf_counter() - start < seconds:
        for measurement in measurements:
            duration = _seconds(measurement.candidate.run)
            after = limit_speed()
            measurement.seconds.append(duration)
            measurement.limits.append((before + after) / 2)
            measurement.ratios.append(measurement.candidate.flops / duration / measurement.limits[-1])
            before = after
    return measurements


def report(title, measurements):
    """Prints a table and, on the last line, the same figures as one JSON object."""
    print(title)
    print("%-34s %10s %10s %10s %8s %8s %8s" % ("", "median s", "best s", "GFLOP/s", "limit", "ratio", "best"))
    rows = []
    for measurement in measurements:
        candidate = measurement.candidate
        duration = float(np.median(measurement.seconds))
        row = {"name": candidate.name, "seconds": duration, "best_seconds": min(measurement.seconds),
               "gflops_per_second": candidate.flops / duration / 1e9,
               "limit_gflops_per_second": float(np.median(measurement.limits)) / 1e9,
               "ratio_to_limit": float(np.median(measurement.ratios)),
               # the fastest turn of each approximates an idle machine
               "best_ratio_to_limit": candidate.flops / min(measurement.seconds) / max(
                   max(other.limits) for other in measurements),
               "turns": len(measurement.seconds)}
        row.update({"%s_per_second" % name: amount / duration for name, amount in candidate.units.items()})
        rows.append(row)
        print("%-34s %10.4f %10.4f %10.1f %8.1f %7.1f%% %7.1f%%" % (
            row["name"], duration, row["best_seconds"], row["gflops_per_second"], row["limit_gflops_per_second"],
            100 * row["ratio_to_limit"], 100 * row["best_ratio_to_limit"]))
        for name in candidate.units:
            print("    %12.1f %s per second" % (row["%s_per_second" % name], name.replace("_", " ")))
    first = rows[0]
    speedups = {}
    for row, measurement in zip(rows[1:], measurements[1:]):
        speedups[row["name"]] = float(np.median(np.divide(measurements[0].ratios, measurement.ratios)
                                                * measurement.candidate.flops / measurements[0].candidate.flops))
        print("%s is %.2f times as fast as %s" % (first["name"], speedups[row["name"]], row["name"]))
    print(json.dumps({"title": title, "tensorflow": tf.__version__, "rows": rows, "speedups_of_first": speedups}))
