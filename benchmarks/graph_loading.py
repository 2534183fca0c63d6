"""Loading a frozen graph: time and memory of three ways to read NAME.pb, up to the first logits of 4 s of audio.

    python benchmarks/graph_loading.py                      # jasper5x3, plain and fast convolutions
    python benchmarks/graph_loading.py --model mini --turns 3

streamed: the file is read node by node, weights become variables (open_seq2seq/export/runtime/graph_file.py).
parsed: protobuf parses the whole file, weights become variables.
constants: protobuf parses the whole file, weights stay constants of the graph, as tf.import_graph_def leaves them.
Each way runs in a process of its own, in turns; the figures are medians over the turns.
"""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import tensorflow.compat.v1 as tf

WAYS = ("streamed", "parsed", "constants")
FRAMES = 400  # 4 s
OUTPUT = "Measured: "


def loaded(path, way):
    """(seconds until the session has its weights, seconds until the first logits, peak bytes, logits)"""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from open_seq2seq.devices.cpu import Cpu
    from open_seq2seq.export.description import FEATURES_INPUT, LOGITS_OUTPUT, MASK_INPUT, read_description
    from open_seq2seq.export.runtime import graph_file
    description, session_config = read_description(path), Cpu().session_config()
    start, weights = time.perf_counter(), {}
    if way == "streamed":
        graph_def = graph_file.read_graph(path, weights)
    else:
        graph_def = tf.GraphDef()
        with open(path, "rb") as file:
            graph_def.ParseFromString(file.read())
        if way == "parsed":
            weights = graph_file.take_out_weights(graph_def)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
    del graph_def
    session = tf.Session(graph=graph, config=session_config)
    graph_file.give_back_weights(session, weights)
    seconds = time.perf_counter() - start
    features = np.random.RandomState(0).randn(1, 1, FRAMES, description.num_audio_features).astype(np.float32)
    mask = np.ones([1, description.mask_frames(FRAMES)], np.float32)
    logits = session.run(LOGITS_OUTPUT + ":0", {FEATURES_INPUT + ":0": features, MASK_INPUT + ":0": mask})
    first = time.perf_counter() - start
    return seconds, first, peak_bytes(), float(np.abs(logits).sum())


def peak_bytes():
    """The most memory that this process had. Not ru_maxrss, which counts what the parent had before the exec."""
    with open("/proc/self/status") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def exported_models(name, folder):
    """Yields (title, path) of the exported graphs of a network with random weights."""
    import inference
    import network

    from open_seq2seq.devices.cpu import Cpu
    from open_seq2seq.export.freeze.frozen_graph import ExportOptions
    from open_seq2seq.export.freeze.trained_model import TrainedModel
    case = network.CASES[name]
    base_model, params = network.checked_params(case, "eval")
    built = network.build(case, "eval", Cpu().session_config(), fast_gradients=True)
    trained = TrainedModel(base_model, params, inference.VOCABULARY, inference.checkpoint_of(built, folder), None)
    built.session.close()
    for title, options in (("plain", {}), ("fast", dict(fast_convolutions=True))):
        yield title, inference.exported(trained, ExportOptions(None, None, **options), "%s, %s convolutions" % (name, title),
                                        os.path.join(folder, title))


def measured(path, way):
    """What :func:`loaded` returns, from a new process."""
    done = subprocess.run([sys.executable, os.path.abspath(__file__), "--load", path, way], stdout=subprocess.PIPE, text=True,
                          check=True)
    return json.loads(next(line[len(OUTPUT):] for line in done.stdout.splitlines() if line.startswith(OUTPUT)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("jasper5x3", "quarter", "mini"), default="jasper5x3")
    parser.add_argument("--turns", type=int, default=5, help="processes for each way (default %(default)s)")
    parser.add_argument("--load", nargs=2, metavar=("PB", "WAY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.load:
        print(OUTPUT + json.dumps(loaded(*arguments.load)))
        return
    rows = []
    with tempfile.TemporaryDirectory(prefix="jasper-benchmark-") as folder:
        for title, path in list(exported_models(arguments.model, folder)):
            results = collections.OrderedDict((way, []) for way in WAYS)
            for _ in range(arguments.turns):
                for way in WAYS:
                    results[way].append(measured(path, way))
            for way, runs in results.items():
                seconds, first, peak, _ = np.median(runs, axis=0)
                rows.append({"convolutions": title, "way": way, "load_seconds": seconds, "first_logits_seconds": first,
                             "peak_gib": peak / 2 ** 30, "file_gib": os.path.getsize(path) / 2 ** 30})
            sums = [run[3] for runs in results.values() for run in runs]
            assert np.allclose(sums, sums[0], rtol=1e-4), "the ways give other logits: %s" % sums
    print("%-8s %-10s %10s %16s %10s %24s" % ("", "", "load s", "first logits s", "peak GiB", "to streamed: time, peak"))
    for row in rows:
        streamed = next(one for one in rows if one["convolutions"] == row["convolutions"] and one["way"] == "streamed")
        print("%-8s %-10s %10.2f %16.2f %10.2f %15.2f, %7.2f" % (
            row["convolutions"], row["way"], row["load_seconds"], row["first_logits_seconds"], row["peak_gib"],
            row["first_logits_seconds"] / streamed["first_logits_seconds"], row["peak_gib"] / streamed["peak_gib"]))
    print(json.dumps({"title": "loading, " + arguments.model, "tensorflow": tf.__version__, "rows": rows}))


if __name__ == "__main__":
    main()
