"""Time of one forward pass: exported graphs, the graph that evaluation uses, and tf.matmul beside them.

    python benchmarks/inference.py --model jasper5x3

FLOPs are those of the convolutions as the network has them, for the fast convolutions, too, which need fewer.
"""
import argparse
import os
import tempfile
import time

import network
import numpy as np
import tensorflow.compat.v1 as tf
from machine_limit import Candidate, measure, report

from open_seq2seq.devices.cpu import Cpu
from open_seq2seq.export.description import FEATURES_INPUT, LOGITS_OUTPUT, MASK_INPUT
from open_seq2seq.export.export_folder import export_model
from open_seq2seq.export.exported_model import imported
from open_seq2seq.export.freeze import ExportOptions, pad_to
from open_seq2seq.export.graph_file import read_graph
from open_seq2seq.export.graph_weights import give_back_weights
from open_seq2seq.export.restored_network import TrainedModel

EXPORTS = (("folded, fast convolutions", True), ("folded", False))


def checkpoint_of(built, folder):
    """Saves a network that was built, with moving statistics that are not just 0 and 1."""
    generator = np.random.RandomState(1)
    with built.session.graph.as_default():
        variables = [variable for variable in tf.global_variables() if variable.op.name != "features"]
        for variable in variables:
            if variable.op.name.endswith(("/moving_mean", "/moving_variance", "/gamma", "/beta")):
                center = 0.0 if variable.op.name.endswith(("/moving_mean", "/beta")) else 1.0
                variable.load((center + 0.1 * generator.uniform(-1, 1, variable.shape.as_list())).astype(np.float32),
                              built.session)
        return tf.train.Saver(variables).save(built.session, os.path.join(folder, "model.ckpt"), 0, write_meta_graph=False)


def exported_session(path, case, features, session_config):
    """A session of an exported graph whose features are a variable, and what to run in it."""
    weights = {}
    graph_def = read_graph(path, weights)
    for node in graph_def.node:
        # fed, the features would be copied each time; as constants they would be computed with only once
        if node.name in (FEATURES_INPUT, MASK_INPUT):
            node.op = "VariableV2"
    graph = imported(graph_def, path)
    session = tf.Session(graph=graph, config=session_config)
    mask = np.ones(graph.get_tensor_by_name(MASK_INPUT + ":0").shape.as_list(), np.float32)
    weights.update({FEATURES_INPUT: features[:, np.newaxis], MASK_INPUT: mask})
    give_back_weights(session, weights)
    return session, graph.get_tensor_by_name(LOGITS_OUTPUT + ":0")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    network.add_arguments(parser, seconds=60.0)
    arguments = parser.parse_args()
    case = network.case_of(arguments)
    base_model, params = network.checked_params(case, "eval")
    case = case._replace(frames=-(-case.frames // pad_to(params)) * pad_to(params))
    session_config = Cpu().session_config()
    built = network.build(case, "eval", session_config, fast_gradients=True)
    frames = case.batch_size * case.frames
    units = {"frames": frames, "audio_seconds": frames / network.FRAMES_PER_SECOND}
    features = built.session.run("features:0")
    candidates = []
    with tempfile.TemporaryDirectory(prefix="jasper-benchmark-") as folder:
        checkpoint = checkpoint_of(built, folder)
        expected = built.session.run(built.fetches[0].outputs[0])
        trained = TrainedModel(base_model, params, tuple(" abcdefghijklmnopqrstuvwxyz'"), checkpoint, None)
        for name, fast in EXPORTS:
            start = time.perf_counter()
            options = ExportOptions(case.batch_size, case.frames, fast_convolutions=fast)
            _, (path,) = export_model(trained, options, folder)
            seconds = time.perf_counter() - start
            size = os.path.getsize(path)
            session, logits = exported_session(path, case, features, session_config)
            error = np.abs(session.run(logits) - expected).max() / np.abs(expected).max()
            print("%s: exported in %.1f s, %.1f MB, logits differ by %.1e of the largest" % (name, seconds, size / 1e6, error))
            candidates.append(Candidate(name, lambda session=session, run=logits.op: session.run(run), built.flops, units))
    candidates.append(Candidate("evaluation graph", lambda: built.session.run(built.fetches), built.flops, units))
    report("inference, %s, batch %d x %d frames" % (arguments.model, case.batch_size, case.frames),
           measure(candidates, session_config, arguments.seconds))


if __name__ == "__main__":
    main()
