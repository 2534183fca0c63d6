"""What the workers of the peers are given: their command line, and the file that step_worker.py --export has written.

It needs only Python's standard library and NumPy, like every environment of a peer.
"""
import argparse
import ast

import numpy as np


def arguments_of(description):
    """The parsed command line of a worker; ``description``: its text for --help."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", required=True, help="file of step_worker.py --export")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--learning_rate", type=float, required=True)
    return parser.parse_args()


def read_values(path):
    """(the opened .npz with weights and batch, dict of the settings of layers, batch_norm and optimizer)."""
    values = np.load(path)
    return values, {name: ast.literal_eval(str(values[name])) for name in ("layers", "batch_norm", "optimizer")}
