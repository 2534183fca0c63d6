"""A training step of Jasper with this project and with the operations of OpenSeq2Seq, measured in turns in one run on the CPU.

    python benchmarks/peers/openseq2seq.py --model jasper5x3

OpenSeq2Seq builds its layers with ``tf.layers`` (conv1d, batch_normalization) and takes TensorFlow's gradients. Both networks are
built in this environment, in a process each, and train on the same batch with the same optimizer. Before they are measured it is
checked that they have equally many parameters, and that with the same initial weights, without dropout, the losses of three steps
are equal.
"""
import argparse
import os
import sys

import comparison
import network


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    network.add_arguments(parser, seconds=120.0)
    arguments = parser.parse_args()
    worker = os.path.join(comparison.HERE, "openseq2seq_worker.py")
    comparison.compare(arguments, "OpenSeq2Seq's operations", [sys.executable, worker])


if __name__ == "__main__":
    main()
