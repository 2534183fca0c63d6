"""Exported models: features to logits, compared with tf.matmul; the export itself; the transcription command.

    python benchmarks/inference.py                       # jasper5x3 and mini, all of it
    python benchmarks/inference.py --model mini --seconds 20

FLOPs are those of the network's convolutions; they are also the count for the fast convolutions, which need fewer. "its own
products" are the convolutions as plain products of matrices of the same sizes: the machine's limit for matrices of these sizes.
"""
import argparse
import json
import os
import sys
import tempfile
import time

import network
import numpy as np
import tensorflow.compat.v1 as tf
import transcription
from machine_limit import Candidate, measure, report

from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.experiment.command_line import parse_command_line
from open_seq2seq.experiment.loading import load_experiment
from open_seq2seq.experiment.saving import write_resolved_config
from open_seq2seq.export.description import FEATURES_INPUT, LOGITS_OUTPUT, MASK_INPUT
from open_seq2seq.export.export_folder import export_model
from open_seq2seq.export.freeze.frozen_graph import ExportOptions, pad_to
from open_seq2seq.export.freeze.trained_model import TrainedModel
from open_seq2seq.export.runtime.exported_model import imported
from open_seq2seq.export.runtime.graph_file import give_back_weights, read_graph

VOCABULARY = tuple(" abcdefghijklmnopqrstuvwxyz'")
EXPORTS = (("folded, fast convolutions", dict(fast_convolutions=True)), ("folded", {}), ("unfolded", dict(folded=False)))
SHORT, LONG = 4, 600  # seconds of the recordings
COMMANDS = 3  # runs of a short command


def checkpoint_of(built, folder):
    """Saves a built network, with moving statistics other than 0 and 1."""
    generator = np.random.RandomState(1)
    with built.session.graph.as_default():
        variables = [variable for variable in tf.global_variables() if variable.op.name != "features"]
        for variable in variables:
            if variable.op.name.endswith(("/moving_mean", "/moving_variance", "/gamma", "/beta")):
                center = 0.0 if variable.op.name.endswith(("/moving_mean", "/beta")) else 1.0
                variable.load((center + 0.1 * generator.uniform(-1, 1, variable.shape.as_list())).astype(np.float32),
                              built.session)
        return tf.train.Saver(variables).save(built.session, os.path.join(folder, "model.ckpt"), 0, write_meta_graph=False)


def exported_session(path, features, session_config):
    """(session, logits) of an exported graph whose features are a variable."""
    weights = {}
    graph_def = read_graph(path, weights)
    for node in graph_def.node:
        # a feed would be copied in every run; what depends on constants only would be computed once
        if node.name in (FEATURES_INPUT, MASK_INPUT):
            node.op = "VariableV2"
    graph = imported(graph_def, path)
    session = tf.Session(graph=graph, config=session_config)
    mask = np.ones(graph.get_tensor_by_name(MASK_INPUT + ":0").shape.as_list(), np.float32)
    weights.update({FEATURES_INPUT: features[:, np.newaxis], MASK_INPUT: mask})
    give_back_weights(session, weights)
    return session, graph.get_tensor_by_name(LOGITS_OUTPUT + ":0")


def products_session(shapes, session_config):
    """(session, operations) that multiply matrices of these sizes."""
    with tf.Graph().as_default():
        inputs, products = {}, []
        for number, (rows, inner, columns) in enumerate(shapes):
            if (rows, inner) not in inputs:
                inputs[rows, inner] = tf.get_variable("input_%d_%d" % (rows, inner), [rows, inner], use_resource=False)
            # a separate kernel for each: TensorFlow computes equal products only once
            kernel = tf.get_variable("kernel_%d" % number, [inner, columns], use_resource=False)
            products.append(tf.matmul(inputs[rows, inner], kernel).op)
        session = tf.Session(config=session_config)
        session.run(tf.global_variables_initializer())
    return session, products


def measured_network(name, arguments, folder):
    """Measures the exported graphs of a network, saves its checkpoint in ``folder`` and returns its ``TrainedModel``."""
    case = network.CASES[name]
    case = case._replace(batch_size=arguments.batch_size or case.batch_size, frames=arguments.frames or case.frames)
    base_model, params = network.checked_params(case, "eval")
    case = case._replace(frames=-(-case.frames // pad_to(params)) * pad_to(params))
    session_config = Cpu().session_config()
    built = network.build(case, "eval", session_config, fast_gradients=True)
    features, shapes = built.session.run("features:0"), network.product_shapes(built.session.graph)
    trained = TrainedModel(base_model, params, VOCABULARY, checkpoint_of(built, folder), None)
    expected = built.session.run(built.fetches[0].outputs[0])
    built.session.close()
    frames = case.batch_size * case.frames
    units = {"frames": frames, "audio_seconds": frames / network.FRAMES_PER_SECOND}
    candidates, sessions = [], []
    for title, options in EXPORTS:
        options = ExportOptions(case.batch_size, case.frames, **options)
        path = exported(trained, options, "%s, %s" % (name, title), os.path.join(folder, title))
        session, logits = exported_session(path, features, session_config)
        error = np.abs(session.run(logits) - expected).max() / np.abs(expected).max()
        print("    logits differ from the evaluation graph's by %.1e of the largest" % error)
        candidates.append(Candidate(title, lambda session=session, run=logits.op: session.run(run), built.flops, units))
        sessions.append(session)
    session, products = products_session(shapes, session_config)
    candidates.append(Candidate("its own products", lambda: session.run(products), built.flops, units))
    report("inference, %s, batch %d x %d frames" % (name, case.batch_size, case.frames),
           measure(candidates, session_config, arguments.seconds))
    for opened in sessions + [session]:
        opened.close()
    return trained


def exported(trained, options, title, folder):
    """Exports a model like the command and prints the time; returns the path of the pb."""
    start = time.perf_counter()
    _, (path,) = export_model(trained, options, folder)
    print("%s: exported in %.1f s, %.1f MB" % (title, time.perf_counter() - start, os.path.getsize(path) / 1e6))
    return path


def measured_commands(name, trained, folder):
    """Measures the transcription command: a short recording with mini, a long one with other networks."""
    recording = os.path.join(folder, "recording.wav" if name == "mini" else "recording.flac")
    seconds, times = (SHORT, COMMANDS) if name == "mini" else (LONG, 1)
    transcription.write_recording(recording, seconds, *((16000, 1) if name == "mini" else (48000, 2)))
    models = [(title, exported(trained, ExportOptions(None, None, **options), "%s, %s, any frames" % (name, title),
                               os.path.join(folder, title)))
              for title, options in EXPORTS[:2]]
    case = network.CASES[name]
    if case.divisor == 1:
        # the file that a training writes next to its checkpoints
        config = os.path.join(network.REPOSITORY, "configs", "speech2text", case.config)
        words = ["--config_file=" + config, "--mode=eval"]
        write_resolved_config(folder, load_experiment(config, "eval"), parse_command_line(words)[0], words)
        models.append(("checkpoint", trained.checkpoint))
    rows = []
    for title, model in models:
        commands = [transcription.transcribe(recording, model) for _ in range(times)]
        rows.append({"model": title, "first_word_seconds": float(np.median([command.first_word for command in commands])),
                     "seconds": float(np.median([command.seconds for command in commands])),
                     "peak_gib": max(command.peak_bytes for command in commands) / 2 ** 30, "characters": commands[0].characters})
    title = "transcribing %d s of audio, %s" % (seconds, name)
    print(title)
    print("%-34s %12s %10s %10s" % ("", "first word s", "whole s", "peak GiB"))
    for row in rows:
        print("%-34s %12.2f %10.2f %10.2f" % (row["model"], row["first_word_seconds"], row["seconds"], row["peak_gib"]))
    print(json.dumps({"title": title, "tensorflow": tf.__version__, "rows": rows}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", choices=sorted(network.CASES), default=["jasper5x3", "mini"],
                        help="quarter: jasper5x3, channels / 4; default jasper5x3 mini")
    parser.add_argument("--batch_size", type=int, help="utterances in a batch; default 2, quarter 8, mini 16")
    parser.add_argument("--frames", type=int, help="feature frames of every utterance; default 800, quarter 400, mini 300")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure each network (default %(default)s)")
    parser.add_argument("--graphs_only", action="store_true", help="do not measure the transcription command")
    arguments = parser.parse_args()
    for name in arguments.model:
        with tempfile.TemporaryDirectory(prefix="jasper-benchmark-") as folder:
            trained = measured_network(name, arguments, folder)
            if not arguments.graphs_only:
                measured_commands(name, trained, folder)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
